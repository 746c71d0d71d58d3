"""The manifest that installs a CNI: from an offline folder, a published file, or a chart."""

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
from harness.cluster.kind.installation import Chart, Installation
from harness.errors import ClusterError, UsageError

KUBERNETES = "v1.34.0"
"""Charts are rendered for this version; for another, the objects and their checksum may differ."""

_DOWNLOAD_S = 60.0
_RENDER_S = 120.0


def cache() -> Path:
    """Return the folder of downloads and kubeconfigs, ``XDG_CACHE_HOME/netpol``."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "netpol"


def manifest(install: Installation, offline: Path | None) -> str:
    """Return the YAML that installs a network plugin.

    It is read from ``offline``, without a check of its content, or else downloaded once and
    compared with the pinned checksum. Raises UsageError (the offline folder lacks it) or
    ClusterError.
    """
    if offline is not None:
        folder = Path(install.offline_name) / install.version
        text = _offline(offline, folder / install.file, f"manifest for {install}")
    elif install.manifest is not None:
        source = install.manifest
        folder = Path(install.name) / install.version
        text = _downloaded(folder, source.file, source.url, source.sha256, install)
    else:
        assert install.chart is not None  # noqa: S101 - an installation has one of the two
        text = _rendered(install, install.chart)
    return edited(text, install)


def definitions(install: Installation, offline: Path | None) -> tuple[str, ...]:
    """Return the YAML of the definitions that are applied first; see ``manifest``."""
    found = []
    for item in install.definitions:
        folder = Path(item.project) / item.version
        if offline is not None:
            found.append(_offline(offline, folder / item.file, f"definitions of {item}"))
        else:
            found.append(_downloaded(folder, item.file, item.url, item.sha256, item))
    return tuple(found)


def _offline(offline: Path, file: Path, what: str) -> str:
    path = offline / "manifests" / file
    if not path.is_file():
        raise UsageError(
            f"no {what} at {path}", "an offline folder holds manifests/CNI/VERSION/FILE"
        )
    return path.read_text(encoding="utf-8")


def edited(text: str, install: Installation) -> str:
    """Return the manifest with all edits made. Raises ClusterError if an edit does not match."""
    for edit in install.edit:
        if edit.put not in text and edit.find not in text:
            raise ClusterError(
                f"an edit of profile {install} no longer matches its manifest: {edit.why}",
                f"looked for {edit.find!r}",
            )
        text = text if edit.put in text else text.replace(edit.find, edit.put)
    return text


def digest(text: str) -> str:
    """Return a SHA-256 of the objects in a manifest, independent of layout and order."""
    documents = [item for item in yaml.safe_load_all(text) if item]
    lines = sorted(json.dumps(item, sort_keys=True) for item in documents)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _downloaded(folder: Path, file: str, url: str, sha256: str, of: object) -> str:
    kept = cache() / "manifests" / folder / file
    if kept.is_file() and checksum(kept.read_bytes()) == sha256:
        return kept.read_text(encoding="utf-8")
    data = fetch(url, f"the manifest of {of}")
    if (found := checksum(data)) != sha256:
        raise ClusterError(
            f"{url} has checksum {found}, and the profile pins {sha256}",
            "the file changed after the profile was written; nothing was installed",
        )
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(data)
    return data.decode()


def _rendered(install: Installation, source: Chart) -> str:
    if shutil.which("helm") is None:
        raise UsageError(
            f"{install} is installed from a Helm chart, and helm is not on the PATH",
            "install helm, or put the rendered manifest into an --offline folder",
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
            "the chart changed after the profile was written; nothing was installed",
        )
    return text


def fetch(url: str, what: str) -> bytes:
    """Download a file, which messages call ``what``. Raises ClusterError."""
    try:
        with urllib.request.urlopen(url, timeout=_DOWNLOAD_S) as answer:  # noqa: S310
            data: bytes = answer.read()
    except OSError as error:
        raise ClusterError(
            f"cannot download {what}: {url}: {error}",
            "without a network, use a folder that holds it: --offline (docs/real-clusters.md)",
        ) from None
    return data


def checksum(data: bytes) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
