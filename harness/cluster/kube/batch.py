"""Run one batch of probes in a pod or on an outside host: run, retry, read.

A batch is one shell script (``agnhost``) with all probes of one source. It runs in a shell that
stays open in the pod (``shells``). Only what printed no sentinel is run again. Whether a verdict
is believed is decided elsewhere (``belief``).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol as Interface

from harness import agnhost
from harness.agnhost import Answer, Target
from harness.cluster.kube.api import Api, Container, ExecError, Heard, Output, say_nothing
from harness.cluster.kube.live import LivePod
from harness.cluster.kube.shells import Shells
from harness.cluster.waiting import REAL, Clock
from harness.errors import ClusterError
from harness.model import (
    AbsoluteName,
    ContainerPort,
    DeniesBy,
    External,
    ExternalRef,
    Observation,
    Probe,
    ProbeError,
    ServiceName,
    Verdict,
)

_EXEC_ATTEMPTS = 3
_RETRY_PAUSE_S = 0.3


class OutsideHosts(Interface):
    """Hosts outside the cluster. A cluster whose network netpol controls can have them.

    ``sync`` makes hosts with exactly these addresses, listening on their ports, with routes
    to and from the cluster's nodes; it raises ClusterError. ``probe`` runs a batch script of
    ``agnhost`` with ``/bin/sh`` on a host and returns its stdout, complete or not; it raises
    ClusterError when it could not run. ``command`` returns the words that a person types before
    a command to run it there. ``close`` removes all hosts and names what is left.
    """

    def sync(self, externals: Sequence[External]) -> None: ...

    def probe(self, name: str, script: str, deadline_s: float) -> str: ...

    def command(self, name: str) -> str: ...

    def close(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How probes are run.

    ``parallel`` limits the probes at a time in one source, ``execs`` the sources at a time;
    ``grace_s`` is how long an exec may send nothing beyond the time of a probe.
    """

    timeout_s: float = 1.0
    grace_s: float = 5.0
    parallel: int = 32
    execs: int = 16
    denies_by: DeniesBy = "drop"
    cluster_domain: str = "cluster.local"

    @property
    def limit_s(self) -> float:
        """The longest time that a probe takes on a machine that is not starved of CPU."""
        return agnhost.STRETCH * self.timeout_s


@dataclass(frozen=True, slots=True)
class Batch:
    """The observations of one source.

    ``ran_until`` is the time until which the source was seen running. ``stalled`` is why it
    may have stood still in between, or None.
    """

    observations: tuple[Observation, ...]
    ran_until: float = 0.0
    stalled: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One exec of a script: its output, when it ran, and what went wrong.

    ``is_final`` is True where another attempt cannot help.
    """

    output: str = ""
    began: float = 0.0
    ended: float = 0.0
    problem: str | None = None
    is_final: bool = False


class BatchRunner:
    """Runs batches; may be used from many threads."""

    def __init__(
        self,
        api: Api,
        settings: ProbeSettings,
        outside: OutsideHosts | None,
        clock: Clock = REAL,
    ) -> None:
        self.settings = settings
        self._api = api
        self._shells = Shells(api, clock)
        self._outside = outside
        self._parallel = settings.parallel
        self._adapting = threading.Lock()

    def run(self, source: LivePod | ExternalRef, wanted: Sequence[tuple[Probe, Target]]) -> Batch:
        """Run a batch. Probes without a sentinel are run again, a limited number of times."""
        done: dict[Probe, Observation] = {}
        asked = time.monotonic()
        attempt = Attempt()
        for _ in range(_EXEC_ATTEMPTS):
            rest = [(probe, target) for probe, target in wanted if probe not in done]
            attempt = self._attempt(source, [target for _, target in rest])
            done |= self._read(source, rest, attempt)
            if attempt.problem is None or attempt.is_final:
                break
            time.sleep(_RETRY_PAUSE_S)
        now = time.monotonic()
        error = ProbeError(attempt.problem or "the batch ended before this probe did")
        missing = [
            Observation(probe, now, now, error, command=self.command(source, target))
            for probe, target in wanted
            if probe not in done
        ]
        stalled = self._stalled(attempt, asked, done)
        return Batch((*done.values(), *missing), attempt.ended, stalled)

    def ports_fault(self, pod: LivePod, ports: Sequence[ContainerPort]) -> str | None:
        """Return why a pod does not serve its ports on its own loopback, or None."""
        targets = [Target("127.0.0.1", port.number, port.protocol) for port in ports]
        attempt = self._attempt(pod, targets)
        if attempt.problem:
            return attempt.problem
        answers = agnhost.read(attempt.output, targets, self.settings.timeout_s)
        wrong = [
            f"port {port.number}/{port.protocol}: {answer.outcome}"
            for port, answer in zip(ports, answers, strict=True)
            if answer.outcome is not Verdict.ALLOWED
        ]
        return ", ".join(wrong) or None

    def answer(self, pod: LivePod, target: Target) -> Answer:
        """Connect once, and return the answer: a ProbeError if the probe did not run."""
        attempt = self._attempt(pod, [target])
        (answer,) = agnhost.read(attempt.output, [target], self.settings.timeout_s)
        return answer

    def adapt(self, slowest_s: float) -> None:
        """Run fewer probes at a time after a slow round, and more again after a fast one.

        ``slowest_s`` is the longest time that a probe of the round took to connect.
        """
        with self._adapting:
            if slowest_s > self.settings.limit_s:
                self._parallel = max(2, self._parallel // 2)
            elif slowest_s < self.settings.limit_s / 4:
                self._parallel = min(self.settings.parallel, self._parallel * 2)

    def _stalled(
        self, attempt: Attempt, asked: float, done: Mapping[Probe, Observation]
    ) -> str | None:
        """Return why the source may have stood still in between, or None."""
        longest_s = max((item.ended - item.started for item in done.values()), default=0.0)
        waited_s = attempt.began - asked
        if attempt.problem is None and waited_s > self.settings.grace_s:
            return f"it took {waited_s:.1f} s to start"
        if attempt.problem is None and longest_s > self.settings.limit_s:
            return f"one of its own probes took {longest_s:.1f} s"
        return attempt.problem

    def _read(
        self,
        source: LivePod | ExternalRef,
        wanted: Sequence[tuple[Probe, Target]],
        attempt: Attempt,
    ) -> dict[Probe, Observation]:
        """Return the observations of those probes that printed a sentinel."""
        targets = [target for _, target in wanted]
        answers = agnhost.read(attempt.output, targets, self.settings.timeout_s)
        offset_s = attempt.began - (agnhost.began_s(attempt.output) or 0.0)
        return {
            probe: answer.observation(probe, offset_s, self.command(source, target))
            for (probe, target), answer in zip(wanted, answers, strict=True)
            if not math.isnan(answer.ended_s)
        }

    def _attempt(self, source: LivePod | ExternalRef, targets: Sequence[Target]) -> Attempt:
        settings, parallel = self.settings, self._parallel
        script = agnhost.script(targets, settings.timeout_s, parallel)
        limit_s = agnhost.deadline_s(targets, settings.timeout_s, parallel)
        idle_s = agnhost.longest_s(targets, settings.timeout_s) + settings.grace_s
        if isinstance(source, ExternalRef):
            return self._attempt_outside(source, script, limit_s)
        return _attempt_in_pod(source, partial(self._shells.run, source, script, idle_s))

    def attempt(
        self,
        source: LivePod | ExternalRef,
        script: str,
        limit_s: float,
        idle_s: float,
        heard: Heard = say_nothing,
    ) -> Attempt:
        """Run a script once, in an exec of its own. A failure is the attempt's ``problem``.

        ``heard`` gets the output as it comes, except that of an outside host.
        """
        if isinstance(source, ExternalRef):
            return self._attempt_outside(source, script, limit_s)
        container = Container(source.namespace, source.name, source.container)
        shell = agnhost.shell(limit_s)
        run = partial(self._api.execute, container, shell, script, idle_s, heard)
        return _attempt_in_pod(source, run)

    def _attempt_outside(self, source: ExternalRef, script: str, limit_s: float) -> Attempt:
        if self._outside is None:
            problem = f"{source} does not exist: this cluster has no outside hosts"
            return Attempt(problem=problem, is_final=True)
        began = time.monotonic()
        try:
            output = self._outside.probe(source.name, script, limit_s + self.settings.grace_s)
        except ClusterError as error:
            return Attempt(problem=f"{source}: {error}", is_final=True)
        return _attempt_with(output, began)

    def close(self) -> None:
        """Close the shells that are kept in pods."""
        self._shells.close()

    def command(self, source: LivePod | ExternalRef, target: Target) -> str:
        """Return the command that repeats a probe by hand."""
        command = agnhost.command(target, self.settings.timeout_s)
        if isinstance(source, ExternalRef):
            return f"{self._outside.command(source.name)} {command}" if self._outside else ""
        where = f"kubectl --context {self._api.context} -n {source.namespace} exec {source.name}"
        return f"{where} -c {source.container} -- {command}"


def _attempt_in_pod(source: LivePod, run: Callable[[], Output]) -> Attempt:
    began = time.monotonic()
    try:
        found = run()
    except ExecError as error:
        is_final = error.timed_out or error.status in {401, 403, 404}
        return Attempt(error.output, began, problem=_why(source, error), is_final=is_final)
    return _attempt_with(found.text, found.began)


def _attempt_with(output: str, began: float) -> Attempt:
    first_s, last_s = agnhost.began_s(output), agnhost.ended_s(output)
    if first_s is None or last_s is None:
        problem = "the batch did not start" if first_s is None else "the batch ended early"
        return Attempt(output, began, problem=problem)
    return Attempt(output, began, began + last_s - first_s)


def failed(probes: Sequence[Probe], why: str) -> Batch:
    """Return the batch of a source that cannot run any probe."""
    now = time.monotonic()
    error = ProbeError(why)
    return Batch(tuple(Observation(probe, now, now, error) for probe in probes))


def slowest_s(observed: Sequence[Observation]) -> float:
    """Return the longest time that a probe took to connect, without a DNS lookup."""
    return max(
        (
            item.ended - item.started
            for item in observed
            if item.outcome is Verdict.ALLOWED
            and not isinstance(item.probe.destination.host, ServiceName | AbsoluteName)
        ),
        default=0.0,
    )


def _why(source: LivePod, error: ExecError) -> str:
    """Describe the failure of an exec."""
    if error.timed_out:
        return f"{source.ref} did not answer: {error.message}; its node may be down or frozen"
    match error.status:
        case 404:
            return f"pod {source.ref} is gone"
        case 401 | 403:
            return (
                f"exec into {source.ref} is forbidden; it needs create and get on pods/exec: "
                f"{error.message}"
            )
        case _:
            return f"exec into {source.ref} failed: {error.message}"
