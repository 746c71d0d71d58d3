"""The kind binary: the one on the PATH, or else the pinned version in the cache."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from harness.cluster.kind import command, manifest
from harness.errors import ClusterError, UsageError

VERSION = "v0.31.0"
"""The version that is installed where there is no kind. Any version on the PATH is used."""

DOWNLOADS = "https://kind.sigs.k8s.io/dl"

_BUILD_S = 300.0
_MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def find() -> Path:
    """Return the kind binary. Raises UsageError if there is none."""
    for place in (shutil.which("kind"), _kept()):
        if place and Path(place).is_file():
            return Path(place)
    raise UsageError("kind is not on the PATH", f"`netpol up` installs kind {VERSION}")


def install(offline: Path | None, downloads: str = DOWNLOADS) -> Path:
    """Return the kind binary; if there is none, build it with Go, or download the release.

    A download must have the checksum that the release publishes. With an ``offline`` folder
    nothing is downloaded, not by Go either. Raises UsageError or ClusterError.
    """
    try:
        return find()
    except UsageError:
        if offline is not None:
            raise UsageError(
                "kind is not on the PATH, and --offline forbids downloading it",
                f"put kind {VERSION} or newer on the PATH",
            ) from None
    target = _kept()
    target.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which("go") is not None:
        command.progress(f"building kind {VERSION} into {target.parent} by `go install`")
        command.check(
            ["env", f"GOBIN={target.parent}", "go", "install", f"sigs.k8s.io/kind@{VERSION}"],
            deadline_s=_BUILD_S,
        )
    else:
        _download(f"{downloads}/{VERSION}/{_release()}", target)
    return target


def _download(url: str, target: Path) -> None:
    command.progress(f"downloading kind {VERSION} to {target} (no go to build it)")
    what = f"kind {VERSION}"
    published = manifest.fetch(f"{url}.sha256sum", f"the checksum of {what}").decode()
    data = manifest.fetch(url, what)
    if (found := manifest.checksum(data)) not in published.split():
        raise ClusterError(
            f"{url} has checksum {found}, and the release publishes {published.strip()!r}",
            "nothing was installed; try again, or install kind yourself",
        )
    half = target.with_suffix(".new")
    half.write_bytes(data)
    half.chmod(0o755)
    half.rename(target)


def _release() -> str:
    """Return the name of this machine's file in a release."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise UsageError(
            f"kind has no release for {platform.system()} on {platform.machine()}",
            "install Go, or put kind on the PATH",
        )
    return f"kind-{platform.system().lower()}-{machine}"


def _kept() -> Path:
    return (manifest.cache() / "bin" / "kind").resolve()
