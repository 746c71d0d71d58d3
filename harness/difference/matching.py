"""Which workloads, Services and ports of two versions are the same, also under another name.

An object that has the same kind, namespace and name is the same. Of the others, two are the same
if they share what tells them apart from all others: see ``_WORKLOADS`` and ``_SERVICES``. A
workload may also have a similar name.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from harness.application import AppService
from harness.application.state import Deployed
from harness.matrix.ends import Column

_Item = TypeVar("_Item")
Pair = tuple[_Item | None, _Item | None]
"""Something before and after; None: it is not in that version."""
_Key = Callable[[_Item], Hashable | None]
_SIMILAR = 0.6
_MOST_COMPARED = 10_000
_LONGEST_COMPARED = 63


def workloads(old: Sequence[Deployed], new: Sequence[Deployed]) -> list[Pair[Deployed]]:
    """Return the workloads of both versions in pairs."""
    pairs = _matched(old, new, _WORKLOADS)
    left = [item for item, other in pairs if item and other is None]
    right = [item for other, item in pairs if item and other is None]
    renamed = _similar(left, right)
    before = {id(item) for item, _ in renamed} | {id(item) for _, item in renamed}
    kept = [pair for pair in pairs if not {id(pair[0]), id(pair[1])} & before]
    return [*kept, *renamed]


def services(old: Sequence[AppService], new: Sequence[AppService]) -> list[Pair[AppService]]:
    """Return the Services of both versions in pairs."""
    return _matched(old, new, _SERVICES)


def ports(old: Sequence[Column], new: Sequence[Column]) -> list[Pair[Column]]:
    """Return the ports of one owner in pairs: by number, by name, or the only ones left."""
    pairs = _matched(old, new, (_number, _name))
    for protocol in {column.inside[0].protocol for column in (*old, *new)}:
        left = [pair for pair in pairs if pair[0] and pair[1] is None and _is(pair[0], protocol)]
        right = [pair for pair in pairs if pair[1] and pair[0] is None and _is(pair[1], protocol)]
        if len(left) == len(right) == 1:
            pairs = [pair for pair in pairs if pair not in (left[0], right[0])]
            pairs.append((left[0][0], right[0][1]))
    return pairs


def _is(column: Column, protocol: object) -> bool:
    return column.inside[0].protocol is protocol


def _number(column: Column) -> Hashable:
    return column.inside[0].port, column.inside[0].protocol


def _name(column: Column) -> Hashable | None:
    name = column.port_name
    return (name, column.inside[0].protocol) if name else None


# ------------------------------------------------------------------ keys


def _ports(item: Deployed) -> frozenset[Hashable]:
    return frozenset((port.number, port.protocol) for port in item.workload.ports)


_WORKLOADS: tuple[_Key[Deployed], ...] = (
    lambda item: (item.workload.kind, item.workload.namespace, item.workload.name),
    lambda item: (item.workload.namespace, item.workload.name),
    lambda item: (item.workload.name, item.workload.labels, _ports(item)),
    lambda item: (
        (item.workload.namespace, item.workload.labels, _ports(item))
        if item.workload.labels
        else None
    ),
)
_SERVICES: tuple[_Key[AppService], ...] = (
    lambda item: (item.namespace, item.name),
    lambda item: (item.name, item.selector, item.ports),
    lambda item: (item.namespace, item.selector, item.ports) if item.selector else None,
)


def _matched(
    old: Sequence[_Item], new: Sequence[_Item], keys: Sequence[_Key[_Item]]
) -> list[Pair[_Item]]:
    """Return what both versions have in pairs, then what only one has.

    Each key pairs those that have it alone in their version.
    """
    found: list[Pair[_Item]] = []
    left, right = list(old), list(new)
    for key in keys:
        before, after = _alone(left, key), _alone(right, key)
        common = [name for name in before if name in after]
        found += [(before[name], after[name]) for name in common]
        taken = {id(item) for name in common for item in (before[name], after[name])}
        left = [item for item in left if id(item) not in taken]
        right = [item for item in right if id(item) not in taken]
    return [*found, *((item, None) for item in left), *((None, item) for item in right)]


def _alone(items: Sequence[_Item], key: _Key[_Item]) -> dict[Hashable, _Item]:
    """Return the items by key, without those that share a key and those without one."""
    found: dict[Hashable, list[_Item]] = {}
    for item in items:
        name = key(item)
        if name is not None:
            found.setdefault(name, []).append(item)
    return {name: having[0] for name, having in found.items() if len(having) == 1}


def _similar(old: Sequence[Deployed], new: Sequence[Deployed]) -> list[tuple[Deployed, Deployed]]:
    """Return workloads of one kind, namespace and ports whose names are nearest to each other."""
    if len(old) * len(new) > _MOST_COMPARED:
        return []
    scores = {
        (i, j): score
        for i, before in enumerate(old)
        for j, after in enumerate(new)
        if _alike(before) == _alike(after) and (score := _likeness(before, after)) >= _SIMILAR
    }
    best: Counter[tuple[str, int, float]] = Counter()
    for (i, j), score in scores.items():
        best[("old", i, score)] += 1
        best[("new", j, score)] += 1
    top_old, top_new = _highest(scores, 0), _highest(scores, 1)
    return [
        (old[i], new[j])
        for (i, j), score in scores.items()
        if score == top_old[i] == top_new[j]
        and best["old", i, score] == best["new", j, score] == 1
    ]


def _highest(scores: Mapping[tuple[int, int], float], end: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for pair, score in scores.items():
        found[pair[end]] = max(score, found.get(pair[end], 0.0))
    return found


def _likeness(old: Deployed, new: Deployed) -> float:
    before, after = (item.workload.name[:_LONGEST_COMPARED] for item in (old, new))
    return difflib.SequenceMatcher(None, before, after).ratio()


def _alike(item: Deployed) -> Hashable:
    return item.workload.kind, item.workload.namespace, _ports(item)
