"""Which cluster was asked for, and how it is made. Knows no pytest."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from harness.cluster import Cluster
    from harness.cluster.kube import Cleaning, KubeSettings

CLUSTERS = ("netns", "kind", "current")
KIND_NAME = os.environ.get("NETPOL_KIND_NAME") or "netpol"


def new_run_id() -> str:
    """Give a word that names what a run makes, and that no other run has."""
    return f"np{secrets.token_hex(2)}"


def offline_folder() -> Path | None:
    """Give the folder that stands for the network (NETPOL_OFFLINE), or None."""
    given = os.environ.get("NETPOL_OFFLINE")
    return Path(given) if given else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterChoice:
    """What leads to a Cluster; ``cluster`` is a word of ``CLUSTERS``. None is the default.

    Clients of clusters are imported only when they are needed.
    """

    run_id: str = field(default_factory=new_run_id)
    cluster: str = "netns"
    context: str | None = None
    kubeconfig: Path | None = None
    cni: str | None = None
    kind_name: str = KIND_NAME
    agnhost_image: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    probe_timeout_s: float | None = None
    defect: str | None = None

    def check(self) -> None:
        """Raise UsageError for options that contradict each other."""
        kind, current = self.cluster == "kind", self.cluster == "current"
        if self.defect and self.cluster != "netns":
            raise UsageError(
                f"--defect={self.defect} needs --cluster=netns, not --cluster={self.cluster}",
                "only the embedded cluster can be made wrong",
            )
        for word, value, fits in (
            ("--context", self.context, current),
            ("--kubeconfig", self.kubeconfig, current),
            ("--cni", self.cni, kind or current),
            ("--agnhost-image", self.agnhost_image, kind or current),
            ("--image-pull-secret", ",".join(self.image_pull_secrets), kind or current),
        ):
            if value and not fits:
                wanted = "current" if current or word in {"--context", "--kubeconfig"} else "kind"
                raise UsageError(
                    f"{word}={value} needs --cluster={wanted}, not --cluster={self.cluster}"
                )
        for secret in self.image_pull_secrets:
            if secret.count("/") != 1 or not all(secret.split("/")):
                raise UsageError(f"--image-pull-secret={secret} is not NAMESPACE/NAME")

    def words(self) -> tuple[str, ...]:
        """Give the options that lead another command to the same cluster."""
        given = {
            "--cluster": self.cluster,
            "--context": self.context,
            "--kubeconfig": self.kubeconfig,
            "--kind-name": None if self.kind_name == KIND_NAME else self.kind_name,
            "--cni": self.cni,
            "--agnhost-image": self.agnhost_image,
            "--probe-timeout": self.probe_timeout_s,
            "--defect": self.defect,
        }
        words = [f"{key}={value}" for key, value in given.items() if value not in _DEFAULTS]
        words += [f"--image-pull-secret={secret}" for secret in self.image_pull_secrets]
        return tuple(words)

    def make(self, worker: str) -> Cluster:
        """Make the Cluster of one process, ``worker``. Raises HarnessError."""
        match self.cluster:
            case "netns":
                return self._netns()
            case "kind":
                return self._kind(worker)
            case _:
                return self._current(worker)

    def sweep(self, run_id: str | None) -> Cleaning:
        """Remove what all runs that are over left on a shared cluster, or what one run left.

        What a run left is kept if that run is alive, but not what this process made.
        """
        match self.cluster:
            case "kind":
                from harness.cluster import kind

                return kind.clean(self.kind_name, run_id)
            case "current":
                from harness.cluster import kube

                return kube.clean(self._kubeconfig(), self._context(), run_id)
            case _:
                from harness.cluster.kube import Cleaning

                return Cleaning()

    def _netns(self) -> Cluster:
        from harness.cluster.netns import NetnsCluster, why_unavailable

        if reason := why_unavailable():
            raise ClusterError(f"the embedded cluster cannot run here: {reason}")
        timeout_s = 0.3 if self.probe_timeout_s is None else self.probe_timeout_s
        return NetnsCluster(probe_timeout_s=timeout_s, defect=self.defect)

    def _kind(self, worker: str) -> Cluster:
        from harness.cluster import kind
        from harness.cluster.profiles import profile

        wanted = profile(self.cni) if self.cni else None
        settings = self._settings(worker, f"kind-{self.kind_name}", None)
        return kind.connect(self.kind_name, wanted, settings, offline_folder())

    def _current(self, worker: str) -> Cluster:
        from harness.cluster.kube import KubeCluster

        settings = self._settings(worker, self._context(), self._kubeconfig())
        if self.cni:
            from harness.cluster.kube.profiled import with_profile
            from harness.cluster.profiles import profile

            settings = with_profile(settings, profile(self.cni))
        cluster = KubeCluster(settings)
        if worker == "main":
            cluster.preflight()
        return cluster

    def _context(self) -> str:
        from harness.cluster.kube import resolve_context

        return resolve_context(self._kubeconfig(), self.context)

    def _kubeconfig(self) -> str | None:
        return None if self.kubeconfig is None else str(self.kubeconfig)

    def _settings(self, worker: str, context: str, kubeconfig: str | None) -> KubeSettings:
        from harness.cluster.kube import KubeSettings

        usual = KubeSettings(run=self.run_id, context=context)
        return KubeSettings(
            run=self.run_id,
            context=context,
            worker=worker,
            kubeconfig=kubeconfig,
            name=context,
            image=self.agnhost_image or usual.image,
            image_pull_secrets=self.image_pull_secrets,
            probe_timeout_s=self.probe_timeout_s or usual.probe_timeout_s,
        )


_DEFAULTS = (None, "netns")
