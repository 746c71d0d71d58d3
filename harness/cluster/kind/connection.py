"""From a kind cluster that ``netpol up`` made to the ``Cluster`` that the runner drives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.cluster.kind import lifecycle, outside
from harness.cluster.kind.installation import installation
from harness.cluster.kind.outside import KindSite, Outside
from harness.cluster.kube import Cleaning, KubeCluster, KubeSettings, leftovers
from harness.cluster.kube.api import Api
from harness.cluster.kube.profiled import with_profile
from harness.cluster.profiles import Profile


def connect(
    name: str, profile: Profile | None, settings: KubeSettings, offline: Path | None = None
) -> KubeCluster:
    """Return the kind cluster ``name`` as a Cluster with outside hosts.

    ``profile`` None accepts any CNI that the cluster has. The name and what the CNI can do are
    replaced in ``settings``. Raises UsageError if there is no
    such cluster, or if it has another CNI.
    """
    profile = lifecycle.require(name, profile)
    install = installation(profile)
    known = replace(
        with_profile(settings, profile, install.version),
        name=f"kind ({install})",
        agents=install.wait,
    )
    site = KindSite(
        name, lifecycle.kubeconfig(name).parent, install.pod_subnet, settings.image, offline
    )
    return KubeCluster(known, _api(name), Outside(site, settings.run, settings.worker))


def clean(name: str, run: str | None = None) -> Cleaning:
    """Remove what runs that are over left in the cluster and on Docker; see ``kube.clean``."""
    lifecycle.require(name, None)
    api = _api(name)
    known = leftovers.runs(api, run)
    folder = lifecycle.kubeconfig(name).parent
    return outside.clean(name, folder, known) + leftovers.clean(api, known)


def _api(name: str) -> Api:
    return Api(str(lifecycle.kubeconfig(name)), f"kind-{name}")
