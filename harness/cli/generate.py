"""The verb generate: write random scenarios."""

from __future__ import annotations

import argparse

from harness.cli.exits import Exit
from harness.cli.scenarios import count
from harness.generate import Generator, fixture_file, write_cases


def generate(parsed: argparse.Namespace) -> int:
    """Write the first cases of a seed to a folder."""
    file = fixture_file(parsed.fixture)
    generator = Generator(file.fixture, parsed.seed, tiers=1 if parsed.tiers else 0)
    cases = (generator.case(number) for number in range(1, parsed.count + 1))
    written = sum(1 for _ in write_cases(parsed.out, file, cases))
    print(f"written: {count(written, 'scenario')} in {parsed.out}")
    print(f"next: netpol run {parsed.out}")
    return Exit.OK
