"""The verb fuzz: random scenarios on a cluster, until the time is over."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from harness import canary
from harness.choice import ClusterChoice
from harness.cli.exits import Exit
from harness.cli.making import made
from harness.cli.parser import choice_of
from harness.errors import ClusterError, UsageError
from harness.generate import Bench, Fuzz, Generator, Scope, fixture_file
from harness.predecessor import Predecessor
from harness.settle import Timing
from harness.variants import TierKinds


def fuzz(parsed: argparse.Namespace) -> int:
    """Try cases on a cluster; write what disagrees, and print how many cells were proven."""
    choice = choice_of(parsed)
    if parsed.netpol_canary == "off" and choice.defect is None:
        raise UsageError("--canary=off needs --defect=NAME", "the canary costs a few seconds")
    file = fixture_file(parsed.fixture)
    timing = Timing(settle_s=parsed.netpol_settle)
    with made(choice) as cluster:
        tier_kinds = TierKinds.among(cluster.capabilities.kinds)
        if tier_kinds is TierKinds.NONE and parsed.tiers:
            fact = f"cluster {cluster.capabilities.name} has no kind of policies in tiers"
            hint = "leave out --tiers; it needs ClusterNetworkPolicy or AdminNetworkPolicy"
            raise ClusterError(fact, hint)
        _say(f"policies in tiers: {tier_kinds.value}")
        if parsed.netpol_canary == "on":
            canary.check(cluster, timing)
        for known in cluster.capabilities.known_traits:
            _say(f"left out: policies with {known}")
        generator = Generator(
            file.fixture,
            parsed.seed,
            Scope.PODS_TOO if choice.cluster == "netns" else Scope.POLICIES_AND_LABELS,
            ip_blocks="ipblock-pod-ip" in cluster.capabilities.features,
            without=frozenset(known.trait for known in cluster.capabilities.known_traits),
            tiers=0 if tier_kinds is TierKinds.NONE else 1 if parsed.tiers else 2,
            tier_kinds=tier_kinds,
        )
        work = Fuzz(
            bench=Bench(cluster, timing, Predecessor()),
            generator=generator,
            file=file,
            folder=parsed.out,
            say=_say,
            reproduce=lambda path: _command(path, choice),
        )
        began = timing.clock.now()
        try:
            work.until(began + 60 * parsed.minutes)
        finally:
            print(*work.tally.lines(timing.clock.now() - began), sep="\n")
    if work.tally.findings:
        return Exit.WRONG
    return Exit.OK if work.tally.proven else Exit.NO_VERDICT


def _say(line: str) -> None:
    print(line, flush=True)


def _command(path: Path, choice: ClusterChoice) -> str:
    return shlex.join(["netpol", "run", str(path), *choice.arguments()])
