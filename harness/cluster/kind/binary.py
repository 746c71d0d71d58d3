"""The kind binary: the one on the PATH, else one of the pinned version in our cache."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from harness.cluster.kind import command, manifest
from harness.errors import ClusterError, UsageError

VERSION = "v0.31.0"
"""What is installed where there is no kind; any on the PATH is used as it is."""

DOWNLOADS = "https://kind.sigs.k8s.io/dl"

_BUILD_S = 300.0
_MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def find() -> Path:
    """Give the kind binary. Raises UsageError where there is none."""
    for place in (shutil.which("kind"), _kept()):
        if place and Path(place).is_file():
            return Path(place)
    raise UsageError("kind is not on the PATH", f"`netpol up` installs kind {VERSION}")


def install(offline: Path | None, downloads: str = DOWNLOADS) -> Path:
    """Give the kind binary; where there is none, build it by Go, or download the release.

    A download counts only with the checksum that the release publishes beside it. With an
    ``offline`` folder nothing is downloaded, by Go either. Raises UsageError or ClusterError.
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
        command.say(f"building kind {VERSION} into {target.parent} by `go install`")
        command.check(
            ["env", f"GOBIN={target.parent}", "go", "install", f"sigs.k8s.io/kind@{VERSION}"],
            deadline_s=_BUILD_S,
        )
    else:
        _download(f"{downloads}/{VERSION}/{_release()}", target)
    return target


def _download(url: str, target: Path) -> None:
    command.say(f"downloading kind {VERSION} to {target} (no go to build it)")
    what = f"kind {VERSION}"
    published = manifest.fetch(f"{url}.sha256sum", f"the checksum of {what}").decode()
    data = manifest.fetch(url, what)
    if (found := manifest.checksum(data)) not in published.split():
        raise ClusterError(
            f"{url} has checksum {found}, and the release publishes {published.strip()!r}",
            "nothing was installed; try again, or put kind on the PATH by hand",
        )
    half = target.with_suffix(".new")
    half.write_bytes(data)
    half.chmod(0o755)
    half.rename(target)


def _release() -> str:
    """The name of this machine's file in a release."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise UsageError(
            f"kind has no release for {platform.system()} on {platform.machine()}",
            "install Go, or put kind on the PATH",
        )
    return f"kind-{platform.system().lower()}-{machine}"


def _kept() -> Path:
    return (manifest.cache() / "bin" / "kind").resolve()
