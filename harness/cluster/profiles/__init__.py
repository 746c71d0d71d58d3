"""CNI profiles: what the harness knows about a network plugin, as data files.

A profile is a TOML file: which versions it describes, how the plugin denies, what it is known
not to do, each with its source. Nothing about a network plugin stands in code. Those that
ship are ``harness/cluster/profiles/NAME.toml``; others are named by their path.

How a plugin is installed is another matter: ``[install]`` of the same file, which
``cluster.kind`` alone reads.
"""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from harness.cluster.profiles.knowledge import (
    AddressPool,
    AgentTrace,
    KnownLimitation,
    LimitedCell,
    Profile,
    ProfileFile,
)
from harness.cluster.profiles.reading import parse
from harness.errors import UsageError
from harness.files import Unreadable, display, read_bytes
from harness.suggest import nearest_or_all

__all__ = [
    "DEFAULT",
    "AddressPool",
    "AgentTrace",
    "KnownLimitation",
    "LimitedCell",
    "Profile",
    "ProfileFile",
    "parse",
    "profile",
    "profile_names",
]

DEFAULT = "calico"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,50}[a-z0-9])?")


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that ship, the default first."""
    names = (item.name for item in _folder().iterdir())
    found = {name.removesuffix(".toml") for name in names if name.endswith(".toml")}
    return (DEFAULT, *sorted(found - {DEFAULT}))


def profile(cni: str) -> Profile:
    """Read a profile: one that ships, by its name, or any other, by its path.

    A path has a ``/`` or ends with ``.toml``. Raises UsageError if there is none, or if it is
    wrong.
    """
    if "/" in cni or cni.endswith(".toml"):
        return parse(_file(Path(cni)))
    if cni not in profile_names():
        raise UsageError(
            f"no CNI profile {cni!r}; a file is named by its path, like ./my.toml",
            nearest_or_all(cni, profile_names(), "profiles"),
        )
    text = (_folder() / f"{cni}.toml").read_text(encoding="utf-8")
    return parse(ProfileFile(cni, f"CNI profile {cni}", text, shipped=True))


def _file(path: Path) -> ProfileFile:
    shown = display(path)
    try:
        raw = read_bytes(path, "the current folder")
    except Unreadable as error:
        raise UsageError(f"--cni={path}: {error.fact}", error.hint) from None
    if not _NAME.fullmatch(path.stem):
        raise UsageError(
            f"--cni={path}: {path.stem!r} cannot be the name of a profile",
            "name the file with lower case letters, digits, '-' and '.', like my-cni.toml",
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise UsageError(
            f"{shown}:{line}:{column}: byte 0x{raw[error.start]:02x} is not UTF-8",
            "save the file in the encoding UTF-8",
        ) from None
    return ProfileFile(path.stem, shown, text, shipped=False)


def _folder() -> Traversable:
    return resources.files("harness.cluster.profiles")
