"""Which rules met the packets of a probe: from two listings of nft."""

from __future__ import annotations

from harness.cluster.netns.trace import RuleCount, counts, says

TABLE = """table inet netpol {
\tchain ingress_1 {
\t\tip saddr @peers return comment "x/web ingress[0]"
\t\tcounter packets 3 bytes 180 drop comment "isolated by x/web"
\t}

\tchain egress_2 {
\t\tcounter packets 0 bytes 0 drop comment "isolated by y/out"
\t}
}
"""


def test_rules_with_counters_are_read_with_their_chains() -> None:
    assert list(counts(2, TABLE)) == [
        RuleCount(2, "ingress_1", "drop", "isolated by x/web", 3),
        RuleCount(2, "egress_2", "drop", "isolated by y/out", 0),
    ]


def test_the_rules_whose_counters_rose_are_named() -> None:
    before = list(counts(2, TABLE))
    after = list(counts(2, TABLE.replace("packets 3", "packets 5")))
    said = "node/2: chain ingress_1: drop of 2 packets: isolated by x/web"
    assert says(before, after) == said
    assert says(before, before) == "no rule of a policy dropped a packet"
