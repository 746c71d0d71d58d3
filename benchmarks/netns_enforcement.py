"""How long one change takes to be enforced: ``python benchmarks/netns_enforcement.py``.

Creates and deletes one policy, and probes one pair without a pause. A time is from the end of
``sync`` to the start of the first probe that is right. It cannot be resolved better than one
probe of the old verdict takes: an allowed probe for time-to-deny, a denied one, which waits for
the probe timeout, for time-to-allow. Both are printed beside the times.
On the embedded cluster ``sync`` loads the rules itself: there the times are those until the first
probe starts, and show the floor of the measurement.

``--context=NAME`` measures a cluster of the kubeconfig instead of the embedded one.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from harness.choice import ClusterChoice
from harness.cluster import Cluster
from harness.errors import HarnessError
from harness.model import (
    ContainerPort,
    Destination,
    Labels,
    Manifest,
    Namespace,
    Pod,
    PodRef,
    Probe,
    State,
    Verdict,
)

LIMIT_S = 60.0
OPEN = State(
    scope="enforcement",
    namespaces=(Namespace("enforcement"),),
    pods=(
        Pod("enforcement", "client", Labels({"app": "client"})),
        Pod("enforcement", "server", Labels({"app": "server"}), (ContainerPort(80),), 2),
    ),
)
BODY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "closed", "namespace": "enforcement"},
    "spec": {"podSelector": {"matchLabels": {"app": "server"}}},
}
CLOSED = replace(
    OPEN,
    policies=(
        Manifest(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "enforcement",
            "closed",
            json.dumps(BODY, sort_keys=True, separators=(",", ":")),
        ),
    ),
)
PROBE = Probe(PodRef("enforcement", "client"), Destination(PodRef("enforcement", "server"), 80))


def settled(cluster: Cluster, wanted: Verdict) -> tuple[float, float]:
    """Return the seconds until the pair has the verdict, and those that the last probe took."""
    accepted = time.monotonic()
    while time.monotonic() < accepted + LIMIT_S:
        began = time.monotonic()
        (seen,) = cluster.probe([PROBE])
        took = time.monotonic() - began
        if seen.outcome is wanted:
            return seen.started - accepted, took
    raise SystemExit(f"the pair was not {wanted} within {LIMIT_S:.0f} s")


def line(name: str, seconds: Sequence[float]) -> str:
    """Return the statistics of some times, in milliseconds."""
    ordered = sorted(seconds)
    p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
    middle = statistics.median(ordered)
    values = (
        f"{word} {1000 * value:8.1f} ms"
        for word, value in (("median", middle), ("p95", p95), ("max", ordered[-1]))
    )
    return f"{name:<34} {', '.join(values)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="of each change (50)")
    parser.add_argument("--context", help="a context of the kubeconfig (the embedded cluster)")
    options = parser.parse_args()
    choice = (
        ClusterChoice(cluster="current", context=options.context)
        if options.context
        else ClusterChoice(cluster="netns")
    )
    found: dict[str, list[float]] = {
        name: [] for name in ("sync, created", "time-to-deny", "sync, deleted", "time-to-allow")
    }
    probes: dict[str, list[float]] = {"a denied probe": [], "an allowed probe": []}
    with choice.make("benchmark") as cluster:
        cluster.sync(OPEN)
        settled(cluster, Verdict.ALLOWED)
        for _ in range(options.times):
            for state, word, verb, measure, probe in (
                (CLOSED, Verdict.TIMEOUT, "created", "time-to-deny", "a denied probe"),
                (OPEN, Verdict.ALLOWED, "deleted", "time-to-allow", "an allowed probe"),
            ):
                began = time.monotonic()
                cluster.sync(state)
                found[f"sync, {verb}"].append(time.monotonic() - began)
                seconds, took = settled(cluster, word)
                found[measure].append(seconds)
                probes[probe].append(took)
    print(f"{options.times} times on {choice.cluster}: one policy is created and deleted")
    for name, times in (*found.items(), *probes.items()):
        print(line(name, times))
    print("resolution: time-to-deny one allowed probe, time-to-allow one denied probe")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
