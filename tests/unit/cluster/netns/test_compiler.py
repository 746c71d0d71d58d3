"""The small CNI's compiler: its stages, the text it emits, and whether nft takes that text."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.cluster.netns import tables
from harness.cluster.netns.addresses import Addresses, allocate, with_implied
from harness.cluster.netns.compiler.layers import pod_rules
from harness.cluster.netns.compiler.selecting import matches
from harness.cluster.netns.compiler.stages import STAGES
from harness.cluster.netns.compiler.values import AddressSet
from harness.cluster.netns.defects import parts_with
from harness.cluster.netns.parts import PARTS, Parts, Snapshot
from harness.model import (
    ContainerPort,
    External,
    Labels,
    Manifest,
    Namespace,
    Pod,
    PodRef,
    Protocol,
    State,
)
from harness.policy import LabelSelector, Operator, Requirement
from tests.prerequisites import missing
from tests.worlds import network_policy, passes

OFFICE, BRANCH = "10.10.0.5", "10.10.1.5"
WEB = (ContainerPort(80, name="web"), ContainerPort(81), ContainerPort(53, Protocol.UDP, "dns"))


def policy(spec: dict[str, Any], namespace: str = "x", name: str = "p") -> Manifest:
    return network_policy(spec, namespace, name)


def pod(namespace: str, name: str, node: int = 1, **fields: Any) -> Pod:
    labels = Labels({"pod": name, **fields.pop("labels", {})})
    return Pod(namespace, name, labels, fields.pop("ports", WEB), node, **fields)


def state(*policies: Manifest) -> State:
    return with_implied(
        State(
            "compiler",
            namespaces=(
                Namespace("x", Labels({"ns": "x"})),
                Namespace("y", Labels({"ns": "y", "team": "blue"})),
                Namespace("z", Labels({"ns": "z", "team": "green"})),
            ),
            pods=(
                pod("x", "a"),
                pod("x", "b", 2, labels={"role": "client"}),
                pod("x", "c", labels={"role": "client", "tier": "gold"}),
                pod("y", "a", 2, ports=(ContainerPort(8080, name="web"), ContainerPort(81))),
                pod("y", "b", labels={"role": "client"}),
                pod("z", "a", labels={"team": "blue"}),
                pod("y", "host", 2, host_network=True, labels={"role": "client"}),
            ),
            externals=(External("office", (OFFICE,)), External("branch", (BRANCH,))),
            policies=policies,
        )
    )


def at(addresses: Addresses, end: str) -> str:
    """The IPv4 address of ``ns/pod``, ``node/1`` or an address."""
    if end.startswith("node/"):
        return addresses.nodes[int(end[-1])][0]
    return addresses.pods[PodRef(*end.split("/"))][0] if "/" in end else end


def compiled(
    there: State, parts: Parts = PARTS, *, addresses: Addresses | None = None
) -> Mapping[int, str]:
    found = parts.policy_tables(Snapshot(there, addresses or allocate(there)))
    return {
        node: "".join(tables.built(table, 0)) + tables.switched(None, table, 0)
        for node, table in found.items()
    }


def admitted(*policies: Manifest, to: str | None = None, sources: tuple[str, ...]) -> set[str]:
    """Which of ``sources`` (``ns/pod``, ``node/n``, addresses) reach ``to`` (``x/a:80/TCP``)."""
    there = state(*policies)
    addresses = allocate(there)
    found = pod_rules(there, addresses)
    host, service = (to or "x/a:80/TCP").rsplit(":", 1)
    return {
        source
        for source in sources
        if passes(found, at(addresses, source), at(addresses, host), service)
    }


ALL = ("x/b", "x/c", "y/a", "y/b", "z/a", "node/2", OFFICE, BRANCH)


def ingress(*rules: dict[str, Any], **spec: Any) -> Manifest:
    return policy({"podSelector": {"matchLabels": {"pod": "a"}}, "ingress": [*rules], **spec})


def requirement(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": [*values]} if values else {})}


def chosen(*requirements: dict[str, Any]) -> dict[str, Any]:
    return {"matchExpressions": [*requirements]}


# ------------------------------------------------------------------ addresses as ranges


def test_a_block_without_its_exceptions_keeps_both_sides_and_joins_what_touches() -> None:
    rest = AddressSet.block("10.0.0.0/24") - AddressSet.union(
        map(AddressSet.block, ("10.0.0.0/28", "10.0.0.64/26", "10.0.0.128/26"))
    )
    base = int(ipaddress.ip_address("10.0.0.0"))
    assert rest.v4 == ((base + 16, base + 63), (base + 192, base + 255))


def test_the_families_of_a_set_do_not_meet() -> None:
    everything = AddressSet.block("0.0.0.0/0")
    assert not everything & AddressSet.of(["::1"])
    assert everything - AddressSet.block("::/0") == everything
    assert AddressSet.block("::/0").v6 == ((0, 2**128 - 1),)


# ------------------------------------------------------------------ select


@pytest.mark.parametrize(
    ("operator", "values", "labels", "holds"),
    [
        (Operator.IN, ("a", "b"), {"k": "b"}, True),
        (Operator.IN, ("a", "b"), {"k": "c"}, False),
        (Operator.IN, ("a", "b"), {}, False),
        (Operator.NOT_IN, ("a", "b"), {"k": "b"}, False),
        (Operator.NOT_IN, ("a", "b"), {"k": "c"}, True),
        (Operator.NOT_IN, ("a", "b"), {}, True),
        (Operator.EXISTS, (), {"k": ""}, True),
        (Operator.EXISTS, (), {}, False),
        (Operator.DOES_NOT_EXIST, (), {"k": ""}, False),
        (Operator.DOES_NOT_EXIST, (), {}, True),
    ],
)
def test_requirement(
    operator: Operator, values: tuple[str, ...], labels: dict[str, str], holds: bool
) -> None:
    selector = LabelSelector((Requirement("k", operator, values),))
    assert matches(selector, Labels(labels)) is holds


PEERS: list[tuple[str, list[dict[str, Any]], set[str]]] = [
    ("empty podSelector: the own namespace", [{"podSelector": {}}], {"x/b", "x/c"}),
    (
        "podSelector: the own namespace only",
        [{"podSelector": {"matchLabels": {"role": "client"}}}],
        {"x/b", "x/c"},
    ),
    (
        "labels and expressions are ANDed",
        [
            {
                "podSelector": {
                    "matchLabels": {"role": "client"},
                    "matchExpressions": [requirement("tier", "DoesNotExist")],
                }
            }
        ],
        {"x/b"},
    ),
    (
        "empty namespaceSelector: all pods and nothing else",
        [{"namespaceSelector": {}}],
        {"x/b", "x/c", "y/a", "y/b", "z/a"},
    ),
    (
        "a namespace without the key",
        [{"namespaceSelector": chosen(requirement("team", "NotIn", "blue", "green"))}],
        {"x/b", "x/c"},
    ),
    (
        "a namespace by its name",
        [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "z"}}}],
        {"z/a"},
    ),
    (
        "a pod's label is not its namespace's",
        [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}],
        {"y/a", "y/b"},
    ),
    (
        "one entry is an AND",
        [
            {
                "namespaceSelector": {"matchLabels": {"team": "blue"}},
                "podSelector": {"matchLabels": {"role": "client"}},
            }
        ],
        {"y/b"},
    ),
    (
        "two entries are an OR",
        [
            {"namespaceSelector": {"matchLabels": {"team": "blue"}}},
            {"podSelector": {"matchLabels": {"role": "client"}}},
        ],
        {"x/b", "x/c", "y/a", "y/b"},
    ),
    ("nobody", [{"podSelector": {"matchLabels": {"pod": "nobody"}}}], set()),
    ("ipBlock", [{"ipBlock": {"cidr": "10.10.0.0/16"}}], {OFFICE, BRANCH}),
    (
        "ipBlock with an exception",
        [{"ipBlock": {"cidr": "10.10.0.0/16", "except": ["10.10.1.0/24"]}}],
        {OFFICE},
    ),
    (
        "an exception is no denial for another entry",
        [
            {"ipBlock": {"cidr": "10.10.0.0/16", "except": ["10.10.1.0/24"]}},
            {"ipBlock": {"cidr": "10.10.1.5/32"}},
        ],
        {OFFICE, BRANCH},
    ),
    ("ipBlock of all IPv4", [{"ipBlock": {"cidr": "0.0.0.0/0"}}], set(ALL)),
    ("ipBlock of the other family", [{"ipBlock": {"cidr": "::/0"}}], set()),
]


@pytest.mark.parametrize(
    ("peers", "sources"), [case[1:] for case in PEERS], ids=[c[0] for c in PEERS]
)
def test_peers_of_an_ingress_rule(peers: list[dict[str, Any]], sources: set[str]) -> None:
    assert admitted(ingress({"from": peers}), sources=ALL) == sources


def test_the_subject_is_chosen_in_the_policys_own_namespace() -> None:
    deny = policy({"podSelector": {}})
    assert admitted(deny, to="x/c:80/TCP", sources=ALL) == set()
    assert admitted(deny, to="y/b:80/TCP", sources=ALL) == set(ALL)


def test_a_host_network_pod_is_nobodys_subject_and_nobodys_peer() -> None:
    there = state(policy({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, "y"))
    found = pod_rules(there, allocate(there))
    assert {one.pod.ref.name for one in found} == {"a", "b"}
    assert (
        admitted(ingress({"from": [{"namespaceSelector": {}}]}), sources=("node/2", "y/host"))
        == set()
    )


# ------------------------------------------------------------------ isolate, rules, combine


def test_without_policies_nobody_is_isolated() -> None:
    assert admitted(sources=ALL) == set(ALL)


def test_an_empty_rule_admits_everything() -> None:
    assert admitted(ingress({}), sources=ALL) == set(ALL)
    assert admitted(ingress({}), to="x/a:9999/SCTP", sources=ALL) == set(ALL)


def test_directions_are_isolated_apart() -> None:
    only = policy({"podSelector": {}, "policyTypes": ["Egress"]})
    assert admitted(only, to="x/a:80/TCP", sources=("x/b", "y/a", OFFICE)) == {"y/a", OFFICE}


def test_policy_types_win_over_the_sections_written() -> None:
    both = policy({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}], "egress": []})
    assert admitted(both, to="y/a:81/TCP", sources=("x/a", "x/b")) == {"x/a", "x/b"}


def test_policies_of_one_pod_add_up() -> None:
    first = ingress({"from": [{"podSelector": {"matchLabels": {"pod": "b"}}}]})
    second = policy(
        {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": f"{OFFICE}/32"}}]}]},
        name="q",
    )
    assert admitted(first, second, sources=ALL) == {"x/b", OFFICE}


def test_peers_of_one_rule_do_not_get_the_ports_of_another() -> None:
    both = ingress(
        {"from": [{"podSelector": {"matchLabels": {"pod": "b"}}}], "ports": [{"port": 80}]},
        {"from": [{"podSelector": {"matchLabels": {"pod": "c"}}}], "ports": [{"port": 81}]},
    )
    assert admitted(both, to="x/a:80/TCP", sources=ALL) == {"x/b"}
    assert admitted(both, to="x/a:81/TCP", sources=ALL) == {"x/c"}


def test_both_ends_must_admit() -> None:
    inward = ingress({"from": [{"podSelector": {}}]})
    outward = policy(
        {"podSelector": {"matchLabels": {"pod": "b"}}, "policyTypes": ["Egress"]}, name="q"
    )
    assert admitted(inward, outward, sources=ALL) == {"x/c"}


# ------------------------------------------------------------------ ports

PORTS: list[tuple[str, dict[str, Any], set[str]]] = [
    ("a number is TCP by default", {"port": 80}, {"80/TCP"}),
    ("protocol alone", {"protocol": "UDP"}, {"53/UDP", "80/UDP"}),
    ("nothing at all is TCP", {}, {"80/TCP", "81/TCP", "90/TCP"}),
    ("a range", {"port": 80, "endPort": 81}, {"80/TCP", "81/TCP"}),
    ("a name", {"port": "web"}, {"80/TCP"}),
    ("a name of another protocol", {"port": "dns"}, set()),
    ("a name of UDP", {"port": "dns", "protocol": "UDP"}, {"53/UDP"}),
    ("a name that nobody has", {"port": "metrics"}, set()),
    ("SCTP is not TCP", {"port": 80, "protocol": "SCTP"}, {"80/SCTP"}),
]


@pytest.mark.parametrize(
    ("port", "services"), [case[1:] for case in PORTS], ids=[c[0] for c in PORTS]
)
def test_ports_of_an_ingress_rule(port: dict[str, Any], services: set[str]) -> None:
    asked = ("80/TCP", "81/TCP", "90/TCP", "53/UDP", "80/UDP", "80/SCTP")
    rule = ingress({"ports": [port]})
    assert {
        service for service in asked if admitted(rule, to=f"x/a:{service}", sources=("y/b",))
    } == services


def egress(rule: dict[str, Any]) -> Manifest:
    return policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]})


@pytest.mark.parametrize(
    "rule",
    [
        {"ports": [{"port": "web"}]},
        {"ports": [{"port": "web"}], "to": [{"namespaceSelector": {}}]},
        {"ports": [{"port": "web"}], "to": [{"ipBlock": {"cidr": "100.64.0.0/16"}}]},
    ],
    ids=["to anybody", "to pods", "to an ipBlock"],
)
def test_a_port_name_in_egress_is_the_number_of_each_destination(rule: dict[str, Any]) -> None:
    for to, open_to in {
        "x/b:80/TCP": {"x/a"},
        "x/b:8080/TCP": set(),
        "y/a:8080/TCP": {"x/a"},
        "y/a:80/TCP": set(),
        f"{OFFICE}:80/TCP": set(),
    }.items():
        assert admitted(egress(rule), to=to, sources=("x/a",)) == open_to, to


def test_a_port_name_in_ingress_is_the_number_of_the_subject() -> None:
    rule = policy({"podSelector": {}, "ingress": [{"ports": [{"port": "web"}]}]}, "y")
    assert admitted(rule, to="y/a:8080/TCP", sources=("x/a",)) == {"x/a"}
    assert admitted(rule, to="y/a:80/TCP", sources=("x/a",)) == set()
    assert admitted(rule, to="y/b:80/TCP", sources=("x/a",)) == {"x/a"}


# ------------------------------------------------------------------ emit

REMOVED = """\
table inet netpol
delete table inet netpol
"""
SMALL = """\
table inet netpol {
  set peers4_3ca9013757cb {
    type ipv4_addr; flags interval
    elements = { 10.10.0.0-10.10.255.255, 100.64.128.16 }
  }
  set peers6_4496d962b96f {
    type ipv6_addr; flags interval
    elements = { fd64:0:0:1::10 }
  }
  set self4 {
    type ipv4_addr . ipv4_addr
    elements = { 100.64.0.16 . 100.64.0.16 }
  }
  set self6 {
    type ipv6_addr . ipv6_addr
    elements = { fd64::10 . fd64::10 }
  }
  chain egress_fae2a5ba76b7 {
    counter drop comment "isolated by x/p"
  }
  chain ingress_f1045fde0a52 {
    ip saddr @peers4_3ca9013757cb tcp dport { 80, 8000-8010 } return comment "x/p ingress[0]"
    ip6 saddr @peers6_4496d962b96f tcp dport { 80, 8000-8010 } return comment "x/p ingress[0]"
    ip saddr @peers4_3ca9013757cb udp dport 53 return comment "x/p ingress[0]"
    ip6 saddr @peers6_4496d962b96f udp dport 53 return comment "x/p ingress[0]"
    counter drop comment "isolated by x/p"
  }
  map egress4 {
    type ipv4_addr : verdict
    elements = { 100.64.0.16 : jump egress_fae2a5ba76b7 }
  }
  map egress6 {
    type ipv6_addr : verdict
    elements = { fd64::10 : jump egress_fae2a5ba76b7 }
  }
  map ingress4 {
    type ipv4_addr : verdict
    elements = { 100.64.0.16 : jump ingress_f1045fde0a52 }
  }
  map ingress6 {
    type ipv6_addr : verdict
    elements = { fd64::10 : jump ingress_f1045fde0a52 }
  }
}
table inet netpol {
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    meta l4proto != { tcp, udp, sctp } accept
    ip saddr . ip daddr @self4 accept
    ip6 saddr . ip6 daddr @self6 accept
    ip saddr vmap @egress4
    ip6 saddr vmap @egress6
    ip daddr vmap @ingress4
    ip6 daddr vmap @ingress6
  }
}
"""


def small() -> State:
    rule = {
        "from": [
            {"podSelector": {"matchLabels": {"pod": "b"}}},
            {"ipBlock": {"cidr": "10.10.0.0/16"}},
        ],
        "ports": [{"port": 80}, {"port": 8000, "endPort": 8010}, {"port": 53, "protocol": "UDP"}],
    }
    return state(ingress(rule, policyTypes=["Ingress", "Egress"]))


def test_the_script_of_a_small_policy() -> None:
    there = small()
    scripts = compiled(there)
    assert sorted(scripts) == [1, 2]
    assert scripts[1] == REMOVED + SMALL


def test_equal_states_give_equal_text_whatever_the_order_of_the_policies() -> None:
    first, second = ingress({}), policy({"podSelector": {}}, name="q")
    one, other = state(first, second), state(second, first)
    addresses = allocate(one)
    assert compiled(one, addresses=addresses) == compiled(other, addresses=addresses)


def crowd(pods: int) -> State:
    namespaces = tuple(Namespace(f"n{index}") for index in range(10))
    return State(
        "crowd",
        namespaces=namespaces,
        pods=tuple(pod(f"n{index % 10}", f"p{index}", 1 + index % 2) for index in range(pods)),
        policies=tuple(
            policy(
                {
                    "podSelector": {},
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": "web"}]}],
                    "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": "web"}]}],
                },
                namespace.name,
            )
            for namespace in namespaces
        ),
    )


def test_rules_do_not_grow_with_the_pods() -> None:
    rules = []
    for pods in (20, 200):
        there = crowd(pods)
        table = PARTS.policy_tables(Snapshot(there, allocate(there)))[1]
        rules.append(sum(len(block.items) for block in table.used if block.word == "chain"))
    assert rules[0] == rules[1] == 30


def test_awkward_names_come_no_further_than_comments() -> None:
    long = "9" + ".very-long" * 25
    there = state(policy({"podSelector": {}}, name=long))
    script = compiled(there)[1]
    comments = [line.split('comment "')[1] for line in script.splitlines() if "comment" in line]
    assert all(len(comment) < 128 for comment in comments)
    assert any("x/9.very-long" in comment for comment in comments)
    assert script.count("very-long") == "".join(comments).count("very-long")


# ------------------------------------------------------------------ defects


def test_no_enforcement_emits_an_empty_table() -> None:
    there = small()
    assert compiled(there, parts_with("no-enforcement")) == dict.fromkeys(
        (1, 2), REMOVED + "table inet netpol {\n}\n" * 2
    )


def test_a_stage_can_be_replaced() -> None:
    there = state(ingress({"from": [{"podSelector": {"matchLabels": {"pod": "nobody"}}}]}))
    addresses = allocate(there)
    blind = replace(STAGES, isolates=lambda _policy, _direction: False)
    assert pod_rules(there, addresses)
    assert not pod_rules(there, addresses, blind)
    assert compiled(there, replace(PARTS, stages=blind)) != compiled(there)


# ------------------------------------------------------------------ does nft take it


def nft(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "nft", "--check", "--file", "-"],
        input=script,
        text=True,
        capture_output=True,
        check=False,
        timeout=20,
    )


def why_no_nft() -> str | None:
    if not (shutil.which("nft") and shutil.which("unshare")):
        return "nft or unshare is not installed"
    tried = nft("table inet t\n")
    return f"nft cannot run here: {tried.stderr.strip()}" if tried.returncode else None


@pytest.fixture(scope="module")
def _nft() -> None:
    reason = why_no_nft()
    if reason:
        missing(reason)


SCRIPTS = {
    "no policy": state(),
    "small": small(),
    "all kinds of peers": state(
        *(
            replace(ingress({"from": peers}), name=f"p{index}")
            for index, (_, peers, _) in enumerate(PEERS)
        )
    ),
    "all kinds of ports": state(ingress(*({"ports": [port]} for _, port, _ in PORTS))),
    "overlapping ports": state(
        ingress({"ports": [{"port": 80}, {"port": 70, "endPort": 90}, {"port": 91}, {"port": 80}]})
    ),
    "a whole family": state(
        ingress({"from": [{"ipBlock": {"cidr": "::/0"}}, {"ipBlock": {"cidr": "0.0.0.0/0"}}]})
    ),
    "long names": state(policy({"podSelector": {}}, name="9" + ".very-long" * 25)),
    "a crowd": crowd(100),
}


@pytest.mark.usefixtures("_nft")
@pytest.mark.parametrize("name", SCRIPTS)
def test_nft_takes_the_script(name: str) -> None:
    there = SCRIPTS[name]
    for node, script in compiled(there).items():
        said = nft(script)
        assert said.returncode == 0, f"node {node}: {said.stderr}\n{script}"
