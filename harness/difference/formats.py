"""A difference as text, as Markdown for a comment on a pull request, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from textwrap import fill
from types import MappingProxyType

from harness.difference.grouping import Group, grouped, ports_together
from harness.difference.values import (
    By,
    Change,
    Difference,
    EndChange,
    How,
    Kind,
    PolicyChange,
    Said,
)
from harness.matrix.text import packets
from harness.report.markdown import escaped, head, row

_WIDTH = 100
_MOST_NAMES = 8
_MOST_ROWS = 100
"""Of a table in Markdown: GitHub refuses a comment of more than 65,536 characters."""
_MOST_CHARACTERS = 60_000
_EXPOSED = "newly exposed to outside"
_TITLES = {
    Kind.OPENED: "opened",
    Kind.CLOSED: "closed",
    Kind.UNCERTAIN: "changed to or from undefined",
    Kind.OTHER: "changed, and closed before and after",
}
_OTHERS = (
    "other: all ports that no manifest declares; a port that policies name and that did not "
    "change in the same way is not among them"
)


def text(difference: Difference) -> str:
    """Return what differs, with the policies that decide before and after."""
    parts = [summary(difference)]
    for title, groups in _sections(difference):
        parts.append("\n".join([title, *(line for group in groups for line in _lines(group))]))
    parts += [_ends(difference.ends), _policies(difference.policies)]
    parts.append("\n".join(_packets(difference)))
    parts.append("\n".join(f"note: {note}" for note in _notes(difference)))
    return "\n\n".join(filter(None, parts)) + "\n"


def summary(difference: Difference) -> str:
    """Return the numbers of changes on one line."""
    changes = difference.changes
    counts = [
        (sum(change.is_exposure for change in changes), _EXPOSED),
        *(
            (sum(item.kind is kind and not item.is_exposure for item in changes), title)
            for kind, title in _TITLES.items()
        ),
    ]
    said = [f"{count} {title}" for count, title in counts if count]
    ends = Counter((end.what, end.how) for end in difference.ends)
    said += [f"{_counted(count, what)} {how}" for (what, how), count in ends.items()]
    same = difference.unchanged
    unchanged = f"{same.allowed + same.denied + same.other} unchanged"
    if not said and difference.same:
        return f"no connection changed; {unchanged} ({same.allowed} allowed)"
    return ", ".join([*said, f"{unchanged} ({same.allowed} allowed)"])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _sections(difference: Difference) -> Iterator[tuple[str, list[Group]]]:
    groups = grouped(difference.changes)
    exposed = [group for group in groups if group.is_exposure]
    if exposed:
        yield _EXPOSED, exposed
    for kind, title in _TITLES.items():
        found = [group for group in groups if group.kind is kind and not group.is_exposure]
        if found:
            yield title, found


def _lines(group: Group) -> Iterator[str]:
    pair = f"{', '.join(group.sources)} -> {', '.join(ports_together(group.destinations))}"
    yield _filled(pair, "  ", "      ")
    for when, said in (("before", group.before), ("after ", group.after)):
        places = _places(said)
        behind = f"  ({', '.join(places)})" if places else ""
        yield _filled(f"{when}  {said}{behind}", "    ", "            ")


def _places(said: Said) -> list[str]:
    found = (policy.location for by in said.by for policy in by.policies)
    return list(dict.fromkeys(str(place) for place in found if place))


def _filled(line: str, first: str, next_ones: str) -> str:
    return fill(
        line, _WIDTH, initial_indent=first, subsequent_indent=next_ones,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


# ------------------------------------------------------------------ ends and policies


def _ends(ends: Iterable[EndChange]) -> str:
    return "\n".join(line for end in ends for line in (_head(end), *_connections(end)))


def _head(end: EndChange) -> str:
    called = f"{end.how}: {end.what} {end.name}"
    if end.was:
        called = f"{end.how}: {end.what} {end.was} -> {end.name}"
    place = f"  ({end.location})" if end.location else ""
    return f"{called}{f', {end.why}' if end.why else ''}{place}"


def _connections(end: EndChange) -> Iterator[str]:
    was = "was " if end.how is How.REMOVED else ""
    for sources, destinations in _reached(end):
        names = f"{', '.join(destinations)} {was or 'is '}reached from {_short(sources)}"
        yield _filled(names, "    ", "      ")
    if end.reaches:
        verb = "reached" if end.how is How.REMOVED else "reaches"
        yield _filled(f"{verb} {_short(ports_together(end.reaches))}", "    ", "      ")


def _reached(end: EndChange) -> list[tuple[tuple[str, ...], list[str]]]:
    """Return the destinations of an end with their sources; those with the same ones together."""
    found: dict[tuple[str, ...], list[str]] = {}
    for item in end.reached:
        found.setdefault(item.sources, []).append(item.destination)
    return [(sources, ports_together(names)) for sources, names in found.items()]


def _short(names: Sequence[str]) -> str:
    """Return a list of names; of a long one, the hosts outside, the first ones and a number."""
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    hosts = [name for name in names if name.startswith("outside")]
    others = [name for name in names if name not in hosts]
    shown = [*hosts[:_MOST_NAMES], *others][:_MOST_NAMES]
    return f"{', '.join(shown)} and {len(names) - len(shown)} more"


def _policies(policies: Iterable[PolicyChange]) -> str:
    return "\n".join(map(_policy, policies))


def _policy(policy: PolicyChange) -> str:
    judged = "" if policy.is_judged else ", which is not judged: connections may have changed"
    place = f"  ({policy.location})" if policy.location else ""
    return f"{policy.how or 'changed'}: {policy.name}{judged}{place}"


def _packets(difference: Difference) -> Iterator[str]:
    """Yield what packets showed of the changes, in each version."""
    before = [change.before.cell for change in difference.changes if change.before.cell]
    after = [change.after.cell for change in difference.changes if change.after.cell]
    for name, cells in ((difference.old, before), (difference.new, after)):
        for number, line in enumerate(packets(cells)):
            yield f"{name}: {line}" if number == 0 else line


def _notes(difference: Difference) -> Iterator[str]:
    names = [change.destination for change in difference.changes]
    if any(name.rpartition(":")[2].partition("/")[0] == "other" for name in names):
        yield _OTHERS
    yield from difference.notes


# ------------------------------------------------------------------ Markdown


def markdown(difference: Difference) -> str:
    """Return what differs as Markdown that a comment on a pull request can hold."""
    names = f"{escaped(difference.old)} → {escaped(difference.new)}"
    parts = [f"### Connections: {names}", f"**{escaped(summary(difference))}**"]
    for title, groups in _sections(difference):
        parts.append(f"#### {title[0].upper()}{title[1:]}")
        lines = head(["from", "to", "before", "after"])
        for group in groups[:_MOST_ROWS]:
            destinations = ports_together(group.destinations)
            ends = (_listed(group.sources), _listed(destinations))
            lines.append(row([*ends, _said(group.before), _said(group.after)]))
        if len(groups) > _MOST_ROWS:
            lines += ["", f"and {len(groups) - _MOST_ROWS} rows more"]
        parts.append("\n".join(lines))
    policies = [escaped(_policy(policy)) for policy in difference.policies]
    parts += _details("Workloads, Services and ports", _in_full(difference))
    parts += _details("Policies", policies)
    parts += _details("Packets", [escaped(line.strip()) for line in _packets(difference)])
    parts += _details("Notes", [escaped(note) for note in _notes(difference)])
    return _cut("\n\n".join(parts)) + "\n"


def _details(title: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield a list that is folded; nothing if it is empty."""
    if lines:
        shown = [f"- {line}" for line in lines[:_MOST_ROWS]]
        if len(lines) > _MOST_ROWS:
            shown.append(f"- and {len(lines) - _MOST_ROWS} more")
        listed = "\n".join(shown)
        yield f"<details><summary>{title}</summary>\n\n{listed}\n\n</details>"


def _in_full(difference: Difference) -> list[str]:
    """Return each end with its connections on one line."""
    return [
        "; ".join(escaped(line) for line in (_head(end), *_connections(end)))
        for end in difference.ends
    ]


def _listed(names: Sequence[str]) -> str:
    return escaped(_short(names))


def _said(said: Said) -> str:
    places = _places(said)
    return escaped(str(said)) + (f" ({escaped(', '.join(places))})" if places else "")


def _cut(made: str) -> str:
    """Return the text, or its first lines if a comment cannot hold it."""
    if len(made) <= _MOST_CHARACTERS:
        return made
    kept = made[:_MOST_CHARACTERS].rpartition("\n")[0]
    return f"{kept}\n\nThis is not all: the text is too long for a comment."


# ------------------------------------------------------------------ JSON


def json_text(difference: Difference) -> str:
    """Return what differs as JSON; ``docs/difference.md`` describes its shape."""
    made = {
        "old": difference.old,
        "new": difference.new,
        "same": difference.same,
        "changes": [_change(change) for change in difference.changes],
        "ends": [_end(end) for end in difference.ends],
        "policies": [
            {
                "name": policy.name,
                "change": policy.how or "changed",
                "location": _place(policy.location),
                "judged": policy.is_judged,
            }
            for policy in difference.policies
        ],
        "unchanged": {
            "allowed": difference.unchanged.allowed,
            "denied": difference.unchanged.denied,
            "other": difference.unchanged.other,
        },
        "notes": difference.notes,
    }
    return json.dumps(made, indent=2) + "\n"


def _change(change: Change) -> dict[str, object]:
    return {
        "kind": change.kind,
        "exposure": change.is_exposure,
        "from": change.source,
        "to": change.destination,
        "before": _version(change.before),
        "after": _version(change.after),
    }


def _version(said: Said) -> dict[str, object]:
    shown = said.cell.packets if said.cell else None
    return {
        "word": said.word,
        "by": [_by(by) for by in said.by],
        "why": said.why,
        "packets": {"seen": shown.seen, "why": shown.why} if shown else None,
    }


def _by(by: By) -> dict[str, object]:
    return {
        "direction": by.direction.lower(),
        "ruling": by.ruling.value,
        "policies": [
            {"name": policy.name, "location": _place(policy.location)} for policy in by.policies
        ],
        "rule": by.rule,
    }


def _end(end: EndChange) -> dict[str, object]:
    return {
        "what": end.what,
        "change": end.how,
        "name": end.name,
        "was": end.was,
        "location": _place(end.location),
        "why": end.why,
        "reached": [{"to": item.destination, "from": item.sources} for item in end.reached],
        "reaches": end.reaches,
    }


def _place(location: object) -> str | None:
    return str(location) if location else None


FORMATS: Mapping[str, Callable[[Difference], str]] = MappingProxyType(
    {"text": text, "markdown": markdown, "json": json_text}
)
