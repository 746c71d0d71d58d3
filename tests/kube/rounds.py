"""Rounds of probes against execs, pods and DNS servers that answer as a test says."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness import agnhost
from harness.cluster.kube.api import Container, Heard, Output, say_nothing
from harness.cluster.kube.batch import BatchRunner, ProbeSettings
from harness.cluster.kube.inventory import Inventory
from harness.cluster.kube.live import LiveNode, LivePod, View
from harness.cluster.kube.objects import Naming
from harness.cluster.kube.probing import Prober
from harness.errors import ClusterError
from harness.model import (
    ContainerPort,
    Destination,
    Namespace,
    NodeRef,
    Observation,
    Pod,
    PodRef,
    Probe,
    ProbeError,
    State,
)

NAMING = Naming("r1", "main")
A, B = PodRef("app", "a"), PodRef("app", "b")
PODS = (Pod("app", "a", ports=(ContainerPort(80),)), Pod("app", "b", ports=(ContainerPort(80),)))
LIVE = {
    A: LivePod(A, "real", "a", "uid-a", ("10.0.0.1",), "n1", "agnhost"),
    B: LivePod(B, "real", "b", "uid-b", ("10.0.0.2",), "n1", "agnhost"),
}
VIEW = View(
    State("s", (Namespace("app"),), PODS),
    LIVE,
    nodes=(LiveNode("n1", "n1", ("172.18.0.2",)),),
    names={"app": "real"},
)
PROBE = Probe(A, Destination(B, 80))

PATIENCE_S = 60.0
"""How long a loop waits to be told that it is over."""

Answering = Callable[[str, str], str]
"""Pod and script to what the exec prints; raises ExecError."""
Pods = Callable[[], dict[tuple[str, str], Any]]
"""The pods of the run, by real namespace and name; raises ApiError."""
Servers = Callable[[], list[dict[str, Any]]]
"""The pods of the cluster's DNS; raises ApiError."""


def answered(script: str, line: str, *, took_s: float = 0.1) -> str:
    """A batch through to its end, every probe with the same answer."""
    indices = re.findall(r"\bp (\d+) ", script)
    lines = [f"= {i} {line.format(s='5.0', e=f'{5 + took_s:.2f}')}" for i in indices]
    return "\n".join(["= begin 5.00", *lines, f"= end {5 + took_s:.2f}", ""])


def allowed(script: str) -> str:
    return answered(script, "0 {s} {e} ")


def timeout(script: str, took_s: float = 1.0) -> str:
    return answered(script, "1 {s} {e} TIMEOUT", took_s=took_s)


def looped(answers: Sequence[str], *, until_s: float = 5.0, without: float = math.nan) -> str:
    """A loop that began at 5 s of its clock and ticked every 0.5 s; ``without`` from then on.

    Its ticks come again 3 s after ``without``.
    """
    moments = [5 + 0.5 * turn for turn in range(int(until_s * 2) + 1)]
    ticks = [at for at in moments if not without <= at < without + 3]
    lines = [f"= tick {at:.2f}" for at in ticks]
    return "\n".join(["= begin 5.00", *lines, *answers, f"= end {5 + until_s:.2f}", ""])


def alive(name: str, **changes: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"namespace": "real", "name": name, "uid": f"uid-{name}"}
    ready = changes.pop("ready", "True")
    address = changes.pop("address", {"a": "10.0.0.1", "b": "10.0.0.2"}[name])
    status = {"podIPs": [{"ip": address}], "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {**metadata, **changes}, "spec": {}, "status": status}


def both() -> dict[tuple[str, str], Any]:
    return {("real", name): alive(name) for name in ("a", "b")}


class ScriptedApi:
    """Execs that answer as told; counts them."""

    context = "test"

    def __init__(self, answering: Answering, pods: Pods = both, servers: Servers = list) -> None:
        self.answering = answering
        self.pods = pods
        self.servers = servers
        self.execs: list[str] = []
        self.containers: list[Container] = []

    def execute(
        self,
        container: Container,
        command: Sequence[str],
        stdin: str,
        idle_s: float,
        heard: Heard = say_nothing,
    ) -> Output:
        began = time.monotonic()
        self.execs.append(container.pod)
        self.containers.append(container)
        text = self.answering(container.pod, stdin)
        if "= tick" in text:
            self._loop(text, heard)
        return Output(text, began)

    def start(self, container: Container, _command: Sequence[str], _s: float) -> ScriptedExec:
        return ScriptedExec(self, container)

    def _loop(self, text: str, heard: Heard) -> None:
        """Print a loop and wait until it is told to stop."""
        said, began = heard(text, time.monotonic()), time.monotonic()
        while not said:
            time.sleep(0.001)
            assert time.monotonic() - began < PATIENCE_S
            said = heard("", time.monotonic())
        assert said == agnhost.STOP

    def find(self, *what: str, **where: str) -> list[dict[str, Any]]:
        assert what == ("v1", "Pod")
        if where == {"selector": NAMING.selector}:
            return list(self.pods().values())
        assert where == {"selector": "k8s-app=kube-dns", "namespace": "kube-system"}
        return self.servers()


@dataclass
class ScriptedExec:
    """A shell that stays open: each script that it is sent is an exec of the api."""

    api: ScriptedApi
    container: Container

    def ask(self, words: str, idle_s: float, *, end: re.Pattern[str]) -> Output:
        assert words.startswith("(\n{\n"), "the shell must survive its script"
        return self.api.execute(self.container, (), words, idle_s)

    def close(self) -> None:
        pass


class NoNodes:
    """No pod can be made on a node."""

    def on_node(self, ref: NodeRef, node: LiveNode) -> LivePod:
        raise ClusterError(f"{ref} does not start: no image")


def prober(api: ScriptedApi, settings: ProbeSettings | None = None) -> Prober:
    batches = BatchRunner(api, settings or ProbeSettings(), None)  # type: ignore[arg-type]
    return Prober(batches, Inventory(api, NAMING), NoNodes())  # type: ignore[arg-type]


def probed(
    answering: Answering,
    pods: Pods = both,
    probes: Sequence[Probe] = (PROBE,),
    settings: ProbeSettings | None = None,
    servers: Servers = list,
    view: View = VIEW,
) -> tuple[dict[Probe, Observation], ScriptedApi]:
    api = ScriptedApi(answering, pods, servers)
    running = prober(api, settings)
    found = running.probe(view, probes)
    running.close()
    assert len(found) == len(probes)
    return {item.probe: item for item in found}, api


def deny_from_a(pod: str, script: str) -> str:
    """Probes from a time out, b serves its own loopback."""
    return timeout(script) if pod == "a" else allowed(script)


def error(found: dict[Probe, Observation]) -> str:
    outcome = found[PROBE].outcome
    assert isinstance(outcome, ProbeError), outcome
    return outcome.message
