"""Hosts outside a kind cluster: containers beside its nodes.

Each has the address that the scenario sets, reaches the nodes with that address as its
source, and every node has a route to it. Their packets travel in a separate VXLAN: on the
plain Docker network the host's firewall would filter them, and Docker masquerades packets
from its default network 172.17.0.0/16. The cluster has one set of routes and of names, so an
address or a name belongs to one run and worker at a time: the others wait.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from harness import agnhost
from harness.cluster.kind import command, resolver
from harness.cluster.kube import OutsideHosts
from harness.cluster.kube.identity import Machine
from harness.cluster.kube.leftovers import Cleaning, Leftover, Runs
from harness.cluster.kube.objects import PROCESS_ANNOTATION, RUN_LABEL, WORKER_LABEL
from harness.cluster.waiting import TimedOut, Wait
from harness.errors import ClusterError, HarnessError
from harness.model import ContainerPort, External, Protocol

_CLUSTER_LABEL = "netpol.harness/cluster"
_ADDRESSES_LABEL = "netpol.harness/addresses"
_NETWORK = "kind"
_ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
_LINK = "netpol0"
# A number and a port that no CNI uses. The outer packets to a node must not take the route
# to that node through the tunnel: an entry with "via eth0" ensures it, a learned one cannot.
_TUNNEL = f"ip link add {_LINK} type vxlan id 7788 dstport 4799 dev eth0 nolearning"
_FLOOD = "00:00:00:00:00:00"
_FAMILY = 4  # kind-config.yaml sets no other
_LOCK_S = 900.0
_SERVE_S = 15.0


@dataclass(frozen=True, slots=True)
class KindSite:
    """The kind cluster that the hosts belong to, and its folder on this machine."""

    cluster: str
    folder: Path
    pod_subnet: str
    image: str
    offline: Path | None = None


@dataclass(slots=True)
class Outside(OutsideHosts):
    """The outside hosts of one run and worker."""

    site: KindSite
    run: str
    worker: str
    _externals: tuple[External, ...] = ()
    _locks: list[IO[str]] = field(default_factory=list)

    def sync(self, externals: Sequence[External]) -> None:
        """Make exactly these hosts; returns when they serve their ports and have their names."""
        if tuple(externals) == self._externals:
            return
        if left := self.close():
            raise ClusterError(f"could not remove {', '.join(left)}")
        self._claim(externals)
        self._externals = tuple(externals)
        if not externals:
            return
        _ensure_image(self.site)
        nodes = _node_addresses(self.site.cluster)
        for external in externals:
            self._start(external, nodes)
        names = {name: item.addresses for item in externals for name in item.dns_names}
        if names:
            resolver.publish(self.site.cluster, self.site.folder, self._owner, names)
        for external in externals:
            self._await_serving(external)

    def probe(self, name: str, script: str, deadline_s: float) -> str:
        """Run a batch script on a host. Raises ClusterError if it could not run."""
        argv = ["docker", "exec", "-i", self._container(name), *agnhost.shell(deadline_s)]
        done = command.run(argv, stdin=script, deadline_s=deadline_s + 5)
        if done.status and agnhost.began_s(done.stdout) is None:
            raise ClusterError(f"no exec on the outside host {name}: {done.output}")
        return done.stdout

    def command(self, name: str) -> str:
        """Return the words that a person types before a command to run it on that host."""
        return f"docker exec {self._container(name)}"

    def close(self) -> tuple[str, ...]:
        """Remove the hosts, their routes and names, and release their addresses."""
        left: list[str] = []
        for external in self._externals:
            container = self._container(external.name)
            try:
                _remove(self.site.cluster, container, external.addresses)
            except HarnessError as error:
                left.append(f"container {container}: {error.message}")
        if any(external.dns_names for external in self._externals):
            try:
                resolver.publish(self.site.cluster, self.site.folder, self._owner, {})
            except HarnessError as error:
                left.append(f"names of {self._owner}: {error.message}")
        self._externals = ()
        for lock in self._locks:
            lock.close()
        self._locks.clear()
        return tuple(left)

    @property
    def _owner(self) -> str:
        return f"{self.run}-{self.worker}"

    def _container(self, name: str) -> str:
        return f"netpol-{self._owner}-{name}"

    def _claim(self, externals: Sequence[External]) -> None:
        """Lock each address and name, always in the same order; locks end with the process."""
        wanted = {name for item in externals for name in (*item.addresses, *item.dns_names)}
        folder = self.site.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(wanted):
            lock = (folder / name.replace(":", "-")).open("a+")
            self._locks.append(lock)
            _lock(lock, name)

    def _start(self, external: External, nodes: dict[str, str]) -> None:
        container = self._container(external.name)
        labels = {
            RUN_LABEL: self.run,
            WORKER_LABEL: self.worker,
            PROCESS_ANNOTATION: str(Machine().this_process()),
            _CLUSTER_LABEL: self.site.cluster,
            _ADDRESSES_LABEL: ",".join(external.addresses),
        }
        marks = [f"--label={key}={value}" for key, value in labels.items()]
        # First remove a container of the same name that a killed run left.
        command.run(["docker", "rm", "-f", container])
        command.check(
            [
                *("docker", "run", "-d", "--name", container, "--network", _NETWORK),
                *("--pull", "never", *marks),
                *("--entrypoint", "/bin/sh", self.site.image, "-c", serving(external.ports)),
            ]
        )
        # The node image has the tools; the agnhost image may not have them.
        image = _inspect(next(iter(nodes)), "{{.Image}}")
        via = nodes[min(node for node in nodes if "control-plane" not in node)]
        script = host_network(external.addresses, nodes.values(), self.site.pod_subnet, via)
        command.check(
            [
                *("docker", "run", "--rm", "--network", f"container:{container}"),
                *("--cap-add", "NET_ADMIN", "--user", "0", "--pull", "never"),
                *("--entrypoint", "/bin/sh", image, "-ec", script),
            ]
        )
        script = node_network(external.addresses, _inspect(container, _ADDRESS))
        for node in nodes:
            command.check(["docker", "exec", node, "/bin/sh", "-ec", script])

    def _await_serving(self, external: External) -> None:
        """Wait until the host serves each of its ports on its own loopback."""
        asks = [
            shlex.join(("/agnhost", "connect", *agnhost.arguments(target, 1.0)))
            for port in external.ports
            for target in [agnhost.Target("127.0.0.1", port.number, port.protocol)]
        ]
        container = self._container(external.name)
        argv = ["docker", "exec", container, "sh", "-c", " && ".join(asks or ["true"])]

        def missing() -> str | None:
            done = command.run(argv)
            return (done.output or "no answer") if done.status else None

        try:
            Wait(_SERVE_S, 0.1).until(
                missing, f"the outside host {external.name} to serve its ports"
            )
        except TimedOut as error:
            raise ClusterError(error.message, f"see `docker logs {container}`") from None


def serving(ports: Sequence[ContainerPort]) -> str:
    """Return the shell script that serves these ports until it is killed. Pure."""
    servers = {
        Protocol.TCP: "/agnhost netexec --http-port={0} --udp-port=-1 &",
        Protocol.UDP: "/agnhost netexec --http-port=0 --udp-port={0} &",
        Protocol.SCTP: "SERVE_SCTP_PORT_{0}={0} /agnhost porter &",
    }
    lines = [servers[port.protocol].format(port.number) for port in ports]
    return "\n".join([*lines, "exec /agnhost pause"])


def host_network(addresses: Sequence[str], nodes: Iterable[str], pods: str, via: str) -> str:
    """Return the shell script that gives a host its addresses, also as source addresses. Pure.

    ``nodes`` are the nodes' addresses; pods are reached through the node ``via``.
    """
    own = [item for item in addresses if ipaddress.ip_address(item).version == _FAMILY]
    if not own:
        raise ClusterError(
            f"no IPv4 address among {', '.join(addresses)}, and kind's network here has IPv4 only"
        )
    nodes = list(nodes)
    lines = [_TUNNEL, f"ip link set {_LINK} up"]
    lines += [f"ip address add {address}/32 dev {_LINK}" for address in own]
    lines += [f"bridge fdb append {_FLOOD} dev {_LINK} dst {node} via eth0" for node in nodes]
    lines += [f"ip route replace {node}/32 dev {_LINK} src {own[0]}" for node in nodes]
    lines.append(f"ip route replace {pods} via {via} dev {_LINK} onlink src {own[0]}")
    return "\n".join(lines)


def node_network(addresses: Sequence[str], host: str) -> str:
    """Return the shell script that gives a node routes to a host's addresses. Pure.

    ``host`` is the host's address on Docker's network.
    """
    own = [item for item in addresses if ipaddress.ip_address(item).version == _FAMILY]
    lines = [f"ip link show {_LINK} >/dev/null 2>&1 || {_TUNNEL} || :", f"ip link set {_LINK} up"]
    lines.append(f"bridge fdb append {_FLOOD} dev {_LINK} dst {host} via eth0")
    for address in own:
        lines.append(f"ip neighbour flush to {address} dev {_LINK}")
        lines.append(f"ip route replace {address}/32 dev {_LINK}")
    return "\n".join(lines)


def clean(cluster: str, folder: Path, runs: Runs) -> Cleaning:
    """Remove the outside hosts of runs that are over."""
    ids = command.check(
        ["docker", "ps", "-aq", "--no-trunc", "--filter", f"label={_CLUSTER_LABEL}={cluster}"]
    ).split()
    if not ids:
        return Cleaning()
    cleaning = Cleaning()
    for item in json.loads(command.check(["docker", "inspect", *ids])):
        labels = item["Config"]["Labels"]
        name = f"container {item['Name'].removeprefix('/')}"
        decision = runs.decide(labels[RUN_LABEL], labels.get(PROCESS_ANNOTATION, ""))
        if not decision.remove:
            cleaning += Cleaning(kept=(Leftover(name, decision.why),))
            continue
        try:
            _remove(cluster, item["Id"], labels[_ADDRESSES_LABEL].split(","))
            whose = f"{labels[RUN_LABEL]}-{labels[WORKER_LABEL]}"
            resolver.publish(cluster, folder, whose, {})
        except HarnessError as error:
            cleaning += Cleaning(failed=(Leftover(name, error.message),))
        else:
            cleaning += Cleaning(removed=(Leftover(name, decision.why),))
    return cleaning


def _remove(cluster: str, container: str, addresses: Sequence[str]) -> None:
    found = command.run(["docker", "inspect", "--format", _ADDRESS, container])
    done = command.run(["docker", "rm", "-f", container])
    if done.status and "No such container" not in done.stderr:
        raise ClusterError(f"cannot remove the container {container}: {done.output}")
    lines = [f"ip route del {address}" for address in addresses]
    if found.status == 0:
        lines.append(f"bridge fdb del {_FLOOD} dev {_LINK} dst {found.stdout.strip()} via eth0")
    for node in command.nodes(cluster):  # errors are ignored: the route may be gone
        command.run(["docker", "exec", node, "/bin/sh", "-c", "; ".join(lines)])


def _lock(lock: IO[str], name: str) -> None:
    """Take the lock of an address or name. Raises ClusterError if another run keeps it."""

    def missing() -> str | None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "another run uses it"
        return None

    try:
        Wait(_LOCK_S).until(missing, f"the outside address {name}")
    except TimedOut as error:
        raise ClusterError(
            error.message,
            "outside addresses belong to one run at a time: wait for the other run, or end it",
        ) from None


def _ensure_image(site: KindSite) -> None:
    """Make sure that Docker has the image of the hosts: load it if offline, else pull it."""
    if command.run(["docker", "image", "inspect", site.image]).status == 0:
        return
    if site.offline is None:
        command.check(["docker", "pull", "-q", site.image], deadline_s=300)
        return
    for archive in sorted((site.offline / "images").glob("agnhost-*.tar")):
        command.check(["docker", "load", "-q", "-i", archive], deadline_s=300)
    if command.run(["docker", "image", "inspect", site.image]).status:
        raise ClusterError(
            f"no archive under {site.offline / 'images'} holds the image {site.image}",
            "`docker save` it there, or choose the image that is there",
        )


def _node_addresses(cluster: str) -> dict[str, str]:
    """Return the nodes of the cluster and their addresses on kind's network."""
    return {node: _inspect(node, _ADDRESS) for node in command.nodes(cluster)}


def _inspect(container: str, shape: str) -> str:
    return command.check(["docker", "inspect", "--format", shape, container]).strip()
