"""NetworkPolicy as values, and every fault that the API server would find."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from harness.model import Manifest, Protocol
from harness.policy import (
    Direction,
    Fault,
    IPBlock,
    LabelSelector,
    NetworkPolicy,
    Operator,
    Peer,
    PolicyPort,
    Requirement,
    Rule,
    faults,
    kinds,
    parse,
    selectors,
)
from harness.policy.builtin import NoSuchKind, no_such_kind
from harness.policy.selectors import BadWord
from tests.policy_schema import only_the_reader_sees, takes

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS


def parsed(spec: Any) -> NetworkPolicy:
    text = json.dumps({"spec": spec} if spec is not None else {})
    return parse(Manifest("networking.k8s.io/v1", "NetworkPolicy", "db", "p", text))


def document(spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "db"},
        "spec": yaml.safe_load(spec) if isinstance(spec, str) else spec,
    }


# ------------------------------------------------------------------ parsing


@pytest.mark.parametrize(
    ("requirement", "spec", "types"),
    [
        ("R11", {"policyTypes": ["Egress"]}, {EGRESS}),
        ("R11", {"policyTypes": ["Ingress", "Egress"]}, {INGRESS, EGRESS}),
        ("R12", {"egress": [{}]}, {INGRESS, EGRESS}),
        ("R12", {"ingress": [{}]}, {INGRESS}),
        ("R13", {"policyTypes": ["Egress"], "egress": [{}]}, {EGRESS}),
        ("R14", {"egress": []}, {INGRESS}),
        ("R14", {"policyTypes": ["Egress"], "egress": []}, {EGRESS}),
        ("R62", {"policyTypes": [], "egress": [{}]}, {INGRESS, EGRESS}),
        ("R62", {"policyTypes": None}, {INGRESS}),
        ("R04", None, {INGRESS}),
    ],
)
def test_policy_types_default(requirement: str, spec: Any, types: set[Direction]) -> None:
    assert parsed(spec).policy_types == types


@pytest.mark.parametrize("spec", [None, {}, {"podSelector": None}, {"podSelector": {}}])
def test_a_missing_pod_selector_is_an_empty_one_R04(spec: Any) -> None:  # noqa: N802
    assert parsed(spec).pod_selector == LabelSelector()


def test_a_whole_policy_is_read() -> None:
    policy = parsed(
        yaml.safe_load("""
        podSelector: {matchLabels: {role: db}}
        ingress:
        - from:
          - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
          - namespaceSelector: {matchLabels: {project: myproject}}
            podSelector: {}
          - podSelector: {matchExpressions: [{key: role, operator: NotIn, values: [a, b]}]}
          ports: [{port: 6379}, {protocol: UDP, port: web}]
        egress:
        - to: []
          ports: [{port: 5978, endPort: 5980, protocol: SCTP}, {}]
        """)
    )
    role = Requirement("role", Operator.NOT_IN, ("a", "b"))
    assert policy == NetworkPolicy(
        "db",
        "p",
        LabelSelector((Requirement("role", Operator.IN, ("db",)),)),
        frozenset({INGRESS, EGRESS}),
        (
            Rule(
                (
                    Peer(ip_block=IPBlock("172.17.0.0/16", ("172.17.1.0/24",))),
                    Peer(
                        LabelSelector(),
                        LabelSelector((Requirement("project", Operator.IN, ("myproject",)),)),
                    ),
                    Peer(LabelSelector((role,))),
                ),
                (PolicyPort(Protocol.TCP, 6379), PolicyPort(Protocol.UDP, "web")),
            ),
        ),
        (Rule((), (PolicyPort(Protocol.SCTP, 5978, 5980), PolicyPort())),),
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (LabelSelector(), "<all>"),
        (LabelSelector((Requirement("a", Operator.IN, ("b",)),)), "a=b"),
        (LabelSelector((Requirement("a", Operator.IN, ("b", "c")),)), "a in (b, c)"),
        (LabelSelector((Requirement("a", Operator.NOT_IN, ("b",)),)), "a notin (b)"),
        (LabelSelector((Requirement("a", Operator.EXISTS),)), "a"),
        (LabelSelector((Requirement("a", Operator.DOES_NOT_EXIST),)), "!a"),
        (PolicyPort(Protocol.TCP, 80, 90), "TCP 80-90"),
        (PolicyPort(Protocol.UDP), "UDP any"),
        (Peer(LabelSelector()), "pods <all> of the same namespace"),
        (Peer(None, LabelSelector()), "namespaces <all>"),
        (Peer(LabelSelector(), LabelSelector()), "pods <all> in namespaces <all>"),
        (Peer(ip_block=IPBlock("::/0", ("fd00::/8",))), "ipBlock ::/0 except fd00::/8"),
    ],
)
def test_values_print_as_people_write_them(value: object, text: str) -> None:
    assert str(value) == text


# ------------------------------------------------------------------ faults

RULE = ("spec", "ingress", 0)
IN = "spec.ingress[0]"
BLOCK = f"{IN}.from[0].ipBlock"


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        "podSelector: {matchLabels: {a: '', example.com/role: b}}",
        "ingress: [{}]",
        "{ingress: , egress: , policyTypes: }",
        "policyTypes: [Ingress, Ingress]",
        "ingress: [{from: [], ports: []}]",
        "ingress: [{from: [{podSelector: {}, namespaceSelector: {}}]}]",
        "ingress: [{from: [{podSelector: , namespaceSelector: {}}]}]",
        "ingress: [{from: [{ipBlock: {cidr: '10.0.0.5/24', except: [10.0.0.128/25]}}]}]",
        "ingress: [{from: [{ipBlock: {cidr: '2001:db8::/64', except: []}}]}]",
        "ingress: [{ports: [{}, {protocol: SCTP}, {port: dns-tcp}, {port: 1, endPort: 65535}]}]",
        "ingress: [{ports: [{port: 80, endPort: 80}]}]",
    ],
)
def test_what_the_server_takes_has_no_fault(spec: Any) -> None:
    assert faults(document(spec)) == ()
    assert takes(document(spec))


@pytest.mark.parametrize(
    ("spec", "path", "message", "hint"),
    [
        (
            "podselector: {}",
            ("spec", "podselector"),
            "unknown key 'podselector' in spec",
            "did you mean 'podSelector'?",
        ),
        (
            "ingress: [{form: []}]",
            (*RULE, "form"),
            f"unknown key 'form' in {IN}",
            "did you mean 'from'?",
        ),
        (
            "egress: [{from: []}]",
            ("spec", "egress", 0, "from"),
            "unknown key 'from' in spec.egress[0]",
            "'from' belongs to a rule of ingress; a rule of egress has 'to'",
        ),
        (
            "ingress: [{podSelector: {}}]",
            (*RULE, "podSelector"),
            f"unknown key 'podSelector' in {IN}",
            "in a rule it stands as an item of the list 'from' or 'to'",
        ),
        (
            "ingress: [{from: [{podSelector: {}, ports: []}]}]",
            (*RULE, "from", 0, "ports"),
            f"unknown key 'ports' in {IN}.from[0]",
            "'ports' stands beside 'from' or 'to' in a rule: mind the indentation",
        ),
        (
            "podSelector: {role: db}",
            ("spec", "podSelector", "role"),
            "unknown key 'role' in spec.podSelector",
            "labels stand under matchLabels: {matchLabels: {role: ...}}",
        ),
        (
            "zebra: 1",
            ("spec", "zebra"),
            "unknown key 'zebra' in spec",
            "known keys: podSelector, policyTypes, ingress, egress",
        ),
        (
            "policyTypes: [ingress]",
            ("spec", "policyTypes", 0),
            "policyTypes[0] 'ingress' is not known in spec.policyTypes",
            "did you mean 'Ingress'?",
        ),
        (
            "policyTypes: [Both]",
            ("spec", "policyTypes", 0),
            "policyTypes[0] 'Both' is not known in spec.policyTypes",
            "it is one of Ingress, Egress",
        ),
        (
            "policyTypes: Ingress",
            ("spec", "policyTypes"),
            "policyTypes is 'Ingress' (text), not a list in spec",
            None,
        ),
        (
            "policyTypes: [Ingress, Egress, Ingress]",
            ("spec", "policyTypes"),
            "policyTypes has more than two words in spec",
            "Ingress, Egress, or both",
        ),
        (
            "ingress: {from: []}",
            ("spec", "ingress"),
            "ingress is a mapping, not a list in spec",
            None,
        ),
        (
            "ingress: [null]",
            RULE,
            "an empty item in spec.ingress",
            "write {} for a rule that admits everything",
        ),
        (
            "ingress: [{from: [{}]}]",
            (*RULE, "from", 0),
            f"a peer without podSelector, namespaceSelector or ipBlock in {IN}.from",
            "leave out 'from' to admit every peer, or write namespaceSelector: {} for every pod",
        ),
        (
            "ingress: [{ports: [null]}]",
            (*RULE, "ports", 0),
            f"an empty item in {IN}.ports",
            "write {protocol: TCP} for every TCP port",
        ),
        (
            "ingress: [{ports: [{protocol: tcp}]}]",
            (*RULE, "ports", 0, "protocol"),
            f"protocol 'tcp' is not known in {IN}.ports[0]",
            "did you mean 'TCP'?",
        ),
        (
            "ingress: [{ports: [{protocol: ICMP}]}]",
            (*RULE, "ports", 0, "protocol"),
            f"protocol 'ICMP' is not known in {IN}.ports[0]",
            "it is one of TCP, UDP, SCTP",
        ),
        (
            "ingress: [{ports: [{port: '80'}]}]",
            (*RULE, "ports", 0, "port"),
            f"'80' is not a valid port name in {IN}.ports[0]",
            "a port number is written without quotes: 80",
        ),
        (
            "ingress: [{ports: [{port: Web}]}]",
            (*RULE, "ports", 0, "port"),
            f"'Web' is not a valid port name in {IN}.ports[0]",
            "at most 15 lower-case letters, digits and single '-', with a letter in it",
        ),
        (
            "ingress: [{ports: [{port: 0}]}]",
            (*RULE, "ports", 0, "port"),
            f"port 0 is out of range in {IN}.ports[0]",
            "a port is 1 to 65535",
        ),
        (
            "ingress: [{ports: [{port: 65536}]}]",
            (*RULE, "ports", 0, "port"),
            f"port 65536 is out of range in {IN}.ports[0]",
            "a port is 1 to 65535",
        ),
        (
            "ingress: [{ports: [{port: on}]}]",
            (*RULE, "ports", 0, "port"),
            f"port True is neither a number nor a name in {IN}.ports[0]",
            "a number from 1 to 65535 or the name of a container's port",
        ),
        (
            "ingress: [{ports: [{endPort: 90}]}]",
            (*RULE, "ports", 0, "endPort"),
            f"endPort 90 without port in {IN}.ports[0]",
            "'port' is the first of the range (R29)",
        ),
        (
            "ingress: [{ports: [{port: 80, endPort: yes}]}]",
            (*RULE, "ports", 0, "endPort"),
            f"endPort is True (true or false), not a number in {IN}.ports[0]",
            None,
        ),
        (
            "ingress: [{ports: [{port: web, endPort: 90}]}]",
            (*RULE, "ports", 0, "endPort"),
            f"endPort 90 beside the named port 'web' in {IN}.ports[0]",
            "a range needs a number as its port (R29)",
        ),
        (
            "ingress: [{ports: [{port: 80, endPort: 79}]}]",
            (*RULE, "ports", 0, "endPort"),
            f"endPort 79 is less than port 80 in {IN}.ports[0]",
            "endPort is the last port of the range (R30)",
        ),
        (
            "ingress: [{ports: [{port: 80, endPort: 70000}]}]",
            (*RULE, "ports", 0, "endPort"),
            f"endPort 70000 is out of range in {IN}.ports[0]",
            "a port is 1 to 65535",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]",
            (*RULE, "from", 0, "ipBlock", "except", 0),
            f"except '11.0.0.0/16' is not a part of cidr '10.0.0.0/8' in {BLOCK}.except",
            "an exception lies inside its cidr and is smaller than it (R33)",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]",
            (*RULE, "from", 0, "ipBlock", "except", 0),
            f"except '10.0.0.0/8' is not a part of cidr '10.0.0.0/8' in {BLOCK}.except",
            "an exception lies inside its cidr and is smaller than it (R33)",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: ['fd00::/16']}}]}]",
            (*RULE, "from", 0, "ipBlock", "except", 0),
            f"except 'fd00::/16' is not a part of cidr '10.0.0.0/8' in {BLOCK}.except",
            "an exception lies inside its cidr and is smaller than it (R33)",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.5}}]}]",
            (*RULE, "from", 0, "ipBlock", "cidr"),
            f"cidr '10.0.0.5' is not a CIDR in {BLOCK}",
            "a single address is written 10.0.0.5/32",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: 'fd00::1/129'}}]}]",
            (*RULE, "from", 0, "ipBlock", "cidr"),
            f"cidr 'fd00::1/129' is not a CIDR in {BLOCK}",
            "the prefix length is a number from 0 to 128",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/255.0.0.0}}]}]",
            (*RULE, "from", 0, "ipBlock", "cidr"),
            f"cidr '10.0.0.0/255.0.0.0' is not a CIDR in {BLOCK}",
            "the prefix length is a number from 0 to 32",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: api.example.com}}]}]",
            (*RULE, "from", 0, "ipBlock", "cidr"),
            f"cidr 'api.example.com' is not a CIDR in {BLOCK}",
            "an address and a prefix length, like 10.0.0.0/24 or 2001:db8::/64",
        ),
        (
            "ingress: [{from: [{ipBlock: {}}]}]",
            (*RULE, "from", 0, "ipBlock"),
            f"cidr is missing in {BLOCK}",
            "cidr: 10.0.0.0/24",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]",
            (*RULE, "from", 0, "ipBlock"),
            f"ipBlock beside podSelector in {IN}.from[0]",
            "an ipBlock stands alone in its item; make it two items (R34)",
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: in, values: [b]}]}",
            ("spec", "podSelector", "matchExpressions", 0, "operator"),
            "operator 'in' is not known in spec.podSelector.matchExpressions[0]",
            "did you mean 'In'?",
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: In, values: []}]}",
            ("spec", "podSelector", "matchExpressions", 0, "operator"),
            "operator 'In' without values in spec.podSelector.matchExpressions[0]",
            "In and NotIn need a list of one value or more (R43)",
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}",
            ("spec", "podSelector", "matchExpressions", 0, "values"),
            "operator 'Exists' with values in spec.podSelector.matchExpressions[0]",
            "Exists and DoesNotExist look at the key alone (R43)",
        ),
        (
            "podSelector: {matchExpressions: [{operator: Exists}]}",
            ("spec", "podSelector", "matchExpressions", 0),
            "key is missing in spec.podSelector.matchExpressions[0]",
            "key: app",
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: [In]}]}",
            ("spec", "podSelector", "matchExpressions", 0, "operator"),
            "operator is a list, not text in spec.podSelector.matchExpressions[0]",
            None,
        ),
        (
            "podSelector: {matchLabels: {a: true}}",
            ("spec", "podSelector", "matchLabels", "a"),
            "a is True (true or false), not text in spec.podSelector.matchLabels",
            'quote it: "..."',
        ),
        (
            "podSelector: {matchLabels: {a: b c}}",
            ("spec", "podSelector", "matchLabels", "a"),
            "'b c' is not a valid label value in spec.podSelector.matchLabels",
            "at most 63 letters, digits, '-', '_', '.'; the first and last a letter or digit",
        ),
        (
            "podSelector: {matchLabels: {-a: b}}",
            ("spec", "podSelector", "matchLabels", "-a"),
            "'-a' is not a valid label key in spec.podSelector.matchLabels",
            "at most 63 letters, digits, '-', '_', '.'; the first and last a letter or digit; "
            "an optional prefix is a DNS name and '/'",
        ),
    ],
)  # fmt: skip
def test_faults_of_a_spec(
    spec: str, path: tuple[str | int, ...], message: str, hint: str | None
) -> None:
    assert faults(document(spec)) == (Fault(path, f"{message} of NetworkPolicy 'p'", hint),)
    assert takes(document(spec)) is only_the_reader_sees(message)


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"metadata": {"name": "Db"}},
         ["'Db' is not a valid name in metadata of NetworkPolicy 'Db'"]),
        ({"metadata": {"name": "db.postgres-1"}}, []),
        ({"metadata": {"name": "a" * 253}}, []),
        ({"metadata": {"name": "p", "namespace": "a.b"}},
         ["'a.b' is not a valid name in metadata of NetworkPolicy 'p'"]),
        ({"metadata": {"namespace": "db"}},
         ["name is missing in metadata of a NetworkPolicy without a name"]),
        ({"metadata": None}, ["metadata.name is missing in a NetworkPolicy without a name"]),
        ({"metadata": {"name": "p", "lables": {}}},
         ["unknown key 'lables' in metadata of NetworkPolicy 'p'"]),
        ({"metadata": {"name": "p", "annotations": {"a": 1}}},
         ["a is 1 (a number), not text in metadata.annotations of NetworkPolicy 'p'"]),
        ({"metadata": {"name": "p", "creationTimestamp": None}}, []),
        ({"apiVersion": "networking/v1"}, ["there is no kind 'NetworkPolicy' in networking/v1"]),
        ({"apiVersion": "networking.k8s.io/v1beta1"},
         ["there is no kind 'NetworkPolicy' in networking.k8s.io/v1beta1"]),
        ({"apiVersion": "networking.k8s.oi/v1"},
         ["apiVersion is 'networking.k8s.oi/v1' in NetworkPolicy 'p'"]),
        ({"apiVersion": 1}, ["apiVersion is 1 in NetworkPolicy 'p'"]),
        ({"kind": None}, ["kind is missing in NetworkPolicy 'p'"]),
        ({"spec": []}, ["spec is a list, not a mapping in NetworkPolicy 'p'"]),
        ({"status": {}}, ["unknown key 'status' in NetworkPolicy 'p'"]),
    ],
)  # fmt: skip
def test_faults_of_an_object(change: dict[str, Any], messages: list[str]) -> None:
    changed = {**document({}), **change}
    assert [fault.message for fault in faults(changed)] == messages
    assert takes(changed) is all(map(only_the_reader_sees, messages))


def test_every_fault_is_reported_at_once() -> None:
    found = faults(document("{policyTypes: [x], ingress: [{ports: [{port: 0}, {port: 70000}]}]}"))
    assert [fault.path[-1] for fault in found] == [0, "port", "port"]


@pytest.mark.parametrize("value", [None, [], "text", 3, {}, {True: 1}, {"spec": {1: 2}}])
def test_nonsense_gives_faults_and_no_exception(value: object) -> None:
    assert faults(value)


# ------------------------------------------------------------------ the syntax of words


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (selectors.dns_label, ["a", "0", "a-b", "a" * 63], ["", "A", "-a", "a-", "a.b", "a\n"]),
        (selectors.dns_label, [], ["a" * 64, "a_b", "\u00e4"]),
        (
            selectors.dns_subdomain,
            ["a", "a.b", "a" * 64, "a." * 126 + "a"],
            ["", "a..b", "a.", "A"],
        ),
        (selectors.dns_subdomain, [], ["a" * 254, ".a", "a.-b", "a_b"]),
        (selectors.label_key, ["a", "A_b.c", "a.b/c", "a" * 63], ["", "-a", "/a", "a/", "a/b/c"]),
        (selectors.label_key, [], ["A/b", "a" * 64, "a" * 254 + "/b", "a b"]),
        (
            selectors.label_value,
            ["", "a", "A_b.c", "a" * 63],
            ["-a", "a-", "a b", "a/b", "a" * 64],
        ),
        (selectors.port_name, ["web", "8a", "a-b", "a" * 15], ["", "80", "8-0", "Web", "a--b"]),
        (selectors.port_name, [], ["-a", "a-", "a" * 16, "a.b"]),
        (selectors.port_number, [1, 80, 65535], [0, -1, 65536]),
    ],
)
def test_the_syntax_of_words(check: Any, right: list[Any], wrong: list[Any]) -> None:
    assert [word for word in right if check(word) is not None] == []
    assert [word for word in wrong if check(word) is None] == []


@pytest.mark.parametrize(
    ("found", "fact", "hint"),
    [
        (
            selectors.dns_label("A"),
            "'A' is not a valid name",
            "at most 63 lower-case letters, digits and '-'; the first and last a letter or digit",
        ),
        (
            selectors.dns_subdomain("A"),
            "'A' is not a valid name",
            "at most 253 lower-case letters, digits, '-' and '.'; "
            "the first and last a letter or digit",
        ),
        (
            selectors.port_number(0, "endPort"),
            "endPort 0 is out of range",
            "a port is 1 to 65535",
        ),
    ],
)
def test_a_bad_word_says_what_is_possible(found: BadWord, fact: str, hint: str) -> None:
    assert found == BadWord(fact, hint)


# ------------------------------------------------------------------ kinds


def manifest(api_version: str, kind: str, namespace: str = "db") -> Manifest:
    return Manifest(api_version, kind, namespace, "p", "{}")


def test_a_kind_is_its_api_version_and_its_name() -> None:
    known = kinds.kind_of(manifest("networking.k8s.io/v1", "NetworkPolicy"))
    assert known is not None
    assert (known.parse, known.faults, known.scope) == (parse, faults, kinds.Scope.NAMESPACED)
    assert kinds.kind_of(manifest("projectcalico.org/v3", "NetworkPolicy")) is None
    assert kinds.kind_of(manifest("networking.k8s.io/v1", "Ingress")) is None


def test_only_policies_of_a_known_kind_are_parsed_and_in_order() -> None:
    objects = [
        manifest("networking.k8s.io/v1", "NetworkPolicy", "b"),
        manifest("v1", "ConfigMap"),
        manifest("networking.k8s.io/v1", "NetworkPolicy", "a"),
    ]
    assert kinds.parsed(objects) == (parse(objects[0]), parse(objects[2]))


@pytest.mark.parametrize(
    ("api_version", "kind", "is_meant"),
    [
        ("networking.k8s.io/v1", "NetworkPolicy", True),
        ("networking.k8s.io/v1", "NetworkPolicie", True),
        ("networking.k8s.io/v1", "networkpolicy", True),
        ("networking.k8s.io/v1", "Ingress", False),
        ("networking.k8s.io", "NetworkPolicy", True),
        (None, "NetworkPolicy", True),
        ("networking.k8s.io/v1beta1", "NetworkPolicy", True),
        ("networking.k8s.oi/v1", "NetworkPolicy", True),
        ("apps/v1", "NetworkPolicy", True),
        ("extensions/v1beta1", "NetworkPolicy", True),
        ("projectcalico.org/v3", "NetworkPolicy", False),
        ("crd.antrea.io/v1beta1", "NetworkPolicy", False),
        ("cilium.io/v2", "CiliumNetworkPolicy", False),
        ("networking.k8s.io/v1", None, False),
        ("networking.k8s.io/v1", 5, False),
    ],
)
def test_the_kind_that_an_author_means(api_version: object, kind: object, is_meant: bool) -> None:
    assert kinds.meant(api_version, kind) == (kinds.KINDS[0] if is_meant else None)


@pytest.mark.parametrize(
    ("api_version", "kind", "effect"),
    [
        ("networking.k8s.io/v1", "NetworkPolicy", kinds.Effect.JUDGED),
        ("networking.k8s.io/v1", "Ingress", kinds.Effect.HARMLESS),
        ("v1", "ConfigMap", kinds.Effect.HARMLESS),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", kinds.Effect.HARMLESS),
        ("monitoring.coreos.com/v1", "ServiceMonitor", kinds.Effect.HARMLESS),
        ("cert-manager.io/v1", "Certificate", kinds.Effect.HARMLESS),
        ("cilium.io/v2", "CiliumNetworkPolicy", kinds.Effect.UNKNOWN),
        ("projectcalico.org/v3", "NetworkPolicy", kinds.Effect.UNKNOWN),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", kinds.Effect.JUDGED),
        ("example.com/v1", "Anything", kinds.Effect.UNKNOWN),
    ],
)
def test_what_is_known_of_the_connections_that_an_object_changes(
    api_version: str, kind: str, effect: kinds.Effect
) -> None:
    assert kinds.effect_of(manifest(api_version, kind)) is effect


@pytest.mark.parametrize(
    ("changes", "here", "elsewhere"),
    [
        ({}, True, False),
        ({"namespace": ""}, True, True),
        ({"namespace_from_step": True}, True, True),
        ({"api_version": "v1", "kind": "ConfigMap"}, False, False),
        ({"api_version": "cert-manager.io/v1", "namespace": ""}, False, False),
        ({"api_version": "networking.k8s.io/v1", "kind": "NetworkPolicy"}, False, False),
    ],
)
def test_where_an_object_of_unknown_effect_may_act(
    changes: dict[str, Any], here: bool, elsewhere: bool
) -> None:
    made = replace(manifest("example.com/v1", "Anything", "db"), **changes)
    assert (kinds.may_act_on(made, "db"), kinds.may_act_on(made, "web")) == (here, elsewhere)


# ------------------------------------------------------------------ built-in kinds


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("v1", "ConfigMap"),
        ("v1", "List"),
        ("v1", "PodList"),
        ("apps/v1", "Deployment"),
        ("networking.k8s.io/v1", "NetworkPolicyList"),
        ("autoscaling/v1", "HorizontalPodAutoscaler"),
        ("cilium.io/v2", "CiliumNetworkPolicy"),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
        ("example.com/stable", "Anything"),
    ],
)
def test_built_in_and_custom_kinds_exist(api_version: str, kind: str) -> None:
    assert no_such_kind(api_version, kind) is None


@pytest.mark.parametrize(
    ("api_version", "kind", "key", "fact", "hint"),
    [
        ("networking.k8s.io/v1", "Netwo", "kind",
         "there is no kind 'Netwo' in networking.k8s.io/v1", "did you mean 'NetworkPolicy'?"),
        ("v1", "configmap", "kind",
         "there is no kind 'configmap' in v1", "did you mean 'ConfigMap'?"),
        ("batch/v1", "Task", "kind",
         "there is no kind 'Task' in batch/v1", "kinds of batch/v1 are CronJob, Job"),
        ("networking.k8s.io/v1beta1", "NetworkPolicy", "apiVersion",
         "there is no kind 'NetworkPolicy' in networking.k8s.io/v1beta1",
         "write apiVersion: networking.k8s.io/v1"),
        ("policy/v1beta1", "PodDisruptionBudget", "apiVersion",
         "there is no kind 'PodDisruptionBudget' in policy/v1beta1",
         "write apiVersion: policy/v1"),
        ("autoscaling/v2beta2", "HorizontalPodAutoscaler", "apiVersion",
         "there is no kind 'HorizontalPodAutoscaler' in autoscaling/v2beta2",
         "write apiVersion: autoscaling/v2"),
        ("events.k8s.io/v1beta1", "Event", "apiVersion",
         "there is no kind 'Event' in events.k8s.io/v1beta1",
         "write apiVersion: events.k8s.io/v1"),
        ("v1", "Deployment", "apiVersion",
         "there is no kind 'Deployment' in v1", "write apiVersion: apps/v1"),
        ("extensions/v1beta1", "Ingress", "apiVersion",
         "there is no kind 'Ingress' in extensions/v1beta1",
         "write apiVersion: networking.k8s.io/v1"),
        ("app/v1", "Application", "apiVersion",
         "there is no API group 'app'", "did you mean 'apps'?"),
        ("zoo/v1", "Application", "apiVersion",
         "there is no API group 'zoo'", "the group of a custom kind is a DNS name with a dot"),
        ("cilium.io", "CiliumNetworkPolicy", "apiVersion",
         "'cilium.io' is not an apiVersion",
         "it is v1 or GROUP/VERSION, like networking.k8s.io/v1"),
        ("a/b/c", "D", "apiVersion",
         "'a/b/c' is not an apiVersion",
         "it is v1 or GROUP/VERSION, like networking.k8s.io/v1"),
    ],
)  # fmt: skip
def test_a_kind_that_no_server_has(
    api_version: str, kind: str, key: str, fact: str, hint: str
) -> None:
    assert no_such_kind(api_version, kind) == NoSuchKind(key, fact, hint)
