"""The tiers: the cases that two network plugins were measured to agree on, and what is undefined.

Pods of ``src`` and ``src2`` connect to a server in ``dst``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.model import (
    ContainerPort,
    Destination,
    Family,
    Labels,
    Manifest,
    Namespace,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Protocol,
    Service,
    ServicePort,
    ServiceRef,
    State,
)
from harness.oracle import Judge, Ruling
from tests import worlds

Object = dict[str, Any]
SERVER, SRC, SRC2, HOST = (
    PodRef("dst", "server"),
    PodRef("src", "c"),
    PodRef("src2", "c"),
    PodRef("src", "host"),
)
PORTS = (ContainerPort(80, Protocol.TCP, "web"), ContainerPort(81, Protocol.UDP, "log"))
NAMESPACES = tuple(Namespace(name, Labels({"ns": name})) for name in ("dst", "src", "src2"))


def ns(*names: str) -> Object:
    return {"matchExpressions": [{"key": "ns", "operator": "In", "values": list(names)}]}


def tier(
    tier_name: str, *rules: Object, priority: int = 5, subject: str = "dst", way: str = "ingress"
) -> Manifest:
    name = f"{tier_name.lower()}-{priority}-{subject}-{way}"
    document = {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "tier": tier_name,
            "priority": priority,
            "subject": {"namespaces": ns(subject)},
            way: list(rules),
        },
    }
    text = json.dumps(document)
    return Manifest(document["apiVersion"], "ClusterNetworkPolicy", "", name, text)  # type: ignore[arg-type]


def rule(action: str, *names: str, **rest: Any) -> Object:
    return {"action": action, "from": [{"namespaces": ns(*names)}], **rest}


def to(action: str, **peer: Any) -> Object:
    return {"action": action, "to": [peer]}


def network_policy(*names: str, types: tuple[str, ...] = ("Ingress",)) -> Manifest:
    allowed = [{"from": [{"namespaceSelector": ns(*names)}]}] if names else []
    spec: Object = {"podSelector": {}, "policyTypes": list(types)}
    return worlds.network_policy(spec | ({"ingress": allowed} if allowed else {}), "dst", "np")


def state(*policies: Manifest) -> State:
    pods = (
        Pod("dst", "server", Labels({"app": "server"}), PORTS, 1),
        Pod("src", "c", Labels({"app": "client"}), PORTS, 1),
        Pod("src2", "c", Labels({"app": "client"}), PORTS, 2),
        Pod("src", "host", Labels({"app": "client"}), PORTS, 1, host_network=True),
    )
    service = Service("dst", "server", Labels({"app": "server"}), (ServicePort(80, 80),))
    return State("tiers", NAMESPACES, pods, (service,), policies=policies)


def ruling(
    source: Any, destination: Any, *policies: Manifest, port: int = 80, udp: bool = False
) -> Ruling:
    protocol = Protocol.UDP if udp else Protocol.TCP
    probe = Probe(source, Destination(destination, port, protocol), Family.V4)
    return Judge(state(*policies)).predict(probe).judgement.ruling


ALLOWED, DENIED, UNDEFINED = Ruling.ALLOWED, Ruling.DENIED, Ruling.UNDEFINED
ADMIN_DENY, BASE_DENY = tier("Admin", rule("Deny", "src")), tier("Baseline", rule("Deny", "src"))
OPEN_OUT = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
EGRESS_ONLY = worlds.network_policy(OPEN_OUT, "dst", "out")

MEASURED: list[tuple[str, tuple[Manifest, ...], Ruling, Ruling]] = [
    ("NetworkPolicy alone", (network_policy("src"),), ALLOWED, DENIED),
    ("Admin Deny first", (network_policy("src"), ADMIN_DENY), DENIED, DENIED),
    (
        "Pass before Deny",
        (tier("Admin", rule("Pass", "src")), tier("Admin", rule("Deny", "src"), priority=10)),
        ALLOWED,
        ALLOWED,
    ),
    (
        "Pass before Deny, NetworkPolicy allows src",
        (
            tier("Admin", rule("Pass", "src")),
            tier("Admin", rule("Deny", "src"), priority=10),
            network_policy("src"),
        ),
        ALLOWED,
        DENIED,
    ),
    (
        "Pass before Deny, NetworkPolicy allows src2",
        (
            tier("Admin", rule("Pass", "src")),
            tier("Admin", rule("Deny", "src"), priority=10),
            network_policy("src2"),
        ),
        DENIED,
        ALLOWED,
    ),
    ("Pass to a denial", (tier("Admin", rule("Pass", "src")), network_policy()), DENIED, DENIED),
    (
        "Accept before it",
        (tier("Admin", rule("Accept", "src")), network_policy()),
        ALLOWED,
        DENIED,
    ),
    ("Pass to Baseline", (tier("Admin", rule("Pass", "src")), BASE_DENY), DENIED, ALLOWED),
    ("Baseline alone", (BASE_DENY,), DENIED, ALLOWED),
    ("Baseline, NetworkPolicy allows src", (BASE_DENY, network_policy("src")), ALLOWED, DENIED),
    ("Baseline, NetworkPolicy allows src2", (BASE_DENY, network_policy("src2")), DENIED, ALLOWED),
    ("Baseline, NetworkPolicy for egress", (BASE_DENY, EGRESS_ONLY), DENIED, ALLOWED),
    (
        "Baseline Pass before Deny",
        (
            tier("Baseline", rule("Pass", "src")),
            tier("Baseline", rule("Deny", "src"), priority=6),
        ),
        ALLOWED,
        ALLOWED,
    ),
]


@pytest.mark.parametrize(
    ("policies", "first", "second"),
    [case[1:] for case in MEASURED],
    ids=[case[0] for case in MEASURED],
)
def test_what_was_measured(policies: tuple[Manifest, ...], first: Ruling, second: Ruling) -> None:
    assert (ruling(SRC, SERVER, *policies), ruling(SRC2, SERVER, *policies)) == (first, second)


def test_rules_isolate_nothing_and_count_in_their_order() -> None:
    written = tier("Admin", rule("Accept", "src"), rule("Deny", "src", "src2"))
    assert ruling(SRC, SERVER, written) is ALLOWED
    assert ruling(SRC2, SERVER, written) is DENIED
    assert ruling(SERVER, SRC, written) is ALLOWED


def test_accept_is_for_its_own_end() -> None:
    out = tier("Admin", to("Accept", namespaces={}), subject="src", way="egress")
    assert ruling(SRC, SERVER, out, network_policy()) is DENIED
    assert ruling(SRC, SERVER, out, ADMIN_DENY) is DENIED


@pytest.mark.parametrize("first", ["Accept", "Deny", "Pass"])
@pytest.mark.parametrize("second", ["Accept", "Deny", "Pass"])
def test_equal_priorities_are_followed_to_their_end(first: str, second: str) -> None:
    one = tier("Admin", rule(first, "src"))
    document = json.loads(tier("Admin", rule(second, "src")).json)
    document["metadata"]["name"] = "other"
    other = Manifest(one.api_version, one.kind, "", "other", json.dumps(document))
    ends = {"Accept": ALLOWED, "Deny": DENIED, "Pass": ALLOWED}
    expected = ends[first] if ends[first] is ends[second] else UNDEFINED
    assert ruling(SRC, SERVER, one, other) is expected
    assert ruling(SRC2, SERVER, one, other) is ALLOWED


def test_equal_priorities_that_do_not_match_the_same_connection_are_defined() -> None:
    one, other = tier("Admin", rule("Deny", "src")), tier("Admin", rule("Accept", "src2"))
    assert ruling(SRC, SERVER, one, other) is DENIED


def test_host_network_pods_are_neither_subjects_nor_peers() -> None:
    everybody = tier("Admin", rule("Deny", "src", "src2", "dst"))
    assert ruling(HOST, SERVER, everybody) is ALLOWED
    leaving = tier("Admin", to("Deny", namespaces={}), subject="src", way="egress")
    assert ruling(HOST, SERVER, leaving) is ALLOWED
    assert ruling(SRC, HOST, leaving) is ALLOWED
    assert ruling(SRC, SERVER, leaving) is DENIED


def test_nodes_and_networks() -> None:
    to_nodes = tier("Admin", to("Deny", nodes={}), subject="src", way="egress")
    assert ruling(SRC, HOST, to_nodes) is DENIED
    assert ruling(SRC, NodeRef(1), to_nodes) is DENIED
    assert ruling(SRC, SERVER, to_nodes) is ALLOWED
    labelled = tier("Admin", to("Deny", nodes=ns("x")), subject="src", way="egress")
    assert ruling(SRC, NodeRef(1), labelled) is UNDEFINED
    everything = tier("Admin", to("Deny", networks=["0.0.0.0/0"]), subject="src", way="egress")
    assert ruling(SRC, SERVER, everything) is DENIED
    of_v6 = tier("Admin", to("Deny", networks=["::/0"]), subject="src", way="egress")
    assert ruling(SRC, SERVER, of_v6) is ALLOWED
    pod = tier("Admin", to("Deny", networks=["$(ip:dst/server)/32"]), subject="src", way="egress")
    assert ruling(SRC, SERVER, pod) is DENIED
    assert ruling(SRC, SRC2, pod) is ALLOWED


def test_ports() -> None:
    def denies(*protocols: Object) -> Manifest:
        return tier("Admin", rule("Deny", "src", protocols=list(protocols)))

    named = denies({"destinationNamedPort": "log"})
    assert ruling(SRC, SERVER, named, port=81, udp=True) is DENIED
    assert ruling(SRC, SERVER, named, port=80) is ALLOWED
    several = denies({"tcp": {"destinationPort": {"range": {"start": 79, "end": 80}}}})
    assert ruling(SRC, SERVER, several, port=80) is DENIED
    assert ruling(SRC, SERVER, several, port=81, udp=True) is ALLOWED


def test_a_pod_to_itself() -> None:
    own = tier("Admin", rule("Deny", "dst"))
    assert ruling(SERVER, SERVER, own) is ALLOWED
    assert ruling(SERVER, ServiceRef("dst", "server"), own) is UNDEFINED
    leaving = tier("Admin", to("Deny", namespaces=ns("dst")), subject="dst", way="egress")
    assert ruling(SERVER, ServiceRef("dst", "server"), leaving) is DENIED


def test_reasons_show_the_walk() -> None:
    policies = (tier("Admin", rule("Deny", "src2"), rule("Pass", "src")), BASE_DENY)
    probe = Probe(SRC, Destination(SERVER, 80, Protocol.TCP), Family.V4)
    assert Judge(state(*policies)).predict(probe).judgement.reasons == (
        "egress of src/c: not isolated (no policy selects it for Egress)",
        "ingress of dst/server: Admin tier: passed on by ClusterNetworkPolicy "
        "admin-5-dst-ingress (priority 5), ingress rule 2: namespaces ns=src; every port",
        "  not ClusterNetworkPolicy admin-5-dst-ingress (priority 5), ingress rule 1: "
        "namespaces ns=src2, but namespace src has ns=src",
        "ingress of dst/server: not isolated (no policy selects it for Ingress)",
        "ingress of dst/server: Baseline tier: denied by ClusterNetworkPolicy "
        "baseline-5-dst-ingress (priority 5), ingress rule 1: namespaces ns=src; every port",
    )
