"""What a right scenario file means: states, actions, cells and their places, needs."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness import scenario
from harness.errors import Location, ScenarioError, UsageError
from harness.model import (
    AbsoluteName,
    Address,
    CompletedPod,
    ContainerPort,
    Destination,
    ExternalRef,
    ExternalTrafficPolicy,
    Family,
    Labelled,
    Labels,
    Needs,
    Networks,
    NodePortRef,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Protocol,
    Restarted,
    Scenario,
    ServiceName,
    ServicePort,
    ServiceRef,
    ServiceType,
    StepNeeds,
    Verdict,
)
from harness.scenario.write import write
from harness.scenario.write_table import Unwritable

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def everything() -> Scenario:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(DATA)
        return scenario.load(Path("valid/everything.yaml"))


# ------------------------------------------------------------------ the file


def test_the_keys_of_the_file(everything: Scenario) -> None:
    assert everything.path == "valid/everything.yaml"
    assert everything.slug == "everything"
    assert everything.name == "Everything at once"
    assert everything.covers == ("R01", "R86")
    assert everything.catches == ("B01", "B91")
    assert everything.families == (Family.V4, Family.V6)
    assert everything.exact_names
    assert everything.oracle_off == "the reader is under test"
    assert not everything.weak


def test_needs_are_those_written_and_those_seen(everything: Scenario) -> None:
    assert everything.needs == Needs(
        frozenset(
            {
                "ipblock-pod-ip",  # written
                "admission",
                "agents",
                "endport",
                "external",
                "from-start",
                "hostnetwork",
                "ipv6",
                "kubelet",
                "nodeport",
                "sctp",
            }
        ),
        nodes=3,
        kinds=frozenset({"cilium.io/v2/CiliumNetworkPolicy"}),
        networks=Networks(("10.244.0.0/16",), ("10.96.0.0/16", "fd00:96::/112"), ("10.0.0.0/24",)),
        outside=("10.10.0.5/32", "10.60.0.5/32", "2001:db8::5/128"),
        on_request=frozenset({"disruptive", "scale"}),
    )
    assert everything.steps[0].state.networks == everything.needs.networks
    assert everything.steps[2].needs == StepNeeds(table=frozenset({"hairpin"}))


@pytest.mark.parametrize(
    ("cidr", "needs"),
    [
        ("$(ip:a/x)/32", Needs(frozenset({"ipblock-pod-ip"}))),
        ("$(ip6:a/x)/128", Needs(frozenset({"ipblock-pod-ip", "ipv6"}))),
        ("$(ip:node/3)/32", Needs(frozenset({"ipblock-node-ip"}), nodes=3)),
        (
            "$(cidr:pods)",
            Needs(frozenset({"ipblock-pod-ip"}), pod_blocks=frozenset({Family.V4})),
        ),
    ],
)
def test_a_block_that_only_the_cluster_knows_has_needs(
    tmp_path: Path, cidr: str, needs: Needs
) -> None:
    policy = (
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"
        " metadata: {name: p, namespace: a}, spec: {policyTypes: [Ingress, Egress],"
        f" ingress: [{{from: [{{ipBlock: {{cidr: {cidr}}}}}]}}]}}}}"
    )
    found = load(tmp_path, f"apply: [{policy}]", "TIMEOUT").needs
    assert (found.features - {"external"}, found.nodes) == (needs.features, needs.nodes)
    assert found.pod_blocks == needs.pod_blocks


ENDPORT = (
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: a},"
    " spec: {policyTypes: [Ingress], ingress: [{ports: [{port: 80, endPort: 81}]}]}}"
)


def with_steps(tmp_path: Path, *steps: str) -> Scenario:
    return load(tmp_path, steps[0], "TIMEOUT\n  - step: " + "\n  - step: ".join(steps[1:]))


def test_a_need_of_one_step_is_none_of_the_scenario(tmp_path: Path) -> None:
    """It is a need of each step in which it is detected, too, until the policy is gone."""
    found = with_steps(
        tmp_path,
        f"needs: [endport]\n    apply: [{ENDPORT}]",
        "later\n    label: {a/x: {t: v}}\n    expect: TIMEOUT",
        "gone\n    delete: [NetworkPolicy/a/p]\n    expect: TIMEOUT",
    )
    of_table = StepNeeds(table=frozenset({"endport"}))
    assert [step.needs for step in found.steps] == [StepNeeds(), of_table, of_table, StepNeeds()]
    assert "endport" not in found.needs.features
    written = tmp_path / "written.yaml"
    written.write_text(write(found))
    again = scenario.load(written)
    assert [step.needs for step in again.steps] == [step.needs for step in found.steps]
    assert again.needs == found.needs


def test_a_cluster_may_lack_what_a_state_needs(tmp_path: Path) -> None:
    found = with_steps(
        tmp_path,
        "needs: [sctp, hostnetwork]\n    create: {a: {pods: {s: {ports: [90/SCTP]}}}}",
        "from a node\n    expect: |2\n              b/y:80\n      node/1  allowed",
    )
    host, sctp = frozenset({"hostnetwork"}), frozenset({"sctp"})
    assert [step.needs for step in found.steps[1:]] == [StepNeeds(sctp, host)] * 2
    assert found.needs.features == {"external"}


def tier(rules: str) -> str:
    """A ClusterNetworkPolicy with these rules."""
    return (
        "{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, "
        "metadata: {name: p}, "
        f"spec: {{tier: Admin, priority: 1, subject: {{namespaces: {{}}}}, {rules}}}}}"
    )


@pytest.mark.parametrize(
    ("peer", "feature"),
    [("nodes: {}", "node-peers"), ("domainNames: [a.example.org]", "domain-names")],
)
def test_peers_of_the_experimental_definition_are_needs_of_the_state(
    tmp_path: Path, peer: str, feature: str
) -> None:
    """An API server without them refuses the policy."""
    everybody = "{action: Deny, to: [{namespaces: {}}]}"
    policy = tier(f"egress: [{{action: Accept, to: [{{{peer}}}]}}, {everybody}]")
    assert feature in load(tmp_path, f"apply: [{policy}]", "TIMEOUT").needs.features
    read = with_steps(
        tmp_path,
        f"needs: [{feature}]\n    apply: [{policy}]",
        "gone\n    delete: [ClusterNetworkPolicy/p]\n    expect: allowed",
    )
    assert feature not in read.needs.features
    of_state = StepNeeds(state=frozenset({feature}))
    assert [step.needs for step in read.steps] == [StepNeeds(), of_state, StepNeeds()]


def test_a_kind_that_must_be_refused_is_asked_for(tmp_path: Path) -> None:
    """Without it the API server would refuse the object for another reason."""
    read = load(tmp_path, f"refused: [{tier('ingress: [{action: Deny}]')}]", "allowed")
    assert read.needs.kinds == {"policy.networking.k8s.io/v1alpha2/ClusterNetworkPolicy"}


def test_a_block_of_pods_is_judged_only_where_a_step_needs_that_it_matches(tmp_path: Path) -> None:
    path = tmp_path / "judged.yaml"
    path.write_text(BLOCKS)
    read = scenario.load(path)
    assert [[c.undefined is None for c in s.table.cells] for s in read.steps] == [
        [True],
        [False],
        [True],
    ]


BLOCKS = """\
scenario: A block of all addresses
why: Whether it matches pods is certain only where it is needed.
topology:
  a: {pods: {x: {}, z: {ports: [80]}}}
steps:
  - step: it is needed
    needs: [ipblock-pod-ip]
    apply:
      - &block
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: p, namespace: a}
        spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}
    expect: allowed
  - step: it is not
    expect: TIMEOUT
  - step: another policy
    apply:
      - {<<: *block, spec: {podSelector: {}, ingress: []}}
    expect: TIMEOUT
"""


def test_built_in_kinds_are_asked_for_apart_from_networkpolicy(tmp_path: Path) -> None:
    """Whether a cluster has them, and with which effect, the cluster knows."""
    objects = (
        "[{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: a}},"
        " {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"
        " metadata: {name: p, namespace: a}, spec: {policyTypes: [Egress]}}]"
    )
    read = load(tmp_path, f"apply: {objects}", "TIMEOUT")
    assert read.needs.kinds == {"v1/ConfigMap"}


@pytest.mark.parametrize(("written", "from_step"), [(", namespace: a", False), ("", True)])
def test_a_manifest_knows_whether_its_namespace_is_the_step_s(
    tmp_path: Path, written: str, from_step: bool
) -> None:
    custom = f"{{apiVersion: example.com/v1, kind: Any, metadata: {{name: c{written}}}}}"
    policy = (
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"
        " metadata: {name: p, namespace: a}, spec: {policyTypes: [Egress]}}"
    )
    read = load(tmp_path, f"namespace: a\n    apply: [{custom}, {policy}]", "TIMEOUT")
    first, second = read.steps[-1].state.policies[-2:]
    assert (first.namespace, first.namespace_from_step) == ("a", from_step)
    assert (second.namespace, second.namespace_from_step) == ("a", False)


CUSTOM = """\
scenario: S
why: W.
topology:
  a: {pods: {x: {}, y: {ports: [80]}}}
  b: {pods: {x: {}, y: {ports: [80]}}}
steps:
  - step: first
    namespace: a
    apply: [{apiVersion: example.com/v1, kind: Any, metadata: {name: c%s}}]
    expect: |2
           a/y:80   b/y:80
      a/x  TIMEOUT  TIMEOUT
      b/x  TIMEOUT  TIMEOUT
"""


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        (", namespace: a", ["b/x -> b/y:80"]),
        (", namespace: b", ["a/x -> a/y:80"]),
        ("", []),
    ],
)
def test_cells_of_pods_on_which_a_custom_kind_may_act_are_not_compared(
    tmp_path: Path, written: str, compared: list[str]
) -> None:
    path = tmp_path / "custom.yaml"
    path.write_text(CUSTOM % written, "utf-8")
    messages = [problem.message for problem in scenario.examine(path)[1]]
    assert [text.splitlines()[0] for text in messages] == [
        f"TIMEOUT, but the policies allow {pair}" for pair in compared
    ]


OUTSIDE = """\
scenario: S
why: W.
externals: {office: {ip: 192.168.7.7}}
topology: {app: {pods: {a: {}, b: {ports: [80]}}}}
steps:
  - step: first
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: p, namespace: app}
        spec:
          podSelector: {}
          ingress:
            - from:
                - ipBlock: {cidr: 10.0.0.0/8, except: [10.244.0.0/16]}
                - ipBlock: {cidr: 0.0.0.0/0}
    expect: TIMEOUT
  - step: second
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: q, namespace: app}
        spec: {podSelector: {}, egress: [{to: [{ipBlock: {cidr: "fd12::/48"}}]}]}
    expect: TIMEOUT
"""


def test_narrow_blocks_and_outside_hosts_of_all_steps_are_outside(tmp_path: Path) -> None:
    path = tmp_path / "outside.yaml"
    path.write_text(OUTSIDE)
    found = scenario.read(path)
    assert found.needs.outside == ("10.244.0.0/16", "192.168.7.7/32", "fd12::/48")
    assert {step.state.outside for step in found.steps} == {found.needs.outside}


def test_the_topology(everything: Scenario) -> None:
    state = everything.steps[0].state
    assert state.scope == "everything"
    assert state.exact_names
    assert [(n.name, n.labels) for n in state.namespaces] == [
        ("db", Labels({"team": "data", "note": ""})),
        ("n", Labels()),
    ]
    postgres = state.pod(PodRef("db", "postgres"))
    assert postgres is not None
    assert postgres.labels == Labels({"app": "postgres", "example.com/tier": "back"})
    assert postgres.ports == (
        ContainerPort(5432),
        ContainerPort(53, Protocol.UDP),
        ContainerPort(8080, name="web"),
        ContainerPort(9, Protocol.SCTP, "s"),
    )
    web = state.service("db", "web")
    assert web is not None
    assert web.type is ServiceType.NODE_PORT
    assert web.external_traffic_policy is ExternalTrafficPolicy.LOCAL
    assert web.ports == (
        ServicePort(80, "web", name="web"),
        ServicePort(53, 53, Protocol.UDP),
    )
    headless = state.service("db", "all")
    assert headless is not None
    assert (headless.type, headless.ports) == (ServiceType.HEADLESS, ())
    office = state.external("office")
    assert office is not None
    assert office.addresses == ("10.10.0.5", "2001:db8::5")
    assert office.dns_names == ("api.example.com",)


def test_a_table_keeps_the_authors_rows_and_columns(tmp_path: Path) -> None:
    """Neither a hole in a row nor a pattern, whose row of a/p lacks its own column, moves one."""
    path = tmp_path / "order.yaml"
    path.write_text(
        """\
scenario: order
why: The rows and columns of a table stay where they are written.
proves: nothing-changes
families: [4, 6]
topology:
  a: {pods: {p: {ports: [80]}, q: {ports: [80]}, r: {ports: [80]}}}
steps:
  - step: names
    expect: |2
           a/r:80   a/p:80   a/q:80
      a/q  -        allowed  -
      a/p  allowed  -        allowed
  - step: a pattern
    expect: |2
           a/p:80   a/q:80
      */*  allowed  allowed
  - step: one word
    expect: allowed
""",
        encoding="utf-8",
    )
    written = []
    for step in scenario.load(path).steps:
        columns = [str(destination) for destination in step.table.columns]
        written.append((columns, [str(cell.probe) for cell in step.table.cells]))
    assert written == [
        (
            ["a/r:80", "a/p:80", "a/q:80"],
            [
                "a/q -> a/p:80",
                "a/q -> a/p:80 (IPv6)",
                "a/p -> a/r:80",
                "a/p -> a/r:80 (IPv6)",
                "a/p -> a/q:80",
                "a/p -> a/q:80 (IPv6)",
            ],
        ),
        (
            ["a/p:80", "a/q:80"],
            [
                "a/p -> a/q:80",
                "a/p -> a/q:80 (IPv6)",
                "a/q -> a/p:80",
                "a/q -> a/p:80 (IPv6)",
                "a/r -> a/p:80",
                "a/r -> a/p:80 (IPv6)",
                "a/r -> a/q:80",
                "a/r -> a/q:80 (IPv6)",
            ],
        ),
        (
            ["a/p:80", "a/q:80", "a/r:80"],
            [
                f"a/{source} -> a/{destination}:80{family}"
                for source, destinations in (("p", "qr"), ("q", "pr"), ("r", "pq"))
                for destination in destinations
                for family in ("", " (IPv6)")
            ],
        ),
    ]


def test_the_topology_is_the_state_before_the_first_step(tmp_path: Path) -> None:
    path = tmp_path / "before.yaml"
    path.write_text(
        """\
scenario: S
why: W.
externals: {office: {ip: 10.10.0.5}}
topology: {a: {pods: {x: {}, y: {ports: [80]}}}}
steps:
  - step: the first changes something
    label: {a/x: {app: x}}
    restart: [a/y]
    expect: allowed
proves: nothing-changes
"""
    )
    read = scenario.load(path)
    first = read.steps[0].state
    pods = (Pod("a", "x", node=1), Pod("a", "y", ports=(ContainerPort(80),), node=2))
    assert read.topology == replace(first, pods=pods)
    assert read.topology.outside == ("10.10.0.5/32",)
    assert read.steps[0].changes == (
        Labelled(PodRef("a", "x"), "app", "x"),
        Restarted(PodRef("a", "y")),
    )


def test_pods_that_complete_are_apart_from_those_that_run() -> None:
    first, second = (
        step.state for step in scenario.read(DATA / "valid/completed-pods.yaml").steps
    )
    assert [str(pod.ref) for pod in first.pods] == ["x/a", "x/b"]
    later = CompletedPod("x", "later", node=2, incarnation=1)
    assert first.completed == (CompletedPod("x", "job", Labels({"app": "job"}), node=2), later)
    assert second.completed == (later,)
    assert first.endpoints(first.services[0]) == (first.pods[0],)
    assert [str(pod.ref) for pod in first.pod_objects] == ["x/a", "x/b", "x/job", "x/later"]


def test_pods_without_a_node_alternate_in_the_order_of_the_file(everything: Scenario) -> None:
    first, second, third = (step.state for step in everything.steps)
    placed = {str(pod.ref): pod.node for pod in first.pods}
    assert placed == {
        "db/postgres": 2,  # written
        "db/agent": 1,
        "db/second": 2,
        "n/y": 1,
        "n/client": 3,  # written
    }
    later = {str(pod.ref): pod.node for pod in second.pods if pod.ref not in _refs(first)}
    assert later == {"late/a": 2, "late/b": 1, "late/c": 2, "n/more": 1}
    again = third.pod(PodRef("late", "a"))
    assert again is not None
    assert again.node == 2


def _refs(state: object) -> set[PodRef]:
    return {pod.ref for pod in state.pods}  # type: ignore[attr-defined]


# ------------------------------------------------------------------ the steps


def test_times_are_seconds(everything: Scenario) -> None:
    assert [(s.settle_s, s.hold_s) for s in everything.steps] == [
        (1.5, 2.0),
        (None, None),
        (0.5, 3.0),
    ]


def test_steps_know_their_place(everything: Scenario) -> None:
    assert everything.steps[0].location == Location("valid/everything.yaml", 34, 5)
    assert [s.name for s in everything.steps][2] == "the same objects again"


def test_actions_are_the_verbs_in_the_order_of_the_file(everything: Scenario) -> None:
    assert everything.steps[0].actions == ()
    assert everything.steps[1].actions == (
        "apply NetworkPolicy db/deny",
        "apply NetworkPolicy db/open",
        "apply NetworkPolicy n/inline",
        "apply CiliumNetworkPolicy db/c",
        "remove label app of n/client",
        "label n/client role=client",
        "label namespace n team=blue",
        "delete NetworkPolicy db/deny",
        "delete Pod db/second",
        "create namespace late",
        "create Pod late/a",
        "create Pod late/b",
        "create Pod late/c",
        "create Pod n/more",
        "restart Pod n/client",
        "restart the agents of the CNI",
        "see Pod db/privileged refused",
    )
    assert everything.steps[2].actions == (
        "apply NetworkPolicy db/deny",
        "update NetworkPolicy db/open",
        "delete Namespace late",
        "delete Service db/web",
        "create namespace late",
        "create Pod late/a",
    )


def test_manifests_are_verbatim_with_their_namespace(everything: Scenario) -> None:
    policies = everything.steps[1].state.policies
    assert [(str(p), str(p.location)) for p in policies] == [
        ("NetworkPolicy db/open", "valid/policies/two.yaml:8:1"),
        ("NetworkPolicy n/inline", "valid/everything.yaml:49:9"),
        ("CiliumNetworkPolicy db/c", "valid/everything.yaml:53:9"),
    ]
    assert json.loads(policies[0].json) == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": "open",
            "namespace": "db",
            # Neither is anything but text to Kubernetes.
            "annotations": {"when": "12:30", "since": "2024-01-01"},
        },
        "spec": {"podSelector": {}, "ingress": [{}]},
    }
    # Canonical: the same object gives the same text, in whatever order its keys are written.
    assert policies[1].json.startswith('{"apiVersion":"networking.k8s.io/v1","kind":')
    assert policies[1].json.endswith(
        '"spec":{"egress":[{"ports":[{"endPort":9,"port":1}]}],"podSelector":{}}}'
    )
    refused = everything.steps[1].state.refused
    assert [(m.kind, m.namespace, m.name) for m in refused] == [("Pod", "db", "privileged")]
    assert everything.steps[2].state.refused == ()


def test_incarnations_count_what_was_made_again(everything: Scenario) -> None:
    _, second, third = (step.state for step in everything.steps)
    assert {str(pod.ref): pod.incarnation for pod in second.pods if pod.incarnation} == {
        "n/client": 1
    }
    assert {n.name: n.incarnation for n in third.namespaces} == {"db": 0, "n": 0, "late": 1}
    assert {str(pod.ref): pod.incarnation for pod in third.pods if pod.incarnation} == {
        "n/client": 1,
        "late/a": 1,
    }
    assert {p.name: p.incarnation for p in third.policies} == {
        "open": 0,
        "inline": 0,
        "c": 0,
        "deny": 1,
    }


def test_a_deleted_namespace_takes_all_that_is_in_it(tmp_path: Path) -> None:
    state = load(tmp_path, "delete: [Namespace/b]", table("a/x b/y", "a/z:80 allowed", only=True))
    assert [n.name for n in state.steps[-1].state.namespaces] == ["a"]
    assert {pod.namespace for pod in state.steps[-1].state.pods} == {"a"}
    assert state.steps[-1].state.services == ()
    assert state.steps[-1].state.policies == ()


def test_a_policy_deleted_and_applied_in_one_step_is_made_again(tmp_path: Path) -> None:
    policy = (
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "
        "metadata: {name: deny, namespace: b}, spec: {podSelector: {}}}"
    )
    again = f"delete: [NetworkPolicy/b/deny]\n    apply: [{policy}]"
    read = load(tmp_path, again, "TIMEOUT")
    assert [p.incarnation for p in read.steps[-1].state.policies] == [1]
    read = load(tmp_path, f"apply: [{policy}]", "TIMEOUT")
    assert [p.incarnation for p in read.steps[-1].state.policies] == [0]


# ------------------------------------------------------------------ tables

TOPOLOGY = """\
scenario: A title
why: A reason.
oracle: {{off: only the reader is under test}}
externals:
  office: {{ip: 10.10.0.5, ports: [443], names: [api.example.com]}}
topology:
  a:
    pods: {{x: {{}}, z: {{ports: [80]}}}}
  b:
    pods:
      y: {{labels: {{app: y}}, ports: [80, 53/UDP]}}
    services:
      s: {{selector: {{app: y}}, ports: [80]}}
      h: {{type: Headless, selector: {{app: y}}, ports: [80]}}
      n: {{type: NodePort, selector: {{app: y}}, ports: [80]}}
steps:
  - step: a policy is there
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {{name: deny, namespace: b}}
        spec: {{podSelector: {{}}}}
    expect: TIMEOUT
  - step: now
    {verb}
    expect: {expect}
"""


def load(tmp_path: Path, verb: str, expect: str, **replaced: str) -> Scenario:
    text = TOPOLOGY.format(verb=verb, expect=expect)
    for old, new in replaced.items():
        text = text.replace(old, new)
    path = tmp_path / "small.yaml"
    path.write_text(text)
    return scenario.load(path)


def table(header: str, *rows: str, only: bool = False) -> str:
    """A table; ``only`` takes the one row apart into header and word."""
    if only:
        source, rest = header.split()[0], rows[0].split()
        header, rows = rest[0], (f"{source} {rest[1]}",)
    return "|2\n" + "\n".join(f"      {line}" for line in (header, *rows))


def cells(tmp_path: Path, expect: str) -> list[str]:
    read = load(tmp_path, "label: {a/x: {t: v}}", expect)
    return [f"{cell.probe} {cell.expected}" for cell in read.steps[-1].table.cells]


def test_every_cell_stands_where_its_word_stands(everything: Scenario) -> None:
    v4 = [c for c in everything.steps[0].table.cells if c.probe.family is Family.V4]
    lines = (DATA / "valid" / "everything.yaml").read_text().splitlines()
    for cell in v4:
        at = cell.location
        assert lines[at.line - 1][at.column - 1 :].startswith(str(cell.expected))
    assert [(str(c.probe), c.location.line, c.location.column) for c in v4] == [
        ("n/client -> db/postgres:5432", 39, 24),
        ("n/client -> svc/db/web:80", 39, 42),
        ("n/client -> nodeport/db/web:80@1", 39, 57),
        ("n/client -> dns/all.db:5432", 39, 79),
        ("n/client -> dns/api.example.com:443", 39, 96),
        ("n/client -> ip/203.0.113.7:80", 39, 121),
        ("node/1 -> db/postgres:5432", 40, 24),
        ("external/office -> nodeport/db/web:80@1", 43, 57),
    ]


def test_the_word_of_a_whole_table_is_the_place_of_all_its_cells(everything: Scenario) -> None:
    places = {cell.location for cell in everything.steps[1].table.cells}
    assert places == {Location("valid/everything.yaml", 68, 13)}


def test_a_cell_for_each_family_that_both_ends_have(everything: Scenario) -> None:
    probes = [cell.probe for cell in everything.steps[0].table.cells]
    by_address = [p for p in probes if isinstance(p.destination.host, Address)]
    assert [p.family for p in by_address] == [Family.V4]
    office = [p.family for p in probes if p.source == ExternalRef("office")]
    assert office == [Family.V4, Family.V6]


def test_never_allowed_exempts_the_cells_it_matches(everything: Scenario) -> None:
    exempt = {str(c.probe) for s in everything.steps for c in s.table.cells if c.never_allowed}
    assert "n/client -> db/agent:9100" in exempt
    assert all(text.startswith("n/client -> db/agent:9100") for text in exempt)


def test_a_word_alone_is_for_all_pods_and_all_declared_ports(tmp_path: Path) -> None:
    assert cells(tmp_path, "allowed") == [
        "a/x -> a/z:80 allowed",
        "a/x -> b/y:80 allowed",
        "a/x -> b/y:53/UDP allowed",
        "a/x -> svc/b/s:80 allowed",
        "a/x -> svc/b/n:80 allowed",
        "a/z -> b/y:80 allowed",
        "a/z -> b/y:53/UDP allowed",
        "a/z -> svc/b/s:80 allowed",
        "a/z -> svc/b/n:80 allowed",
        # b/y is behind both Services: neither means itself.
        "b/y -> a/z:80 allowed",
    ]


@pytest.mark.parametrize("star", ["|2\n      *\n      * allowed", "|\n      *\n      */* allowed"])
def test_a_star_alone_is_everything(tmp_path: Path, star: str) -> None:
    assert cells(tmp_path, star) == cells(tmp_path, "allowed")


@pytest.mark.parametrize(
    ("row", "sources"),
    [
        ("*/*", ["a/x", "a/z", "b/y"]),
        ("a/*", ["a/x", "a/z"]),
        ("*/x", ["a/x"]),
        ("external/*", ["external/office"]),
        ("node/2", ["node/2"]),
    ],
)
def test_patterns_of_rows(tmp_path: Path, row: str, sources: list[str]) -> None:
    found = cells(tmp_path, table("ip/203.0.113.5:443", f"{row} allowed"))
    assert found == [f"{source} -> ip/203.0.113.5:443 allowed" for source in sources]


@pytest.mark.parametrize(
    ("column", "destinations"),
    [
        ("b/*", ["b/y:80", "b/y:53/UDP"]),
        ("b/*:80", ["b/y:80"]),
        ("*/*:80", ["a/z:80", "b/y:80"]),
        ("*/*:53/UDP", ["b/y:53/UDP"]),
        ("b/y:*", ["b/y:80", "b/y:53/UDP"]),
        ("b/y:*/UDP", ["b/y:53/UDP"]),
        ("svc/*/*:80", ["svc/b/s:80", "svc/b/n:80"]),
        ("dns/*.b:80", ["dns/s.b:80", "dns/h.b:80", "dns/n.b:80"]),
        ("nodeport/*/*:80@2", ["nodeport/b/n:80@2"]),
        ("external/*:443", ["external/office:443"]),
        ("b/y:81", ["b/y:81"]),  # declared by nobody: a closed port
        ("dns/api.example.com:443", ["dns/api.example.com:443"]),
    ],
)
def test_patterns_of_columns(tmp_path: Path, column: str, destinations: list[str]) -> None:
    found = cells(tmp_path, table(column, "a/x allowed"))
    assert found == [f"a/x -> {destination} allowed" for destination in destinations]


def test_a_pattern_with_a_port_means_that_port_alone(tmp_path: Path) -> None:
    two = {"z: {ports: [80]}": "z: {ports: [80, 81]}"}
    read = load(tmp_path, "label: {a/x: {t: v}}", table("*/*:81", "a/x allowed"), **two)
    assert [str(cell.probe) for cell in read.steps[-1].table.cells] == ["a/x -> a/z:81"]


def test_a_pair_with_itself_is_probed_only_where_both_ends_are_written_out(
    tmp_path: Path,
) -> None:
    written = table("b/y:80 svc/b/s:80 dns/h.b:80", "b/y allowed allowed allowed")
    assert len(cells(tmp_path, written)) == 3
    with_row = table("b/y:80 svc/b/s:80 dns/h.b:80", "b/* allowed allowed allowed", "a/x - - -")
    with pytest.raises(ScenarioError, match="nothing is probed"):
        cells(tmp_path, with_row)
    with_column = table("*/y:80 svc/b/*:80 dns/h.*:80", "b/y allowed allowed allowed")
    with pytest.raises(ScenarioError, match="nothing is probed"):
        cells(tmp_path, with_column)


def test_later_rows_and_columns_win(tmp_path: Path) -> None:
    found = cells(
        tmp_path,
        table(
            "b/*:80 b/y:80",
            "*/* TIMEOUT TIMEOUT",
            "a/x TIMEOUT allowed",
        ),
    )
    assert sorted(found) == ["a/x -> b/y:80 allowed", "a/z -> b/y:80 TIMEOUT"]


def test_a_dash_takes_an_earlier_cell_away(tmp_path: Path) -> None:
    found = cells(tmp_path, table("b/y:80", "*/* TIMEOUT", "a/x -"))
    assert found == ["a/z -> b/y:80 TIMEOUT"]


def test_the_name_of_a_deleted_service_can_still_be_asked(tmp_path: Path) -> None:
    expect = table("dns/s.b:80", "a/x DNS")
    read = load(tmp_path, "delete: [Service/b/s]", expect)
    assert [str(c.expected) for c in read.steps[-1].table.cells] == ["DNS"]
    with pytest.raises(ScenarioError, match="there is no Service 'b/s'"):
        load(tmp_path, "delete: [Service/b/s]", table("svc/b/s:80", "a/x TIMEOUT"))


def test_a_windows_file_reads_the_same(tmp_path: Path) -> None:
    text = (DATA / "invalid" / "unknown-source-pod.yaml").read_text()
    path = tmp_path / "crlf.yaml"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    with pytest.raises(ScenarioError) as caught:
        scenario.load(path)
    (problem,) = caught.value.problems
    assert (problem.location.line, problem.location.column) == (28, 7)
    assert problem.excerpt == "      app2/ngnix  TIMEOUT           TIMEOUT"


@pytest.mark.parametrize("opening", ["|", "|2", "|-", "|  # who reaches whom"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_indented_as_it_looks(tmp_path: Path, opening: str, end: str) -> None:
    """Its first line stands further right than its rows, which YAML alone would not take."""
    text = f"""\
scenario: A title
why: A reason.
topology:
  a: {{pods: {{x: {{}}, y: {{ports: [80]}}}}}}
proves: nothing-changes
steps:
  - step: one
    expect: {opening}
              a/y:80

      a/x     allowed
  - expect: {opening}
              a/y:80
      a/x     allowed
    step: two
"""
    path = tmp_path / "table.yaml"
    path.write_bytes(text.replace("\n", end).encode())
    cells = [step.table.cells for step in scenario.load(path).steps]
    assert [(c.location.line, c.location.column) for (c,) in cells] == [(11, 15), (14, 15)]


# ------------------------------------------------------------------ proof and oracle

WEAK = """\
scenario: A title
why: A reason.
topology:
  a: {pods: {x: {}, z: {ports: [80]}}}
steps:
  - step: now
    expect: allowed
"""


def test_a_scenario_that_says_it_changes_nothing_is_weak(tmp_path: Path) -> None:
    path = tmp_path / "weak.yaml"
    path.write_text(WEAK + "proves: nothing-changes\n")
    assert scenario.load(path).weak


def test_an_expectation_that_changes_from_step_to_step_is_a_proof(tmp_path: Path) -> None:
    path = tmp_path / "changes.yaml"
    text = WEAK.replace("expect: allowed", "expect: |2\n      a/z:81\n      a/x REFUSED")
    path.write_text(text)
    with pytest.raises(ScenarioError, match="no step changes any cell"):
        scenario.load(path)
    more = """\
  - step: and then
    delete: [Pod/a/z]
    create: {a: {pods: {z: {ports: [81]}}}}
    expect: allowed
"""
    path.write_text(text + more)
    assert not scenario.load(path).weak


def test_contradictions_are_found_without_raising() -> None:
    path = DATA / "invalid" / "oracle-disagrees.yaml"
    problems = scenario.examine(path)[1]
    assert [(p.location.line, p.location.column) for p in problems] == [(28, 19)]
    assert problems[0].message.startswith("allowed, but the policies deny app2/nginx -> db/")
    assert problems[0].excerpt.strip().startswith("app2/nginx")


def test_pairs_of_one_word_are_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "one-word.yaml"
    path.write_text(
        WEAK.replace("expect: allowed", "expect: TIMEOUT").replace(
            "x: {}", "x: {}, y: {}, v: {}, w: {}"
        )
    )
    (problem,) = scenario.examine(path)[1]
    assert problem.message.count("TIMEOUT, but the policies allow") == 3
    assert problem.message.endswith("and 1 more pairs of this word")


def test_the_tables_are_not_compared_where_the_oracle_is_off(tmp_path: Path) -> None:
    text = (DATA / "invalid" / "oracle-disagrees.yaml").read_text()
    path = tmp_path / "off.yaml"
    path.write_text("oracle: {off: we know better}\n" + text)
    assert scenario.load(path).oracle_off == "we know better"


MIXED = """\
scenario: A policy that nobody here can read
why: It may act on the pods of its namespace, so the author's word stands there.
topology:
  a: {pods: {x: {}, y: {ports: [80]}}}
  b: {pods: {z: {ports: [80]}}}
steps:
  - step: both
    apply:
      - %s
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: shut, namespace: b}
        spec: {podSelector: {}}
    expect: |2
            a/y:80   b/z:80
      a/x   TIMEOUT  TIMEOUT
      b/z   allowed  -
"""
CILIUM = "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: c%s}, spec: {}}"


def marks(path: Path) -> dict[str, str | None]:
    """Why the cells of the first step are not judged."""
    (step,) = scenario.load(path).steps
    return {str(cell.probe): cell.not_judged for cell in step.table.cells}


def test_a_custom_kind_leaves_the_pods_of_its_namespace_not_judged(tmp_path: Path) -> None:
    """The others are compared with the policies as ever, in the same file."""
    path = tmp_path / "mixed.yaml"
    path.write_text(MIXED % (CILIUM % ", namespace: a"))
    reason = "CiliumNetworkPolicy a/c may affect a/{}, and its meaning is not known"
    assert marks(path) == {
        "a/x -> a/y:80": reason.format("x"),
        "a/x -> b/z:80": reason.format("x"),
        "b/z -> a/y:80": reason.format("y"),
    }
    path.write_text(
        (MIXED % (CILIUM % ", namespace: a")).replace("b/z   allowed", "a/y   TIMEOUT")
    )
    assert scenario.load(path)
    path.write_text(MIXED % (CILIUM % ", namespace: b"))
    problems = scenario.examine(path)[1]
    assert [problem.message.splitlines()[0] for problem in problems] == [
        "TIMEOUT, but the policies allow a/x -> a/y:80"
    ]


def test_a_custom_kind_that_may_have_no_namespace_leaves_all_pods_not_judged(
    tmp_path: Path,
) -> None:
    path = tmp_path / "everywhere.yaml"
    path.write_text((MIXED % (CILIUM % "")).replace("    apply:", "    namespace: b\n    apply:"))
    reason = "CiliumNetworkPolicy b/c may affect {}, and its meaning is not known"
    assert marks(path) == {
        "a/x -> a/y:80": reason.format("a/x"),
        "a/x -> b/z:80": reason.format("a/x"),
        "b/z -> a/y:80": reason.format("b/z"),
    }


ENDPOINTS = """\
scenario: Two endpoints, and one is denied
why: Which of them answers is the cluster's choice.
%s
topology:
  shop:
    pods:
      old: {labels: {app: cart, version: old}, ports: [80]}
      new: {labels: {app: cart, version: new}, ports: [%s], node: 2}
      web: {}
    services: {cart: {selector: {app: cart}, ports: [80]}}
steps:
  - step: the old version is shut
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: shut, namespace: shop}
        spec: {podSelector: {matchLabels: {version: %s}}}
    expect: |2
                svc/shop/cart:80  shop/old:80
      shop/web  allowed           %s
"""


@pytest.mark.parametrize("key", ["weak: none", "oracle: {off: we know better}"])
@pytest.mark.parametrize(
    ("port", "version", "word"),
    [("80", "old", "TIMEOUT"), ("81", "none", "allowed")],
    ids=["one is denied", "one does not listen"],
)
def test_a_service_whose_endpoints_differ_is_undefined(
    tmp_path: Path, key: str, port: str, version: str, word: str
) -> None:
    path = tmp_path / "endpoints.yaml"
    key = "" if key.startswith("weak") else key
    path.write_text(ENDPOINTS % (key, port, version, word))
    (step,) = scenario.examine(path)[0].steps
    assert {str(cell.probe): cell.undefined for cell in step.table.cells} == {
        "shop/web -> svc/shop/cart:80": (
            "the endpoints of the Service differ, and any of them may answer"
        ),
        "shop/web -> shop/old:80": None,
    }


def test_a_step_may_exempt_what_stops_listening(tmp_path: Path) -> None:
    path = tmp_path / "stops.yaml"
    path.write_text(
        """\
scenario: The server moves to another port
why: Its old port connects in one step and not in the next, whatever the policies say.
topology:
  a: {pods: {x: {}, y: {ports: [80]}, z: {ports: [80]}}}
never-allowed: {"a/z -> a/y:81": nobody listens there yet}
steps:
  - step: at first
    expect: |2
           a/y:80   a/y:81
      a/x  allowed  -
      a/z  allowed  REFUSED
  - step: it moves, and is shut
    delete: [Pod/a/y]
    create: {a: {pods: {y: {ports: [81]}}}}
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: shut, namespace: a}
        spec: {podSelector: {}}
    never-allowed:
      "a/* -> a/y:80": it has moved
    expect: |2
           a/y:80   a/z:80
      a/x  TIMEOUT  TIMEOUT
      a/z  TIMEOUT  -
"""
    )
    found = [
        (str(cell.probe), str(cell.expected), cell.never_allowed)
        for step in scenario.load(path).steps
        for cell in step.table.cells
    ]
    assert found == [
        ("a/x -> a/y:80", "allowed", None),
        ("a/z -> a/y:80", "allowed", None),
        ("a/z -> a/y:81", "REFUSED", "nobody listens there yet"),
        ("a/x -> a/y:80", "TIMEOUT", "it has moved"),
        ("a/x -> a/z:80", "TIMEOUT", None),
        ("a/z -> a/y:80", "TIMEOUT", "it has moved"),
    ]


def test_a_watched_pair_must_be_defined(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.yaml"
    path.write_text(
        ENDPOINTS % ("", "80", "old", "TIMEOUT")
        + """\
  - step: watched
    label: {shop/web: {app: web}}
    watch: {pairs: ["shop/web -> svc/shop/cart:80"]}
    expect: |2
                svc/shop/cart:80
      shop/web  allowed
"""
    )
    _, (problem,) = scenario.examine(path)
    assert (problem.location.line, problem.message, problem.hint) == (
        26,
        "shop/web -> svc/shop/cart:80 is watched, and its verdict is undefined: the endpoints of "
        "the Service differ, and any of them may answer",
        "watch pairs whose verdict the API defines",
    )


def test_what_the_api_leaves_open_is_marked_with_its_reason(everything: Scenario) -> None:
    marked = [c for c in everything.steps[0].table.cells if c.undefined]
    assert {str(c.probe.destination) for c in marked} == {"nodeport/db/web:80@1"}
    assert all("Local" in str(c.undefined) for c in marked)


# ------------------------------------------------------------------ ends


@pytest.mark.parametrize(
    ("text", "destination"),
    [
        ("app1/nginx:80", Destination(PodRef("app1", "nginx"), 80)),
        ("node/1:9100", Destination(NodeRef(1), 9100)),
        ("external/office:443", Destination(ExternalRef("office"), 443)),
        ("svc/db/pg:53/UDP", Destination(ServiceRef("db", "pg"), 53, Protocol.UDP)),
        ("dns/pg.db:5432", Destination(ServiceName("db", "pg"), 5432)),
        ("dns/api.example.com:443", Destination(AbsoluteName("api.example.com"), 443)),
        ("nodeport/db/pg:5432@2", Destination(NodePortRef("db", "pg", 2), 5432)),
        ("nodeport/db/pg:9/SCTP@1", Destination(NodePortRef("db", "pg", 1), 9, Protocol.SCTP)),
        ("ip/203.0.113.5:443", Destination(Address("203.0.113.5"), 443)),
        ("ip/[2001:db8::5]:53/UDP", Destination(Address("2001:db8::5"), 53, Protocol.UDP)),
    ],
)
def test_destinations_read_as_they_print(text: str, destination: Destination) -> None:
    assert scenario.parse_destination(text) == destination
    assert str(destination) == text


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("app1/nginx", PodRef("app1", "nginx")),
        ("node/2", NodeRef(2)),
        ("external/office", ExternalRef("office")),
    ],
)
def test_sources_read_as_they_print(text: str, source: object) -> None:
    assert scenario.parse_source(text) == source
    assert str(source) == text


@pytest.mark.parametrize(
    "text", ["*", "a/*:80", "a/b:*", "", ":", "a/b", "ns/a:80", "dns/x:80", "ip/1.2.3:80", "a/b:0"]
)
def test_what_is_no_destination_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        scenario.parse_destination(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["*", "a/*", "svc/a/b", "a/b:80", "nginx", "node/x", "a/b/c"])
def test_what_is_no_source_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        scenario.parse_source(text)
    assert caught.value.hint


# ------------------------------------------------------------------ files


def test_scenario_files_are_found_and_nothing_else(tmp_path: Path) -> None:
    for name in (
        "b.yaml",
        "a.yml",
        "deep/er/c.yaml",
        "policies/p.yaml",
        "deep/fixtures/f.yaml",
        ".hidden/h.yaml",
        ".h.yaml",
        "notes.md",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [str(path.relative_to(tmp_path)) for path in scenario.find(tmp_path)]
    assert found == ["a.yml", "b.yaml", "deep/er/c.yaml"]
    assert scenario.find(tmp_path / "policies" / "none") == ()


def test_a_scenario_starts_from_its_fixture_and_what_it_adds() -> None:
    found = scenario.load(DATA / "valid" / "on-a-fixture.yaml")
    assert found.fixture
    assert found.topology
    assert (found.fixture.written, found.fixture.title) == (
        "fixtures/two-pods.yaml",
        "A server and a client",
    )
    shared, state = found.fixture.state, found.topology
    assert {shared.scope, state.scope, found.steps[0].state.scope} == {"two-pods"}
    assert [str(pod.ref) for pod in shared.pods] == ["app1/server", "app1/client"]
    assert state.pods[:2] == shared.pods
    assert [(str(pod.ref), pod.node) for pod in state.pods[2:]] == [
        ("app1/other", 1),
        ("app2/client", 2),
    ]
    assert [item.name for item in state.externals] == ["office", "home"]
    assert found.needs.nodes == 2


def test_a_state_without_all_of_the_fixture_cannot_be_written() -> None:
    found = scenario.load(DATA / "valid" / "on-a-fixture.yaml")
    assert found.fixture
    assert found.topology
    more = replace(found.fixture.state, pods=found.topology.pods)
    changed = replace(found, fixture=replace(found.fixture, state=replace(more, scope="other")))
    with pytest.raises(Unwritable) as caught:
        write(changed)
    assert str(caught.value) == "the state before the first step is not the fixture and more"


def test_a_fixture_file_is_read_as_one() -> None:
    found = scenario.load_fixture(DATA / "valid" / "fixtures" / "two-pods.yaml")
    assert found
    assert found.title == "A server and a client"
    assert scenario.load_fixture(DATA / "valid" / "on-a-fixture.yaml") is None
    assert scenario.load_fixture(DATA / "valid" / "no-such-file.yaml") is None


def test_the_problems_of_a_fixture_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    with pytest.raises(ScenarioError) as caught:
        scenario.load_fixture(Path("invalid/fixtures/with-faults.yaml"))
    assert str(caught.value) + "\n" == Path("invalid/fixture-with-faults.txt").read_text("utf-8")


def test_the_three_namespaces_are_those_of_the_suite() -> None:
    found = scenario.load_fixture(ROOT / "scenarios" / "fixtures" / "three-namespaces.yaml")
    assert found
    state = found.state
    assert {item.name: str(item.labels) for item in state.namespaces} == {
        "x": "ns=x",
        "y": "ns=y,team=blue",
        "z": "ns=z,team=green",
    }
    assert {str(pod.ref) for pod in state.pods if pod.node == 1} == {
        "x/a",
        "x/b",
        "y/a",
        "y/c",
        "z/b",
    }
    assert len(state.pods) == len(state.services) == 9
    served = {(port.number, str(port.protocol)) for pod in state.pods for port in pod.ports}
    assert served == {(80, "TCP"), (81, "TCP"), (80, "UDP"), (81, "UDP")}
    for service in state.services:
        assert [pod.name for pod in state.endpoints(service)] == [service.name]
        assert {(port.number, port.target) for port in service.ports} == {(80, 80), (8080, 80)}


def test_the_schema_of_fixtures_is_the_generated_one() -> None:
    shipped = ROOT / "harness" / "fixture.schema.json"
    assert shipped.read_text("utf-8") == scenario.fixture_json_schema(), (
        "regenerate it: netpol schema fixture > harness/fixture.schema.json"
    )


def test_the_schema_is_the_generated_one() -> None:
    shipped = ROOT / "harness" / "scenario.schema.json"
    assert shipped.read_text("utf-8") == scenario.json_schema(), (
        "regenerate it: netpol schema > harness/scenario.schema.json"
    )


def test_the_schema_knows_the_keys_of_the_language() -> None:
    document = json.loads(scenario.json_schema())
    assert document["additionalProperties"] is False
    assert {"exact names", "never-allowed", "steps"} <= document["properties"].keys()
    assert "hostNetwork" in document["$defs"]["PodWire"]["properties"]


def test_probes_stand_once_in_a_table(everything: Scenario) -> None:
    for step in everything.steps:
        probes: list[Probe] = [cell.probe for cell in step.table.cells]
        assert len(set(probes)) == len(probes)
    assert {c.expected for c in everything.steps[1].table.cells} == {Verdict.TIMEOUT}


KUBECTL = """\
apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata:
      name: p
      namespace: ""
      uid: 7d1c1d0e
      resourceVersion: "12"
      creationTimestamp: "2024-05-01T10:00:00Z"
      annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}", mine: kept}
    spec: &spec {podSelector: {}}
    status: {}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicyList
items:
  - metadata: {name: q, namespace: app}
    spec: {<<: *spec, policyTypes: [Egress]}
---
{apiVersion: v1, kind: Namespace, metadata: {name: app, labels: {team: blue}}}
"""


def test_what_kubectl_prints_is_taken(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(KUBECTL.replace("*spec", "{podSelector: {}}"))
    path = tmp_path / "s.yaml"
    path.write_text(
        "scenario: S\nwhy: W.\n"
        "topology: {app: {labels: {team: blue}, pods: {a: {}, b: {ports: [80]}}}}\n"
        "steps:\n  - {step: s, namespace: app, apply: [all.yaml], expect: TIMEOUT}\n"
    )
    found = scenario.read(path)
    first, second = found.steps[0].state.policies
    assert json.loads(first.json) == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "app", "annotations": {"mine": "kept"}},
        "spec": {"podSelector": {}},
    }
    assert json.loads(second.json)["spec"] == {"podSelector": {}, "policyTypes": ["Egress"]}
    shown = tmp_path / "all.yaml"
    assert found.notes == (
        f"{shown}:5:5: NetworkPolicy p: status, metadata.uid, metadata.resourceVersion, "
        "metadata.creationTimestamp, the annotation "
        "kubectl.kubernetes.io/last-applied-configuration left out",
        f"{shown}:23:1: Namespace app left out: the topology makes it",
    )


@pytest.mark.parametrize("text", ["", "scenario: S\n"])
def test_cycles_are_collected_again_after_a_file_was_read(tmp_path: Path, text: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError):
        scenario.examine(file)
    assert gc.isenabled()
