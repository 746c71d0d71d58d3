"""Changes that are alike, together: one policy often changes many connections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.difference.values import Change, Kind, Said


@dataclass(frozen=True, slots=True)
class Group:
    """Changes of one kind with the same words and reasons: each source to each destination."""

    kind: Kind
    is_exposure: bool
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    before: Said
    after: Said

    @property
    def size(self) -> int:
        """How many connections they are."""
        return len(self.sources) * len(self.destinations)


_Alike = tuple[bool, Kind, Said, Said]


def grouped(changes: Iterable[Change]) -> list[Group]:
    """Return the changes in groups, in the order of the first of each."""
    by_source: dict[tuple[_Alike, str], list[str]] = {}
    for change in changes:
        alike = (change.is_exposure, change.kind, change.before, change.after)
        by_source.setdefault((alike, change.source), []).append(change.destination)
    by_both: dict[tuple[_Alike, tuple[str, ...]], list[str]] = {}
    for (alike, source), destinations in by_source.items():
        by_both.setdefault((alike, tuple(destinations)), []).append(source)
    return [
        Group(kind, is_exposure, tuple(sources), destinations, before, after)
        for ((is_exposure, kind, before, after), destinations), sources in by_both.items()
    ]


def ports_together(titles: Sequence[str]) -> list[str]:
    """Return titles with all ports of one owner in one: ``shop/web:8080,9090``."""
    ports: dict[str, list[str]] = {}
    for title in titles:
        owner, _, port = title.rpartition(":")
        ports.setdefault(owner, []).append(port)
    return [f"{owner}:{','.join(having)}" for owner, having in ports.items()]
