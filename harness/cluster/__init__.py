"""The seam: the interface of a cluster to the runner.

Implementations: ``netns`` (embedded, Linux network namespaces), ``kube`` (any kubeconfig),
``kind`` (a ``kube`` cluster that it makes itself). None of them may import another, the
runner or the oracle, except that ``kind`` uses ``kube``.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from harness.cluster.networks import mismatch
from harness.cluster.watching import Pace, in_rounds
from harness.model import (
    DeniesBy,
    FirstMoments,
    Needs,
    Networks,
    Observation,
    Placement,
    Probe,
    ProbeError,
    Scenario,
    State,
    Step,
    Trace,
    Verdict,
    skips,
)
from harness.policy.traits import Trait


@dataclass(frozen=True, slots=True)
class Gap:
    """A feature that a cluster is known not to have, and the reason."""

    feature: str
    reason: str

    def __str__(self) -> str:
        return (
            f"feature {self.feature} ({self.reason})" if self.reason else f"feature {self.feature}"
        )


@dataclass(frozen=True, slots=True)
class Question:
    """A feature that a cluster has unless it shows otherwise, when a scenario needs it.

    ``ask`` returns why it is missing, or None. It may take some seconds the first time.
    """

    feature: str
    ask: Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class KnownCell:
    """A cell to which a cluster is known to give a wrong verdict, and the reason.

    ``scenario`` is the slug, with folders before it if it has to be in these, ``step`` the step's
    name, ``probe`` the ends as they are printed.
    """

    scenario: str
    step: str
    probe: str
    gives: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class KnownTrait:
    """A way to write policies that a cluster is known to get wrong, and the reason."""

    trait: Trait
    reason: str

    def __str__(self) -> str:
        return f"{self.trait} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a cluster can do; detected, not assumed.

    ``kinds`` are the kinds of objects that it accepts, ``ignored_kinds`` those of them that have
    no effect. ``gaps`` are the reasons why features are missing, as far as they are known;
    ``questions`` are about those of ``features`` that are found out when a scenario needs them.
    ``known_cells`` and the policies with one of ``known_traits`` are those that it is known to
    get wrong. ``denies_by`` is how its CNI denies; ``model.satisfies`` decides what follows.
    ``cni`` is the name of its CNI profile, ``cni_version`` and ``kubernetes`` are versions; empty
    if they are not known. ``networks`` are its address ranges, or None if it uses those that a
    scenario sets and avoids those of a scenario's outside hosts. ``watch_interval_s`` is the
    interval at which a watched pair is probed; without a verdict for longer than
    ``watch_silence_s`` it counts as not watched.
    """

    name: str
    features: frozenset[str] = frozenset()
    nodes: int = 1
    kinds: frozenset[str] = frozenset()
    ignored_kinds: frozenset[str] = frozenset()
    networks: Networks | None = None
    gaps: tuple[Gap, ...] = ()
    questions: tuple[Question, ...] = ()
    known_cells: tuple[KnownCell, ...] = ()
    known_traits: tuple[KnownTrait, ...] = ()
    denies_by: DeniesBy = "drop"
    cni: str = ""
    cni_version: str = ""
    kubernetes: str = ""
    probe_timeout_s: float = 1.0
    settle_s: float = 30.0
    watch_interval_s: float = 0.2
    watch_silence_s: float = 4.0

    def lacks(self, needs: Needs) -> str | None:
        """Return a sentence about those ``needs`` that this cluster does not meet, or None."""
        missing = list(map(str, self._missing(needs.features)))
        if needs.nodes > self.nodes:
            missing.append(f"worker nodes (it has {self.nodes}, the scenario needs {needs.nodes})")
        missing += [f"the API {kind}" for kind in sorted(needs.kinds - self.kinds)]
        if missing:
            return f"cluster {self.name} lacks {', '.join(missing)}"
        misfit = None if self.networks is None else mismatch(self.networks, needs)
        return f"cluster {self.name} {misfit}" if misfit else None

    def skips(self, scenario: Scenario) -> tuple[str | None, ...]:
        """Return for each step of a scenario why this cluster skips it, or None."""
        lack = self.lacks(scenario.needs)
        if lack:
            return (lack,) * len(scenario.steps)
        found: list[str | None] = []
        skipped = skips(scenario.steps, self.provides(scenario.steps))
        for step, skip in zip(scenario.steps, skipped, strict=True):
            if skip is None:
                found.append(None)
                continue
            gaps = ", ".join(map(str, self._missing(skip.missing)))
            why = f"cluster {self.name} lacks {gaps}"
            after = f"it comes after step {skip.of!r}, which is skipped: "
            found.append(why if skip.of == step.name else after + why)
        return tuple(found)

    def provides(self, steps: Iterable[Step]) -> frozenset[str]:
        """Return those of the features that steps need for themselves which this cluster has."""
        wanted = frozenset[str]().union(*(step.needs.features for step in steps))
        return wanted - {gap.feature for gap in self._missing(wanted)}

    def _missing(self, wanted: Iterable[str]) -> Iterator[Gap]:
        """Yield those of some features that this cluster does not have, by name."""
        reasons = {gap.feature: gap.reason for gap in self.gaps}
        questions = {question.feature: question.ask for question in self.questions}
        for feature in sorted(wanted):
            if feature not in self.features:
                yield Gap(feature, reasons.get(feature, ""))
            elif feature in questions:
                reason = questions[feature]()
                if reason is not None:
                    yield Gap(feature, reason)

    def ignores(self, needs: Needs) -> tuple[str, ...]:
        """Return the kinds of ``needs`` that this cluster accepts and that have no effect."""
        return tuple(sorted(needs.kinds & self.ignored_kinds))


class Cluster(Protocol):
    """A cluster on which a State can be made true and probed. Not thread-safe, except ``probe``.

    A cluster is used as a context manager; leaving it calls ``close``. Implementations inherit
    from this class, so that mypy checks them where they are defined.
    """

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this cluster can do."""

    @abstractmethod
    def sync(self, state: State) -> None:
        """Make namespaces, pods, services, policies and outside hosts equal to ``state``.

        Returns when the pods are ready and serve their ports and the API accepted the rest;
        a policy may need longer to act. Changes are incremental: what did not change is not
        touched; with a changed incarnation an object is deleted and created again. A state of
        another ``scope`` replaces everything. Raises ClusterError (the state cannot be reached)
        or NotRefused. What was created before an error is removed by the next sync or close.
        """

    @abstractmethod
    def probe(self, probes: Sequence[Probe]) -> Iterable[Observation]:
        """Run all probes, as parallel as the cluster can, and return one Observation for each.

        Every probe gets exactly one Observation, in any order; a probe that could not run
        gives a ProbeError, never an exception and never a denial. Probes start in the order
        given. Several threads may call it at once, also while ``sync`` runs.
        """

    def watch(self, probes: Sequence[Probe]) -> AbstractContextManager[list[Observation]]:
        """Probe pairs again and again, also while ``sync`` and ``probe`` run.

        Entering it returns when every pair was probed once. Leaving it waits for the probes that
        run and fills the list: many Observations of each pair, in any order, and what holds for
        those of ``probe`` holds for them. Leaving it raises ClusterError if probing failed.
        A cluster that does not define it is probed in rounds.
        """
        has = self.capabilities
        return in_rounds(self.probe, probes, Pace(has.watch_interval_s, has.probe_timeout_s))

    def watch_starts(self, probes: Sequence[Probe]) -> AbstractContextManager[FirstMoments]:
        """Have pods probe from their first moment: those that ``sync`` creates inside.

        Each source is such a pod; destinations have their addresses before. Entering it does not
        wait. Leaving it waits until the pods are through, and fills the FirstMoments: many
        Observations of each pair, in any order, and what holds for those of ``probe`` holds for
        them. A pod that told nothing has none, or ProbeErrors. A cluster that does not define it
        has no verdicts, and must not have the feature ``from-start``.
        """
        error = ProbeError("pods of this cluster do not probe from their first moment")
        return contextlib.nullcontext(
            FirstMoments([Observation(probe, 0.0, 0.0, error) for probe in probes])
        )

    def placements(self) -> tuple[Placement, ...]:
        """Return where the pods of the last ``sync`` are, and the addresses of its Services.

        Best effort; never raises. A cluster that does not define it tells nothing.
        """
        return ()

    def trace(self, probes: Sequence[Probe]) -> tuple[Trace, ...]:
        """Return what the CNI itself says about some probes, after one more probe of each.

        Best effort, within a few seconds for all of them; never raises, and never a verdict. A
        cluster that does not define it says that it tells nothing.
        """
        nothing = "no way to ask the CNI of this cluster is known"
        return tuple(Trace(probe, nothing) for probe in probes)

    @abstractmethod
    def describe(self, probes: Sequence[Probe]) -> str:
        """Describe what a person needs at wrong cells: live policies, labels, addresses, nodes.

        Best effort; never raises.
        """

    @abstractmethod
    def close(self) -> tuple[str, ...]:
        """Remove what was created, in reverse order; return the names of what is left."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
