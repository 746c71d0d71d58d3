"""Which clusters the contract is held against. A new implementation adds a line to ``CLUSTERS``.

``NETPOL_KIND=1`` adds the kind cluster that ``netpol up`` made, ``NETPOL_CONTRACT_CONTEXT=NAME``
any cluster of the kubeconfig; neither is made or deleted here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from harness.cluster import Cluster
from harness.cluster.netns import NetnsCluster, why_unavailable
from tests.fakes import FakeCluster
from tests.prerequisites import missing


def netns() -> Cluster:
    reason = why_unavailable()
    if reason:
        missing(reason)
    return NetnsCluster()


def fake() -> Cluster:
    return FakeCluster()


# Kubernetes clients are imported only where they are asked for.


def made_by_kind() -> Cluster:
    from harness.cluster import kind
    from harness.cluster.kube import KubeSettings

    name = os.environ.get("NETPOL_KIND_NAME") or "netpol"
    return kind.connect(name, None, KubeSettings(run=f"contract{os.getpid()}"))


def current() -> Cluster:
    from harness.cluster import kube

    api = kube.connect(None, os.environ["NETPOL_CONTRACT_CONTEXT"])
    return kube.KubeCluster(kube.KubeSettings(run=f"contract{os.getpid()}"), api)


CLUSTERS: dict[str, Callable[[], Cluster]] = {"netns": netns, "fake": fake}
if os.environ.get("NETPOL_KIND") == "1":
    CLUSTERS["kind"] = made_by_kind
if "NETPOL_CONTRACT_CONTEXT" in os.environ:
    CLUSTERS["current"] = current


@pytest.fixture(params=sorted(CLUSTERS))
def make_cluster(request: pytest.FixtureRequest) -> Callable[[], Cluster]:
    return CLUSTERS[request.param]


@pytest.fixture
def cluster(make_cluster: Callable[[], Cluster]) -> Iterator[Cluster]:
    made = make_cluster()
    with made:
        yield made
