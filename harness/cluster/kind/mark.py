"""What ``netpol up`` writes into a cluster about itself, when it is ready."""

from __future__ import annotations

import json
from dataclasses import dataclass

from harness.cluster.kind import command
from harness.cluster.kind.installation import Installation
from harness.cluster.profiles import Profile, ProfileFile, parse, profile
from harness.errors import ClusterError

_NAME = "netpol-harness"


@dataclass(frozen=True, slots=True)
class Mark:
    """The network plugin of a cluster, and the workloads that must be ready.

    ``text`` is the whole profile, for one that a user named by its path.
    """

    cni: str
    version: str
    waits: tuple[str, ...]
    text: str = ""

    def profile(self) -> Profile:
        """Return the profile that the cluster was made with. Raises UsageError if it is gone."""
        if not self.text:
            return profile(self.cni)
        shown = f"the profile {self.cni} that the cluster was made with"
        return parse(ProfileFile(self.cni, shown, self.text, shipped=False))

    def __str__(self) -> str:
        return f"{self.cni} {self.version}"


def read(cluster: str) -> Mark | None:
    """Return the mark of a kind cluster; None if ``up`` did not finish making it."""
    done = command.kubectl(cluster, "get", "configmap", _NAME, "-n", "kube-system", "-o", "json")
    if done.status:
        return None
    data = json.loads(done.stdout)["data"]
    return Mark(
        data["cni"], data["version"], tuple(data["waits"].split()), data.get("profile", "")
    )


def write(cluster: str, made_with: Profile, install: Installation) -> None:
    """Mark a kind cluster as made, and with what. Raises ClusterError."""
    data = {"cni": install.name, "version": install.version, "waits": " ".join(install.wait)}
    if not made_with.file.shipped:
        data["profile"] = made_with.file.text
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _NAME, "namespace": "kube-system"},
        "data": data,
    }
    done = command.kubectl(cluster, "apply", "--server-side", "-f", "-", stdin=json.dumps(body))
    if done.status:
        raise ClusterError(f"cannot write the ConfigMap {_NAME} of {cluster}:\n{done.output}")
