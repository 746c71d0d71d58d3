"""What an audit will do, and what it found, as frozen values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.cluster.kube.running import RunningPod
from harness.model import PodRef, Probe
from harness.oracle import Prediction


class Word(enum.StrEnum):
    """How a pair stands to the policies; the worst first."""

    WRONGLY_OPEN = "wrongly open"
    WRONGLY_CLOSED = "wrongly closed"
    NO_VERDICT = "no verdict"
    ALLOWED = "allowed, as the policies say"
    DENIED = "denied, as the policies say"


@dataclass(frozen=True, slots=True)
class End:
    """A source or destination: its workload, or the Service; then what stands for it.

    ``backends`` are the pods that answer. ``node`` is empty for a Service.
    """

    title: str
    detail: str
    node: str = ""
    backends: tuple[PodRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A connection to try: the probe, the address it goes to, and what a correct cluster gives."""

    probe: Probe
    address: str
    source: End
    destination: End
    prediction: Prediction

    def __str__(self) -> str:
        return f"{self.source.title} -> {self.destination.title}"

    @property
    def pods(self) -> tuple[PodRef, ...]:
        """The pods on which its verdict depends: the source's first."""
        return (*self.source.backends, *self.destination.backends)


@dataclass(frozen=True, slots=True)
class Plan:
    """What an audit will do. ``sources`` are the pods that get a container each; ``pods`` all.

    ``notes`` say what is not tried by its nature; ``gaps`` what is not tried although it could
    be, so that the audit is not whole.
    """

    context: str
    namespaces: tuple[str, ...]
    pods: tuple[RunningPod, ...]
    sources: tuple[RunningPod, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()

    def without(self, refused: Mapping[PodRef, str]) -> Plan:
        """Return the plan without some sources, which become gaps with their reasons."""
        kept = tuple(item for item in self.sources if item.ref not in refused)
        pairs = tuple(pair for pair in self.pairs if pair.source.backends[0] not in refused)
        gaps = tuple(f"no probe starts in pod {ref}: {why}" for ref, why in refused.items())
        return replace(self, sources=kept, pairs=pairs, gaps=(*self.gaps, *gaps))


@dataclass(frozen=True, slots=True)
class Cell:
    """A pair that was tried: its word, what was seen, and why the policies say otherwise."""

    pair: Pair
    word: Word
    seen: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found. ``left`` names the containers that could not be told to end."""

    plan: Plan
    cells: tuple[Cell, ...]
    left: tuple[str, ...] = ()

    def having(self, word: Word) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells if cell.word is word)
