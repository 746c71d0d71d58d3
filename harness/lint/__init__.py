"""What is probably wrong with the policies of an application.

``linted`` gives a Result: findings with their places. ``kinds`` has the kinds of findings,
``knowledge`` what the manifests show. ``selectors``, ``ports``, ``isolation``, ``dns``,
``blocks``, ``redundancy`` and ``tiers`` find what their names say; ``inclusion`` tells whether
one selector, peer or rule admits all of another, and ``tier_rules`` does so for tiers.
``silences`` are comments in the files. ``text``, ``sarif`` and ``formats`` print a Result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.application import Application, Note
from harness.lint.blocks import blocks
from harness.lint.dns import dns
from harness.lint.isolation import host_network, namespaces, policy_types, workloads
from harness.lint.kinds import Kind, kinds
from harness.lint.knowledge import Knowledge
from harness.lint.ports import ports
from harness.lint.redundancy import redundancy
from harness.lint.selectors import peers, policies
from harness.lint.silences import silenced
from harness.lint.tiers import are_compared, tiers
from harness.lint.values import Choice, Finding, Level, Place, Ranges, Related, Result, Said

__all__ = [
    "Choice",
    "Finding",
    "Kind",
    "Level",
    "Place",
    "Ranges",
    "Related",
    "Result",
    "Said",
    "kinds",
    "linted",
]

_TOPICS: tuple[Callable[[Knowledge], Iterator[Finding]], ...] = (
    policies,
    peers,
    ports,
    policy_types,
    host_network,
    namespaces,
    workloads,
    dns,
    redundancy,
    tiers,
)

_MOST_NAMED = 5


def linted(application: Application, choice: Choice) -> Result:
    """Return what is found in an application. Raises UsageError if it is too large."""
    known = Knowledge(application)
    found = [item for topic in _TOPICS for item in topic(known)]
    found += blocks(known, choice.ranges)
    wanted = [item for item in found if choice.has(item.id)]
    left = silenced(wanted, application.remarks, choice)
    return Result(
        tuple(sorted(left.findings, key=lambda item: (item.place.location, item.id))),
        left.count,
        (*application.notes, *_notes(known)),
        len(application.policies),
        len(application.workloads),
    )


def _notes(known: Knowledge) -> Iterator[Note]:
    unknown = sorted({
        item.policy.namespace for item in known.items if not known.knows(item.policy.namespace)
    })  # fmt: skip
    if unknown:
        names = ", ".join(unknown)
        text = f"the manifests have no workload of namespaces {names}"
        yield Note(f"{text}: what their policies select is not known")
    for custom in known.presumed:
        text = f"an operator may make pods for {custom}: selectors of such pods are not judged"
        yield Note(text, custom.location)
    if not are_compared(known):
        yield Note("the policies in tiers are too large for their rules to be compared")
    if known.not_judged:
        first = "; ".join(map(str, list(known.not_judged)[:_MOST_NAMED]))
        more = len(known.not_judged) - _MOST_NAMED
        rest = f" and {more} more" if more > 0 else ""
        yield Note(f"an operator may make pods, so these selectors are not judged: {first}{rest}")
