"""Replacing a table while packets pass: the texts of the two transactions."""

from __future__ import annotations

from collections.abc import Mapping

from harness.cluster.netns import tables
from harness.cluster.netns.defects.load import FlushThenLoad
from harness.cluster.netns.tables import Table

FORWARD = "chain forward {\n  type filter hook forward priority 0;\n  counter\n}"
INPUT = "chain input {\n  type filter hook input priority 0;\n}"
OLD = Table("t", {"forward": FORWARD, "input": INPUT}, "set old {\n  type ipv4_addr\n}")
NEW = Table("t", {"forward": FORWARD}, "set new {\n  type ipv4_addr\n}")

FIRST = """\
table inet t
delete table inet t
table inet t_2
delete table inet t_2
table inet t {
  set new {
    type ipv4_addr
  }
  chain forward {
    type filter hook forward priority 0;
    counter
  }
}
"""
BUILT = """\
table inet t_2
delete table inet t_2
table inet t_2 {
  set new {
    type ipv4_addr
  }
}
"""
SWITCHED = """\
table inet t_2 {
  chain forward {
    type filter hook forward priority 0;
    counter
  }
}
flush chain inet t forward
delete chain inet t forward
flush chain inet t input
delete chain inet t input
"""


def test_the_first_table_is_made_in_one_transaction() -> None:
    assert tables.first(NEW) == FIRST


def test_a_new_table_is_built_where_no_packet_enters_it() -> None:
    assert tables.built(NEW, 1) == BUILT


def test_packets_enter_the_new_table_and_leave_the_old_in_one_transaction() -> None:
    assert tables.switched(OLD, NEW, 1) == SWITCHED


def test_the_slots_take_turns() -> None:
    assert [tables.name_in(NEW, slot) for slot in (0, 1)] == ["t", "t_2"]
    assert tables.switched(NEW, OLD, 0).endswith(
        "}\nflush chain inet t_2 forward\ndelete chain inet t_2 forward\n"
    )


def test_the_defect_update_gap_removes_the_rules_before_it_loads_the_new_ones() -> None:
    loaded: list[Mapping[int, str]] = []
    slept: list[float] = []
    load = FlushThenLoad(0.2, loaded.append, slept.append)
    old = Table("netpol", {"forward": "chain forward {\n}"})
    first_scripts = {1: tables.first(old)}
    load(first_scripts)
    assert slept == []
    scripts = {1: tables.switched(old, old, 1), 2: tables.built(old, 1)}
    load(scripts)
    assert loaded == [first_scripts, {1: "flush chain inet netpol forward\n"}, scripts]
    assert slept == [0.2]
