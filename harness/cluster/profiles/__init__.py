"""CNI profiles: what the harness knows about a network plugin, as data files.

A profile is ``harness/cluster/profiles/NAME.toml``. It pins a version, says where its
manifest is, what must be ready, how it denies, and what it is known not to do, each with
its source. Nothing about a CNI stands in code.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from harness.cluster import Gap, KnownCell
from harness.errors import UsageError
from harness.model import FEATURES, Verdict

_STRICT = ConfigDict(extra="forbid")
_Url = Annotated[str, Field(pattern=r"^https://\S+$")]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True, config=_STRICT)
class Manifest:
    """A file that the project publishes, by the checksum of its bytes."""

    file: str
    url: _Url
    sha256: _Sha256


@dataclass(frozen=True, slots=True, config=_STRICT)
class Chart:
    """A Helm chart that is rendered where no manifest is published.

    ``file`` is the rendered manifest's name in an offline folder, ``values`` the values in
    YAML, ``sha256`` the checksum of the rendered objects (see ``kind.manifest``).
    """

    file: str
    repository: _Url
    chart: str
    version: str
    values: str
    sha256: _Sha256


@dataclass(frozen=True, slots=True, config=_STRICT)
class Edit:
    """A text of the manifest that is replaced before it is applied, and why."""

    find: str
    put: str
    why: str


@dataclass(frozen=True, slots=True, config=_STRICT)
class AddressPool:
    """A kind of object that holds ranges of pod addresses; see ``kube.ranges.Pool``."""

    api_version: str
    kind: str
    path: str


@dataclass(frozen=True, slots=True, config=_STRICT)
class LimitedCell:
    """A cell that gives another verdict than its author wrote; see ``cluster.KnownCell``."""

    scenario: str
    step: str
    probe: str
    gives: Verdict


@dataclass(frozen=True, slots=True, config=_STRICT)
class Limitation:
    """Something that this CNI is known not to do.

    ``features`` are words of ``model.FEATURES`` that it takes away: scenarios that need
    them are skipped with these words. ``cells`` must give what they say. At another version
    than those of ``versions`` it does not apply.
    """

    says: str
    source: str
    versions: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)]
    features: tuple[str, ...] = ()
    cells: tuple[LimitedCell, ...] = ()

    def __str__(self) -> str:
        versions = "all" if self.versions == "all" else ", ".join(self.versions)
        return f"{self.says} ({self.source}; {versions})"

    def applies_to(self, version: str) -> bool:
        return self.versions == "all" or version in self.versions


@dataclass(frozen=True, slots=True, config=_STRICT)
class Profile:
    """A CNI at one version. ``wait`` names workloads as ``Kind/namespace/name``.

    ``enforces`` is False for a control, which the canary must refuse.
    """

    name: str
    version: str
    pod_subnet: str
    wait: tuple[Annotated[str, Field(pattern=r"^(DaemonSet|Deployment)/[^/]+/[^/]+$")], ...]
    manifest: Manifest | None = None
    chart: Chart | None = None
    enforces: bool = True
    denies_by: Literal["drop", "reject"] = "drop"
    edit: tuple[Edit, ...] = ()
    pools: tuple[AddressPool, ...] = ()
    limitations: tuple[Limitation, ...] = ()

    @property
    def file(self) -> str:
        """The name of its manifest in an offline folder."""
        source = self.manifest or self.chart
        return source.file if source else ""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Each feature that this CNI takes away, with the reason in words."""
        return tuple(Gap(word, str(item)) for item in self._applying for word in item.features)

    @property
    def known_cells(self) -> tuple[KnownCell, ...]:
        """Each cell that this CNI is known to get wrong, with the reason in words."""
        return tuple(
            KnownCell(cell.scenario, cell.step, cell.probe, cell.gives, str(item))
            for item in self._applying
            for cell in item.cells
        )

    @property
    def _applying(self) -> tuple[Limitation, ...]:
        return tuple(item for item in self.limitations if item.applies_to(self.version))

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def profile_names() -> tuple[str, ...]:
    """The profiles that ship, the default first."""
    found = {item.name.removesuffix(".toml") for item in _folder().iterdir()}
    return ("calico", *sorted(found - {"calico"}))


def profile(name: str) -> Profile:
    """Read a profile by name; UsageError when there is none or its file is wrong."""
    if name not in profile_names():
        raise UsageError(f"no CNI profile {name!r}", f"profiles are {', '.join(profile_names())}")
    return parse(name, (_folder() / f"{name}.toml").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Profile:
    """Read a profile from its TOML text; UsageError names every wrong key."""
    try:
        found = _ADAPTER.validate_python({"name": name, **tomllib.loads(text)})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"CNI profile {name}: {error}") from None
    except ValidationError as error:
        lines = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors()
        )
        raise UsageError(f"CNI profile {name}: {lines}") from None
    if (found.manifest is None) == (found.chart is None):
        raise UsageError(f"CNI profile {name}: needs either [manifest] or [chart]")
    named = {word for item in found.limitations for word in item.features}
    if unknown := named - FEATURES.keys():
        raise UsageError(
            f"CNI profile {name}: unknown feature {', '.join(sorted(unknown))}",
            f"features are {', '.join(FEATURES)}",
        )
    return found


def _folder() -> Traversable:
    return resources.files("harness.cluster") / "profiles"


_ADAPTER = TypeAdapter(Profile)
