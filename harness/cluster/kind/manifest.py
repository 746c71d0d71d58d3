"""The text that installs a CNI: from an offline folder, by checksum, or from a chart."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path

import yaml

from harness.cluster.kind import command
from harness.cluster.kind.profiles import Chart, Manifest, Profile
from harness.errors import ClusterError, UsageError

KUBERNETES = "v1.34.0"
"""Charts are rendered for this version; for another, the objects and their checksum may differ."""

_DOWNLOAD_S = 60.0
_RENDER_S = 120.0


def cache() -> Path:
    """The folder for what may be lost: downloads, kubeconfigs (``XDG_CACHE_HOME/netpol``)."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "netpol"


def manifest(profile: Profile, offline: Path | None) -> str:
    """Give the YAML that installs the profile's CNI.

    From ``offline`` as it stands there, else downloaded once and compared with the pinned
    checksum. Raises UsageError (the offline folder lacks it) or ClusterError.
    """
    if offline is not None:
        path = offline / "manifests" / profile.name / profile.version / profile.file
        if not path.is_file():
            raise UsageError(
                f"no manifest for {profile} at {path}",
                "an offline folder holds manifests/CNI/VERSION/FILE",
            )
        text = path.read_text(encoding="utf-8")
    elif profile.manifest is not None:
        text = _downloaded(profile, profile.manifest)
    else:
        assert profile.chart is not None  # noqa: S101 - a profile has one of the two
        text = _rendered(profile, profile.chart)
    return edited(text, profile)


def edited(text: str, profile: Profile) -> str:
    """Make the profile's edits; one that finds nothing and is not made yet is a ClusterError."""
    for edit in profile.edit:
        if edit.put not in text and edit.find not in text:
            raise ClusterError(
                f"the manifest of {profile} has not the text that the profile changes: {edit.why}",
                f"looked for {edit.find!r}",
            )
        text = text if edit.put in text else text.replace(edit.find, edit.put)
    return text


def digest(text: str) -> str:
    """A SHA-256 over the objects of a rendered manifest, whatever its layout and their order."""
    documents = [item for item in yaml.safe_load_all(text) if item]
    lines = sorted(json.dumps(item, sort_keys=True) for item in documents)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _downloaded(profile: Profile, source: Manifest) -> str:
    kept = cache() / "manifests" / profile.name / profile.version / source.file
    if kept.is_file() and checksum(kept.read_bytes()) == source.sha256:
        return kept.read_text(encoding="utf-8")
    data = fetch(source.url, f"the manifest of {profile}")
    if (found := checksum(data)) != source.sha256:
        raise ClusterError(
            f"{source.url} has checksum {found}, and the profile pins {source.sha256}",
            "the file changed since the profile was written; nothing was installed",
        )
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(data)
    return data.decode()


def _rendered(profile: Profile, source: Chart) -> str:
    if shutil.which("helm") is None:
        raise UsageError(
            f"{profile} is installed from a Helm chart, and helm is not on the PATH",
            "install helm, or give the rendered manifest by --offline",
        )
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as values:
        values.write(source.values)
        values.flush()
        text = command.check(
            [
                *("helm", "template", source.chart, source.chart, "--repo", source.repository),
                *("--version", source.version, "--namespace", "kube-system"),
                *("--kube-version", KUBERNETES, "--values", values.name),
            ],
            deadline_s=_RENDER_S,
        )
    if (found := digest(text)) != source.sha256:
        raise ClusterError(
            f"the chart {source.chart} {source.version} of {source.repository} renders to objects"
            f" with checksum {found}, and the profile pins {source.sha256}",
            "the chart changed since the profile was written; nothing was installed",
        )
    return text


def fetch(url: str, what: str) -> bytes:
    """Download a file; ClusterError says ``what`` it was."""
    try:
        with urllib.request.urlopen(url, timeout=_DOWNLOAD_S) as answer:  # noqa: S310
            data: bytes = answer.read()
    except OSError as error:
        raise ClusterError(
            f"cannot download {what}: {url}: {error}",
            "behind an air gap, fill a folder and name it by --offline (docs/real-clusters.md)",
        ) from None
    return data


def checksum(data: bytes) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
