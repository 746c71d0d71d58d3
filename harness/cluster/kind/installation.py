"""How ``netpol up`` installs a network plugin: the table ``[install]`` of its profile."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from harness.cluster.profiles import Profile
from harness.cluster.profiles.knowledge import STRICT, Text, Url, not_empty
from harness.cluster.profiles.reading import INSTALL, section
from harness.errors import UsageError

_WORKLOAD = re.compile(r"(DaemonSet|Deployment)/[a-z0-9-]+/[a-z0-9.-]+")


def _workload(written: str) -> str:
    if not _WORKLOAD.fullmatch(written):
        raise ValueError(
            f"{written!r} is not a workload; write DaemonSet/NAMESPACE/NAME or"
            " Deployment/NAMESPACE/NAME"
        )
    return written


def _sha256(written: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", written):
        raise ValueError(f"{written!r} is not a SHA-256: 64 digits 0-9, a-f")
    return written


def _range(written: str) -> str:
    try:
        return str(ipaddress.ip_network(written))
    except ValueError as error:
        raise ValueError(f"{error}; write a range like 100.64.0.0/16") from None


def _file_name(written: str) -> str:
    if "/" in written or written.startswith("."):
        raise ValueError(f"{written!r} is not the name of a file, without a folder")
    return written


_Sha256 = Annotated[str, AfterValidator(_sha256)]
_Workload = Annotated[str, AfterValidator(_workload)]
_FileName = Annotated[Text, AfterValidator(_file_name)]


@dataclass(frozen=True, slots=True, config=STRICT)
class PublishedManifest:
    """A file that the project publishes, by the checksum of its bytes."""

    file: _FileName
    url: Url
    sha256: _Sha256


@dataclass(frozen=True, slots=True, config=STRICT)
class Definitions:
    """Definitions of kinds that the plugin uses and does not bring; applied before its manifest.

    ``project`` and ``version`` are where the ``file`` is in an offline folder.
    """

    project: _FileName
    version: _FileName
    file: _FileName
    url: Url
    sha256: _Sha256

    def __str__(self) -> str:
        return f"{self.project} {self.version}"


@dataclass(frozen=True, slots=True, config=STRICT)
class Chart:
    """A Helm chart that is rendered where no manifest is published.

    ``file`` is the rendered manifest's name in an offline folder, ``values`` the values in
    YAML, ``sha256`` the checksum of the rendered objects (see ``kind.manifest``).
    """

    file: _FileName
    repository: Url
    chart: Text
    version: Text
    values: str
    sha256: _Sha256


@dataclass(frozen=True, slots=True, config=STRICT)
class Edit:
    """A text of the manifest that is replaced before it is applied, and why."""

    find: Text
    put: Text
    why: Text


@dataclass(frozen=True, slots=True, config=STRICT)
class Installation:
    """A network plugin at one version, and how kind gets it.

    ``name`` is the profile's; ``project`` is its name in an offline folder, where that is another
    one. ``wait`` names the workloads that must be ready, as
    ``Kind/namespace/name``.
    """

    name: str
    version: Text
    pod_subnet: Annotated[str, AfterValidator(_range)]
    wait: Annotated[
        tuple[Annotated[str, AfterValidator(_workload)], ...], AfterValidator(not_empty)
    ]
    project: _FileName | None = None
    definitions: tuple[Definitions, ...] = ()
    manifest: PublishedManifest | None = None
    chart: Chart | None = None
    edit: tuple[Edit, ...] = ()

    @property
    def file(self) -> str:
        """The name of its manifest in an offline folder."""
        source = self.manifest or self.chart
        return source.file if source else ""

    @property
    def offline_name(self) -> str:
        """Its name in an offline folder."""
        return self.project or self.name

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def installation(profile: Profile) -> Installation:
    """Return how a profile's plugin is installed.

    Raises UsageError for a profile without ``[install]``, and for one that is wrong.
    """
    shown = profile.file.shown
    found = section(profile.file, INSTALL, Installation, name=profile.name)
    if found is None:
        raise UsageError(
            f"{shown} has no [install]: kind cannot install {profile.title}",
            "run on a cluster that has it already:"
            f" --cluster=current --context=NAME {profile.file.option}",
        )
    if (found.manifest is None) == (found.chart is None):
        raise UsageError(
            f"{shown}: install needs either a manifest or a chart",
            "write one of [install.manifest] and [install.chart]",
        )
    try:
        described = profile.versions.includes(found.version)
    except ValueError as error:
        raise UsageError(f"{shown}: install.version: {error}") from None
    if not described:
        raise UsageError(
            f"{shown}: install.version is {found.version}, and the profile describes"
            f" {profile.versions}",
            "change `versions` at the top, or install a version that is in it",
        )
    return found
