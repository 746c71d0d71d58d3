"""Replacing an nft table of a node while packets pass. Pure text.

A transaction of nft is atomic for the rules, but not for the sets and maps that they look up: when
a table is replaced, a packet of that moment can miss an element of a new interval set, or of an
old verdict map. It would be denied or allowed although both tables agree on it. A table has
therefore two slots, that is two names in the kernel. The new table is built in the free slot,
without base chains. A second transaction adds its base chains and deletes those of the old one;
what they used stays until the slot is needed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Slot = Literal[0, 1]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of family inet: ``base_chains`` by name, and the text of what they use."""

    name: str
    base_chains: Mapping[str, str]
    used: str = ""


def name_in(table: Table, slot: Slot) -> str:
    """Return the name that the kernel knows."""
    return f"{table.name}_{slot + 1}" if slot else table.name


def first(table: Table) -> str:
    """Return the script that makes the table in slot 0 whatever is there, in one transaction."""
    both = "".join(_removed(name_in(table, slot)) for slot in (0, 1))
    return both + _block(name_in(table, 0), (table.used, *table.base_chains.values()))


def built(table: Table, slot: Slot) -> str:
    """Return the script that builds the table in a free slot, where no packet enters it."""
    name = name_in(table, slot)
    return _removed(name) + _block(name, (table.used,))


def switched(old: Table, new: Table, slot: Slot) -> str:
    """Return the script by which packets enter the new table, in ``slot``, instead of the old."""
    before = name_in(old, 0 if slot else 1)
    return _block(name_in(new, slot), new.base_chains.values()) + "".join(
        f"flush chain inet {before} {chain}\ndelete chain inet {before} {chain}\n"
        for chain in old.base_chains
    )


def _removed(name: str) -> str:
    return f"table inet {name}\ndelete table inet {name}\n"


def _block(name: str, texts: Iterable[str]) -> str:
    lines = "\n".join(text for text in texts if text).splitlines()
    body = "".join(f"  {line}\n" for line in lines)
    return f"table inet {name} {{\n{body}}}\n"
