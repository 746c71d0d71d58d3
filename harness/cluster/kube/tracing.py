"""What a CNI says about a probe: its own agents on the nodes of both ends are asked.

Best effort, and never a verdict. Each command only reads. What cannot be learned is a sentence.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.cluster.kube import hubble, iptables
from harness.cluster.kube.agents import Agents
from harness.cluster.kube.api import Api, Container
from harness.cluster.kube.listing import Met
from harness.cluster.kube.live import LivePod, View
from harness.cluster.waiting import Clock
from harness.errors import ClusterError
from harness.model import Family, PodRef, Probe, Protocol, Trace

_DEADLINE_S = 15.0  # for all probes of one question
_COMMAND_S = 5.0
_PLACEHOLDER = re.compile(r"\{\w+\}")


@dataclass(frozen=True, slots=True)
class AgentCommand:
    """How the agents of a CNI are asked: a command in a container of the pods of a DaemonSet.

    ``agent`` is ``DaemonSet/namespace/name``, as in ``Agents``. ``prints`` says what the command
    prints: the rules of iptables with their counters and the routes of the node, or the last
    flows that Hubble saw, as JSON.
    """

    agent: str
    container: str
    command: tuple[str, ...]
    prints: Literal["iptables", "hubble"] = "iptables"


@dataclass(frozen=True, slots=True)
class _Reader:
    """How a listing is read; see ``iptables``. The texts say that it tells nothing."""

    is_listing: Callable[[str], bool]
    is_about: Callable[[str, Collection[str]], bool]
    met: Callable[[str, str, Collection[str]], list[Met]]
    silence: str
    nothing: str


_READERS = {
    "iptables": _Reader(
        iptables.is_listing,
        iptables.is_about,
        iptables.met,
        "no rule is about the pods",
        "no rule of the pods met a packet of a new connection",
    ),
    "hubble": _Reader(
        hubble.is_listing,
        hubble.is_about,
        hubble.met,
        "no flow is about the pods",
        "no new flow is about the pods",
    ),
}


@dataclass(frozen=True, slots=True)
class Tracing:
    """Asks the agents about probes; ``probe`` makes one more probe."""

    api: Api
    agents: Agents
    how: AgentCommand
    probe: Callable[[Probe], object]
    clock: Clock

    def trace(self, view: View, probes: Sequence[Probe]) -> tuple[Trace, ...]:
        """Return what the CNI says about each probe; see ``Cluster.trace``."""
        deadline = self.clock.now() + _DEADLINE_S
        return tuple(self._trace(view, probe, deadline) for probe in probes)

    def _trace(self, view: View, probe: Probe, deadline: float) -> Trace:
        if probe.family is Family.V6:
            return Trace(probe, "nothing was learned: the agents are asked about IPv4 only")
        pods = _pods(view, probe)
        if not pods:
            return Trace(probe, "nothing was learned: no end has a network of its own")
        try:
            return self._asked(view, probe, pods, deadline)
        except (ClusterError, KeyError, TypeError, ValueError) as error:
            return Trace(probe, f"nothing was learned: {error}")

    def _asked(self, view: View, probe: Probe, pods: Sequence[LivePod], deadline: float) -> Trace:
        nodes = tuple(dict.fromkeys(pod.node for pod in pods))
        agents = {node: self._agent(node) for node in nodes}
        before = self._listings(agents, deadline)
        self.probe(probe)
        after = self._listings(agents, deadline)
        reader = _READERS[self.how.prints]
        found: list[tuple[str, Met]] = []
        silent: list[str] = []
        for node in nodes:
            own = {address for pod in pods if pod.node == node for address in pod.addresses}
            found += [(node, met) for met in reader.met(before[node], after[node], own)]
            silent += [] if reader.is_about(after[node], own) else [node]
        found.sort(key=lambda item: not item[1].denies)
        lines = [f"{node}: {met.text}" for node, met in found]
        if silent:
            lines.append(f"nothing was learned on {', '.join(silent)}: {reader.silence}")
        says = view.as_written("\n".join(lines)) or reader.nothing
        return Trace(probe, says, "; ".join(_command(self.how, agents[node]) for node in nodes))

    def _agent(self, node: str) -> Container:
        pod = self.agents.on_node(self.how.agent, node)
        metadata = pod["metadata"]
        return Container(metadata["namespace"], metadata["name"], self.how.container)

    def _listings(self, agents: Mapping[str, Container], deadline: float) -> dict[str, str]:
        found = {}
        for node, agent in agents.items():
            left = deadline - self.clock.now()
            if left <= 0:
                raise ClusterError(f"the agents did not answer within {_DEADLINE_S:.0f} s")
            output = self.api.execute(agent, self.how.command, "", min(_COMMAND_S, left))
            if not _READERS[self.how.prints].is_listing(output.text):
                raise ClusterError(f"{agent.namespace}/{agent.pod} lists no {self.how.prints}")
            found[node] = output.text
        return found


def by_hand(words: Sequence[str], view: View, probe: Probe) -> Trace:
    """Return a command with which a person asks the CNI about a probe; nothing is asked here.

    Placeholders in its ``words`` stand for the namespaces and pods of the ends, as the cluster
    names them, and for the protocol and the port.
    """
    destination = probe.destination
    own = {pod.ref: pod for pod in _pods(view, probe)}
    ends = [own[ref] for ref in (probe.source, destination.host) if ref in own]
    is_usual = probe.family is Family.V4 and destination.protocol is not Protocol.SCTP
    if len(ends) < 2 or not is_usual:
        about = "TCP and UDP between pods with a network of their own, over IPv4"
        return Trace(probe, f"nothing was learned: this CNI can be asked about {about}")
    values = {
        "{source_namespace}": ends[0].namespace,
        "{source_pod}": ends[0].name,
        "{destination_namespace}": ends[1].namespace,
        "{destination_pod}": ends[1].name,
        "{protocol}": destination.protocol.lower(),
        "{port}": str(destination.port),
    }
    command = [_PLACEHOLDER.sub(lambda found: values[found[0]], word) for word in words]
    return Trace(probe, "nothing was learned: people ask this CNI by hand", shlex.join(command))


def _pods(view: View, probe: Probe) -> list[LivePod]:
    """Return the pods at both ends that have a network of their own."""
    source = (probe.source,) if isinstance(probe.source, PodRef) else ()
    found = []
    for ref in dict.fromkeys((*source, *view.backends(probe))):
        pod, live = view.state.pod(ref), view.pods.get(ref)
        if pod and live and not pod.host_network:
            found.append(live)
    return found


def _command(how: AgentCommand, agent: Container) -> str:
    words = ["kubectl", "exec", "-n", agent.namespace, agent.pod, "-c", agent.name, "--"]
    return shlex.join([*words, *how.command])
