"""What is known about a network plugin, whoever installed it and where."""

from __future__ import annotations

import re
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictBool
from pydantic.dataclasses import dataclass

from harness.cluster import Gap, KnownCell, KnownTrait
from harness.cluster.profiles.versions import Versions, WrittenVersions
from harness.model import FEATURES, Verdict
from harness.policy.traits import Trait
from harness.suggest import nearest_or_all

STRICT = ConfigDict(extra="forbid")
"""Of every table of a profile: an unknown key is an error."""

_HIDDEN = ("ipblock-pod-ip", "ipblock-node-ip")
PLACEHOLDERS = (
    "source_namespace",
    "source_pod",
    "destination_namespace",
    "destination_pod",
    "protocol",
    "port",
)
"""What may stand in braces in a word of ``trace_by_hand``; see ``kube.tracing.by_hand``."""
_AGENT = re.compile(r"(DaemonSet|Deployment)/([a-z0-9-]+|\*)/[a-z0-9.-]+")


def _agent(written: str) -> str:
    if not _AGENT.fullmatch(written):
        raise ValueError(
            f"{written!r} is not a workload; write DaemonSet/NAMESPACE/NAME or"
            " Deployment/NAMESPACE/NAME, with * for a namespace that differs between clusters"
        )
    return written


def _url(written: str) -> str:
    if not re.fullmatch(r"https://[^\s/]+\S*", written):
        raise ValueError(f"{written!r} is not an https:// address")
    return written


def _feature(written: str) -> str:
    if written not in FEATURES:
        hint = nearest_or_all(written, FEATURES, "features")
        raise ValueError(f"unknown feature {written!r}; {hint}")
    return written


def _hidden_feature(written: str) -> str:
    if written not in _HIDDEN:
        known = ", ".join(_HIDDEN)
        raise ValueError(f"{written!r} is not one of the features that nothing shows: {known}")
    return written


def _template(written: str) -> str:
    unknown = [name for name in re.findall(r"\{([^{}]*)\}", written) if name not in PLACEHOLDERS]
    if unknown:
        hint = nearest_or_all(unknown[0], PLACEHOLDERS, "placeholders")
        raise ValueError(f"unknown placeholder {unknown[0]!r} in {written!r}; {hint}")
    return written


def not_empty(written: tuple[str, ...]) -> tuple[str, ...]:
    """Return a list of a profile that must have an entry. Raises ValueError."""
    if not written:
        raise ValueError("must not be empty")
    return written


Url = Annotated[str, AfterValidator(_url)]
Text = Annotated[str, Field(min_length=1)]


@plain_dataclass(frozen=True, slots=True)
class ProfileFile:
    """The file of a profile: its name without the ending, how messages show it, its text.

    ``shipped`` is False for a file that a user named by its path.
    """

    name: str
    shown: str
    text: str
    shipped: bool

    @property
    def option(self) -> str:
        """The ``--cni`` that names this file."""
        is_path = "/" in self.shown or self.shown.endswith(".toml")
        path = self.shown if is_path else f"./{self.shown}"
        return f"--cni={self.name if self.shipped else path}"


@dataclass(frozen=True, slots=True, config=STRICT)
class AddressPool:
    """A kind of object that holds ranges of pod addresses; see ``kube.ranges.Pool``."""

    api_version: Text
    kind: Text
    path: Text


@dataclass(frozen=True, slots=True, config=STRICT)
class AgentTrace:
    """How the agents of the plugin are asked about a probe; see ``kube.tracing.AgentCommand``."""

    agent: Annotated[str, AfterValidator(_agent)]
    container: Text
    command: Annotated[tuple[Text, ...], AfterValidator(not_empty)]
    prints: Literal["iptables", "hubble"] = "iptables"


@dataclass(frozen=True, slots=True, config=STRICT)
class LimitedCell:
    """An entry of ``cells``: a cell, and the verdict that it gives; see ``cluster.KnownCell``."""

    scenario: Text
    step: Text
    probe: Text
    gives: Verdict


@dataclass(frozen=True, slots=True, config=STRICT)
class KnownLimitation:
    """Something that a network plugin is known not to do.

    ``features`` are words of ``model.FEATURES`` that it takes away: scenarios that need
    them are skipped with this reason. ``cells`` must give what they say. Generated cases have
    no policies with one of the ``traits``. At other versions than ``versions`` it does not apply.
    """

    says: Text
    source: Text
    versions: WrittenVersions
    features: tuple[Annotated[str, AfterValidator(_feature)], ...] = ()
    cells: tuple[LimitedCell, ...] = ()
    traits: tuple[Trait, ...] = ()

    def __str__(self) -> str:
        return f"{self.says} ({self.source}; {self.versions})"


@dataclass(frozen=True, slots=True, config=STRICT)
class Profile:
    """A network plugin, or what a provider runs in its place.

    ``title`` says in a few words what it is, ``sources`` where its facts are documented.
    ``versions`` are those that the profile describes. ``features`` are those out of
    ``model.FEATURES`` that it has although no API shows them. ``agents`` are its workloads as
    ``Kind/namespace/name``, with ``*`` for any namespace. ``trace`` is how they are asked about
    a probe, where that has been seen to work; ``trace_by_hand`` is a command with which people
    ask, for plugins without ``trace``. ``enforces`` is False for a control, which the canary
    must refuse.
    """

    file: ProfileFile
    title: Text
    sources: Annotated[tuple[Url, ...], AfterValidator(not_empty)]
    versions: WrittenVersions
    denies_by: Literal["drop", "reject"] = "drop"
    enforces: StrictBool = True
    features: tuple[Annotated[str, AfterValidator(_hidden_feature)], ...] = ()
    agents: tuple[Annotated[str, AfterValidator(_agent)], ...] = ()
    pools: tuple[AddressPool, ...] = ()
    limitations: tuple[KnownLimitation, ...] = ()
    trace: AgentTrace | None = None
    trace_by_hand: tuple[Annotated[str, Field(min_length=1), AfterValidator(_template)], ...] = ()

    @property
    def name(self) -> str:
        return self.file.name

    def gaps(self, version: str | None = None) -> tuple[Gap, ...]:
        """Return each feature that a version lacks, with the reason; see ``_applying``."""
        applying = self._applying(version)
        return tuple(Gap(word, str(item)) for item in applying for word in item.features)

    def known_cells(self, version: str | None = None) -> tuple[KnownCell, ...]:
        """Return each cell that a version is known to get wrong; see ``_applying``."""
        return tuple(
            KnownCell(cell.scenario, cell.step, cell.probe, cell.gives, str(item))
            for item in self._applying(version)
            for cell in item.cells
        )

    def known_traits(self, version: str | None = None) -> tuple[KnownTrait, ...]:
        """Return each trait of policies that a version gets wrong; see ``_applying``."""
        applying = self._applying(version)
        return tuple(KnownTrait(trait, str(item)) for item in applying for trait in item.traits)

    def _applying(self, version: str | None) -> tuple[KnownLimitation, ...]:
        """Return the limitations of a version; None is any of ``versions``: which, is unknown."""
        return tuple(
            item
            for item in self.limitations
            if (
                self.versions.overlaps(item.versions)
                if version is None
                else item.versions.includes(version)
            )
        )

    def __str__(self) -> str:
        return self.name


__all__ = [
    "STRICT",
    "AddressPool",
    "AgentTrace",
    "KnownLimitation",
    "LimitedCell",
    "Profile",
    "ProfileFile",
    "Text",
    "Url",
    "Versions",
]
