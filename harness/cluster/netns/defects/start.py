"""Defects of the start of a pod: its rules are right, and take effect too late."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.parts import PARTS, Parts, PodStart


@dataclass(frozen=True, slots=True)
class LateAttach:
    """New pods run for ``delay_s`` without the rules of their State."""

    delay_s: float
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, pods: PodStart) -> None:
        pods.link()
        pods.init()
        pods.main()
        self.sleep(self.delay_s)
        pods.rules()


def init_exempt(pods: PodStart) -> None:
    """Rules take effect when the main containers of new pods start."""
    pods.link()
    pods.init()
    pods.rules()
    pods.main()


def late_attach(delay_s: float) -> Parts:
    """The rules of new pods are missing for that long after their containers have started."""
    return replace(PARTS, start=LateAttach(delay_s))


DEFECTS = (
    Defect.timed("late-attach", "B76", 0.5, late_attach),
    Defect("init-exempt", "B90", replace(PARTS, start=init_exempt)),
)
