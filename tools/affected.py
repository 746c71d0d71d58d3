"""Which defects change the rules that a scenario loads: the others cannot show in packets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness import scenario
from harness.cluster.netns.addresses import allocate, with_implied
from harness.cluster.netns.defects import DEFECTS
from harness.cluster.netns.parts import PARTS, Parts, Snapshot
from harness.cluster.netns.reconcile import with_addresses
from harness.cluster.netns.tables import Table
from harness.model import State

Rules = Sequence[Mapping[int, tuple[Table, Table]]]
"""The tables of policies and of Services of every node, for each State."""


def affecting(path: Path) -> Sequence[str]:
    """Return the names of the defects that change a scenario's rules, or how they are loaded."""
    states = [step.state for step in scenario.load(path).steps]
    # The control step comes first: the topologies without policies.
    states = [*(replace(state, policies=()) for state in states), *states]
    right = rules(states, PARTS)
    return [
        name
        for name, defect in DEFECTS.items()
        if defect.parts.load is not PARTS.load or rules(states, defect.parts) != right
    ]


def rules(states: Sequence[State], parts: Parts) -> Rules:
    """Return the rules that are loaded for these States, one after the other."""
    believed, before, addresses = None, None, None
    found = []
    for state in states:
        whole = with_implied(state)
        addresses = allocate(whole, addresses)
        now = Snapshot(with_addresses(whole, addresses), addresses)
        believed = parts.observe(None if state.restarts_agents(before) else believed, now)
        before = state
        found.append(
            {
                node: (table, parts.services(whole, addresses, node))
                for node, table in parts.policy_tables(believed).items()
            }
        )
    return found
