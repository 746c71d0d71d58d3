"""Requirements and the scenarios that try them: `make coverage` writes docs/coverage.md.

The results of runs are docs/results/*.json.gz, files of `--results` named for the CNI, and files
that the command line names. For each requirement the table has the worst outcome of the steps of
its scenarios on each of them. It says how many steps ran, if some were skipped, and why.

A hole is a requirement that connections or the API server show and that no scenario of conformance
covers. If connections show it, its scenarios must probe over TCP and UDP, on one node and between
nodes. If it is about something that ingress and egress rules share, they must have policies for
both directions. The command fails if there is a hole.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import catalogue, results_file, scenario
from harness.catalogue import Requirement, Status
from harness.errors import UsageError
from harness.model import Cell, NodeRef, PodRef, Scenario, ServiceName, ServiceRef, State
from harness.policy import Direction, NetworkPolicy, parsed
from harness.report import Outcome, Results

ROOT = Path(__file__).parents[1]
SCENARIOS = ROOT / "scenarios"
RESULTS = ROOT / "docs" / "results"
TABLE = ROOT / "docs" / "coverage.md"

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
)
"""Sources, by their beginnings, about what ingress and egress rules share."""
INGRESS_ONLY = frozenset({"R03"})
"""Requirements from such a source that are about ingress rules all the same."""
WORST_FIRST = (
    "cluster error",
    "no verdict",
    "wrong",
    "not refused",
    "unproven",
    "limited",
    "passed",
)
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
    policies = [
        policy
        for step in read.steps
        for policy in parsed((*step.state.policies, *step.state.refused))
        if isinstance(policy, NetworkPolicy)
    ]
    cells = [(step.state, cell) for step in read.steps for cell in step.table.cells]
    return Aspects(
        frozenset(direction.lower() for policy in policies for direction in policy.policy_types),
        frozenset(str(cell.probe.destination.protocol) for _, cell in cells),
        frozenset(word for state, cell in cells for word in _nodes(state, cell)),
        frozenset(_end(cell) for _, cell in cells),
    )


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
    """Return the scenarios of conformance; the examples are for readers."""
    return [path for path in paths if path.startswith("conformance/")]


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


# ------------------------------------------------------------------ results


@dataclass(frozen=True, slots=True)
class Tried:
    """What the steps of some scenarios gave in one run.

    ``worst`` is the worst outcome of the steps that ran, or empty; ``ran`` is how many they are.
    ``skipped`` has the reason of each step that did not run.
    """

    worst: str = ""
    ran: int = 0
    skipped: tuple[str, ...] = ()

    def __or__(self, other: Tried) -> Tried:
        seen = filter(None, (self.worst, other.worst))
        worst = min(seen, key=WORST_FIRST.index, default="")
        return Tried(worst, self.ran + other.ran, self.skipped + other.skipped)


NOTHING = Tried()


def outcomes(results: Results) -> Mapping[str, Tried]:
    """Return what the steps of each scenario gave, by its path below ``scenarios/``."""
    found: dict[str, Tried] = {}
    for step in results.steps:
        path = step.file.partition("scenarios/")[2]
        is_skipped = step.outcome is Outcome.SKIPPED
        one = Tried(skipped=(step.message,)) if is_skipped else Tried(str(step.outcome), 1)
        found[path] = found.get(path, NOTHING) | one
    return found


def _in_words(tried: Tried, numbers: Mapping[str, int]) -> str:
    """Return a result, with the numbers of the reasons of skipped steps."""
    if not tried.skipped:
        return tried.worst
    why = ", ".join(map(str, sorted({numbers[reason] for reason in tried.skipped})))
    if not tried.ran:
        return f"skipped ({why})"
    total = tried.ran + len(tried.skipped)
    return f"{tried.worst}, {tried.ran} of {total} steps ({why})"


def _numbers(results: Iterable[Mapping[str, Tried]]) -> Mapping[str, int]:
    """Return a number for each reason of skipped steps."""
    reasons = dict.fromkeys(
        reason for one in results for tried in one.values() for reason in tried.skipped
    )
    return {reason: number for number, reason in enumerate(reasons, 1)}


def _skipped(results: Iterable[Mapping[str, Tried]]) -> Iterator[str]:
    """Yield the reasons of skipped steps as a list, with what each skipped."""
    files: dict[str, set[str]] = {}
    steps: Counter[str] = Counter()
    for one in results:
        for path, tried in one.items():
            steps.update(tried.skipped)
            for reason in tried.skipped:
                files.setdefault(reason, set()).add(path.removesuffix(".yaml"))
    for number, (reason, paths) in enumerate(files.items(), 1):
        counted = "1 step" if steps[reason] == 1 else f"{steps[reason]} steps"
        yield f"{number}. {reason}: {counted} of {', '.join(sorted(paths))}"


def kept(*more: Path) -> Mapping[str, Mapping[str, Tried]]:
    """Return the outcomes of the runs in docs/results and in other files, by the file's name.

    Raises UsageError if a file is no results.json, or cannot be read.
    """
    return {
        path.name.partition(".json")[0]: outcomes(results_file.read(path))
        for path in (*sorted(RESULTS.glob("*.json.gz")), *more)
    }


# ------------------------------------------------------------------ the page


def document(read: Mapping[str, Scenario], results: Mapping[str, Mapping[str, Tried]]) -> str:
    """Return docs/coverage.md."""
    numbers = _numbers(results.values())
    skipped = list(_skipped(results.values()))
    entries = [entry for entry in catalogue.requirements().values() if entry.status in SHOWN]
    head = ("id", "requirement", *results, "with", "scenarios")
    rows = []
    for entry in entries:
        tried = (_of(covering(entry.id, read), one) for one in results.values())
        rows.append(_row(entry, read, (_in_words(each, numbers) for each in tried)))
    return "\n".join(
        (
            "# Coverage",
            "",
            "Each requirement of the NetworkPolicy API that a run can show, with the scenarios "
            "that try it. [requirements.md](requirements.md) has the sources, and those that no "
            "connection can show. `make coverage` writes this page, and fails if a requirement "
            "has no scenario of conformance.",
            "",
            "It also fails if connections show a requirement and its scenarios of conformance do "
            "not probe over TCP and UDP, on the same node and between nodes; or if it is about "
            "something that ingress and egress rules share, and they have policies for one "
            "direction only. The column *with* says what they have: directions, protocols, nodes, "
            "and the kinds of end.",
            "",
            "The columns of network plugins have the worst outcome of the steps that ran, in the "
            "runs of [real-runs.md](real-runs.md). If steps were skipped, they say how many ran, "
            "and the numbers of the [reasons](#skipped-steps).",
            "",
            f"| {' | '.join(head)} |",
            "|" + "---|" * len(head),
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            *(("## Skipped steps", "", *skipped, "") if skipped else ()),
        )
    )


def _of(paths: Iterable[str], found: Mapping[str, Tried]) -> Tried:
    """Return what some scenarios gave together in one run."""
    return functools.reduce(operator.or_, (found.get(path, NOTHING) for path in paths), NOTHING)


def _row(
    entry: Requirement, read: Mapping[str, Scenario], results: Iterable[str]
) -> tuple[str, ...]:
    paths = covering(entry.id, read)
    have = joined(entry.id, read)
    words = (have.directions, have.protocols, have.nodes, have.ends)
    return (
        entry.id,
        entry.text,
        *results,
        "<br>".join(", ".join(sorted(each)) for each in words),
        "<br>".join(f"[{path.removesuffix('.yaml')}](../scenarios/{path})" for path in paths),
    )


def scenarios() -> Mapping[str, Scenario]:
    """Return every scenario by its path below ``scenarios/``, conformance first."""
    paths = sorted(
        scenario.find(SCENARIOS), key=lambda path: ("conformance" not in str(path), path)
    )
    return {path.relative_to(SCENARIOS).as_posix(): scenario.load(path) for path in paths}


def main(files: Sequence[str]) -> int:
    """Write the page; print holes, and return 1 if there are any, 2 if a file cannot be read."""
    read = scenarios()
    try:
        results = kept(*map(Path, files))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    TABLE.write_text(document(read, results), encoding="utf-8")
    found = list(holes(read))
    print(*found, f"{len(catalogue.requirements())} requirements, {len(found)} holes", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
