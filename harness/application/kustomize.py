"""Kustomizations in folders: which files they change others with, and what renders them.

They are not applied, but for the namespace of objects that name none. A file that one names as a
patch is no object of its own. Paths are texts as messages show them, so that they may be in a git
revision.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.application.files import KUSTOMIZATIONS, Text
from harness.application.revisions import without_revision
from harness.documents.problems import Problems
from harness.documents.source import documents
from harness.errors import Location

_OBJECTS = ("resources", "bases", "components")
_NO_OBJECTS = (
    "patchesStrategicMerge", "patches", "patchesJson6902", "replacements", "configurations",
    "transformers", "generators", "validators", "configMapGenerator", "secretGenerator",
    "helmCharts",
)  # fmt: skip
_WITH_PATHS = frozenset({"path", "files", "envs", "env", "valuesFile", "additionalValuesFiles"})
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Kustomization:
    """A kustomization: where it is, the objects that it names, and other files that it names.

    ``namespace`` is that of all its objects, if it sets one.
    """

    location: Location
    folder: str
    objects: frozenset[str]
    others: frozenset[str]
    namespace: str | None = None

    @property
    def command(self) -> str:
        """What prints its result."""
        return f"kubectl kustomize {shlex.quote(without_revision(self.folder) or '.')}"


def kustomizations(texts: Iterable[Text]) -> Iterator[Kustomization]:
    """Yield those among some files; one that cannot be read names no others."""
    for text in texts:
        folder, name = posixpath.split(text.path)
        if name in KUSTOMIZATIONS:
            found = documents(text.path, text.text, Problems())
            values = [item.value for item in found if isinstance(item.value, dict)]
            objects = _paths(folder, (value.get(key) for value in values for key in _OBJECTS))
            others = _paths(folder, (value.get(key) for value in values for key in _NO_OBJECTS))
            location = Location(text.path, 1, 1)
            set_by = (value.get("namespace") for value in values)
            namespace = next((value for value in set_by if isinstance(value, str)), None)
            yield Kustomization(location, folder, frozenset(objects), frozenset(others), namespace)


def patches(found: Sequence[Kustomization]) -> frozenset[str]:
    """Return the files that are no objects: those that are named, and by none as objects."""
    objects = frozenset[str]().union(*(item.objects for item in found))
    return frozenset[str]().union(*(item.others for item in found)) - objects


def namespaces(found: Iterable[Kustomization]) -> dict[str, str]:
    """Return the namespace of the files that kustomizations name, where they agree on one."""
    named: dict[str, set[str]] = {}
    for item in found:
        for path in item.objects if item.namespace else ():
            named.setdefault(path, set()).add(item.namespace or "")
    return {path: next(iter(names)) for path, names in named.items() if len(names) == 1}


def advice(found: Sequence[Kustomization], here: str, into: str) -> str:
    """Return what renders a kustomization that is about a file, or else the first.

    ``into`` says where its output goes, as in a shell.
    """
    used = frozenset[str]().union(*(item.objects for item in found))
    roots = [item for item in found if item.folder not in used] or list(found)
    around = [item for item in roots if here.startswith(f"{item.folder}/" if item.folder else "")]
    best = (around or roots)[0]
    return f"or render a kustomization: `{best.command} {into}`"


def listed(found: Sequence[Kustomization]) -> str:
    """Return the folders of the kustomizations; of many, the first."""
    names = [item.folder or "." for item in found[:_SHOWN]]
    more = len(found) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def note(found: Sequence[Kustomization], into: str) -> str:
    """Return what a reader of folders with kustomizations should know; ``into`` as above."""
    command = f"`{found[0].command} {into}`"
    if len(found) == 1:
        return f"a kustomization is not applied; {command} renders it"
    several = f"{len(found)} kustomizations are not applied: {listed(found)}"
    return f"{several}; {command} renders the first"


def _paths(folder: str, values: Iterable[object]) -> Iterator[str]:
    """Yield the paths among texts, in lists of them, and at keys that hold paths."""
    for value in values:
        match value:
            case str() if "\n" not in value:
                yield posixpath.normpath(posixpath.join(folder, value.rpartition("=")[2]))
            case list():
                yield from _paths(folder, value)
            case dict():
                yield from _paths(folder, (value[key] for key in _WITH_PATHS & value.keys()))
            case _:
                pass
