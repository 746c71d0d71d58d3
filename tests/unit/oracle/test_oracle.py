"""The oracle by table: requirement ids, the layers over policy, and the customer's stories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from harness.model import (
    AbsoluteName,
    Address,
    ContainerPort,
    Destination,
    External,
    ExternalRef,
    ExternalTrafficPolicy,
    Family,
    Host,
    Labels,
    Manifest,
    Namespace,
    Networks,
    NodePortRef,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Protocol,
    Service,
    ServiceName,
    ServicePort,
    ServiceRef,
    ServiceType,
    Source,
    State,
    Verdict,
)
from harness.oracle import Decider, Facts, Judge, Ruling
from harness.policy import Direction, faults
from harness.report import explained

SERVED = tuple(
    ContainerPort(number, protocol, name if protocol is Protocol.TCP else None)
    for number, name in ((80, "web"), (81, "alt"))
    for protocol in Protocol
)
EXT1 = External(
    "ext1", ("203.0.113.5", "2001:db8::5"), (ContainerPort(443),), ("api.example.com",)
)
EXT2 = External("ext2", ("198.51.100.7",), (ContainerPort(443),))
IP_BLOCKS_MATCH_ALL = Facts(frozenset({"ipblock-pod-ip", "ipblock-node-ip"}))


def policy(spec: str, namespace: str = "x", name: str = "p") -> Manifest:
    document: dict[str, Any] = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": yaml.safe_load(spec),
    }
    assert faults(document) == ()
    text = json.dumps(document)
    return Manifest("networking.k8s.io/v1", "NetworkPolicy", namespace, name, text)


def fixture() -> State:
    """Namespaces x, y, z with pods a, b, c each, as the catalogue has them."""
    labels = {
        "a": {"pod": "a"},
        "b": {"pod": "b", "role": "client"},
        "c": {"pod": "c", "role": "client", "tier": "gold"},
    }
    namespaces = {"x": {}, "y": {"team": "blue"}, "z": {"team": "green"}}
    first = {"x/a", "x/b", "y/a", "y/c", "z/b"}
    pods = tuple(
        Pod(ns, name, Labels(own), SERVED, node=1 if f"{ns}/{name}" in first else 2)
        for ns in namespaces
        for name, own in labels.items()
    )
    services = tuple(
        Service(pod.namespace, pod.name, Labels({"pod": pod.name}), SERVICE_PORTS) for pod in pods
    )
    spaces = tuple(Namespace(n, Labels({"ns": n, **own})) for n, own in namespaces.items())
    return State("fixture", spaces, pods, services, (EXT1, EXT2))


SERVICE_PORTS = (ServicePort(80, 80), ServicePort(8080, 80), ServicePort(8081, "alt"))
F0 = fixture()


def end(text: str) -> Any:
    kind, _, rest = text.partition("/")
    match kind, rest.split("/"):
        case "node", [index]:
            return NodeRef(int(index))
        case "external", [name]:
            return ExternalRef(name)
        case "ip", [ip]:
            return Address(ip)
        case "svc", [namespace, name]:
            return ServiceRef(namespace, name)
        case "dns", [name]:
            first, _, second = name.partition(".")
            return AbsoluteName(name) if "." in second else ServiceName(second, first)
        case "nodeport", [namespace, name]:
            name, _, node = name.partition("@")
            return NodePortRef(namespace, name, int(node))
    return PodRef(kind, rest)


def probe(text: str) -> Probe:
    """``x/a -> y/b:80/UDP 6``: the protocol and the family may be left out."""
    source, _, rest = text.partition(" -> ")
    where, _, family = rest.partition(" ")
    host, _, asked = where.rpartition(":")
    port, _, protocol = asked.partition("/")
    there: Host = end(host)
    come_from: Source = end(source)
    destination = Destination(there, int(port), Protocol(protocol or "TCP"))
    return Probe(come_from, destination, Family(int(family or 4)))


def said(state: State, text: str, facts: Facts = Facts()) -> str:  # noqa: B008
    """The words, or ``undefined``."""
    words = Judge(state, facts).predict(probe(text)).verdicts
    return " ".join(sorted(str(word) for word in words)) or "undefined"


def explain(state: State, text: str, facts: Facts = Facts()) -> str:  # noqa: B008
    return explained(Judge(state, facts).explain(probe(text)))


def check(state: State, table: str, facts: Facts = Facts()) -> None:  # noqa: B008
    """Compare a table of ``WORD: probe, probe, ...`` lines."""
    wrong = []
    for line in filter(None, map(str.strip, table.splitlines())):
        word, _, probes = line.partition(": ")
        for text in probes.split(", "):
            if said(state, text, facts) != word:
                wrong.append(f"expected {word}\n{explain(state, text, facts)}")
    assert not wrong, "\n".join(wrong)


DENY_IN = "policyTypes: [Ingress]"
DENY_OUT = "policyTypes: [Egress]"
DENY_ALL = "policyTypes: [Ingress, Egress]"
A = "podSelector: {matchLabels: {pod: a}}"
FROM_Y = "{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}"

REQUIREMENTS = """
R01
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Ingress]
  =>
  TIMEOUT: x/b -> x/a:80, y/a -> x/a:80
  allowed: x/a -> x/b:80, x/a -> y/a:80, x/c -> x/b:80

R02 R08 R50 R56 R57 R63 R69
  podSelector: {}
  policyTypes: [Ingress]
  =>
  TIMEOUT: x/a -> x/b:80, y/a -> x/b:80, y/a -> x/c:80
  allowed: x/a -> y/a:80, x/b -> z/a:81, y/a -> y/b:80

R04
  policyTypes: [Ingress]
  =>
  TIMEOUT: y/a -> x/a:80, y/a -> x/b:80
  allowed: x/a -> y/a:80

R75
  policyTypes: [Ingress, Egress]
  =>
  TIMEOUT: y/a -> x/a:80/UDP, y/a -> x/a:80/SCTP, x/a -> y/a:80/UDP, x/a -> y/a:80/SCTP

R05 R55 R68
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Ingress]
  =>
  allowed: x/a -> x/b:80, y/a -> z/b:81, external/ext1 -> y/a:80

R06 R47 R57 R85
  policyTypes: [Ingress, Egress]
  =>
  allowed: node/1 -> x/a:80, node/2 -> x/c:80
  TIMEOUT: node/2 -> x/a:80, node/1 -> x/c:80, x/a -> node/2:80
  REFUSED: x/a -> node/1:80

R46
  policyTypes: [Ingress, Egress]
  =>
  allowed: x/a -> x/a:80, x/c -> x/c:81
  REFUSED: x/a -> x/a:82

R45
  policyTypes: [Ingress, Egress]
  =>
  REFUSED: node/1 -> node/2:80, external/ext1 -> node/1:80

R10 R14 R51 R52 R71
  policyTypes: [Egress]
  =>
  TIMEOUT: x/a -> y/a:80, x/a -> external/ext1:443, x/a -> x/b:80
  allowed: y/a -> x/a:80, external/ext1 -> x/a:80

R09 R20 R52
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {}}], ports: [{port: 80}]}]
  =>
  allowed: x/a -> x/b:80
  TIMEOUT: x/a -> x/b:81, x/a -> y/b:80

R11 R49 R73
  policyTypes: [Ingress, Egress]
  =>
  TIMEOUT: x/a -> y/a:80, y/a -> x/a:80
  allowed: y/a -> z/a:80

R12 R62
  podSelector: {matchLabels: {pod: a}}
  egress: [{to: [{namespaceSelector: {matchLabels: {ns: y}}}]}]
  =>
  allowed: x/a -> y/a:80
  TIMEOUT: x/a -> z/a:80, y/a -> x/a:80

R13
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {matchLabels: {ns: y}}}]}]
  =>
  allowed: x/a -> y/a:80, z/a -> x/a:80
  TIMEOUT: x/a -> z/a:80

R11
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Ingress]
  egress: [{to: [{podSelector: {}}]}]
  =>
  allowed: x/a -> z/a:80
  TIMEOUT: z/a -> x/a:80

R07 R19 R37 R63
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]
  =>
  allowed: x/b -> x/a:80
  TIMEOUT: y/b -> x/a:80, z/b -> x/a:80, x/c -> x/a:80

R15 R17 R22
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: 80}]}]
  =>
  allowed: y/a -> x/a:80
  TIMEOUT: y/a -> x/a:81, z/a -> x/a:80, z/a -> x/a:81

R17
  podSelector: {matchLabels: {pod: a}}
  ingress: [{ports: [{port: 80}, {port: 81}]}]
  =>
  allowed: y/a -> x/a:80, y/a -> x/a:81
  TIMEOUT: y/a -> x/a:80/UDP

R16 R18 R70
  podSelector: {matchLabels: {pod: a}}
  ingress: [{}]
  =>
  allowed: y/a -> x/a:80, x/b -> x/a:81/UDP, external/ext1 -> x/a:80

R16 R18
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [], ports: []}]
  =>
  allowed: y/a -> x/a:80, external/ext1 -> x/a:80

R21 R23 R72
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Egress]
  egress: [{}]
  =>
  allowed: x/a -> y/a:80, x/a -> external/ext1:443

R15 R20
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: 80}]}, {
        from: [{namespaceSelector: {matchLabels: {ns: z}}}], ports: [{port: 81}]}]
  =>
  allowed: y/a -> x/a:80, z/a -> x/a:81
  TIMEOUT: y/a -> x/a:81, z/a -> x/a:80

R25
  podSelector: {matchLabels: {pod: a}}
  ingress: [{ports: [{port: 80}]}]
  =>
  allowed: y/a -> x/a:80
  TIMEOUT: y/a -> x/a:80/UDP, y/a -> x/a:80/SCTP, y/a -> x/a:81

R26
  podSelector: {matchLabels: {pod: a}}
  ingress: [{ports: [{}]}]
  =>
  allowed: y/a -> x/a:80, y/a -> x/a:81
  TIMEOUT: y/a -> x/a:80/UDP

R26
  podSelector: {matchLabels: {pod: a}}
  ingress: [{ports: [{protocol: UDP}]}]
  =>
  allowed: y/a -> x/a:80/UDP, y/a -> x/a:81/UDP
  TIMEOUT: y/a -> x/a:80, y/a -> x/a:80/SCTP

R27
  podSelector: {matchLabels: {pod: a}}
  ingress: [{ports: [{protocol: UDP, port: 80}, {port: 81}]}]
  =>
  allowed: y/a -> x/a:80/UDP, y/a -> x/a:81
  TIMEOUT: y/a -> x/a:80, y/a -> x/a:81/UDP

R26 R27
  podSelector: {matchLabels: {pod: a}}
  ingress: [{ports: [{port: web}]}]
  =>
  allowed: y/a -> x/a:80
  TIMEOUT: y/a -> x/a:81, y/a -> x/a:80/UDP

R17 R27
  podSelector: {matchLabels: {pod: a}}
  ingress: [{ports: [{port: nosuch}]}]
  =>
  TIMEOUT: y/a -> x/a:80, y/a -> x/a:81

R26 R27
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Egress]
  egress: [{ports: [{port: alt}]}]
  =>
  allowed: x/a -> y/a:81, x/a -> svc/y/a:8081
  TIMEOUT: x/a -> y/a:80, x/a -> external/ext1:443

R28 R76
  podSelector: {matchLabels: {pod: a}}
  ingress: [{ports: [{port: 78, endPort: 80}]}]
  =>
  allowed: y/a -> x/a:80
  TIMEOUT: y/a -> x/a:81, y/a -> x/a:77
  REFUSED: y/a -> x/a:78, y/a -> x/a:79

R28
  podSelector: {matchLabels: {pod: a}}
  ingress: [{ports: [{port: 81, endPort: 81}]}]
  =>
  allowed: y/a -> x/a:81
  TIMEOUT: y/a -> x/a:80, y/a -> x/a:82

R31
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 203.0.113.5/32}}]}]
  =>
  allowed: x/a -> external/ext1:443
  TIMEOUT: x/a -> external/ext2:443, x/a -> x/b:80, x/a -> node/2:80
  TIMEOUT: x/a -> external/ext1:443 6

R32
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: "2001:db8::/64"}}]}]
  =>
  allowed: x/a -> external/ext1:443 6
  TIMEOUT: x/a -> external/ext1:443, x/a -> y/a:80 6
  undefined: x/a -> external/ext2:443 6

R31 R33
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [198.51.100.0/24]}}]}]
  =>
  allowed: x/a -> external/ext1:443
  TIMEOUT: x/a -> external/ext2:443
  undefined: x/a -> y/a:80, x/a -> node/2:80
  TIMEOUT: x/a -> y/a:80 6

R65
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]
  =>
  undefined: y/a -> x/a:80
  TIMEOUT: external/ext1 -> x/a:80
  allowed: node/1 -> x/a:80, x/a -> x/a:80

R31
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 80}]}]
  =>
  undefined: y/a -> x/a:80
  TIMEOUT: y/a -> x/a:81
  allowed: external/ext1 -> x/a:80

R35 R36 R39
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{namespaceSelector: {}, podSelector: {}}]}]
  =>
  allowed: y/a -> x/a:80, x/b -> x/a:80
  TIMEOUT: external/ext1 -> x/a:80, node/2 -> x/a:80

R36 R64
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {
                pod: b}}}]}]
  =>
  allowed: y/b -> x/a:80
  TIMEOUT: y/a -> x/a:80, x/b -> x/a:80, z/b -> x/a:80

R18 R64
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}, {podSelector: {matchLabels: {
                pod: b}}}]}]
  =>
  allowed: y/b -> x/a:80, y/a -> x/a:80, x/b -> x/a:80
  TIMEOUT: z/b -> x/a:80, x/c -> x/a:80

R38 R39
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{namespaceSelector: {}}]}]
  =>
  allowed: x/b -> x/a:80, y/a -> x/a:80, z/c -> x/a:80
  TIMEOUT: external/ext1 -> x/a:80

R40
  podSelector: {matchLabels: {role: client, tier: gold}}
  policyTypes: [Ingress]
  =>
  TIMEOUT: y/a -> x/c:80
  allowed: y/a -> x/a:80, y/a -> x/b:80

R40 R42
  podSelector: {matchLabels: {role: client}, matchExpressions: [{key: tier, operator: In, values: [
            gold]}]}
  policyTypes: [Ingress]
  =>
  TIMEOUT: y/a -> x/c:80
  allowed: y/a -> x/b:80

R41
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{podSelector: null, namespaceSelector: {matchLabels: {ns: y}}}]}]
  =>
  allowed: y/a -> x/a:80
  TIMEOUT: x/b -> x/a:80

R43
  podSelector: {matchExpressions: [{key: role, operator: Exists}]}
  policyTypes: [Ingress]
  =>
  TIMEOUT: y/a -> x/b:80, y/a -> x/c:80
  allowed: y/a -> x/a:80

R43 R44
  podSelector: {matchExpressions: [{key: role, operator: DoesNotExist}]}
  policyTypes: [Ingress]
  =>
  TIMEOUT: y/a -> x/a:80
  allowed: y/a -> x/b:80

R44
  podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [gold, silver]}]}
  policyTypes: [Ingress]
  =>
  TIMEOUT: y/a -> x/a:80, y/a -> x/b:80
  allowed: y/a -> x/c:80

R77
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: In, values: [
                    y, z]}]}}]}]
  =>
  allowed: y/a -> x/a:80, z/a -> x/a:80
  TIMEOUT: x/b -> x/a:80

R44
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn,
                  values: [blue, green]}]}}]}]
  =>
  allowed: x/b -> x/a:80
  TIMEOUT: y/a -> x/a:80, z/a -> x/a:80

R78
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}}]}]
  =>
  allowed: y/a -> x/a:80
  TIMEOUT: x/b -> x/a:80, z/a -> x/a:80

R19 R24
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {pod: nobody}}}]}]
  egress: [{to: [{namespaceSelector: {matchLabels: {ns: nowhere}}}]}]
  =>
  TIMEOUT: x/b -> x/a:80, y/a -> x/a:80, x/a -> x/b:80, x/a -> y/a:80

R66
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: 80}]}]
  =>
  allowed: x/a -> svc/y/a:8080, x/a -> y/a:80, x/a -> svc/y/a:80
  TIMEOUT: x/a -> svc/y/a:8081, x/a -> y/a:81, x/a -> svc/z/a:80

R66
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Egress]
  egress: [{ports: [{port: 8080}]}]
  =>
  TIMEOUT: x/a -> svc/y/a:8080

R46 R66
  policyTypes: [Ingress]
  =>
  undefined: x/a -> svc/x/a:80
  TIMEOUT: x/b -> svc/x/a:80

R46 R66
  podSelector: {matchLabels: {pod: a}}
  ingress: [{from: [{podSelector: {matchLabels: {pod: a}}}]}]
  =>
  allowed: x/a -> svc/x/a:80
"""
"""Requirement ids; the spec of a policy in namespace x; what becomes of which probes."""


def requirements() -> Iterator[Any]:
    for number, block in enumerate(REQUIREMENTS.strip().split("\n\n"), 1):
        ids, _, rest = block.partition("\n")
        spec, _, table = rest.partition("=>")
        yield pytest.param(spec, table, id=f"{number}: {ids}")


@pytest.mark.parametrize(("spec", "table"), list(requirements()))
def test_requirement(spec: str, table: str) -> None:
    check(replace(F0, policies=(policy(spec),)), table)


def test_policies_add_up_in_any_order_R03_R54_R59_R60() -> None:  # noqa: N802
    first = policy(f"{{{A}, ingress: [{FROM_Y}]}}", name="p1")
    shut = policy(f"{{{DENY_IN}}}", name="p3")
    second = policy(
        f"{{{A}, ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{ns: z}}}}}}]}}]}}",
        name="p2",
    )
    for policies in ((first, second, shut), (shut, second, first)):
        check(
            replace(F0, policies=policies),
            """
            allowed: y/a -> x/a:80, z/a -> x/a:80
            TIMEOUT: x/b -> x/a:80, y/a -> x/b:80""",
        )


def test_both_ends_must_allow_R49_R61() -> None:  # noqa: N802
    to_y = "{to: [{namespaceSelector: {matchLabels: {ns: y}}}]}"
    out = policy(f"{{{A}, {DENY_OUT}, egress: [{to_y}]}}")
    check(replace(F0, policies=(out,)), "allowed: x/a -> y/a:80")
    shut = policy(f"{{{A}, {DENY_IN}}}", "y")
    check(replace(F0, policies=(out, shut)), "TIMEOUT: x/a -> y/a:80")
    let_x = policy("{ingress: [{from: [{namespaceSelector: {matchLabels: {ns: x}}}]}]}", "y")
    check(replace(F0, policies=(out, let_x)), "allowed: x/a -> y/a:80\nTIMEOUT: z/a -> y/a:80")


def test_what_decides_at_each_end() -> None:
    leave = policy("{podSelector: {matchLabels: {pod: a}}, egress: [{}]}", name="leave")
    enter = policy(
        "{podSelector: {}, ingress: [{ports: [{port: 9}]}, {ports: [{port: 80}]}]}", "y", "enter"
    )
    deny = policy("{podSelector: {}}", "y", "deny")
    state = replace(fixture(), policies=(leave, enter, deny))

    def by(text: str) -> tuple[Decider, ...]:
        return Judge(state).predict(probe(text)).judgement.by

    out = Decider(Direction.EGRESS, Ruling.ALLOWED, ("NetworkPolicy x/leave",), 1)
    assert by("x/b -> x/c:80") == ()
    assert by("x/a -> x/c:80") == (out,)
    assert by("x/a -> y/b:80") == (
        out,
        Decider(Direction.INGRESS, Ruling.ALLOWED, ("NetworkPolicy y/enter",), 2),
    )
    both = ("NetworkPolicy y/enter", "NetworkPolicy y/deny")
    assert by("x/b -> y/b:81") == (Decider(Direction.INGRESS, Ruling.DENIED, both),)
    assert by("node/1 -> y/a:81") == (Decider(Direction.INGRESS, Ruling.ALLOWED),)


def test_an_except_is_no_deny_R31_R60() -> None:  # noqa: N802
    wide = "{ipBlock: {cidr: 0.0.0.0/0, except: [198.51.100.7/32]}}"
    both = f"{{{A}, ingress: [{{from: [{wide}, {{ipBlock: {{cidr: 198.51.100.7/32}}}}]}}]}}"
    check(replace(F0, policies=(policy(both),)), "allowed: external/ext2 -> x/a:80")
    alone = policy(f"{{{A}, ingress: [{{from: [{wide}]}}]}}")
    check(replace(F0, policies=(alone,)), "TIMEOUT: external/ext2 -> x/a:80")


def test_a_named_port_is_the_destinations_R26_R27() -> None:  # noqa: N802
    def named(name: str, number: int | None, protocol: Protocol = Protocol.TCP) -> Pod:
        web = ContainerPort(number or 9, protocol, "web" if number else None)
        others = tuple(ContainerPort(n) for n in (80, 81, 9999) if n != number)
        return Pod("x", name, Labels({"pod": name}), (web, *others))

    pods = (named("a", 80), named("b", 81), named("c", None), named("u", 80, Protocol.UDP))
    client = Pod("y", "a", Labels(), (ContainerPort(9999, name="web"),))
    spec = policy("{ingress: [{ports: [{port: web}, {protocol: UDP, port: web}]}]}")
    check(
        replace(F0, pods=(*pods, client), policies=(spec,)),
        """
        allowed: y/a -> x/a:80, y/a -> x/b:81, y/a -> x/u:80/UDP
        TIMEOUT: y/a -> x/a:81, y/a -> x/b:80, y/a -> x/a:9999, y/a -> x/c:80, y/a -> x/c:81
        TIMEOUT: y/a -> x/a:80/UDP, y/a -> x/u:80""",
    )


# ------------------------------------------------------------------ what the API leaves open


def test_facts_decide_ip_blocks_over_pods_and_nodes_R65_R84() -> None:  # noqa: N802
    state = replace(
        F0,
        policies=(policy(f"{{{A}, ingress: [{{from: [{{ipBlock: {{cidr: 0.0.0.0/0}}}}]}}]}}"),),
    )
    check(state, "undefined: y/a -> x/a:80, node/2 -> x/a:80")
    table = "allowed: y/a -> x/a:80, node/2 -> x/a:80\nTIMEOUT: y/a -> x/a:80 6"
    check(state, table, IP_BLOCKS_MATCH_ALL)
    pods_only = Facts(frozenset({"ipblock-pod-ip"}))
    check(state, "allowed: y/a -> x/a:80\nundefined: node/2 -> x/a:80", pods_only)


def test_known_addresses_decide_narrow_ip_blocks_R65() -> None:  # noqa: N802
    narrow = policy(f"{{{A}, ingress: [{{from: [{{ipBlock: {{cidr: 10.1.0.0/16}}}}]}}]}}")
    state = replace(F0, policies=(narrow,))
    addresses: dict[PodRef | NodeRef, tuple[str, ...]] = {
        PodRef("y", "a"): ("10.1.0.9",),
        PodRef("y", "b"): ("10.2.0.9",),
    }
    facts = replace(IP_BLOCKS_MATCH_ALL, addresses=addresses)
    table = """
        allowed: y/a -> x/a:80
        TIMEOUT: y/b -> x/a:80
        undefined: y/c -> x/a:80"""
    check(state, table, facts)
    unsupported = Facts(addresses=addresses)
    check(state, "undefined: y/a -> x/a:80\nTIMEOUT: y/b -> x/a:80", unsupported)


def test_a_block_around_an_outside_host_holds_no_pod_R65() -> None:  # noqa: N802
    office = External("office", ("10.10.0.5",), (ContainerPort(443),))
    block = "{{ipBlock: {{cidr: {}}}}}"
    for cidr, word in (("10.10.0.0/16", "TIMEOUT"), ("10.0.0.0/8", "undefined")):
        spec = f"{{{A}, ingress: [{{from: [{block.format(cidr)}]}}]}}"
        state = replace(F0, externals=(office,), policies=(policy(spec),))
        check(state, f"{word}: y/a -> x/a:80\nallowed: external/office -> x/a:80")


RANGES = Networks(pods=("10.244.0.0/16", "fd00:244::/48"), nodes=("172.18.0.0/24",))


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("{cidr: 10.0.0.0/8}", "allowed TIMEOUT"),
        ("{cidr: 10.0.0.0/8, except: [10.244.0.0/16]}", "TIMEOUT TIMEOUT"),
        ("{cidr: 10.244.128.0/17}", "undefined TIMEOUT"),
        ("{cidr: 172.16.0.0/12}", "TIMEOUT allowed"),
        ("{cidr: 0.0.0.0/0, except: [10.244.7.0/24]}", "undefined allowed"),
        ("{cidr: 192.168.0.0/16}", "TIMEOUT TIMEOUT"),
    ],
)
def test_ranges_of_the_scenario_decide_ip_blocks_R65(block: str, words: str) -> None:  # noqa: N802
    spec = f"{{{A}, ingress: [{{from: [{{ipBlock: {block}}}]}}]}}"
    state = replace(F0, policies=(policy(spec),), networks=RANGES)
    pod, node = words.split()
    check(state, f"{pod}: y/a -> x/a:80\n{node}: node/2 -> x/a:80", IP_BLOCKS_MATCH_ALL)


@pytest.mark.parametrize(
    ("block", "table"),
    [
        ("{cidr: $(ip:y/a)/32}", "allowed: y/a\nTIMEOUT: x/b, y/b, node/2, external/ext1, y/a 6"),
        ("{cidr: $(ip6:y/a)/128}", "allowed: y/a 6\nTIMEOUT: x/b, y/b 6, node/2, y/a"),
        ("{cidr: $(ip:node/2)/32}", "allowed: node/2\nTIMEOUT: x/c, y/b, external/ext1, node/2 6"),
        ("{cidr: $(ip:node/1)/32}", "allowed: node/1\nTIMEOUT: node/2, x/b, y/a"),
        ("{cidr: $(cidr:pods)}", "allowed: x/b, y/a\nTIMEOUT: node/2, external/ext1, y/a 6"),
        ("{cidr: $(cidr6:pods)}", "allowed: x/b 6, y/a 6\nTIMEOUT: node/2 6, y/a"),
        (
            "{cidr: $(cidr:pods), except: [$(ip:y/a)/32, $(ip:x/b)/32]}",
            "allowed: x/c, y/b\nTIMEOUT: x/b, y/a, node/2, external/ext1",
        ),
        (
            "{cidr: 0.0.0.0/0, except: [$(cidr:pods), $(ip:node/2)/32]}",
            "allowed: external/ext1\nTIMEOUT: x/b, y/a, node/2",
        ),
    ],
)
def test_a_placeholder_is_the_end_that_it_names_R31(block: str, table: str) -> None:  # noqa: N802
    spec = f"{{{A}, ingress: [{{from: [{{ipBlock: {block}}}]}}]}}"
    for line in table.splitlines():
        word, _, sources = line.partition(": ")
        for text in sources.split(", "):
            source, _, family = text.partition(" ")
            state = replace(F0, externals=(EXT1,), policies=(policy(spec),))
            check(state, f"{word}: {source} -> x/a:80 {family}".strip(), IP_BLOCKS_MATCH_ALL)


def test_a_placeholder_does_not_make_a_cluster_match_pod_addresses_R65() -> None:  # noqa: N802
    pod, node = (
        policy(f"{{{A}, ingress: [{{from: [{{ipBlock: {{cidr: {cidr}}}}}]}}]}}")
        for cidr in ("$(ip:y/a)/32", "$(ip:node/2)/32")
    )
    check(replace(F0, policies=(pod,)), "undefined: y/a -> x/a:80\nTIMEOUT: y/b -> x/a:80")
    check(replace(F0, policies=(node,)), "undefined: node/2 -> x/a:80\nTIMEOUT: y/b -> x/a:80")


def test_a_pod_on_the_network_of_its_node_has_the_address_of_the_node_R83() -> None:  # noqa: N802
    host = Pod("y", "host", Labels(), SERVED, node=2, host_network=True)
    for block, word in (("$(cidr:pods)", "TIMEOUT"), ("$(ip:node/2)/32", "allowed")):
        spec = f"{{{A}, ingress: [{{from: [{{ipBlock: {{cidr: {block}}}}}]}}]}}"
        state = replace(F0, pods=(*F0.pods, host), policies=(policy(spec),))
        check(state, f"{word}: y/host -> x/a:80", IP_BLOCKS_MATCH_ALL)


def test_an_explanation_shows_the_placeholder() -> None:
    spec = f"{{{A}, ingress: [{{from: [{{ipBlock: {{cidr: $(ip:y/a)/32}}}}]}}]}}"
    state = replace(F0, policies=(policy(spec),))
    inside = explain(state, "y/a -> x/a:80", IP_BLOCKS_MATCH_ALL).splitlines()
    assert inside[-1] == (
        "  ingress of x/a: isolated by NetworkPolicy x/p; allowed by NetworkPolicy x/p, "
        "ingress rule 1: ipBlock $(ip:y/a)/32; every port"
    )
    outside = explain(state, "y/b -> x/a:80", IP_BLOCKS_MATCH_ALL).splitlines()
    assert outside[-1] == (
        "    NetworkPolicy x/p, ingress rule 1: ipBlock $(ip:y/a)/32, but y/b (IPv4) is not in it"
    )


def test_ranges_of_the_scenario_do_not_make_a_cluster_match_pod_addresses_R65() -> None:  # noqa: N802
    """Only what is surely outside the block is certain."""
    inside, outside = (
        policy(f"{{{A}, ingress: [{{from: [{{ipBlock: {{cidr: {cidr}}}}}]}}]}}")
        for cidr in ("10.0.0.0/8", "192.168.0.0/16")
    )
    check(replace(F0, policies=(inside,), networks=RANGES), "undefined: y/a -> x/a:80")
    check(replace(F0, policies=(outside,), networks=RANGES), "TIMEOUT: y/a -> x/a:80")
    v6 = policy(f"{{{A}, ingress: [{{from: [{{ipBlock: {{cidr: 'fd00::/16'}}}}]}}]}}")
    state = replace(F0, policies=(v6,), networks=RANGES)
    check(state, "allowed: y/a -> x/a:80 6\nTIMEOUT: y/a -> x/a:80", IP_BLOCKS_MATCH_ALL)


def with_host_pods(*policies: Manifest) -> State:
    agents = tuple(
        Pod(ns, "agent", Labels({"app": "agent"}), (ContainerPort(9100),), node, True)
        for ns, node in (("x", 1), ("y", 2))
    )
    return replace(F0, pods=(*F0.pods, *agents), policies=policies)


HOST_PODS = [
    ("no policy selects or names it", f"{{{DENY_IN}, {A}}}", """
        allowed: x/agent -> y/a:80, x/a -> y/agent:9100, y/agent -> z/a:80"""),
    ("deny from another node stands", f"{{{A}, {DENY_IN}}}", """
        TIMEOUT: y/agent -> x/a:80
        allowed: x/agent -> x/a:80"""),
    ("a selector names it", f"{{{A}, ingress: [{FROM_Y}]}}", "undefined: y/agent -> x/a:80"),
    ("a policy selects it", f"{{{DENY_IN}}}", """
        undefined: y/a -> x/agent:9100
        allowed: node/1 -> x/agent:9100, x/a -> y/agent:9100"""),
    ("a policy cuts its egress", f"{{{DENY_OUT}}}", """
        undefined: x/agent -> y/a:80
        TIMEOUT: x/a -> y/agent:9100
        allowed: x/a -> x/agent:9100"""),
    ("a rule without peers admits all", f"{{{A}, ingress: [{{}}]}}", "allowed: y/agent -> x/a:80"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "spec", "table"), HOST_PODS, ids=[why for why, *_ in HOST_PODS])
def test_host_network_pods_R83_R84(why: str, spec: str, table: str) -> None:  # noqa: N802
    check(with_host_pods(policy(spec)), table)


def test_both_readings_of_a_host_network_pod_may_agree_R83() -> None:  # noqa: N802
    spec = f"{{{A}, ingress: [{FROM_Y}, {{from: [{{ipBlock: {{cidr: 0.0.0.0/0}}}}]}}]}}"
    state = with_host_pods(policy(spec))
    check(state, "undefined: y/agent -> x/a:80")
    check(state, "allowed: y/agent -> x/a:80", IP_BLOCKS_MATCH_ALL)


def node_port(traffic: ExternalTrafficPolicy, *policies: Manifest) -> State:
    service = Service(
        "x", "np", Labels({"pod": "a"}), (ServicePort(80, 80),), ServiceType.NODE_PORT, traffic
    )
    return replace(F0, services=(service,), policies=policies)


LOCAL, CLUSTER = ExternalTrafficPolicy.LOCAL, ExternalTrafficPolicy.CLUSTER
FROM_EXT1 = f"{{{A}, ingress: [{{from: [{{ipBlock: {{cidr: 203.0.113.0/24}}}}]}}]}}"


@pytest.mark.parametrize(
    ("traffic", "spec", "table"),
    [
        (LOCAL, FROM_EXT1, """
            allowed: external/ext1 -> nodeport/x/np@1:80
            TIMEOUT: external/ext2 -> nodeport/x/np@1:80, external/ext1 -> nodeport/x/np@2:80
            undefined: x/b -> nodeport/x/np@2:80"""),
        (LOCAL, f"{{{DENY_IN}}}", "TIMEOUT: external/ext1 -> nodeport/x/np@1:80"),
        (CLUSTER, f"{{{DENY_IN}}}", """
            undefined: external/ext1 -> nodeport/x/np@1:80
            TIMEOUT: external/ext1 -> nodeport/x/np@2:80"""),
        (CLUSTER, FROM_EXT1, """
            allowed: external/ext1 -> nodeport/x/np@1:80
            undefined: external/ext1 -> nodeport/x/np@2:80"""),
        (CLUSTER, f"{{{A}, ingress: [{{}}]}}", """
            allowed: external/ext1 -> nodeport/x/np@1:80, external/ext2 -> nodeport/x/np@2:80
            allowed: y/a -> nodeport/x/np@2:80, x/a -> nodeport/x/np@1:80"""),
        (CLUSTER, f"{{{A}, {DENY_OUT}}}", "undefined: x/a -> nodeport/x/np@2:80"),
    ],
)  # fmt: skip
def test_node_ports_R57_R66(traffic: ExternalTrafficPolicy, spec: str, table: str) -> None:  # noqa: N802
    check(node_port(traffic, policy(spec)), table)


def test_other_kinds_of_policy_are_not_judged() -> None:
    cilium = Manifest("cilium.io/v2", "CiliumNetworkPolicy", "x", "c", "{}")
    note = Manifest("v1", "ConfigMap", "y", "c", "{}")
    judge = Judge(replace(F0, policies=(cilium, note)))
    prediction = judge.predict(probe("x/a -> y/a:80"))
    assert prediction.not_judged == (
        "CiliumNetworkPolicy x/c may affect x/a, and its meaning is not known"
    )
    assert not prediction.contradicts(Verdict.TIMEOUT)
    other = judge.predict(probe("y/a -> z/a:80"))
    assert other.not_judged is None
    assert other.contradicts(Verdict.TIMEOUT)
    text = explain(replace(F0, policies=(cilium,)), "y/a -> x/a:80")
    assert text == (
        """\
y/a -> x/a:80  allowed
  not judged: CiliumNetworkPolicy x/c may affect x/a, and its meaning is not known
  egress of y/a: not isolated (no policy selects it for Egress)
  ingress of x/a: not isolated (no policy selects it for Ingress)"""
    )


def test_an_unknown_object_on_the_dns_pods_leaves_names_not_judged() -> None:
    cilium = Manifest("cilium.io/v2", "CiliumNetworkPolicy", "kube-system", "c", "{}")
    judge = Judge(replace(F0, policies=(cilium,)))
    assert judge.predict(probe("x/a -> dns/a.y:80")).not_judged == (
        "CiliumNetworkPolicy kube-system/c may affect kube-system/kube-dns, "
        "and its meaning is not known"
    )
    assert judge.predict(probe("x/a -> svc/y/a:80")).not_judged is None


def test_an_unknown_object_on_an_endpoint_leaves_the_service_not_judged() -> None:
    cilium = Manifest("cilium.io/v2", "CiliumNetworkPolicy", "y", "c", "{}")
    judge = Judge(replace(F0, policies=(cilium,)))
    reason = "CiliumNetworkPolicy y/c may affect y/a, and its meaning is not known"
    assert judge.predict(probe("x/a -> svc/y/a:80")).not_judged == reason
    assert judge.predict(probe("external/ext1 -> y/a:80")).not_judged == reason
    assert judge.predict(probe("node/1 -> z/a:80")).not_judged is None


def test_only_contradicted_words_contradict() -> None:
    """Nothing contradicts what is undefined, or what is not judged."""
    shut = policy(f"{{{DENY_IN}}}")
    cilium = Manifest("cilium.io/v2", "CiliumNetworkPolicy", "y", "c", "{}")
    judge = Judge(replace(F0, policies=(shut, cilium)))
    denied, unknown = (judge.predict(probe(f"{end} -> x/a:80")) for end in ("z/a", "y/a"))
    hairpin = judge.predict(probe("x/a -> svc/x/a:80"))
    assert denied.contradicts(Verdict.ALLOWED)
    assert not denied.contradicts(Verdict.TIMEOUT)
    assert not unknown.contradicts(Verdict.ALLOWED)
    assert not hairpin.contradicts(Verdict.REFUSED)


def test_endpoints_that_differ_are_undefined() -> None:
    service = Service("x", "all", Labels({"role": "client"}), (ServicePort(80, 80),))
    shut = policy(f"{{podSelector: {{matchLabels: {{tier: gold}}}}, {DENY_IN}}}")
    state = replace(F0, services=(service,), policies=(shut,))
    check(state, "undefined: y/a -> svc/x/all:80\nTIMEOUT: y/a -> x/c:80")
    assert explain(state, "y/a -> svc/x/all:80") == (
        """\
y/a -> svc/x/all:80  undefined
  undefined: the endpoints of the Service differ, and any of them may answer
  endpoint x/b: allowed
    egress of y/a: not isolated (no policy selects it for Egress)
    ingress of x/b: not isolated (no policy selects it for Ingress)
  endpoint x/c: denied
    egress of y/a: not isolated (no policy selects it for Egress)
    ingress of x/c: isolated by NetworkPolicy x/p; no rule allows y/a -> x/c on TCP 80
      NetworkPolicy x/p has no ingress rule
  note: NetworkPolicy x/p selects tier=gold: x/c, not x/b"""
    )


def test_endpoints_of_which_one_does_not_listen_are_undefined() -> None:
    service = Service("x", "all", Labels({"role": "client"}), (ServicePort(80, 80),))
    deaf = replace(F0.pods[2], ports=())
    assert deaf.ref == PodRef("x", "c")
    state = replace(F0, services=(service,), pods=(*F0.pods[:2], deaf, *F0.pods[3:]))
    assert explain(state, "y/a -> svc/x/all:80") == (
        """\
y/a -> svc/x/all:80  undefined
  undefined: the endpoints of the Service differ, and any of them may answer
  endpoint x/b: allowed
    egress of y/a: not isolated (no policy selects it for Egress)
    ingress of x/b: not isolated (no policy selects it for Ingress)
  endpoint x/c: allowed
    egress of y/a: not isolated (no policy selects it for Egress)
    ingress of x/c: not isolated (no policy selects it for Ingress)
    x/c does not listen on TCP 80"""
    )


def test_a_name_may_be_asked_over_ipv4_for_an_ipv6_address() -> None:
    """Which family a resolver uses is its own choice, so both must be allowed."""
    over = "{{to: [{{ipBlock: {{cidr: {}}}}}]}}"
    both = (over.format("'::/0'"), over.format("0.0.0.0/0"))
    for rules, word in ((both[:1], "undefined"), (both, "allowed")):
        out = policy(f"{{{A}, {DENY_OUT}, egress: [{', '.join(rules)}]}}")
        state = replace(F0, policies=(out,))
        check(state, f"{word}: x/a -> dns/a.y:80 6", IP_BLOCKS_MATCH_ALL)
    only_v4 = policy(f"{{{A}, {DENY_OUT}, egress: [{both[1]}]}}")
    check(replace(F0, policies=(only_v4,)), "allowed: x/a -> dns/a.y:80", IP_BLOCKS_MATCH_ALL)


# ------------------------------------------------------------------ the layers over policy


def test_the_words_without_any_policy() -> None:
    empty = Service("x", "empty", Labels({"pod": "nobody"}), (ServicePort(80, 80),))
    headless = Service(
        "x", "hl", Labels({"pod": "a"}), (ServicePort(9, 80),), ServiceType.HEADLESS
    )
    nobody = replace(headless, name="gone", selector=Labels({"pod": "nobody"}))
    state = replace(F0, services=(*F0.services, empty, headless, nobody))
    check(
        state,
        """
        allowed: x/a -> y/a:80, x/a -> dns/a.y:8080, x/a -> dns/api.example.com:443
        allowed: x/a -> dns/hl.x:80, x/a -> dns/a.y.svc.cluster.local:80, x/a -> ip/203.0.113.5:443
        allowed: external/ext1 -> x/a:80, node/1 -> svc/x/a:80
        allowed: x/a -> svc/kube-system/kube-dns:53/UDP
        REFUSED: x/a -> y/a:82, x/a -> y/a:82/UDP, x/a -> external/ext1:80, x/a -> dns/hl.x:9
        OTHER: x/a -> y/a:82/SCTP
        DNS: x/a -> dns/no.x:80, x/a -> dns/www.example.com:443, x/a -> dns/gone.x:80
        OTHER REFUSED TIMEOUT: x/a -> svc/x/empty:80, x/a -> svc/x/a:82, x/a -> dns/empty.x:80
        OTHER TIMEOUT: x/a -> ip/203.0.113.99:443
        undefined: x/a -> svc/x/hl:9, external/ext1 -> svc/x/a:80, node/1 -> dns/a.x:80
        undefined: x/a -> x/nobody:80, x/a -> svc/x/none:80, x/a -> external/ext2:443 6""",
    )


def test_names_need_dns() -> None:
    to_y = "{to: [{namespaceSelector: {matchLabels: {ns: y}}}]}"
    out = f"{{{A}, {DENY_OUT}, egress: [{to_y}]}}"
    check(
        replace(F0, policies=(policy(out),)),
        """
        DNS: x/a -> dns/a.y:80, x/a -> dns/api.example.com:443, x/a -> dns/no.x:80
        allowed: x/a -> svc/y/a:80""",
    )
    dns = (
        "{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, "
        "podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{protocol: UDP, port: 53}]}"
    )
    with_dns = f"{{{A}, {DENY_OUT}, egress: [{to_y}, {dns}]}}"
    check(
        replace(F0, policies=(policy(with_dns),)),
        """
        allowed: x/a -> dns/a.y:80
        TIMEOUT: x/a -> dns/a.z:80, x/a -> dns/api.example.com:443
        DNS: x/a -> dns/no.x:80""",
    )
    tcp_only = with_dns.replace("protocol: UDP", "protocol: TCP")
    check(replace(F0, policies=(policy(tcp_only),)), "DNS: x/a -> dns/a.y:80")
    by_block = f"{{{A}, {DENY_OUT}, egress: [{{to: [{{ipBlock: {{cidr: 0.0.0.0/0}}}}]}}]}}"
    state = replace(F0, policies=(policy(by_block),))
    check(state, "undefined: x/a -> dns/api.example.com:443")
    check(state, "allowed: x/a -> dns/api.example.com:443", IP_BLOCKS_MATCH_ALL)


def test_policy_comes_before_closed_ports() -> None:
    state = replace(F0, policies=(policy(f"{{{DENY_IN}}}"),))
    check(state, "TIMEOUT: y/a -> x/a:82\nREFUSED: x/a -> y/a:82")
    assert Judge(state).predict(probe("x/a -> y/a:82")).judgement.ruling.value == "allowed"


# ------------------------------------------------------------------ the customer's stories


def app(namespace: str, name: str, labels: dict[str, str], *ports: int, node: int = 1) -> Pod:
    return Pod(namespace, name, Labels(labels), tuple(map(ContainerPort, ports)), node)


def story(pods: tuple[Pod, ...], *policies: Manifest, **more: Any) -> State:
    names = dict.fromkeys(pod.namespace for pod in pods)
    return State("story", tuple(map(Namespace, names)), pods, policies=policies, **more)


DNS_RULE = "{ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}"
TIERS = (
    app("shop", "web", {"name": "web-pod"}, 80),
    app("shop", "api", {"name": "api-pod"}, 5000, node=2),
    app("shop", "db", {"role": "db"}, 3306, 9104),
    app("shop", "stranger", {}, node=2),
)
DB_POLICY = """
    podSelector: {matchLabels: {role: db}}
    policyTypes: [Ingress]
    ingress: [{from: [{podSelector: {matchLabels: {name: api-pod}}}], ports: [{port: 3306}]}]"""


def test_story_three_tier() -> None:
    users = External("users", ("198.51.100.20",))
    service = Service("shop", "api", Labels({"name": "api-pod"}), (ServicePort(5000, 5000),))
    more = {"externals": (users,), "services": (service,)}
    open_state = story(TIERS, **more)
    check(open_state, "allowed: shop/web -> shop/db:3306, external/users -> shop/web:80")
    db = policy(DB_POLICY, "shop", "db-policy")
    check(
        story(TIERS, db, **more),
        """
        allowed: shop/api -> shop/db:3306, shop/db -> shop/web:80
        TIMEOUT: shop/web -> shop/db:3306, shop/stranger -> shop/db:3306
        TIMEOUT: shop/api -> shop/db:9104""",
    )
    web = """
        podSelector: {matchLabels: {name: web-pod}}
        ingress: [{ports: [{port: 80}]}]
        egress: [{to: [{podSelector: {matchLabels: {name: api-pod}}}], ports: [{port: 5000}]}]"""
    api = """
        podSelector: {matchLabels: {name: api-pod}}
        ingress: [{from: [{podSelector: {matchLabels: {name: web-pod}}}], ports: [{port: 5000}]}]
        egress: [{to: [{podSelector: {matchLabels: {role: db}}}], ports: [{port: 3306}]}]"""
    all_of_them = (db, policy(web, "shop", "web"), policy(api, "shop", "api"))
    check(
        story(TIERS, *all_of_them, **more),
        """
        allowed: external/users -> shop/web:80, shop/web -> shop/api:5000, shop/api -> shop/db:3306
        allowed: shop/web -> svc/shop/api:5000
        TIMEOUT: shop/web -> shop/db:3306, external/users -> shop/api:5000
        TIMEOUT: shop/db -> shop/api:5000
        DNS: shop/web -> dns/api.shop:5000""",
    )
    dns = policy(f"{{{DENY_OUT}, egress: [{DNS_RULE}]}}", "shop", "dns")
    check(story(TIERS, *all_of_them, dns, **more), "allowed: shop/web -> dns/api.shop:5000")


def test_story_policy_types() -> None:
    both = DB_POLICY.replace("[Ingress]", "[Ingress, Egress]")
    check(story(TIERS, policy(DB_POLICY, "shop")), "allowed: shop/db -> shop/web:80")
    check(
        story(TIERS, policy(both, "shop")),
        "TIMEOUT: shop/db -> shop/web:80\nallowed: shop/api -> shop/db:3306",
    )


def test_story_default_deny_then_whitelist() -> None:
    service = Service("shop", "api", Labels({"name": "api-pod"}), (ServicePort(5000, 5000),))
    steps = [
        (policy(f"{{podSelector: {{}}, {DENY_ALL}}}", "shop", "deny"), "DNS TIMEOUT TIMEOUT"),
        (policy(f"{{{DENY_OUT}, egress: [{DNS_RULE}]}}", "shop", "dns"),
         "TIMEOUT TIMEOUT TIMEOUT"),
        (policy("""
            podSelector: {matchLabels: {name: web-pod}}
            policyTypes: [Egress]
            egress: [{to: [{podSelector: {matchLabels: {name: api-pod}}}], ports: [{port: 5000}]}]
            """, "shop", "web-out"), "TIMEOUT TIMEOUT TIMEOUT"),
        (policy("""
            podSelector: {matchLabels: {name: api-pod}}
            ingress: [{from: [{podSelector: {matchLabels: {name: web-pod}}}]}]
            egress: [{to: [{podSelector: {matchLabels: {role: db}}}]}]
            """, "shop", "api"), "allowed allowed TIMEOUT"),
        (policy(DB_POLICY, "shop", "db"), "allowed allowed allowed"),
    ]  # fmt: skip
    probes = (
        "shop/web -> dns/api.shop:5000",
        "shop/web -> shop/api:5000",
        "shop/api -> shop/db:3306",
    )
    for count, (_, words) in enumerate(steps, 1):
        state = story(TIERS, *(item for item, _ in steps[:count]), services=(service,))
        assert " ".join(said(state, text) for text in probes) == words, count


NGINX = {"app": "nginx"}
POSTGRES = (
    app("db", "postgres", {"app": "postgres"}, 5432),
    app("db", "nginx", NGINX),
    app("app1", "nginx", NGINX),
    app("app1", "nginx2", {"app": "nginx2"}, node=2),
    app("app2", "nginx", NGINX, node=2),
)


def test_story_db_app1_app2() -> None:
    headless = Service(
        "db", "postgres", Labels({"app": "postgres"}), (ServicePort(5432, 5432),),
        ServiceType.HEADLESS,
    )  # fmt: skip
    only_app1 = policy(
        """
        podSelector: {matchLabels: {app: postgres}}
        policyTypes: [Ingress]
        ingress:
        - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: app1}}}]
        """,
        "db",
        "db.postgres",
    )
    ways = "{0} -> db/postgres:5432, {0} -> dns/postgres.db:5432"
    before, after = (story(POSTGRES, *p, services=(headless,)) for p in ((), (only_app1,)))
    check(before, f"allowed: {ways.format('app1/nginx')}, {ways.format('app2/nginx')}")
    check(after, f"allowed: {ways.format('app1/nginx')}\nTIMEOUT: {ways.format('app2/nginx')}")


def test_story_db_nodeport_ipblock_and() -> None:
    service = Service(
        "db", "postgres", Labels({"app": "postgres"}), (ServicePort(5432, 5432),),
        ServiceType.NODE_PORT, LOCAL,
    )  # fmt: skip
    hosts = (External("office", ("10.10.3.4",)), External("branch", ("10.60.3.4",)))
    spec = """
        podSelector: {matchLabels: {app: postgres}}
        ingress:
        - from:
          - ipBlock: {cidr: 10.10.0.0/16}
          - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: app1}}
            podSelector: {matchLabels: {app: nginx}}"""
    common = """
        allowed: external/office -> nodeport/db/postgres@1:5432, app1/nginx -> dns/postgres.db:5432
        TIMEOUT: external/branch -> nodeport/db/postgres@1:5432, app2/nginx -> svc/db/postgres:5432
        TIMEOUT: external/office -> nodeport/db/postgres@2:5432"""
    more = {"services": (service,), "externals": hosts}
    check(
        story(POSTGRES, policy(spec, "db"), **more),
        common
        + """
        TIMEOUT: app1/nginx2 -> svc/db/postgres:5432, app1/nginx2 -> dns/postgres.db:5432
        TIMEOUT: db/nginx -> svc/db/postgres:5432""",
    )
    or_mistake = spec.replace("  podSelector: {matchLabels: {app: nginx}}", "- podSelector: {matchLabels: {app: nginx}}")  # fmt: skip  # noqa: E501
    check(
        story(POSTGRES, policy(or_mistake, "db"), **more),
        common
        + """
        allowed: app1/nginx2 -> svc/db/postgres:5432, db/nginx -> svc/db/postgres:5432""",
    )


def test_story_full_syntax() -> None:
    pods = (
        app("default", "db", {"role": "db"}, 6379, 6380),
        app("default", "frontend", {"role": "frontend"}, node=2),
        app("default", "other", {}, 5978),
        app("mine", "any", {}, node=2),
    )
    hosts = (
        External("inside", ("172.17.0.9",)),
        External("excepted", ("172.17.1.9",)),
        External("target", ("10.0.0.9",), (ContainerPort(5978), ContainerPort(80))),
    )
    full = policy(
        """
        podSelector: {matchLabels: {role: db}}
        policyTypes: [Ingress, Egress]
        ingress:
        - from:
          - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
          - namespaceSelector: {matchLabels: {project: myproject}}
          - podSelector: {matchLabels: {role: frontend}}
          ports: [{protocol: TCP, port: 6379}]
        egress: [{to: [{ipBlock: {cidr: 10.0.0.0/24}}], ports: [{protocol: TCP, port: 5978}]}]
        """,
        "default",
    )
    namespaces = (Namespace("default"), Namespace("mine", Labels({"project": "myproject"})))
    check(
        replace(story(pods, full, externals=hosts), namespaces=namespaces),
        """
        allowed: external/inside -> default/db:6379, mine/any -> default/db:6379
        allowed: default/frontend -> default/db:6379, default/db -> external/target:5978
        TIMEOUT: external/excepted -> default/db:6379, external/target -> default/db:6379
        TIMEOUT: default/frontend -> default/db:6380, default/other -> default/db:6379
        TIMEOUT: default/db -> external/target:80, default/db -> default/other:5978""",
    )


def test_story_label_opens_the_door() -> None:
    server = app("demo", "server", {"app": "server"}, 80)
    demo = policy(
        "{podSelector: {matchLabels: {app: server}}, "
        "ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 80}]}]}",
        "demo",
    )
    for labels, word in (({}, "TIMEOUT"), ({"app": "client"}, "allowed")):
        client = app("demo", "client", labels, node=2)
        check(story((server, client), demo), f"{word}: demo/client -> demo/server:80")


FRONT = (
    app("default", "frontend", {"app": "frontend"}, 80),
    app("default", "backend", {"app": "backend"}, 443, node=2),
    app("default", "database", {"app": "database"}, 5432),
    app("default", "my-app", {"app": "my-app"}, 80, 81, node=2),
)
BACKEND = policy(
    "{podSelector: {matchLabels: {app: backend}}, "
    "ingress: [{from: [{podSelector: {matchLabels: {app: frontend}}}]}]}",
    "default",
    "allow-frontend-to-backend",
)


def test_story_egress_port_443_and_frontend_backend() -> None:
    specific = policy(
        "{podSelector: {matchLabels: {app: my-app}}, "
        "ingress: [{from: [{podSelector: {matchLabels: {app: frontend}}}], ports: [{port: 80}]}], "
        "egress: [{to: [{podSelector: {matchLabels: {app: backend}}}], ports: [{port: 443}]}]}",
        "default",
        "allow-specific-pod",
    )
    check(
        story(FRONT, specific),
        """
        allowed: default/frontend -> default/my-app:80, default/my-app -> default/backend:443
        TIMEOUT: default/frontend -> default/my-app:81, default/database -> default/my-app:80
        TIMEOUT: default/my-app -> default/frontend:80""",
    )
    check(story(FRONT, specific, BACKEND), "TIMEOUT: default/my-app -> default/backend:443")


def test_story_frontend_to_database() -> None:
    check(
        story(FRONT, BACKEND),
        """
        allowed: default/frontend -> default/backend:443, default/frontend -> default/database:5432
        TIMEOUT: default/database -> default/backend:443""",
    )
    out = policy(
        "{podSelector: {matchLabels: {app: frontend}}, policyTypes: [Egress], "
        "egress: [{to: [{podSelector: {matchLabels: {app: backend}}}]}]}",
        "default",
    )
    shut = policy(
        "{podSelector: {matchLabels: {app: database}}, policyTypes: [Ingress]}", "default"
    )
    for added in (out, shut):
        check(
            story(FRONT, BACKEND, added),
            "TIMEOUT: default/frontend -> default/database:5432",
        )


def test_story_egress_external_api_and_deny_ingress_from_external() -> None:
    api = External("api", ("203.0.113.5",), (ContainerPort(443),), ("api.example.com",))
    other = External("other", ("198.51.100.7",), (ContainerPort(443),))
    out = policy(
        "{podSelector: {matchLabels: {app: backend}}, "
        "egress: [{to: [{ipBlock: {cidr: 203.0.113.5/32}}]}]}",
        "default",
        "allow-egress-to-external-api",
    )
    more = {"externals": (api, other)}
    check(
        story(FRONT, out, **more),
        """
        allowed: default/backend -> external/api:443
        TIMEOUT: default/backend -> external/other:443, default/frontend -> default/backend:443
        DNS: default/backend -> dns/api.example.com:443""",
    )
    shut = policy("{podSelector: {matchLabels: {app: backend}}, ingress: []}", "default", "shut")
    for policies in ((out, BACKEND), (out, BACKEND, shut)):
        check(
            story(FRONT, *policies, **more),
            """
            allowed: default/frontend -> default/backend:443
            TIMEOUT: external/api -> default/backend:443""",
        )


# ------------------------------------------------------------------ explaining


def test_a_claim_that_does_not_hold_is_explained() -> None:
    assert explain(story(FRONT, BACKEND), "default/frontend -> default/database:5432") == (
        """\
default/frontend -> default/database:5432  allowed
  egress of default/frontend: not isolated (no policy selects it for Egress)
  ingress of default/database: not isolated (no policy selects it for Ingress)
  note: NetworkPolicy default/allow-frontend-to-backend selects app=backend: \
default/backend, not default/database
  note: NetworkPolicy default/allow-frontend-to-backend names default/frontend \
as a peer, but restricts only default/backend"""
    )


def test_a_denial_is_explained() -> None:
    spec = """
        podSelector: {matchLabels: {pod: a}}
        ingress:
        - from: [{podSelector: {matchLabels: {pod: b}}}, {ipBlock: {cidr: 203.0.113.0/24}}]
        - from: [{namespaceSelector: {matchLabels: {ns: y}}}]
          ports: [{port: 81}]"""
    state = replace(F0, policies=(policy(spec),))
    assert explain(state, "y/a -> x/a:80") == (
        """\
y/a -> x/a:80  TIMEOUT
  egress of y/a: not isolated (no policy selects it for Egress)
  ingress of x/a: isolated by NetworkPolicy x/p; no rule allows y/a -> x/a on TCP 80
    NetworkPolicy x/p, ingress rule 1: pods pod=b of the same namespace (x), but y/a is in y; \
ipBlock 203.0.113.0/24, but y/a (IPv4) is not in it
    NetworkPolicy x/p, ingress rule 2: port TCP 81, but the connection is to TCP 80"""
    )


def test_an_undefined_ruling_is_explained() -> None:
    spec = f"{{{A}, ingress: [{FROM_Y}]}}"
    text = explain(with_host_pods(policy(spec)), "y/agent -> x/a:80")
    assert text == (
        """\
y/agent -> x/a:80  undefined
  undefined: the API does not define whether a hostNetwork pod is treated like its node (R83)
  if hostNetwork pods are treated like pods: allowed
    egress of y/agent: not isolated (no policy selects it for Egress)
    ingress of x/a: isolated by NetworkPolicy x/p; allowed by NetworkPolicy x/p, \
ingress rule 1: namespaces ns=y; every port
  if hostNetwork pods are treated like their node: denied
    ingress of x/a: isolated by NetworkPolicy x/p; no rule allows y/agent -> x/a on TCP 80
      NetworkPolicy x/p, ingress rule 1: namespaces ns=y, but y/agent is not a pod, and \
selectors match only pods"""
    )


CARTS = (
    app("shop", "web", {"name": "web"}),
    app("shop", "carts", {"name": "carts", "tier": "back"}, 80),
    app("bank", "cart", {"name": "cart"}, 80),
)


@pytest.mark.parametrize(
    ("selector", "near"),
    [
        ("name: cart", "name=cart: no pod; shop/carts has name=carts"),
        ("app: carts", "app=carts: no pod; shop/carts has name=carts"),
        ("name: cart, tier: back", "name=cart,tier=back: no pod; shop/carts has name=carts"),
        ("name: cart, tier: front", "name=cart,tier=front: no pod"),
        ("name: payment", "name=payment: no pod"),
    ],
)
def test_a_policy_that_selects_no_pod_is_noted_first(selector: str, near: str) -> None:
    other = policy("{podSelector: {matchLabels: {name: web}}}", "shop", "web")
    typo = policy(f"{{podSelector: {{matchLabels: {{{selector}}}}}}}", "shop", "cart")
    found = Judge(story(CARTS, other, typo)).notes(probe("bank/cart -> shop/carts:80"))
    assert found == (
        f"note: NetworkPolicy shop/cart selects {near}",
        "note: NetworkPolicy shop/web selects name=web: shop/web, not shop/carts",
    )


def test_a_policy_that_selects_no_pod_of_the_other_direction_is_not_noted() -> None:
    out = policy("{podSelector: {matchLabels: {name: cart}}, policyTypes: [Egress]}", "shop", "o")
    judge = Judge(story(CARTS, out))
    assert judge.notes(probe("node/1 -> shop/carts:80")) == ()
    assert judge.notes(probe("shop/web -> bank/cart:80")) == (
        "note: NetworkPolicy shop/o selects name=cart: no pod; shop/carts has name=carts",
    )


def test_notes_of_other_directions_and_namespaces() -> None:
    wrong_type = policy(f"{{{A}, {DENY_OUT}}}", name="out")
    elsewhere = policy(f"{{{A}, {DENY_IN}}}", "z", "there")
    lines = explain(replace(F0, policies=(wrong_type, elsewhere)), "y/b -> x/a:80").splitlines()
    assert lines[-2:] == [
        "  note: NetworkPolicy x/out selects x/a, but its policyTypes are [Egress]",
        "  note: NetworkPolicy z/there would select x/a, but applies only to namespace z",
    ]
