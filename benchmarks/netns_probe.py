"""How fast the embedded cluster starts, syncs and probes: ``python benchmarks/netns_probe.py``.

Prints figures beside what they must reach; it is no test, for it depends on the machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from harness.cluster.netns import NetnsCluster
from harness.model import (
    ContainerPort,
    Destination,
    Labels,
    Manifest,
    Namespace,
    Observation,
    Pod,
    Probe,
    Protocol,
    State,
    Verdict,
)

DENY_TO_C = Manifest(
    "networking.k8s.io/v1",
    "NetworkPolicy",
    "x",
    "deny",
    '{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",'
    ' "metadata": {"name": "deny", "namespace": "x"},'
    ' "spec": {"podSelector": {"matchLabels": {"closed": "yes"}}}}',
)


def pods(count: int, ports: tuple[ContainerPort, ...]) -> tuple[Pod, ...]:
    """Every third pod is isolated."""
    return tuple(
        Pod("x", f"pod{i}", Labels({"closed": "yes"} if i % 3 == 2 else {}), ports, i % 2 + 1)
        for i in range(count)
    )


def expected(probe: Probe, state: State) -> Verdict:
    host = state.pod(probe.destination.host)  # type: ignore[arg-type]
    assert host is not None
    own = probe.source == probe.destination.host
    return Verdict.TIMEOUT if host.labels and not own else Verdict.ALLOWED


def denied_first(probes: Iterator[Probe], state: State) -> list[Probe]:
    return sorted(probes, key=lambda p: expected(p, state) is Verdict.ALLOWED)


def all_to_all(state: State) -> Iterator[Probe]:
    for source in state.pods:
        for target in state.pods:
            for port in target.ports:
                yield Probe(source.ref, Destination(target.ref, port.number, port.protocol))


def measure(count: int, ports: tuple[ContainerPort, ...], timeout_s: float, goal_s: float) -> None:
    state = State("bench", (Namespace("x"),), pods(count, ports), policies=(DENY_TO_C,))
    probes = denied_first(all_to_all(state), state)
    begun = time.monotonic()
    with NetnsCluster(timeout_s) as cluster:
        started = time.monotonic()
        cluster.sync(state)
        synced = time.monotonic()
        observed: list[Observation] = cluster.probe(probes)
        probed = time.monotonic()
    closed = time.monotonic()
    wrong = [o for o in observed if o.outcome is not expected(o.probe, state)]
    print(
        f"{count} pods, {len(probes)} probes, timeout {timeout_s} s:"
        f" start {started - begun:.2f} s, sync {synced - started:.2f} s, probe"
        f" {probed - synced:.3f} s (goal {goal_s:.2f} s),"
        f" close {closed - probed:.2f} s, wrong {len(wrong)}"
    )
    for observation in wrong[:5]:
        print(f"  {observation.probe}: {observation.outcome} {observation.raw}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeat", type=int, default=3)
    tcp, udp = ContainerPort(80), ContainerPort(80, Protocol.UDP)
    for _ in range(arguments.parse_args().repeat):
        measure(9, (tcp, udp), 1.0, 1.2)
        measure(9, (tcp, udp), 0.3, 0.36)
        measure(100, (tcp,), 0.3, 6.0)
        measure(100, (tcp,), 1.0, 6.0)


if __name__ == "__main__":
    main()
