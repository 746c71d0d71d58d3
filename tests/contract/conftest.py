"""Which clusters the contract is held against. A new back end adds a line to ``CLUSTERS``.

``NETPOL_CONTRACT_CLUSTER=kind`` adds the kind cluster of the context that
``NETPOL_CONTRACT_CONTEXT`` names (``kind-netpol``); it is not made or deleted here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from harness.cluster import Cluster
from harness.cluster.netns import NetnsCluster, why_unavailable
from tests.fakes import FakeCluster


def netns() -> Cluster:
    reason = why_unavailable()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    return NetnsCluster()


def fake() -> Cluster:
    return FakeCluster()


def current_kind() -> Cluster:
    # Only where it is asked for: nothing else here needs a Kubernetes client.
    from harness.cluster.kube import KubeCluster, KubeSettings

    context = os.environ.get("NETPOL_CONTRACT_CONTEXT", "kind-netpol")
    return KubeCluster(KubeSettings(run=f"contract{os.getpid()}", context=context))


CLUSTERS: dict[str, Callable[[], Cluster]] = {"netns": netns, "fake": fake}
if os.environ.get("NETPOL_CONTRACT_CLUSTER") == "kind":
    CLUSTERS["kind"] = current_kind


@pytest.fixture(params=sorted(CLUSTERS))
def make_cluster(request: pytest.FixtureRequest) -> Callable[[], Cluster]:
    return CLUSTERS[request.param]


@pytest.fixture
def cluster(make_cluster: Callable[[], Cluster]) -> Iterator[Cluster]:
    made = make_cluster()
    with made:
        yield made
