"""Which rules dropped the packets of a probe: by their counters before and after it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_CHAIN = re.compile(r"\s*chain (\S+) \{")
_COUNTER = re.compile(r'counter packets (\d+) bytes \d+ (\w+)(?: comment "(.*)")?')


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many packets a rule with a counter has met; ``action`` is what it does with them."""

    node: int
    chain: str
    action: str
    comment: str
    packets: int

    @property
    def rule(self) -> tuple[int, str, str, str]:
        """What names the rule."""
        return self.node, self.chain, self.action, self.comment


def counts(node: int, table: str) -> Iterator[RuleCount]:
    """Yield the rules with counters in the text of a table, as nft lists it."""
    chain = ""
    for line in table.splitlines():
        if found := _CHAIN.match(line):
            chain = found[1]
        if found := _COUNTER.search(line):
            yield RuleCount(node, chain, found[2], found[3] or "", int(found[1]))


def says(before: Sequence[RuleCount], after: Sequence[RuleCount]) -> str:
    """Return which rules the packets met between two readings, a line for each."""
    old = {count.rule: count.packets for count in before}
    met = [(count, count.packets - old.get(count.rule, 0)) for count in after]
    lines = [
        f"node/{count.node}: chain {count.chain}: {count.action} of "
        f"{packets} {'packet' if packets == 1 else 'packets'}: {count.comment}"
        for count, packets in met
        if packets > 0
    ]
    return "\n".join(lines) or "no rule of a policy dropped a packet"
