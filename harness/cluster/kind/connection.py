"""From a kind cluster of ours to the ``Cluster`` that the runner drives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.cluster.kind import lifecycle, outside
from harness.cluster.kind.outside import Outside, Place
from harness.cluster.kind.profiles import Profile
from harness.cluster.kube import Cleaning, KubeCluster, KubeSettings, Pool, leftovers
from harness.cluster.kube.api import Api

_VOUCHED = frozenset({"ipblock-pod-ip", "ipblock-node-ip"})
"""Features that no API shows; a profile takes away those that its CNI has not."""


def connect(
    name: str, profile: Profile | None, settings: KubeSettings, offline: Path | None = None
) -> KubeCluster:
    """Give the kind cluster ``name`` as a Cluster, with outside hosts and the profile's limits.

    ``profile`` None takes whatever CNI the cluster has. Of ``settings`` the context, the
    kubeconfig, the name and what the CNI can do are replaced. Raises UsageError when the
    cluster is not there, is not ours, or has another CNI.
    """
    profile = lifecycle.require(name, profile)
    known = replace(
        knowing(profile, settings),
        context=f"kind-{name}",
        kubeconfig=str(lifecycle.kubeconfig(name)),
        name=f"kind ({profile})",
        agents=profile.wait,
    )
    place = Place(
        name, lifecycle.kubeconfig(name).parent, profile.pod_subnet, settings.image, offline
    )
    return KubeCluster(known, Outside(place, settings.run, settings.worker))


def knowing(profile: Profile, settings: KubeSettings) -> KubeSettings:
    """Add what the profile says of its CNI, whoever installed it and where."""
    return replace(
        settings,
        denies_by=profile.denies_by,
        features=settings.features | (_VOUCHED - {gap.feature for gap in profile.gaps}),
        gaps=settings.gaps + profile.gaps,
        known_cells=settings.known_cells + profile.known_cells,
        pools=tuple(Pool(item.api_version, item.kind, item.path) for item in profile.pools),
    )


def clean(name: str, run: str | None = None) -> Cleaning:
    """Remove what runs that are over left on and beside the cluster; see ``kube.clean``."""
    lifecycle.require(name, None)
    config = lifecycle.kubeconfig(name)
    api = Api(str(config), f"kind-{name}")
    known = leftovers.runs(api, run)
    return outside.clean(name, config.parent, known) + leftovers.clean(api, known)
