"""Requirements and the scenarios that try them: `make coverage` writes docs/coverage.md.

A hole is a requirement that connections or the API server show and that no scenario of conformance
covers; these are the scenarios in ``conformance/`` and ``tiers/``. If connections show it, its
scenarios must probe over TCP and UDP, on one node and between nodes. If it is about something that
ingress and egress rules share, they must have policies for both directions. The command fails if
there is a hole.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import catalogue, scenario
from harness.catalogue import Requirement, Status
from harness.model import Cell, NodeRef, PodRef, Scenario, ServiceName, ServiceRef, State
from harness.policy import Direction, NetworkPolicy, network_policy, parsed
from harness.policy.kinds import Policy
from harness.report.markdown import head, row

ROOT = Path(__file__).parents[1]
SCENARIOS = ROOT / "scenarios"
TABLE = ROOT / "docs" / "coverage.md"
OF_CONFORMANCE = ("conformance", "tiers")
"""The folders of scenarios of conformance; the examples are for readers."""

SHOWN = frozenset({Status.DEFINED, Status.REJECTED})
"""Requirements that a run can show."""
SHARED = (
    "NetworkPolicyPort.",
    "NetworkPolicyPeer.",
    "IPBlock",
    "LabelSelector",
    "NetworkPolicySpec.podSelector",
    "docs: Behavior of to and from selectors",
    "docs: Labels and Selectors",
    "docs: Targeting ",
    "ClusterNetworkPolicySpec.",
    "ClusterNetworkPolicyRuleAction",
    "ClusterNetworkPolicyIngressPeer",
    "ClusterNetworkPolicyIngressRule.",
    "ClusterNetworkPolicyProtocol",
    "NamespacedPod",
    "docs: API overview, Services",
)
"""Sources, by their beginnings, about what ingress and egress rules share."""
INGRESS_ONLY = frozenset({"R03", "T12"})
"""Requirements from such a source that are about ingress rules all the same."""
DIRECTIONS = tuple(direction.lower() for direction in Direction)
PROTOCOLS = ("TCP", "UDP")
NODES = ("the same node", "different nodes")


@dataclass(frozen=True, slots=True)
class Aspects:
    """What the policies and tables of scenarios have, as words."""

    directions: frozenset[str] = frozenset()
    protocols: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()

    def __or__(self, other: Aspects) -> Aspects:
        return Aspects(
            self.directions | other.directions,
            self.protocols | other.protocols,
            self.nodes | other.nodes,
            self.ends | other.ends,
        )


def aspects(read: Scenario) -> Aspects:
    """Return what the steps of a scenario have."""
    policies = [policy for step in read.steps for policy in _policies(step.state)]
    cells = [(step.state, cell) for step in read.steps for cell in step.table.cells]
    return Aspects(
        frozenset(direction.lower() for policy in policies for direction in _directions(policy)),
        frozenset(str(cell.probe.destination.protocol) for _, cell in cells),
        frozenset(word for state, cell in cells for word in _nodes(state, cell)),
        frozenset(_end(cell) for _, cell in cells),
    )


def _policies(state: State) -> Iterator[Policy]:
    """Yield the policies of a State, and the NetworkPolicies that must be refused in it.

    Other kinds cannot be read as values if the API server must refuse them.
    """
    refused = [manifest for manifest in state.refused if manifest.kind == network_policy.KIND]
    yield from parsed((*state.policies, *refused))


def _directions(policy: Policy) -> Iterable[Direction]:
    """Return the directions that a policy is about."""
    if isinstance(policy, NetworkPolicy):
        return policy.policy_types
    return [direction for direction in Direction if policy.acts_on(direction)]


def _nodes(state: State, cell: Cell) -> Iterator[str]:
    """Yield whether the pods or nodes at the ends of a probe are on the same node."""
    for source in _places(state, cell.probe.source):
        for destination in _places(state, cell.probe.destination.host):
            yield NODES[source != destination]


def _places(state: State, end: object) -> tuple[int, ...]:
    """Return the nodes of an end: none for an outside host, several for a Service."""
    match end:
        case NodeRef(number):
            return (number,)
        case PodRef():
            pod = state.pod(end)
            return (pod.node,) if pod else ()
        case ServiceRef(namespace, name) | ServiceName(namespace, name):
            service = state.service(namespace, name)
            return tuple(pod.node for pod in state.endpoints(service)) if service else ()
        case _:
            return ()


def _end(cell: Cell) -> str:
    """Return the kind of a destination as tables write it."""
    host = cell.probe.destination.host
    return "pod" if isinstance(host, PodRef) else str(host).partition("/")[0]


def joined(id_: str, read: Mapping[str, Scenario]) -> Aspects:
    """Return what the scenarios of conformance that cover a requirement have together."""
    found = Aspects()
    for path in of_conformance(covering(id_, read)):
        found |= aspects(read[path])
    return found


# ------------------------------------------------------------------ holes


def covering(id_: str, read: Mapping[str, Scenario]) -> tuple[str, ...]:
    """Return the scenarios, below ``scenarios/``, that cover a requirement."""
    return tuple(path for path, found in read.items() if id_ in found.covers)


def of_conformance(paths: Iterable[str]) -> list[str]:
    """Return the scenarios of conformance."""
    return [path for path in paths if path.partition("/")[0] in OF_CONFORMANCE]


def is_shared(entry: Requirement) -> bool:
    """Return whether a requirement is about something that ingress and egress rules share."""
    return entry.source.startswith(SHARED) and entry.id not in INGRESS_ONLY


def holes(read: Mapping[str, Scenario]) -> Iterator[str]:
    """Yield a line for each requirement that no scenario covers, or not in all that it needs."""
    for entry in catalogue.requirements().values():
        if entry.status not in SHOWN:
            continue
        if not of_conformance(covering(entry.id, read)):
            yield f"{entry.id}: no scenario of conformance covers it: {entry.text}"
        elif entry.status is Status.DEFINED:
            for lacking in _lacking(entry, joined(entry.id, read)):
                yield f"{entry.id}: no scenario of conformance covers it {lacking}: {entry.text}"


def _lacking(entry: Requirement, have: Aspects) -> Iterator[str]:
    if is_shared(entry):
        yield from (f"for {word}" for word in DIRECTIONS if word not in have.directions)
    yield from (f"with {word}" for word in PROTOCOLS if word not in have.protocols)
    yield from (f"between pods on {word}" for word in NODES if word not in have.nodes)


# ------------------------------------------------------------------ the page


def document(read: Mapping[str, Scenario]) -> str:
    """Return docs/coverage.md."""
    entries = [entry for entry in catalogue.requirements().values() if entry.status in SHOWN]
    return "\n".join(
        (
            "# Coverage",
            "",
            "Each requirement of the NetworkPolicy API, and of the [tiers](tiers.md) around it, "
            "that a run can show, with the scenarios that try it. "
            "[requirements.md](requirements.md) has the sources, and those that no "
            "connection can show; the [scoreboard](scoreboard.md) has what network plugins gave. "
            "`make coverage` writes this page, and fails if a requirement has no scenario of "
            "conformance.",
            "",
            "It also fails if connections show a requirement and its scenarios of conformance do "
            "not probe over TCP and UDP, on the same node and between nodes; or if it is about "
            "something that ingress and egress rules share, and they have policies for one "
            "direction only. The column *with* says what they have: directions, protocols, nodes, "
            "and the kinds of end.",
            "",
            *head(("id", "requirement", "with", "scenarios")),
            *(row(_cells(entry, read)) for entry in entries),
            "",
        )
    )


def _cells(entry: Requirement, read: Mapping[str, Scenario]) -> tuple[str, ...]:
    paths = covering(entry.id, read)
    have = joined(entry.id, read)
    words = (have.directions, have.protocols, have.nodes, have.ends)
    return (
        entry.id,
        entry.text,
        "<br>".join(", ".join(sorted(each)) for each in words),
        "<br>".join(f"[{path.removesuffix('.yaml')}](../scenarios/{path})" for path in paths),
    )


def scenarios() -> Mapping[str, Scenario]:
    """Return every scenario by its path below ``scenarios/``, conformance first."""
    paths = {path.relative_to(SCENARIOS).as_posix(): path for path in scenario.find(SCENARIOS)}
    ordered = sorted(paths, key=lambda path: (not of_conformance([path]), path))
    return {path: scenario.load(paths[path]) for path in ordered}


def main() -> int:
    """Write the page; print holes, and return 1 if there are any."""
    read = scenarios()
    TABLE.write_text(document(read), encoding="utf-8")
    found = list(holes(read))
    print(*found, f"{len(catalogue.requirements())} requirements, {len(found)} holes", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
