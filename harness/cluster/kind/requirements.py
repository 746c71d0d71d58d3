"""What a kind cluster needs, found before anything is made: Docker, images, a configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.cluster.kind import binary, command, manifest
from harness.cluster.kind.installation import Installation, installation
from harness.cluster.profiles import DEFAULT, profile
from harness.errors import HarnessError, UsageError


@dataclass(frozen=True, slots=True)
class Needed:
    """What a new cluster is made of. ``image`` None is kind's own node image."""

    image: str | None
    archives: tuple[Path, ...]
    offline: Path | None


def needs(install: Installation, offline: Path | None) -> Needed:
    """Find what a cluster needs. Raises UsageError for what is missing."""
    docker = command.run(["docker", "version", "--format", "{{.Server.Version}}"], deadline_s=20)
    if docker.status:
        raise UsageError(
            f"Docker does not answer: {docker.output}", "start the Docker daemon, or use netns"
        )
    if offline is None:
        return Needed(None, (), None)
    place = offline / "node-image"
    if not place.is_file():
        raise UsageError(
            f"there is no file {place}", "it holds one line: the node image that Docker has"
        )
    image = place.read_text(encoding="utf-8").strip()
    if command.run(["docker", "image", "inspect", image]).status:
        raise UsageError(
            f"Docker does not have the node image {image} that {place} names",
            "load it with `docker load`",
        )
    archives = (
        offline / "images" / f"{install.offline_name}-{install.version}.tar",
        *sorted((offline / "images").glob("agnhost-*.tar")),
    )
    missing = [str(path) for path in archives if not path.is_file()]
    if missing or len(archives) == 1:
        raise UsageError(
            f"no image archive {', '.join(missing) or offline / 'images' / 'agnhost-*.tar'}",
            "make it with `docker save`, or use another --cni",
        )
    manifest.manifest(install, offline)
    manifest.definitions(install, offline)
    return Needed(image, archives, offline)


def kind_config(config: Path, install: Installation) -> str:
    """Return the configuration of kind with the profile's pod subnet."""
    try:
        document = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the kind configuration {config}: {error}") from None
    networking = document.get("networking") if isinstance(document, dict) else None
    if not isinstance(networking, dict) or networking.get("disableDefaultCNI") is not True:
        raise UsageError(
            f"{config}: networking.disableDefaultCNI must be true",
            f"otherwise kind installs kindnet as well as {install.name}",
        )
    networking["podSubnet"] = install.pod_subnet
    return yaml.safe_dump(document, sort_keys=False)


def choose(offline: Path | None, cni: str = DEFAULT) -> tuple[str, str]:
    """Return the cluster that ``CLUSTER=auto`` stands for, and why, in one sentence.

    It is kind if Docker answers and if what it needs is there or may be pulled
    (``NETPOL_PULL=yes``), and otherwise the embedded cluster. Raises UsageError for a wrong
    profile.
    """
    install = installation(profile(cni))
    pulls = os.environ.get("NETPOL_PULL") == "yes"
    try:
        if offline is not None or not pulls:
            binary.find()
        needs(install, offline)
    except HarnessError as error:
        return "netns", f"netns, the embedded cluster, because {error.message}"
    if offline is not None:
        return "kind", f"kind with {cni}: Docker answers and {offline} holds what it needs"
    if pulls:
        return "kind", f"kind with {cni}: Docker answers and NETPOL_PULL=yes allows pulling images"
    return "netns", (
        "netns, the embedded cluster: Docker answers, but kind would pull about 1 GB of images"
        " (NETPOL_PULL=yes allows it, NETPOL_OFFLINE names a folder that holds them)"
    )
