"""Defects of loading: the rules are right, and packets pass while they are replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.kernel import run_nft
from harness.cluster.netns.parts import PARTS, Load, Parts


@dataclass(frozen=True, slots=True)
class FlushThenLoad:
    """Removes the rules in force on a node, and loads the new ones ``delay_s`` later."""

    delay_s: float
    load: Load = run_nft
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, scripts: Mapping[int, str]) -> None:
        flushes = {netns: _flushes(script) for netns, script in scripts.items()}
        if any(flushes.values()):
            self.load({netns: text for netns, text in flushes.items() if text})
            self.sleep(self.delay_s)
        self.load(scripts)


def _flushes(script: str) -> str:
    """Return the commands of a script that remove the rules of policies."""
    found = (line for line in script.splitlines() if line.startswith("flush chain inet netpol"))
    return "".join(f"{line}\n" for line in found)


def update_gap(delay_s: float) -> Parts:
    """Rules are missing for that long while they are replaced."""
    return replace(PARTS, load=FlushThenLoad(delay_s))


DEFECTS = (Defect.timed("update-gap", "B78", 0.5, update_gap),)
