"""Replacing an nft table of a node while packets pass. Pure text.

A transaction of nft is atomic for the rules, but not for the sets and maps that they look up: when
a table is replaced, a packet of that moment can miss an element of a new interval set, or of an
old verdict map. It would be denied or allowed although both tables agree on it. A table has
therefore two slots, that is two names in the kernel. The new table is built in the free slot,
without base chains. A last transaction adds its base chains and deletes those of the old one;
what they used stays until the slot is needed again.

The kernel takes a transaction as one message, and refuses a long one. No packet enters a table
that is being built, so it may be built in several transactions. Base chains must stay short.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

Slot = Literal[0, 1]

MOST_CHARACTERS = 12_000
"""Of a script: the message has at most 10 bytes for each, and the kernel takes 208 KiB at once.

That is ``net.core.wmem_default``, which nft may exceed only outside of user namespaces.
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A set, a map or a chain without hook: ``word`` says which.

    ``items`` are elements, or rules; ``kind`` is the type of the elements. The items use only what
    comes before the block.
    """

    word: Literal["set", "map", "chain"]
    name: str
    items: tuple[str, ...] = ()
    kind: str = ""

    @property
    def text(self) -> str:
        """The block as nft reads it; again with other items, it adds those."""
        lines = self.items
        if self.word != "chain":
            listed = (f"elements = {{ {', '.join(self.items)} }}",) if self.items else ()
            lines = (self.kind, *listed)  # nft takes no empty list
        return "\n".join((f"{self.word} {self.name} {{", *(f"  {line}" for line in lines), "}"))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of family inet: ``base_chains`` by name, and what they use, in order."""

    name: str
    base_chains: Mapping[str, str]
    used: tuple[Block, ...] = ()


def named_after(prefix: str, content: str) -> str:
    """Return a name that depends on the content alone, whatever objects are called: 48 bits."""
    return f"{prefix}_{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def name_in(table: Table, slot: Slot) -> str:
    """Return the name that the kernel knows."""
    return f"{table.name}_{slot + 1}" if slot else table.name


def removed(table: Table, slot: Slot) -> str:
    """Return the script that removes what is in a slot, if anything is."""
    name = name_in(table, slot)
    return f"table inet {name}\ndelete table inet {name}\n"


def built(table: Table, slot: Slot) -> tuple[str, ...]:
    """Return the scripts that build the table in a free slot, where no packet enters it."""
    pieces = (piece for block in table.used for piece in _pieces(block))
    parts = _grouped(piece.text for piece in pieces)
    first, *others = (_block(name_in(table, slot), texts) for texts in parts)
    return (removed(table, slot) + first, *others)


def switched(old: Table | None, new: Table, slot: Slot) -> str:
    """Return the script by which packets enter the new table, in ``slot``, instead of the old."""
    left = ""
    if old:
        before = name_in(old, 0 if slot else 1)
        left = "".join(
            f"flush chain inet {before} {chain}\ndelete chain inet {before} {chain}\n"
            for chain in old.base_chains
        )
    return _block(name_in(new, slot), new.base_chains.values()) + left


def joined(scripts: Iterable[str]) -> tuple[str, ...]:
    """Return the same commands in as few scripts as the kernel takes."""
    return tuple("".join(group) for group in _grouped(scripts))


def _pieces(block: Block) -> Iterator[Block]:
    """Yield the block in parts; the first declares it, also if it is empty."""
    for items in _grouped(block.items):
        yield replace(block, items=items)


def _grouped(texts: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield groups of at most ``MOST_CHARACTERS``, at least one; a longer text is alone."""
    group: list[str] = []
    size = 0
    for text in texts:
        if group and size + len(text) > MOST_CHARACTERS:
            yield tuple(group)
            group, size = [], 0
        group.append(text)
        size += len(text)
    yield tuple(group)


def _block(name: str, texts: Iterable[str]) -> str:
    lines = "\n".join(text for text in texts if text).splitlines()
    body = "".join(f"  {line}\n" for line in lines)
    return f"table inet {name} {{\n{body}}}\n"
