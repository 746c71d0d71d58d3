"""The verb lint: what is probably wrong with the policies of an application."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Sequence

from harness.cidr import Network
from harness.cli.applications import application_of
from harness.cli.exits import Exit
from harness.errors import UsageError
from harness.lint import Choice, Level, Ranges, kinds, linted
from harness.lint.formats import FORMATS, Shown
from harness.suggest import nearest_or_all


def lint(parsed: argparse.Namespace) -> int:
    """Print the findings; the status says whether there is one of the level or above."""
    if parsed.context and parsed.format in {"sarif", "github"}:
        fact = f"--format={parsed.format} names lines of files, and a cluster has none"
        raise UsageError(fact, "--format=json, or lint the manifests")
    usual = Ranges()
    ranges = Ranges(
        _networks("--pod-range", parsed.pod_ranges) or usual.pods,
        _networks("--service-range", parsed.service_ranges) or usual.services,
    )
    choice = Choice(_ids("--select", parsed.select), _ids("--ignore", parsed.ignore), ranges)
    found = application_of(parsed)
    result = linted(found, choice)
    shown = Shown(result, Level(parsed.level), found.written)
    print(FORMATS[parsed.format](shown), end="")
    return Exit.WRONG if shown.findings else Exit.OK


def _ids(option: str, given: Sequence[str]) -> frozenset[str]:
    """Return the ids in some options, each a list with commas. Raises UsageError."""
    names = [name.strip() for text in given for name in text.split(",")]
    for name in names:
        if name not in kinds():
            fact = f"{option}: there is no finding {name!r}"
            raise UsageError(fact, nearest_or_all(name, kinds(), "ids"))
    return frozenset(names)


def _networks(option: str, given: Sequence[str]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in given)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", "write it like 10.244.0.0/16") from None
