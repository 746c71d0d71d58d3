"""Which rules met packets, from listings as Calico's and kube-router's nodes print them."""

# ruff: noqa: E501 - a rule is one line

from __future__ import annotations

from collections.abc import Collection

from harness.cluster.kube.iptables import met as found

CALICO = r"""
*filter
:cali-tw-calid4f - [0:0]
[9:540] -A cali-to-wl-dispatch -o calid4f -m comment --comment "cali:abc" -g cali-tw-calid4f
[5:300] -A cali-to-wl-dispatch -o calieee -m comment --comment "cali:abd" -g cali-tw-calieee
[4:240] -A cali-pi-_one -p tcp -m comment --comment "cali:cob" -m comment --comment "Policy x/knp.default.web ingress" -m set --match-set cali40s:d9 src -j MARK --set-xmark 0x10000/0x10000
[7:420] -A cali-tw-calid4f -m comment --comment "cali:e1" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[6:360] -A cali-tw-calid4f -m comment --comment "cali:e2" -m mark --mark 0x0/0x20000 -j cali-pi-_one
[3:180] -A cali-tw-calid4f -m comment --comment "cali:e3" -m comment --comment "End of tier default. Drop if no policies passed packet" -m mark --mark 0x0/0x20000 -j DROP
[1:60] -A cali-tw-calieee -m comment --comment "cali:e4" -m comment --comment "Drop if no policies passed packet" -j DROP
100.64.146.95 dev calid4f scope link
100.64.146.96 dev calieee scope link
"""

KUBE_ROUTER = r"""
[2:120] -A KUBE-ROUTER-FORWARD -d 100.64.2.5/32 -m comment --comment "rule to jump traffic destined to POD name:b" -j KUBE-POD-FW-ONE
[2:120] -A KUBE-ROUTER-FORWARD -d 100.64.2.55/32 -m comment --comment "rule to jump traffic destined to POD name:c" -j KUBE-POD-FW-TWO
[2:120] -A KUBE-POD-FW-ONE -m comment --comment "rule for stateful firewall for pod" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[2:120] -A KUBE-POD-FW-ONE -d 100.64.2.5/32 -m comment --comment "run through nw policy b-from-z" -j KUBE-NWPLCY-Z
[2:120] -A KUBE-POD-FW-ONE -m comment --comment "rule to REJECT traffic destined for POD name:b namespace: y" -m mark ! --mark 0x10000/0x10000 -j REJECT --reject-with icmp-port-unreachable
[2:120] -A KUBE-POD-FW-TWO -m comment --comment "rule to REJECT traffic destined for POD name:c namespace: y" -m mark ! --mark 0x10000/0x10000 -j REJECT --reject-with icmp-port-unreachable
[5:300] -A KUBE-NWPLCY-Z -m comment --comment "rule to ACCEPT traffic selected by policy name b-from-z" -j MARK --set-xmark 0x10000/0x10000
[0:0] -A KUBE-NWPLCY-Z -m comment --comment "rule to ACCEPT traffic selected by policy name b-from-z" -j MARK --set-xmark 0x10000/0x10000
"""


def met(before: str, after: str, addresses: Collection[str]) -> list[str]:
    return [item.text for item in found(before, after, addresses)]


def test_the_rule_that_drops_comes_first_then_the_policies_that_were_asked() -> None:
    after = CALICO.replace("[3:180]", "[5:300]").replace("[6:360]", "[8:480]")
    after = after.replace("[7:420]", "[9:540]").replace("[1:60]", "[4:240]")
    assert met(CALICO, after, {"100.64.146.95"}) == [
        "chain cali-tw-calid4f: DROP of 2 packets: End of tier default. Drop if no policies passed "
        "packet",
        "chain cali-tw-calid4f: cali-pi-_one of 2 packets: Policy x/knp.default.web ingress",
    ]


def test_a_rule_that_denies_says_so() -> None:
    after = KUBE_ROUTER.replace("[2:120]", "[3:180]")
    assert [item.denies for item in found(KUBE_ROUTER, after, {"100.64.2.5"})] == [True, False]


def test_a_rule_that_allows_is_named_with_its_policy() -> None:
    after = CALICO.replace("[4:240]", "[5:300]")
    assert met(CALICO, after, {"100.64.146.95"}) == [
        "chain cali-pi-_one: MARK of 1 packet: Policy x/knp.default.web ingress"
    ]


def test_chains_of_other_pods_are_not_looked_at() -> None:
    after = KUBE_ROUTER.replace("[2:120]", "[3:180]")
    assert met(KUBE_ROUTER, after, {"100.64.2.5"}) == [
        "chain KUBE-POD-FW-ONE: REJECT of 1 packet: rule to REJECT traffic destined for POD name:b "
        "namespace: y",
        "chain KUBE-POD-FW-ONE: KUBE-NWPLCY-Z of 1 packet: run through nw policy b-from-z",
    ]
    assert met(KUBE_ROUTER, after, {"100.64.2"}) == []


def test_equal_rules_are_told_apart_and_chains_that_were_made_again_count_from_zero() -> None:
    first, _, rest = KUBE_ROUTER.rpartition("[0:0]")
    line = (
        "chain KUBE-NWPLCY-Z: MARK of 4 packets: rule to ACCEPT traffic selected by policy name "
        "b-from-z"
    )
    assert met(KUBE_ROUTER, f"{first}[4:240]{rest}", {"100.64.2.5"}) == [line]
    made_again = f"{first}[4:240]{rest}".replace("[2:120]", "[0:0]").replace("[5:300]", "[0:0]")
    assert met("", made_again, {"100.64.2.5"}) == [line]


def test_many_rules_are_cut() -> None:
    many = "".join(f'[1:1] -A POD -m comment --comment "rule {n}" -j X\n' for n in range(13))
    lines = met("", f"[1:1] -A ALL -s 10.0.0.1/32 -j POD\n{many}", {"10.0.0.1"})
    assert lines[-2:] == ["chain POD: X of 1 packet: rule 9", "and 3 more rules"]
