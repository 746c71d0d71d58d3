"""What lint finds in small applications, and what it does not say."""

from __future__ import annotations

import io
import time

import pytest

from harness.application import read
from harness.errors import UsageError
from harness.lint import Choice, Finding, Level, linted

POLICY = (
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
)


def policy(spec: str, head: str = POLICY) -> str:
    return f"{head}spec: {{{spec}}}\n"


def pod(name: str, labels: str, more: str = "", namespace: str = "shop", spec: str = "") -> str:
    container = f"{{name: c{', ' if more else ''}{more}}}"
    return (
        f"---\napiVersion: v1\nkind: Pod\n"
        f"metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}\n"
        f"spec: {{{spec}containers: [{container}]}}\n"
    )


def ports(*written: str) -> str:
    return f"ports: [{', '.join(f'{{{port}}}' for port in written)}]"


WEB = pod("web", "app: web", ports("containerPort: 8080, name: http"))
DB = pod("db", "app: db", ports("containerPort: 5432"))


def find(text: str, *select: str) -> list[Finding]:
    application = read(["-"], "shop", io.BytesIO(text.encode()))
    return list(linted(application, Choice(select=frozenset(select))).findings)


def notes(text: str) -> list[str]:
    application = read(["-"], "shop", io.BytesIO(text.encode()))
    return [str(note) for note in linted(application, Choice()).notes]


def shown(text: str, *select: str) -> list[str]:
    """Return the level, the message and the hint of each finding."""
    return [
        f"{item.level}: {item.said.message} | {item.said.hint}" for item in find(text, *select)
    ]


# ------------------------------------------------------------------ policies and their pods


def test_a_policy_without_near_labels_names_the_workloads_there_are() -> None:
    text = policy("podSelector: {matchLabels: {tier: front}}") + WEB + DB
    assert shown(text, "selects-no-pod") == [
        "warning: NetworkPolicy shop/p selects tier=front: no pod | "
        "pods in namespace shop are those of Pod shop/web, Pod shop/db"
    ]


def test_labels_under_another_key_are_near() -> None:
    text = policy("podSelector: {matchLabels: {name: web}}") + WEB
    assert shown(text, "selects-no-pod") == [
        "warning: NetworkPolicy shop/p selects name=web: no pod | app=web has 1: Pod shop/web"
    ]


def test_several_workloads_with_near_labels() -> None:
    text = policy("podSelector: {matchLabels: {app: wbe}}") + WEB
    text += pod("web-2", "app: web") + pod("web-3", "app: web")
    assert shown(text, "selects-no-pod") == [
        "warning: NetworkPolicy shop/p selects app=wbe: no pod | "
        "app=web has 3: Pod shop/web and 2 more"
    ]


CUSTOM = """\
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: k8s, namespace: shop, labels: {app: prometheus}}
"""


@pytest.mark.parametrize("labels", ["app: prometheus", "instance: k8s", "instance: k8s-0"])
def test_an_operator_may_make_the_pods(labels: str) -> None:
    selector = f"podSelector: {{matchLabels: {{{labels}}}}}"
    text = policy(f"{selector}, ingress: [{{from: [{{{selector}}}]}}]") + WEB
    assert len(find(text, "selects-no-pod", "peer-matches-nothing")) == 2
    assert find(text + CUSTOM, "selects-no-pod", "peer-matches-nothing") == []
    assert notes(text + CUSTOM)[-1] == (
        "stdin:11:1: an operator may make pods for Prometheus shop/k8s: selectors of such pods "
        "are not judged"
    )


CRD = """\
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: engines.example.com}
"""


@pytest.mark.parametrize("more", [CUSTOM.replace("k8s", "x"), CRD])
def test_where_operators_are_only_near_labels_are_reported(more: str) -> None:
    selector = "podSelector: {matchLabels: {part: engine}}"
    text = policy(f"{selector}, ingress: [{{from: [{{{selector}}}]}}]") + WEB
    assert len(find(text, "selects-no-pod", "peer-matches-nothing")) == 2
    assert find(text + more, "selects-no-pod", "peer-matches-nothing") == []
    assert notes(text + more)[-1] == (
        "an operator may make pods, so these selectors are not judged: part=engine"
    )
    text = policy("podSelector: {matchLabels: {app: wbe}}") + WEB + more
    assert [item.level for item in find(text, "selects-no-pod")] == ["warning"]


def test_a_policy_in_the_wrong_namespace() -> None:
    head = POLICY.replace(", namespace: shop", "")
    text = policy("podSelector: {matchLabels: {app: web}}", head) + WEB.replace("shop", "prod")
    assert shown(text, "selects-no-pod") == [
        "warning: NetworkPolicy shop/p selects app=web: no pod, since the manifests have no "
        "workload in namespace shop | Pod prod/web has these labels; write metadata.namespace, "
        "or use -n"
    ]


@pytest.mark.parametrize(
    "text",
    [
        policy("podSelector: {matchLabels: {app: web}}"),
        policy("podSelector: {matchLabels: {app: web}}") + WEB.replace("shop", "prod"),
        policy("podSelector: {}") + WEB,
        policy("podSelector: {matchLabels: {pod-template-hash: a}}") + WEB,
        policy("podSelector: {matchLabels: {batch.kubernetes.io/job-name: a}}") + WEB,
    ],
    ids=["no workloads", "another namespace", "all", "set later", "set later, with a prefix"],
)
def test_what_cannot_be_known_is_not_reported(text: str) -> None:
    assert find(text, "selects-no-pod") == []


def test_a_workload_without_replicas_is_selected() -> None:
    text = policy("podSelector: {matchLabels: {app: x}}") + (
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, namespace: shop}\n"
        "spec: {replicas: 0, selector: {matchLabels: {app: x}}, template: "
        "{metadata: {labels: {app: x}}, spec: {containers: [{name: c}]}}}\n"
    )
    assert find(text, "selects-no-pod") == []


# ------------------------------------------------------------------ peers


def ingress(peers: str) -> str:
    return policy(f"podSelector: {{}}, policyTypes: [Ingress], ingress: [{{from: [{peers}]}}]")


NEARLY = "podSelector: {matchLabels: {app: wbe}}"
SHOP = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}"
NAMESPACE = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: shop}}\n"


@pytest.mark.parametrize(
    ("peer", "level", "hint"),
    [
        (f"{{{NEARLY}}}", "warning", "app=web has 1: Pod shop/web"),
        (f"{{{NEARLY}, {SHOP}}}", "warning", "app=web has 1: Pod shop/web"),
        (f"{{{NEARLY}, namespaceSelector: {{}}}}", "note", "app=web has 1: Pod shop/web"),
        (
            "{podSelector: {matchLabels: {x: z}}}",
            "note",
            "if other manifests have such pods, name these files too",
        ),
        (
            "{namespaceSelector: {matchLabels: {team: shp}}}",
            "note",
            "namespace shop has team=shop",
        ),
    ],
)
def test_a_peer_that_matches_nothing(peer: str, level: str, hint: str) -> None:
    (found,) = find(ingress(peer) + WEB + NAMESPACE, "peer-matches-nothing")
    assert (found.level, found.said.hint) == (level, hint)
    assert found.said.message.startswith("NetworkPolicy shop/p, ingress rule 1: the peer ")


@pytest.mark.parametrize(
    "peer",
    [
        "{podSelector: {}}",
        "{podSelector: {matchLabels: {x: z}}, namespaceSelector: {}}",
        "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}",
        f"{{{NEARLY}, namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: o}}}}}}",
        "{namespaceSelector: {matchLabels: {team: shop}}}",
        "{ipBlock: {cidr: 192.0.2.0/24}}",
    ],
)
def test_a_peer_of_other_manifests_is_not_reported(peer: str) -> None:
    assert find(ingress(peer) + WEB + NAMESPACE, "peer-matches-nothing") == []


def test_a_peer_without_known_pods_is_not_reported() -> None:
    assert find(ingress("{podSelector: {matchLabels: {x: z}}}"), "peer-matches-nothing") == []


def test_a_label_that_names_a_namespace() -> None:
    text = ingress("{namespaceSelector: {matchLabels: {name: shop}}}") + WEB + NAMESPACE
    (found,) = find(text, "namespace-without-label")
    assert found.said.message == (
        "NetworkPolicy shop/p, ingress rule 1: namespaces name=shop, and no namespace has the "
        "label name=shop"
    )
    assert found.said.hint == "Kubernetes sets kubernetes.io/metadata.name=shop; use that label"
    assert [item.text for item in found.said.related] == ["Namespace shop"]


def test_a_namespace_that_has_the_label_is_right() -> None:
    text = ingress("{namespaceSelector: {matchLabels: {team: shop}}}") + WEB + NAMESPACE
    assert find(text, "namespace-without-label") == []


@pytest.mark.parametrize(
    "selector",
    [
        "matchExpressions: [{key: a, operator: Exists}, {key: a, operator: DoesNotExist}]",
        "matchLabels: {a: x}, matchExpressions: [{key: a, operator: NotIn, values: [x]}]",
    ],
)
def test_a_peer_that_no_labels_can_meet(selector: str) -> None:
    (found,) = find(ingress(f"{{podSelector: {{{selector}}}}}"), "impossible-selector")
    assert found.level is Level.ERROR
    assert found.said.hint == "two requirements exclude each other: no pod"


# ------------------------------------------------------------------ two entries

MONITORING = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}}"
PROMETHEUS = "{podSelector: {matchLabels: {app: prometheus}}}"
OPS = pod("prometheus", "app: prometheus", namespace="ops")


@pytest.mark.parametrize("peers", [f"{MONITORING}, {PROMETHEUS}", f"{PROMETHEUS}, {MONITORING}"])
def test_two_entries_that_are_one(peers: str) -> None:
    found = find(ingress(peers) + WEB + OPS, "or-instead-of-and", "peer-matches-nothing")
    assert [item.id for item in found] == ["or-instead-of-and"]
    assert found[0].said.hint == (
        "for pods app=prometheus in namespaces kubernetes.io/metadata.name=ops, write both "
        "selectors in one entry, without the second '-'"
    )


def test_an_entry_of_pods_beside_their_whole_namespace() -> None:
    (found,) = find(ingress("{namespaceSelector: {}}, {podSelector: {matchLabels: {a: x}}}"))[:1]
    assert found.id == "or-instead-of-and"
    assert found.said.message == (
        "NetworkPolicy shop/p, ingress rule 1: two entries, namespaces <all> and pods a=x of the "
        "same namespace, admit every pod of the namespaces <all>"
    )


@pytest.mark.parametrize(
    "peers",
    [
        f"{MONITORING}, {{podSelector: {{matchLabels: {{app: web}}}}}}",
        f"{MONITORING}, {{podSelector: {{}}}}",
        "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}, "
        "podSelector: {matchLabels: {app: prometheus}}}",
    ],
    ids=["pods of both", "all pods", "one entry"],
)
def test_two_entries_that_are_two(peers: str) -> None:
    assert find(ingress(peers) + WEB + OPS, "or-instead-of-and") == []


# ------------------------------------------------------------------ ports


def to_port(port: str, selector: str = "app: web") -> str:
    return policy(
        f"podSelector: {{matchLabels: {{{selector}}}}}, policyTypes: [Ingress], "
        f"ingress: [{{ports: [{{{port}}}]}}]"
    )


PORTS = ("unknown-port-name", "port-matches-nothing")


@pytest.mark.parametrize(
    ("port", "line"),
    [
        (
            "port: htpp",
            "warning: NetworkPolicy shop/p, ingress rule 1: no pod of Pod shop/web has a TCP port "
            "named 'htpp' | did you mean 'http'?",
        ),
        (
            "port: http, protocol: UDP",
            "warning: NetworkPolicy shop/p, ingress rule 1: no pod of Pod shop/web has a UDP port "
            "named 'http' | http is 8080/TCP; write protocol: TCP",
        ),
        (
            "port: 8080, protocol: UDP",
            "warning: NetworkPolicy shop/p, ingress rule 1: no pod of Pod shop/web declares the "
            "port 8080/UDP | they have 8080/TCP; write protocol: TCP",
        ),
        (
            "port: 9000, endPort: 9010",
            "note: NetworkPolicy shop/p, ingress rule 1: no pod of Pod shop/web declares the port "
            "9000-9010/TCP | they declare 8080/TCP; if they serve it all the same, add it to "
            "their ports",
        ),
    ],
)
def test_a_port_that_the_pods_do_not_have(port: str, line: str) -> None:
    assert shown(to_port(port) + WEB, *PORTS) == [line]


SERVICE = """\
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
"""


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_the_port_of_a_service(direction: str) -> None:
    text = to_port("port: 80")
    if direction == "egress":
        text = policy(
            "podSelector: {}, policyTypes: [Egress], "
            "egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]"
        )
    assert shown(text + WEB + SERVICE, *PORTS) == [
        f"warning: NetworkPolicy shop/p, {direction} rule 1: no pod of Pod shop/web declares the "
        "port 80/TCP | 80 is the port of Service shop/web, which leads to the port http of its "
        "pods; a rule names the port of the pods: http"
    ]


@pytest.mark.parametrize(
    "text",
    [
        to_port("port: http") + WEB,
        to_port("port: 8000, endPort: 8080") + WEB,
        to_port("port: 1234") + pod("web", "app: web"),
        to_port("port: 9090") + WEB + SERVICE.replace("targetPort: http", "targetPort: 9090"),
        to_port("port: 1234"),
        policy("podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 1}]}]") + WEB,
        policy(
            "podSelector: {}, policyTypes: [Egress], egress: "
            "[{to: [{namespaceSelector: {}}], ports: [{port: x}]}]"
        )
        + WEB,
    ],
    ids=["name", "range", "nothing declared", "a Service", "no pods", "anywhere", "others"],
)
def test_a_port_that_may_be_right(text: str) -> None:
    assert find(text, *PORTS) == []


# ------------------------------------------------------------------ isolation


def test_a_namespace_without_a_policy() -> None:
    (found,) = find((WEB + DB).removeprefix("---\n") + NAMESPACE)
    assert found.id == "namespace-without-policy"
    assert found.said.message == (
        "namespace shop has no NetworkPolicy: every pod reaches Pod shop/web, Pod shop/db"
    )
    assert (found.place.subject, found.place.location.line) == ("Namespace shop", 11)


def test_the_namespace_of_the_cluster_itself_needs_no_policy() -> None:
    assert find(WEB.removeprefix("---\n").replace("shop", "kube-system")) == []


def test_workloads_that_no_policy_isolates() -> None:
    text = policy("podSelector: {matchLabels: {app: db}}, policyTypes: [Egress]") + WEB + DB
    text += pod("job", "app: job")
    assert shown(text, "not-isolated", "egress-not-isolated") == [
        "warning: no policy isolates Pod shop/web for ingress: every pod reaches it, and it "
        "reaches everything | a policy for it selects one of its labels: app=web",
        "warning: no policy isolates Pod shop/db for ingress: every pod reaches it | "
        "a policy for it selects one of its labels: app=db",
        "note: no policy isolates Pod shop/job for ingress; it declares no port | "
        "a policy for it selects one of its labels: app=job",
    ]


CILIUM = (
    "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
    "metadata: {name: c, namespace: shop}\n"
)


@pytest.mark.parametrize(
    "more", [CILIUM + WEB, pod("web", "app: web", spec="hostNetwork: true, ")]
)
def test_a_pod_of_which_nothing_is_known_is_not_reported(more: str) -> None:
    assert find(policy("podSelector: {matchLabels: {app: db}}") + more, "not-isolated") == []


def test_a_policy_that_isolates_by_accident() -> None:
    text = policy("podSelector: {}, egress: [{to: [{podSelector: {}}]}]") + WEB
    assert shown(text, "isolated-by-accident") == [
        "warning: NetworkPolicy shop/p has egress rules and no policyTypes, so it also isolates "
        "for ingress: nothing reaches Pod shop/web | for egress alone, write policyTypes: "
        "[Egress]; else write both types"
    ]


SECOND = "---\n" + POLICY.replace("name: p", "name: q")


@pytest.mark.parametrize(
    "text",
    [
        policy("podSelector: {}, ingress: [], egress: [{}]"),
        policy("podSelector: {}, ingress: [{}], egress: [{}]"),
        policy("podSelector: {}, policyTypes: [Egress], egress: [{}]"),
        policy("podSelector: {}, egress: [{}]") + policy("podSelector: {}", SECOND) + WEB,
    ],
    ids=["ingress is written", "both", "types", "isolated anyway"],
)
def test_isolation_that_is_meant(text: str) -> None:
    assert find(text, "isolated-by-accident") == []


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (
            "podSelector: {}, policyTypes: [Egress], ingress: [{}]",
            "error: NetworkPolicy shop/p has a section ingress, and its policyTypes are [Egress] "
            "| the section does not count; add Ingress to policyTypes, or remove it",
        ),
        (
            "podSelector: {}, egress: []",
            "error: NetworkPolicy shop/p has an empty section egress and no policyTypes | "
            "it does not isolate for egress; write policyTypes: [Egress]",
        ),
    ],
)
def test_a_section_that_does_not_count(spec: str, line: str) -> None:
    assert shown(policy(spec), "section-without-type") == [line]


def test_a_policy_for_pods_on_the_network_of_their_node() -> None:
    text = policy("podSelector: {matchLabels: {app: x}}")
    text += pod("x", "app: x", spec="hostNetwork: true, ")
    assert shown(text, "selects-host-network") == [
        "warning: NetworkPolicy shop/p selects pods on the network of their node: Pod shop/x | "
        "a network plugin may ignore policies for such pods; use a firewall of the node"
    ]
    text = policy("podSelector: {}") + pod("x", "app: x", spec="hostNetwork: true, ")
    assert find(text, "selects-host-network") == []


# ------------------------------------------------------------------ DNS


def egress(rules: str) -> str:
    return policy(f"podSelector: {{}}, policyTypes: [Egress], egress: [{rules}]") + WEB


DNS = "{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]}"
MESSAGE = "warning: Pod shop/web is isolated for egress, and may not ask DNS (kube-dns:53/UDP) | "


@pytest.mark.parametrize(
    ("rules", "hint"),
    [
        (
            "{to: [{podSelector: {}}]}",
            "allow egress to the pods k8s-app=kube-dns in namespace kube-system, ports 53/UDP "
            "and 53/TCP",
        ),
        (
            "{to: [{podSelector: {}}]}, {ports: [{port: 53}]}",
            "port 53 is open over TCP alone; add {port: 53, protocol: UDP}",
        ),
    ],
)
def test_pods_without_dns(rules: str, hint: str) -> None:
    assert shown(egress(rules), "egress-without-dns") == [MESSAGE + hint]


def test_several_workloads_without_dns() -> None:
    (found,) = find(egress("{to: [{podSelector: {}}]}") + DB, "egress-without-dns")
    assert found.said.message == (
        "Pod shop/web, Pod shop/db are isolated for egress, and may not ask DNS (kube-dns:53/UDP)"
    )


@pytest.mark.parametrize(
    "rules",
    [
        "",
        f"{{to: [{{podSelector: {{}}}}]}}, {DNS}",
        "{}",
        "{to: [{podSelector: {}}]}, {to: [{namespaceSelector: {matchLabels: {name: dns}}}], "
        "ports: [{port: 5353, protocol: UDP}]}",
        "{to: [{ipBlock: {cidr: 192.0.2.7/32}}]}",
    ],
    ids=["nothing", "DNS", "all", "another server", "an address"],
)
def test_pods_that_have_or_need_no_dns(rules: str) -> None:
    assert find(egress(rules), "egress-without-dns") == []


# ------------------------------------------------------------------ blocks


@pytest.mark.parametrize(
    ("cidr", "line"),
    [
        (
            "10.244.0.0/16",
            "warning: NetworkPolicy shop/p, ingress rule 1: ipBlock 10.244.0.0/16 is in "
            "10.244.0.0/16, the addresses of pods | whether a block matches pods is left to the "
            "network plugin; name the pods by podSelector or namespaceSelector",
        ),
        (
            "10.96.0.1/32",
            "warning: NetworkPolicy shop/p, ingress rule 1: ipBlock 10.96.0.1/32 is in "
            "10.96.0.0/12, the addresses of Services | a rule may see the address of the pod "
            "behind a Service, and not its own; name the pods by podSelector or namespaceSelector",
        ),
    ],
)
def test_a_block_inside_the_cluster(cidr: str, line: str) -> None:
    assert shown(ingress(f"{{ipBlock: {{cidr: {cidr}}}}}")) == [line]


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "192.0.2.0/24"])
def test_a_block_with_hosts_outside(cidr: str) -> None:
    assert find(ingress(f"{{ipBlock: {{cidr: '{cidr}'}}}}")) == []


# ------------------------------------------------------------------ size


def test_what_is_too_large_is_refused() -> None:
    values = ", ".join(f"v{number}" for number in range(20_000))
    term = f"{{key: a, operator: In, values: [{values}]}}"
    pods = "".join(pod(f"p{number}", "a: b") for number in range(250))
    with pytest.raises(UsageError) as error:
        find(policy(f"podSelector: {{matchExpressions: [{term}]}}") + pods)
    assert str(error.value) == (
        "policies of 20,002 words are too many for 250 pods\nhint: name fewer files"
    )


LONG = ", ".join(f"{{key: a, operator: NotIn, values: [v{number}]}}" for number in range(20))


@pytest.mark.parametrize("selector", ["matchLabels: {a: b}", f"matchExpressions: [{LONG}]"])
def test_many_equal_policies_take_little_time(selector: str) -> None:
    text = "---\n".join(
        policy(f"podSelector: {{{selector}}}", POLICY.replace("name: p", f"name: p{number}"))
        for number in range(150)
    )
    before = time.process_time()
    find(text, "redundant-policy")
    assert time.process_time() - before < 15
