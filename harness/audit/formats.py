"""What an audit will do, as text; and what it found, as text and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from harness.audit.values import Audit, Cell, End, Plan, Word

_FACTS = {
    Word.WRONGLY_OPEN: "the policies deny it",
    Word.WRONGLY_CLOSED: "the policies allow it",
    Word.NO_VERDICT: "",
}


def plan_text(plan: Plan, image: str, rate: int) -> str:
    """Return what the audit will do, before it does it."""
    seconds = len(plan.pairs) / rate
    lines = [
        f"in context {plan.context}, an ephemeral container of {image} is added to "
        f"{_count(len(plan.sources), 'pod')}:",
        *(f"  {item.ref}  ({item.workload}, on {item.live.node})" for item in plan.sources),
        "It stays in the spec of its pod until the pod is deleted. It runs as user 1000 without "
        "privileges, and ends after the audit.",
        f"From there, {_count(len(plan.pairs), 'TCP connection')} to pods and Services "
        f"{'is' if len(plan.pairs) == 1 else 'are'} opened and closed, at most {rate} in a "
        f"second (about {max(1, round(seconds))} s); one that is not as the policies say is tried "
        "three times.",
        "Nothing else is changed: no label, no policy, no Service.",
    ]
    return "\n".join(lines) + "\n"


def text(audit: Audit) -> str:
    """Return what is wrong, the worst first, what was not tried, and how many pairs are right."""
    blocks = ["\n".join(_block(word, audit)) for word in _FACTS if audit.having(word)]
    behind = [f"not tried: {gap}" for gap in audit.plan.gaps]
    behind += [f"note: {note}" for note in audit.plan.notes]
    behind += [f"not ended, it ends by itself: {name}" for name in audit.left]
    blocks += ["\n".join(behind)] if behind else []
    return "\n\n".join([*blocks, summary(audit)]) + "\n"


def summary(audit: Audit) -> str:
    """Return the counts of all words in one line."""
    counts = {word: len(audit.having(word)) for word in Word}
    return (
        f"{counts[Word.WRONGLY_OPEN]} wrongly open, {counts[Word.WRONGLY_CLOSED]} wrongly closed, "
        f"{counts[Word.NO_VERDICT]} without a verdict; "
        f"{counts[Word.ALLOWED]} allowed and {counts[Word.DENIED]} denied, as the policies say"
    )


def _block(word: Word, audit: Audit) -> Iterator[str]:
    fact = _FACTS[word]
    yield f"{word}: {fact}" if fact else word.value
    if word is Word.WRONGLY_OPEN:
        yield from (f"  {line}" for line in _by_node(audit))
    for cell in audit.having(word):
        pair = cell.pair
        yield f"  {pair}  {cell.seen}"
        yield f"      from {_end(pair.source)} to {_end(pair.destination)}"
        if fact:
            # Those that are indented say it in detail; the JSON has them.
            yield from (f"      {reason}" for reason in cell.reasons if reason[:1] != " ")


def _end(end: End) -> str:
    return f"{end.detail} on {end.node}" if end.node else end.detail


def _by_node(audit: Audit) -> Iterator[str]:
    """Yield how many of the pairs that the policies deny connect, by the node of each end."""
    denied = (*audit.having(Word.WRONGLY_OPEN), *audit.having(Word.DENIED))
    for end, node_of in (
        ("destination", lambda cell: cell.pair.destination.node),
        ("source", lambda cell: cell.pair.source.node),
    ):
        total = Counter(filter(None, map(node_of, denied)))
        wrong = Counter(map(node_of, audit.having(Word.WRONGLY_OPEN)))
        if len(total) > 1:
            listed = ", ".join(
                f"{wrong[node]} of {total[node]} on {node}" for node in sorted(total)
            )
            yield f"by the node of the {end}, so many of the denied connect: {listed}"


def json_text(audit: Audit) -> str:
    """Return all pairs with what was seen and why the policies decide so, as JSON."""
    made = {
        "context": audit.plan.context,
        "counts": {word.value: len(audit.having(word)) for word in Word},
        "pairs": [_json(cell) for cell in audit.cells],
        "not_tried": audit.plan.gaps,
        "notes": audit.plan.notes,
        "not_ended": audit.left,
    }
    return json.dumps(made, indent=2) + "\n"


def _json(cell: Cell) -> dict[str, object]:
    pair = cell.pair
    source, destination = pair.source, pair.destination
    return {
        "from": source.title,
        "to": destination.title,
        "word": cell.word,
        "seen": cell.seen,
        "source": {"pod": source.detail, "node": source.node},
        "destination": {"address": pair.address, "node": destination.node,
                        "pods": [ref.name for ref in destination.backends]},
        "reasons": cell.reasons,
    }  # fmt: skip


def _count(number: int, thing: str) -> str:
    return f"1 {thing}" if number == 1 else f"{number} {thing}s"
