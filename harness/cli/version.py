"""The verb version."""

from __future__ import annotations

import argparse

import harness
from harness.cli.exits import Exit


def version(_parsed: argparse.Namespace) -> int:
    """Print the version."""
    print(f"netpol {harness.VERSION}")
    return Exit.OK
