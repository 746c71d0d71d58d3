"""Addresses in manifests that only the cluster knows.

They are written ``$(ip:y/a)``, ``$(ip:node/2)`` and ``$(cidr:pods)``, for IPv6 with ``ip6`` and
``cidr6``. A cluster fills in the addresses when it makes a State true; the oracle judges a
placeholder as what it stands for.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from harness.model import Family, Manifest, NodeRef, PodRef
from harness.policy.selectors import (
    DNS_LABEL,
    DNS_SUBDOMAIN,
    BadWord,
    dns_label,
    dns_subdomain,
)
from harness.suggest import nearest


class Everybody(enum.Enum):
    """Whom the block of a ``$(cidr:...)`` holds."""

    PODS = "pods"


@dataclass(frozen=True, slots=True)
class Placeholder:
    """The address of a pod or a node, or the block that holds the addresses of all pods."""

    of: PodRef | NodeRef | Everybody
    family: Family

    @property
    def as_block(self) -> str:
        """The placeholder as a block: with the prefix length of a single address, if it is one."""
        if isinstance(self.of, Everybody):
            return str(self)
        return f"{self}/{32 if self.family is Family.V4 else 128}"

    def __str__(self) -> str:
        number = "" if self.family is Family.V4 else "6"
        if isinstance(self.of, Everybody):
            return f"$(cidr{number}:{self.of.value})"
        return f"$(ip{number}:{self.of})"


_MEANT = re.compile(r"\$\((?P<key>(?:ip|cidr)\w*):(?P<whose>[^()\s\"]*)\)")
_KEYS = ("ip", "ip6", "cidr", "cidr6")
_NODE = re.compile(r"node/([1-9][0-9]{0,3})")
_OWNER = rf"({_NODE.pattern}|(?!node/){DNS_LABEL.pattern}/{DNS_SUBDOMAIN.pattern})"
PATTERN = rf"\$\(ip:{_OWNER}\)/32|\$\(ip6:{_OWNER}\)/128|\$\(cidr6?:{Everybody.PODS.value}\)"
"""What a block matches that consists of a placeholder, as a regular expression."""
FORMS = "write $(ip:NAMESPACE/POD), $(ip:node/NUMBER) or $(cidr:pods)"


def words(text: str) -> Iterator[str]:
    """Yield each part of a text that is meant as a placeholder."""
    if "$(" in text:
        yield from (found[0] for found in _MEANT.finditer(text))


@functools.lru_cache(maxsize=4_096)
def read(word: str) -> Placeholder | BadWord:
    """Return the placeholder that a word of ``words`` is, or why it is none."""
    found = _MEANT.fullmatch(word)
    key, whose = (found["key"], found["whose"]) if found else ("", "")
    if key not in _KEYS:
        return BadWord(f"{word!r} is not known", nearest(key, _KEYS) or FORMS)
    family = Family.V6 if key.endswith("6") else Family.V4
    if key.startswith("cidr"):
        if whose == Everybody.PODS.value:
            return Placeholder(Everybody.PODS, family)
        return BadWord(f"{word!r} is not known", f"the only block is $({key}:pods)")
    if node := _NODE.fullmatch(whose):
        return Placeholder(NodeRef(int(node[1])), family)
    namespace, _, name = whose.partition("/")
    if namespace == "node" or dns_label(namespace) or dns_subdomain(name):
        return BadWord(f"{word!r} names no pod and no node", FORMS)
    return Placeholder(PodRef(namespace, name), family)


def placeholder(block: str) -> Placeholder | None:
    """Return the placeholder that a block consists of; None for one that is written out."""
    found = next(words(block), None)
    meant = None if found is None else read(found)
    return meant if isinstance(meant, Placeholder) and meant.as_block == block else None


def placeholders(manifest: Manifest) -> Iterator[Placeholder]:
    """Yield the placeholders of an object in which nothing is wrong."""
    meant = map(read, words(manifest.json))
    yield from (found for found in meant if isinstance(found, Placeholder))


def filled(manifest: Manifest, address: Callable[[Placeholder], str]) -> Manifest:
    """Return the object with an address, or the block of all pods, for each placeholder."""
    if "$(" not in manifest.json:
        return manifest

    def value(found: re.Match[str]) -> str:
        meant = read(found[0])
        return address(meant) if isinstance(meant, Placeholder) else found[0]

    return replace(manifest, json=_MEANT.sub(value, manifest.json))
