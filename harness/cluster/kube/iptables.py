"""Which rules of iptables met the packets of a probe: from two listings with counters. Pure.

A listing is the output of ``iptables-save -c`` and of ``ip route`` on a node.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from harness.cluster.kube.listing import Met

_RULE = re.compile(r"\[(\d+):\d+\] -A (\S+) (.*)")
_ROUTE = re.compile(r"(\S+) dev (\S+) ")
_TARGET = re.compile(r"-[jg] (\S+)")
_HASH = re.compile(r"cali:\S+")
_DENIALS = ("DROP", "REJECT")
_LINES = 10
"""The maximum number of rules that are named for a node."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with the number of packets that it has met; ``number`` tells equal rules apart."""

    chain: str
    text: str
    number: int
    packets: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What names the rule."""
        return self.chain, self.text, self.number

    @property
    def target(self) -> str:
        """The chain or the action to which it leads, or an empty string."""
        found = _TARGET.search(self.text)
        return found[1] if found else ""

    @property
    def comment(self) -> str:
        """Its comments, without the hashes by which Calico recognizes its rules."""
        words = shlex.split(self.text)
        pairs = itertools.pairwise(words)
        texts = [text.strip('"') for word, text in pairs if word == "--comment"]
        return "; ".join(text for text in texts if not _HASH.fullmatch(text))


def rules(listing: str) -> Iterator[Rule]:
    """Yield the rules of a listing."""
    seen: Counter[tuple[str, str]] = Counter()
    for line in listing.splitlines():
        if found := _RULE.match(line):
            packets, chain, text = found.groups()
            seen[chain, text] += 1
            yield Rule(chain, text, seen[chain, text], int(packets))


def is_listing(listing: str) -> bool:
    """Return whether a listing has rules."""
    return any(rules(listing))


def is_about(listing: str, addresses: Collection[str]) -> bool:
    """Return whether a rule leads packets of the pods with these addresses to a chain."""
    return bool(_chains(list(rules(listing)), _names(listing, addresses)))


def met(before: str, after: str, addresses: Collection[str]) -> list[Met]:
    """Return the rules of the pods with these addresses that met packets.

    Those that deny come first. Rules for packets of established connections are left out.
    """
    old = {rule.key: rule.packets for rule in rules(before)}
    now = list(rules(after))
    own, titles = _chains(now, _names(after, addresses)), _titles(now)
    found: list[Met] = []
    for rule in now:
        packets = rule.packets - old.get(rule.key, 0)
        about = rule.comment or titles.get(rule.target, "")
        if rule.chain in own and packets > 0 and about and "ESTABLISHED" not in rule.text:
            action = f"{rule.target} of " if rule.target else ""
            count = f"{packets} {'packet' if packets == 1 else 'packets'}"
            text = f"chain {rule.chain}: {action}{count}: {about}"
            found.append(Met(text, rule.target in _DENIALS))
    found.sort(key=lambda item: not item.denies)
    rest = len(found) - _LINES
    return [*found[:_LINES], Met(f"and {rest} more rules")] if rest > 0 else found


def _titles(found: Sequence[Rule]) -> dict[str, str]:
    """Return the first comment in each chain, which names the policy that the chain is made of."""
    titles: dict[str, str] = {}
    for rule in found:
        if rule.comment:
            titles.setdefault(rule.chain, rule.comment)
    return titles


def _names(listing: str, addresses: Collection[str]) -> set[str]:
    """Return the words by which rules name the pods: their addresses and interfaces."""
    routes = filter(None, map(_ROUTE.match, listing.splitlines()))
    found = {f"{address}/32" for address in addresses}
    return found | {route[2] for route in routes if route[1] in addresses}


def _chains(found: Sequence[Rule], names: Set[str]) -> set[str]:
    """Return the chains to which rules that name a pod lead, and those to which these lead."""
    by_chain: dict[str, list[Rule]] = {}
    for rule in found:
        by_chain.setdefault(rule.chain, []).append(rule)
    left = [rule.target for rule in found if not names.isdisjoint(rule.text.split())]
    return _reachable(by_chain, left)


def _reachable(by_chain: Mapping[str, Sequence[Rule]], left: list[str]) -> set[str]:
    reached: set[str] = set()
    while left:
        chain = left.pop()
        if chain in by_chain and chain not in reached:
            reached.add(chain)
            left += [rule.target for rule in by_chain[chain]]
    return reached
