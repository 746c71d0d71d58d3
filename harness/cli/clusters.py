"""Verbs on clusters: up, down, status, logs, choose, clean."""

from __future__ import annotations

import argparse
import sys
from importlib import resources

from harness.choice import offline_folder
from harness.cli.exits import Exit
from harness.cli.parser import choice_of
from harness.cli.scenarios import count
from harness.cluster import kind
from harness.cluster.profiles import profile


def up(parsed: argparse.Namespace) -> int:
    """Create the kind cluster, or use the existing one."""
    own = resources.files("harness") / "data" / "kind-config.yaml"
    with resources.as_file(own) as config:
        kind.up(parsed.name, profile(parsed.cni), parsed.offline, parsed.config or config)
    return Exit.OK


def down(parsed: argparse.Namespace) -> int:
    """Delete the kind cluster."""
    kind.down(parsed.name)
    return Exit.OK


def status(parsed: argparse.Namespace) -> int:
    """Print the state of the kind cluster."""
    print(kind.status(parsed.name))
    return Exit.OK


def logs(parsed: argparse.Namespace) -> int:
    """Write the logs of the kind cluster."""
    kind.export_logs(parsed.name, parsed.folder)
    print(f"the logs of {parsed.name} are under {parsed.folder}", file=sys.stderr)
    return Exit.OK


def choose(parsed: argparse.Namespace) -> int:
    """Print the chosen cluster for scripts, and the reason to stderr."""
    word, reason = parsed.cluster, f"{parsed.cluster}, as asked for"
    if parsed.cluster == "auto":
        word, reason = kind.choose(offline_folder(), parsed.cni)
    print(f"cluster: {reason}", file=sys.stderr)
    print(word)
    return Exit.OK


def clean(parsed: argparse.Namespace) -> int:
    """Remove what dead runs left; print what was removed and what was kept."""
    choice = choice_of(parsed)
    if choice.cluster == "netns":
        print("nothing to clean: what the embedded cluster makes ends with its process")
        return Exit.OK
    found = choice.sweep(parsed.run)
    for item in found.removed:
        print(f"removed: {item}")
    for item in found.kept:
        print(f"kept: {item}")
    for item in found.unseen:
        print(f"not looked at: {item}")
    for item in found.failed:
        print(f"not removed: {item}", file=sys.stderr)
    print(f"{count(len(found.removed), 'leftover')} removed, {len(found.kept)} kept")
    return Exit.NO_VERDICT if found.failed else Exit.OK
