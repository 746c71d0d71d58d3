"""The verb probe: a single probe of a scenario."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace

from harness import oracle, scenario
from harness.cli.exits import Exit
from harness.cli.explain import find_step, parse_ends, require_ends
from harness.cli.parser import choice_of
from harness.cli.scenarios import one_file
from harness.cluster import Cluster
from harness.errors import ClusterError
from harness.model import Family, Observation, Probe, Scenario, Step, Verdict
from harness.variants import variant


def probe(parsed: argparse.Namespace) -> int:
    """Probe one pair in the state of one step, and print the verdict."""
    found = scenario.read(one_file(parsed.file))
    step = find_step(found, parsed.step)
    asked = parse_ends(parsed.source, parsed.destination)
    require_ends([step], asked)
    if parsed.ipv6:
        asked = replace(asked, family=Family.V6)
    with choice_of(parsed).make("main") as cluster:
        return probe_step(cluster, found, step, asked)


def probe_step(cluster: Cluster, found: Scenario, step: Step, probe: Probe) -> Exit:
    """Apply the states up to the step, probe until the verdict is right, and print it.

    It never restarts the agents of the CNI.
    """
    last = found.steps.index(step)
    ours = variant(found, cluster.capabilities)
    lack = ours.skips[last]
    if lack:
        raise ClusterError(lack)
    for each, skip in zip(ours.scenario.steps[: last + 1], ours.skips, strict=False):
        print(f"step '{each.name}'", file=sys.stderr)
        state = each.state_if_skipped if skip else each.state
        cluster.sync(replace(state, agent_restarts=0))
    wanted = _wanted(found, step, probe)
    observation = _settled(cluster, probe, wanted)
    print(f"{probe}  {observation.outcome}  ({observation.ended - observation.started:.3f} s)")
    if observation.raw:
        print(f"probe output: {observation.raw.strip()}")
    if observation.command:
        print(f"reproduce: {observation.command}")
    if not isinstance(observation.outcome, Verdict):
        return Exit.NO_VERDICT
    if wanted and observation.outcome not in wanted:
        print(f"expected: {' or '.join(sorted(str(verdict) for verdict in wanted))}")
        return Exit.WRONG
    return Exit.OK


def _wanted(found: Scenario, step: Step, probe: Probe) -> frozenset[Verdict]:
    """Return the table's verdict, or those that the policies allow; empty if any is accepted."""
    for cell in step.table.cells:
        if cell.probe == probe:
            return frozenset({cell.expected})
    facts = oracle.Facts(features=found.features_of(step))
    prediction = oracle.Judge(step.state, facts).predict(probe)
    return frozenset() if prediction.not_judged else prediction.verdicts


def _settled(cluster: Cluster, probe: Probe, wanted: frozenset[Verdict]) -> Observation:
    """Probe until the verdict is a wanted one, or the cluster's settle time is over."""
    deadline = time.monotonic() + cluster.capabilities.settle_s
    while True:
        (observation,) = cluster.probe([probe])
        if not wanted or observation.outcome in wanted or time.monotonic() > deadline:
            return observation
        time.sleep(0.1)
