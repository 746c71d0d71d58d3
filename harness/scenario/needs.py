"""What a scenario asks of a cluster: what its author wrote, and what its steps show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace

from harness.model import (
    ON_REQUEST,
    Address,
    AgentsRestarted,
    Cell,
    Family,
    Manifest,
    Needs,
    NodePortRef,
    NodeRef,
    Protocol,
    State,
    Step,
    StepNeeds,
)
from harness.policy import (
    Everybody,
    NetworkPolicy,
    builtin,
    kinds,
    parsed,
    placeholders,
)
from harness.policy.tiers import DomainNames, Nodes, TierPolicy


def needed(
    steps: Sequence[Step], families: Iterable[Family], words: Iterable[str], nodes: Iterable[int]
) -> Needs:
    """Return what a scenario needs. ``words`` and ``nodes`` are those that its author wrote.

    What its steps ask for themselves is not part of it, unless it is one of ``words``.
    """
    written = frozenset(words)
    restarts = {change for step in steps for change in step.changes} & {AgentsRestarted()}
    on_request = (written & ON_REQUEST.keys()) | ({"disruptive"} if restarts else set())
    cells = [cell for step in steps for cell in step.table.cells]
    states = [step.state for step in steps]
    objects = {manifest for state in states for manifest in state.policies}
    features = {
        *_features_of_states(states),
        *_features_of_peers(objects),
        *_features_of_objects(objects),
        *_features_of_families(families),
        *_features_of_rules(states),
        *_features_of_blocks(objects),
        *_features_of_cells(cells),
        *(("from-start",) if any(step.from_start for step in steps) else ()),
    }
    of_steps = {feature for step in steps for feature in step.needs.features}
    features = (features - of_steps) | (written - on_request)
    applied = {f"{manifest.api_version}/{manifest.kind}" for manifest in objects}
    # An API server without the kind refuses such an object for another reason.
    refused = {found for state in states for found in state.refused if kinds.kind_of(found)}
    applied |= {f"{manifest.api_version}/{manifest.kind}" for manifest in refused}
    asked_for = frozenset(applied - (kinds.names() & builtin.names()))
    meant = {found for manifest in objects for found in placeholders(manifest)}
    named = [found.of.index for found in meant if isinstance(found.of, NodeRef)]
    most = max([1, *nodes, *_nodes_of_cells(cells), *named])
    state = steps[0].state
    return Needs(
        frozenset(features),
        most,
        asked_for,
        state.networks,
        state.outside,
        on_request,
        pod_blocks=frozenset(found.family for found in meant if found.of is Everybody.PODS),
    )


def with_needs(
    steps: Sequence[Step], families: Sequence[Family], words: Sequence[Set[str]]
) -> tuple[Step, ...]:
    """Return the steps with what each needs for itself. ``words`` are those written in each.

    A word that one step has is a need of each step that shows it.
    """
    asked_for = frozenset[str]().union(*words)
    if not asked_for:
        return tuple(steps)
    return tuple(
        replace(step, needs=_needed_by(step, families, own, asked_for))
        for step, own in zip(steps, words, strict=True)
    )


def _needed_by(
    step: Step, families: Iterable[Family], own: Set[str], asked_for: Set[str]
) -> StepNeeds:
    states, objects = [step.state], step.state.policies
    of_state = {
        *_features_of_states(states),
        *_features_of_objects(objects),
        *_features_of_peers(objects),
    } & asked_for
    of_table = {
        *own,
        *_features_of_families(families),
        *_features_of_rules(states),
        *_features_of_blocks(objects),
        *_features_of_cells(step.table.cells),
        *(("from-start",) if step.from_start else ()),
    } & asked_for
    return StepNeeds(frozenset(of_state), frozenset(of_table - of_state))


# ------------------------------------------------------------------ what a State needs


def _features_of_states(states: Iterable[State]) -> Iterator[str]:
    for state in states:
        if state.externals:
            yield "external"
        if any(pod.host_network for pod in state.pods):
            yield "hostnetwork"
        if any(pod.readiness for pod in state.pods):
            yield "kubelet"
        spoken = {port.protocol for pod in state.pods for port in pod.ports}
        spoken |= {port.protocol for service in state.services for port in service.ports}
        spoken |= {port.protocol for external in state.externals for port in external.ports}
        if Protocol.SCTP in spoken:
            yield "sctp"
        if state.agent_restarts:
            yield "agents"


def _features_of_objects(objects: Iterable[Manifest]) -> Iterator[str]:
    for manifest in objects:
        if any(found.family is Family.V6 for found in placeholders(manifest)):
            yield "ipv6"


def _features_of_peers(objects: Iterable[Manifest]) -> Iterator[str]:
    """Yield the peers that only the experimental definitions of the tiers have (T15, T16)."""
    for policy in parsed(objects):
        if isinstance(policy, TierPolicy):
            peers = [peer for rule in policy.egress for peer in rule.peers]
            if any(isinstance(peer, Nodes) for peer in peers):
                yield "node-peers"
            if any(isinstance(peer, DomainNames) for peer in peers):
                yield "domain-names"


# ------------------------------------------------------------------ what a table needs


def _features_of_families(families: Iterable[Family]) -> Iterator[str]:
    if Family.V6 in families:
        yield "ipv6"


def _features_of_rules(states: Iterable[State]) -> Iterator[str]:
    """Yield what policies need to act, and manifests to be refused.

    A cluster that lacks it accepts the policies, and can have the State without what is refused.
    """
    for state in states:
        if state.refused:
            yield "admission"
        for policy in parsed(state.policies):
            if not isinstance(policy, NetworkPolicy):
                continue
            rules = (*policy.ingress, *policy.egress)
            if any(port.end_port is not None for rule in rules for port in rule.ports):
                yield "endport"


def _features_of_blocks(objects: Iterable[Manifest]) -> Iterator[str]:
    for policy in objects:
        if any(isinstance(known, NetworkPolicy) for known in parsed([policy])):
            for found in placeholders(policy):
                yield "ipblock-node-ip" if isinstance(found.of, NodeRef) else "ipblock-pod-ip"


def _features_of_cells(cells: Iterable[Cell]) -> Iterator[str]:
    for cell in cells:
        destination = cell.probe.destination
        if destination.protocol is Protocol.SCTP:
            yield "sctp"
        if isinstance(destination.host, NodePortRef):
            yield "nodeport"
        if isinstance(cell.probe.source, NodeRef) or isinstance(destination.host, NodeRef):
            yield "hostnetwork"
        if isinstance(destination.host, Address) and ":" in destination.host.ip:
            yield "ipv6"


def _nodes_of_cells(cells: Iterable[Cell]) -> Iterator[int]:
    for cell in cells:
        for end in (cell.probe.source, cell.probe.destination.host):
            if isinstance(end, NodeRef):
                yield end.index
            elif isinstance(end, NodePortRef):
                yield end.node
