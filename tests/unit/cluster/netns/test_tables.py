"""Replacing a table while packets pass: the texts of the transactions."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.cluster.netns import tables
from harness.cluster.netns.defects.load import FlushThenLoad
from harness.cluster.netns.tables import Block, Table

FORWARD = "chain forward {\n  type filter hook forward priority 0;\n  counter\n}"
INPUT = "chain input {\n  type filter hook input priority 0;\n}"
OLD = Table(
    "t", {"forward": FORWARD, "input": INPUT}, (Block("set", "old", (), "type ipv4_addr"),)
)
NEW = Table("t", {"forward": FORWARD}, (Block("set", "new", ("1.1.1.1",), "type ipv4_addr"),))

BUILT = """\
table inet t_2
delete table inet t_2
table inet t_2 {
  set new {
    type ipv4_addr
    elements = { 1.1.1.1 }
  }
}
"""
ENTERED = """\
table inet t_2 {
  chain forward {
    type filter hook forward priority 0;
    counter
  }
}
"""
LEFT = """\
flush chain inet t forward
delete chain inet t forward
flush chain inet t input
delete chain inet t input
"""


def test_a_new_table_is_built_where_no_packet_enters_it() -> None:
    assert tables.built(NEW, 1) == (BUILT,)


def test_packets_enter_the_new_table_and_leave_the_old_in_one_transaction() -> None:
    assert tables.switched(OLD, NEW, 1) == ENTERED + LEFT


def test_packets_enter_the_first_table() -> None:
    assert tables.switched(None, NEW, 1) == ENTERED


def test_the_slots_take_turns() -> None:
    assert [tables.name_in(NEW, slot) for slot in (0, 1)] == ["t", "t_2"]
    assert tables.switched(NEW, OLD, 0).endswith(
        "}\nflush chain inet t_2 forward\ndelete chain inet t_2 forward\n"
    )


def test_a_long_table_is_built_in_scripts_that_the_kernel_takes() -> None:
    """A long set too: nft adds to it what later scripts have of it."""
    elements = tuple(f"10.0.{number // 250}.{number % 250}" for number in range(3000))
    chains = tuple(Block("chain", f"c{number}", ("drop",)) for number in range(1000))
    long = Table("t", {}, (Block("set", "all", elements, "type ipv4_addr"), *chains))
    scripts = tables.built(long, 0)
    assert len(scripts) == 5
    assert [script.count("delete table") for script in scripts] == [1, 0, 0, 0, 0]
    text = "".join(scripts)
    listed = re.findall(r"set all {\n    type ipv4_addr\n    elements = { (.*) }", text)
    assert ", ".join(listed).split(", ") == list(elements)
    assert re.findall(r"chain (\S+) {\n    drop\n  }", text) == [chain.name for chain in chains]


def test_what_one_script_holds_is_loaded_in_one() -> None:
    assert tables.joined(["a" * 5000, "b" * 5000, "c" * 5000]) == (
        "a" * 5000 + "b" * 5000,
        "c" * 5000,
    )
    assert tables.joined(["a" * 50_000, "b"]) == ("a" * 50_000, "b")


def test_the_defect_update_gap_removes_the_rules_before_it_loads_the_new_ones() -> None:
    loaded: list[Mapping[int, str]] = []
    slept: list[float] = []
    load = FlushThenLoad(0.2, loaded.append, slept.append)
    old = Table("netpol", {"forward": "chain forward {\n}"})
    first_scripts = {1: tables.switched(None, old, 0)}
    load(first_scripts)
    assert slept == []
    scripts = {1: tables.switched(old, old, 1), 2: tables.built(old, 1)[0]}
    load(scripts)
    assert loaded == [first_scripts, {1: "flush chain inet netpol forward\n"}, scripts]
    assert slept == [0.2]
