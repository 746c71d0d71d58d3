"""Run a round of probes on a cluster: one exec for each source, and proof of life.

When a TIMEOUT is believed. A dropped packet, a dead pod and a frozen node all look alike to
the source, so that a denial counts only with evidence that policy cannot withhold:

- the source printed its sentinels, in the time that a running process takes (``agnhost``);
- after the round, both pods are still there with the same uid and address, not being
  deleted, and ready;
- every pod that would have answered ran all the while: its own batch of the same round went
  smoothly and ended later than the probe did, or, when asked now, it serves its ports on its
  own loopback and says so at once. A frozen pod that answers when it thaws proves nothing.

A round in which a probe that connected took longer than twice the timeout proves no denial at
all: machines that slow miss answers. The next round then runs fewer probes at once.

On a cluster that denies by reject the same holds for REFUSED, and there only the last counts:
a dead server refuses too. Without that evidence the probe has no verdict.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol as Interface

from harness import agnhost
from harness.agnhost import Target
from harness.cluster.kube.api import Api, ApiError, Container, ExecError
from harness.cluster.kube.live import LivePod, View, is_ready, of_family
from harness.cluster.kube.objects import Object
from harness.errors import ClusterError
from harness.model import (
    AbsoluteName,
    Address,
    External,
    ExternalRef,
    Family,
    NodePortRef,
    NodeRef,
    Observation,
    Pod,
    PodRef,
    Probe,
    ProbeError,
    ServiceName,
    ServiceRef,
    Source,
    Verdict,
)

_EXEC_ATTEMPTS = 3
_RETRY_PAUSE_S = 0.3


class OutsideHosts(Interface):
    """Hosts outside the cluster, made by whoever can make them.

    ``sync`` makes hosts with exactly these addresses, listening on their ports, with routes
    to and from the cluster's nodes; it raises ClusterError. ``probe`` runs a batch script of
    ``agnhost`` with ``/bin/sh`` on a host and returns its stdout, complete or not; it raises
    ClusterError when it could not run. ``command`` is what a person types before a command
    to run it there. ``close`` removes all hosts and names what is left.
    """

    def sync(self, externals: Sequence[External]) -> None: ...

    def probe(self, name: str, script: str, deadline_s: float) -> str: ...

    def command(self, name: str) -> str: ...

    def close(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Manner:
    """How probes are run.

    ``parallel`` bounds the probes at once in one source, ``execs`` the sources at once;
    ``grace_s`` is for how long an exec may say nothing beyond the time of a probe.
    """

    timeout_s: float = 1.0
    grace_s: float = 5.0
    parallel: int = 32
    execs: int = 16
    rejects: bool = False
    cluster_domain: str = "cluster.local"


@dataclass(frozen=True, slots=True)
class _Batch:
    """The observations of one source, until when it ran, and what kept it from running."""

    observations: tuple[Observation, ...]
    ran_until: float = 0.0
    stalled: str | None = None


@dataclass(frozen=True, slots=True)
class _Try:
    """One exec of a batch: its text, when it ran, or what went wrong and whether for good."""

    text: str = ""
    began: float = 0.0
    ended: float = 0.0
    problem: str | None = None
    is_final: bool = False


class Prober:
    """Runs rounds of probes; ``probe`` may be called from any thread.

    ``node_pod`` gives the pod that stands for a node, ``pods_now`` the pods as they are.
    """

    def __init__(
        self,
        api: Api,
        manner: Manner,
        outside: OutsideHosts | None,
        node_pod: Callable[[NodeRef], LivePod],
        pods_now: Callable[[], Mapping[tuple[str, str], Object]],
    ) -> None:
        self._api = api
        self._manner = manner
        self._outside = outside
        self._node_pod = node_pod
        self._pods_now = pods_now
        self._parallel = manner.parallel
        self._threads = ThreadPoolExecutor(manner.execs, thread_name_prefix="kube-exec")

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def probe(self, view: View, probes: Sequence[Probe]) -> list[Observation]:
        """One observation for each probe; see ``Cluster.probe``."""
        by_source: dict[Source, list[Probe]] = defaultdict(list)
        for probe in probes:
            by_source[probe.source].append(probe)
        futures = {
            source: self._threads.submit(self._batch, view, source, group)
            for source, group in by_source.items()
        }
        batches = {source: future.result() for source, future in futures.items()}
        return self._believed(view, batches)

    # ------------------------------------------------------------------ one batch

    def _batch(self, view: View, source: Source, probes: list[Probe]) -> _Batch:
        try:
            place = self._place(view, source)
        except ClusterError as error:
            return _failed(probes, str(error))
        answered: list[Observation] = []
        runnable: list[tuple[Probe, Target]] = []
        for probe in probes:
            match self._target(view, probe):
                case Target() as target:
                    runnable.append((probe, target))
                case ProbeError() as nowhere:
                    now = time.monotonic()
                    answered.append(Observation(probe, now, now, nowhere))
        if not runnable:
            return _Batch(tuple(answered))
        batch = self._run(place, runnable)
        return replace(batch, observations=(*answered, *batch.observations))

    def _run(self, place: LivePod | ExternalRef, runnable: list[tuple[Probe, Target]]) -> _Batch:
        """Run a batch; run again, a bounded number of times, only what got no sentinel."""
        done: dict[Probe, Observation] = {}
        asked = time.monotonic()
        try_ = _Try()
        for _ in range(_EXEC_ATTEMPTS):
            rest = [(probe, target) for probe, target in runnable if probe not in done]
            try_ = self._try(place, [target for _, target in rest])
            done |= self._read(place, rest, try_)
            if try_.problem is None or try_.is_final:
                break
            time.sleep(_RETRY_PAUSE_S)
        now = time.monotonic()
        words = ProbeError(try_.problem or "the batch ended before this probe did")
        missing = [
            Observation(probe, now, now, words, command=self._command(place, target))
            for probe, target in runnable
            if probe not in done
        ]
        return _Batch((*done.values(), *missing), try_.ended, self._stalled(try_, asked, done))

    def _stalled(self, try_: _Try, asked: float, done: Mapping[Probe, Observation]) -> str | None:
        """Why a source cannot have run all the while, None if it can."""
        longest_s = max((item.ended - item.started for item in done.values()), default=0.0)
        waited_s = try_.began - asked
        if try_.problem is None and waited_s > self._manner.grace_s:
            return f"it took {waited_s:.1f} s to begin"
        if try_.problem is None and longest_s > self._limit_s:
            return f"a probe of its own took {longest_s:.1f} s"
        return try_.problem

    @property
    def _limit_s(self) -> float:
        """What takes longer than this was not running, or hardly."""
        return agnhost.STRETCH * self._manner.timeout_s

    def _read(
        self, place: LivePod | ExternalRef, rest: list[tuple[Probe, Target]], try_: _Try
    ) -> dict[Probe, Observation]:
        """The observations of those probes that have a sentinel."""
        targets = [target for _, target in rest]
        answers = agnhost.read(try_.text, targets, self._manner.timeout_s)
        offset_s = try_.began - (agnhost.began_s(try_.text) or 0.0)
        return {
            probe: answer.observation(probe, offset_s, self._command(place, target))
            for (probe, target), answer in zip(rest, answers, strict=True)
            if not math.isnan(answer.ended_s)
        }

    def _try(self, place: LivePod | ExternalRef, targets: list[Target]) -> _Try:
        """Run a batch once, whatever becomes of it."""
        manner, parallel = self._manner, self._parallel
        script = agnhost.script(targets, manner.timeout_s, parallel)
        limit_s = agnhost.deadline_s(targets, manner.timeout_s, parallel)
        idle_s = agnhost.longest_s(targets, manner.timeout_s) + manner.grace_s
        began = time.monotonic()
        try:
            if isinstance(place, ExternalRef):
                if self._outside is None:
                    return _Try(problem=f"{place} cannot be made here", is_final=True)
                text = self._outside.probe(place.name, script, limit_s + manner.grace_s)
            else:
                shell = agnhost.shell(limit_s)
                container = Container(place.namespace, place.name, place.container)
                output = self._api.execute(container, shell, script, idle_s)
                text, began = output.text, output.began
        except ExecError as error:
            is_final = error.timed_out or error.status in {401, 403, 404}
            return _Try(error.output, began, problem=_words(place, error), is_final=is_final)
        except ClusterError as error:
            return _Try(problem=f"{place}: {error}", is_final=True)
        first_s, last_s = agnhost.began_s(text), agnhost.ended_s(text)
        if first_s is None or last_s is None:
            problem = "the batch did not begin" if first_s is None else "the batch broke off"
            return _Try(text, began, problem=problem)
        return _Try(text, began, began + last_s - first_s)

    # ------------------------------------------------------------------ names to addresses

    def _place(self, view: View, source: Source) -> LivePod | ExternalRef:
        match source:
            case ExternalRef():
                return source
            case NodeRef():
                return self._node_pod(source)
            case PodRef():
                found = view.pods.get(source)
                if found is None:
                    raise ClusterError(f"pod {source} is not there")
                return found

    def _target(self, view: View, probe: Probe) -> Target | ProbeError:
        host, port = probe.destination.host, probe.destination.port
        if isinstance(host, NodePortRef):
            live = view.services.get((host.namespace, host.name))
            number = live.node_ports.get((port, probe.destination.protocol)) if live else None
            if number is None:
                return ProbeError(f"{host} has no node port for {port}")
            port = number
        found = self._host(view, probe)
        if found is None:
            return ProbeError(
                f"{host} has no IPv{int(probe.family)} address that a probe can choose"
            )
        return Target(found, port, probe.destination.protocol)

    def _host(self, view: View, probe: Probe) -> str | None:
        """The address or absolute name that a probe is sent to, None if there is none."""
        domain = self._manner.cluster_domain
        match probe.destination.host:
            case Address(ip):
                return ip
            case ServiceName() | AbsoluteName() if _chooses_otherwise(view, probe.family):
                return None
            case ServiceName(namespace, name):
                return f"{name}.{view.names.get(namespace, namespace)}.svc.{domain}."
            case AbsoluteName(name):
                return f"{name}."
            case _:
                return of_family(_addresses(view, probe), probe.family)

    def _command(self, place: LivePod | ExternalRef, target: Target) -> str:
        words = agnhost.command(target, self._manner.timeout_s)
        if isinstance(place, ExternalRef):
            return f"{self._outside.command(place.name)} {words}" if self._outside else ""
        where = f"kubectl --context {self._api.context} -n {place.namespace} exec {place.name}"
        return f"{where} -c {place.container} -- {words}"

    # ------------------------------------------------------------------ proof of life

    def _believed(self, view: View, batches: Mapping[Source, _Batch]) -> list[Observation]:
        observed = [item for batch in batches.values() for item in batch.observations]
        doubtful = [item for item in observed if self._is_doubtful(item)]
        starved = self._starvation(observed)
        if not doubtful:
            return observed
        try:
            if starved:
                faults = dict.fromkeys((item.probe for item in doubtful), starved)
            else:
                faults = self._faults(view, batches, doubtful)
        except ClusterError as error:
            words = f"whether the pods still live could not be asked: {error}"
            faults = dict.fromkeys((item.probe for item in doubtful), words)
        return [
            replace(item, outcome=ProbeError(f"{item.outcome}, but {faults[item.probe]}"))
            if item.probe in faults
            else item
            for item in observed
        ]

    def _starvation(self, observed: list[Observation]) -> str | None:
        """Say whether the machines were too slow to prove anything, and adapt to it."""
        slowest_s = max(
            (
                item.ended - item.started
                for item in observed
                if item.outcome is Verdict.ALLOWED
                and not isinstance(item.probe.destination.host, ServiceName | AbsoluteName)
            ),
            default=0.0,
        )
        if slowest_s > self._limit_s:
            self._parallel = max(2, self._parallel // 2)
            return (
                f"the cluster is starved of CPU: a probe that connected took {slowest_s:.1f} s, "
                f"longer than {self._limit_s:g} s"
            )
        if slowest_s < self._limit_s / 4:
            self._parallel = min(self._manner.parallel, self._parallel * 2)
        return None

    def _is_doubtful(self, item: Observation) -> bool:
        return item.outcome in {Verdict.TIMEOUT, Verdict.DNS} or (
            self._manner.rejects and item.outcome is Verdict.REFUSED
        )

    def _faults(
        self, view: View, batches: Mapping[Source, _Batch], doubtful: list[Observation]
    ) -> dict[Probe, str]:
        """Why a doubtful outcome is no verdict, for those where it is none."""
        now = self._pods_now()
        ends = {
            item.probe: [ref for ref in _ends(view, item.probe) if ref in view.pods]
            for item in doubtful
        }
        dead = {
            ref: fault
            for ref in {ref for refs in ends.values() for ref in refs}
            if (fault := view.pods[ref].fault(now.get(_name(view.pods[ref]))))
        }
        dead |= {
            ref: f"{ref} stalled in the same round: {batches[ref].stalled}"
            for refs in ends.values()
            for ref in refs
            if ref in batches and batches[ref].stalled and ref not in dead
        }
        to_ask = {
            ref
            for item in doubtful
            for ref in view.behind(item.probe)
            if ref in view.pods and not _covers(batches.get(ref), item)
        }
        dead |= self._silent(view, to_ask - dead.keys())
        resolver = self._resolver_fault(doubtful)
        found: dict[Probe, str] = {}
        for item in doubtful:
            words = [dead[ref] for ref in ends[item.probe] if ref in dead]
            if item.outcome is Verdict.DNS and resolver:
                words.append(resolver)
            if words:
                found[item.probe] = words[0]
        return found

    def _silent(self, view: View, refs: set[PodRef]) -> dict[PodRef, str]:
        """Ask pods for a sign of life; say what is wrong with those that give none."""
        asked = {
            ref: self._threads.submit(self._ask, view.pods[ref], pod)
            for ref in refs
            if (pod := view.state.pod(ref))
        }
        return {
            ref: f"{ref} gave no sign of life: {words}"
            for ref, future in asked.items()
            if (words := future.result())
        }

    def _ask(self, place: LivePod, pod: Pod) -> str | None:
        began = time.monotonic()
        words = self.serves(place, pod)
        took_s = time.monotonic() - began
        return words or (f"it took {took_s:.1f} s to answer" if took_s > self._limit_s else None)

    def serves(self, place: LivePod, pod: Pod) -> str | None:
        """Ask a pod, on its own loopback, for its ports; None if all of them answer."""
        targets = [Target("127.0.0.1", port.number, port.protocol) for port in pod.ports]
        try_ = self._try(place, targets)
        if try_.problem:
            return try_.problem
        answers = agnhost.read(try_.text, targets, self._manner.timeout_s)
        wrong = [
            f"port {port.number}/{port.protocol}: {answer.outcome}"
            for port, answer in zip(pod.ports, answers, strict=True)
            if answer.outcome is not Verdict.ALLOWED
        ]
        return ", ".join(wrong) or None

    def _resolver_fault(self, doubtful: list[Observation]) -> str | None:
        """Return why no DNS server can have answered, or None.

        None too where we may not read the DNS servers. Raises ApiError when the API server
        does not say: a lookup that failed is then no denial.
        """
        if all(item.outcome is not Verdict.DNS for item in doubtful):
            return None
        try:
            servers = self._api.find(
                "v1", "Pod", selector="k8s-app=kube-dns", namespace="kube-system"
            )
        except ApiError as error:
            if error.status == 403:
                return None
            raise
        alive = any(is_ready(item) for item in servers)
        return "no DNS server of the cluster is ready" if servers and not alive else None


def _addresses(view: View, probe: Probe) -> tuple[str, ...]:
    match probe.destination.host:
        case PodRef() as ref:
            return view.pods[ref].addresses if ref in view.pods else ()
        case ServiceRef(namespace, name):
            live = view.services.get((namespace, name))
            return live.addresses if live else ()
        case NodeRef(index) | NodePortRef(_, _, index):
            return view.node(index).addresses
        case ExternalRef(name):
            external = view.state.external(name)
            return external.addresses if external else ()
        case _:
            return ()


def _chooses_otherwise(view: View, family: Family) -> bool:
    """Whether agnhost, which takes IPv4 where it can, would not try this family of a name."""
    dual = any(of_family(pod.addresses, Family.V4) for pod in view.pods.values())
    return family is Family.V6 and dual


def _covers(batch: _Batch | None, item: Observation) -> bool:
    """Whether a pod's own batch shows that it ran until the probe was over.

    It says nothing on the pod's servers, which matters where a dead one is taken for a denial.
    """
    return (
        batch is not None and batch.ran_until >= item.ended and item.outcome is not Verdict.REFUSED
    )


def _ends(view: View, probe: Probe) -> tuple[PodRef, ...]:
    source = (probe.source,) if isinstance(probe.source, PodRef) else ()
    return (*view.behind(probe), *source)


def _name(pod: LivePod) -> tuple[str, str]:
    return pod.namespace, pod.name


def _failed(probes: Sequence[Probe], words: str) -> _Batch:
    now = time.monotonic()
    error = ProbeError(words)
    return _Batch(tuple(Observation(probe, now, now, error) for probe in probes))


def _words(place: LivePod | ExternalRef, error: ExecError) -> str:
    """What an exec's failure means, for people."""
    who = str(place.ref) if isinstance(place, LivePod) else str(place)
    if error.timed_out:
        return f"{who} did not answer: {error.message}; its node may be down or frozen"
    match error.status:
        case 404:
            return f"pod {who} is gone"
        case 401 | 403:
            return (
                f"exec into {who} is forbidden; it takes create and get on pods/exec: "
                f"{error.message}"
            )
        case _:
            return f"exec into {who} failed: {error.message}"
