"""What a record tells of the cluster, and the paths of its cells, against whole values."""

from __future__ import annotations

import json
from dataclasses import replace

from harness import oracle
from harness.errors import Location
from harness.model import (
    Cell,
    CellResult,
    CompletedPod,
    ContainerPort,
    Destination,
    External,
    Labels,
    Manifest,
    Namespace,
    Observation,
    Placement,
    Pod,
    PodRef,
    Probe,
    Protocol,
    Reachability,
    Readiness,
    Scenario,
    Service,
    ServicePort,
    ServiceRef,
    ServiceType,
    State,
    Step,
    StepResult,
    Trace,
    TruthTable,
    Verdict,
)
from harness.report import (
    Background,
    ExternalRecord,
    NamespaceRecord,
    ObjectRecord,
    Outcome,
    PodKind,
    PodRecord,
    PortRecord,
    Results,
    Run,
    ServicePortRecord,
    ServiceRecord,
    StepRecord,
    TopologyRecord,
    path,
    record,
    topology_record,
    unmeasured_record,
)

WEB = ContainerPort(80, name="web")
A = Pod("x", "a", Labels({"app": "a"}), (WEB,), readiness=Readiness.TCP)
SAME = Pod("x", "same", Labels({"app": "b"}))
"""A pod with the labels that the policy selects, in another namespace."""
B = Pod("y", "b", Labels({"app": "b"}), (ContainerPort(53, Protocol.UDP),), 2)
HOST = Pod("y", "host", Labels({"app": "b"}), node=2, host_network=True)
DONE = CompletedPod("y", "job", Labels({"app": "b"}))


def manifest(api_version: str, kind: str, spec: object, line: int | None = None) -> Manifest:
    body = {"spec": spec, "metadata": {"namespace": "y", "name": "one"}, "kind": kind}
    text = json.dumps({**body, "apiVersion": api_version})
    where = Location("s.yaml", line, 3) if line else None
    return Manifest(api_version, kind, "y", "one", text, where)


DENY = manifest(
    "networking.k8s.io/v1", "NetworkPolicy", {"podSelector": {"matchLabels": {"app": "b"}}}, 12
)
STATE = State(
    "s",
    (Namespace("x", Labels({"team": "x"})), Namespace("y")),
    (A, B, HOST, SAME),
    (
        Service("x", "web", Labels({"app": "a"}), (ServicePort(8080, "web"),)),
        Service("y", "out", Labels({}), (ServicePort(1, 53),), ServiceType.NODE_PORT),
    ),
    (External("office", ("203.0.113.5",), (ContainerPort(443),), ("office.example",)),),
    (
        DENY,
        manifest("cilium.io/v2", "CiliumNetworkPolicy", {}),
        manifest("v1", "ConfigMap", {}),
    ),
    completed=(DONE,),
)
PLACEMENTS = (
    Placement(A.ref, "worker-1", ("10.0.0.1", "fd00::1")),
    Placement(ServiceRef("x", "web"), "", ("10.1.0.1",)),
)


def test_the_topology_of_a_state() -> None:
    deny, cilium, config = topology_record(STATE, PLACEMENTS).objects
    assert deny == ObjectRecord(
        api_version="networking.k8s.io/v1",
        kind="NetworkPolicy",
        namespace="y",
        name="one",
        yaml="apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        'metadata: {name: one, namespace: "y"}\nspec:\n'
        "  podSelector: {matchLabels: {app: b}}\n",
        location="s.yaml:12:3",
        selects=("y/b", "y/host"),
        policy_types=("Ingress",),
    )
    assert (str(deny), cilium.selects, config.selects) == ("NetworkPolicy y/one", None, ())
    assert replace(topology_record(STATE, PLACEMENTS), objects=()) == TopologyRecord(
        namespaces=(
            NamespaceRecord("x", {"kubernetes.io/metadata.name": "x", "team": "x"}),
            NamespaceRecord("y", {"kubernetes.io/metadata.name": "y"}),
        ),
        pods=(
            PodRecord(
                "x",
                "a",
                {"app": "a"},
                PodKind.USUAL,
                1,
                "worker-1",
                ("10.0.0.1", "fd00::1"),
                (PortRecord(80, "TCP", "web"),),
                "tcp",
            ),
            PodRecord("y", "b", {"app": "b"}, PodKind.USUAL, 2, ports=(PortRecord(53, "UDP"),)),
            PodRecord("y", "host", {"app": "b"}, PodKind.HOST_NETWORK, 2),
            PodRecord("x", "same", {"app": "b"}, PodKind.USUAL, 1),
            PodRecord("y", "job", {"app": "b"}, PodKind.COMPLETED, 1),
        ),
        services=(
            ServiceRecord(
                "x",
                "web",
                "ClusterIP",
                {"app": "a"},
                (ServicePortRecord(8080, "TCP", "web"),),
                ("x/a",),
                ("10.1.0.1",),
            ),
            ServiceRecord(
                "y",
                "out",
                "NodePort",
                {},
                (ServicePortRecord(1, "TCP", "53"),),
                ("y/b", "y/host"),
                external_traffic_policy="Cluster",
            ),
        ),
        externals=(
            ExternalRecord(
                "office", ("203.0.113.5",), (PortRecord(443, "TCP"),), ("office.example",)
            ),
        ),
    )


PROBES = tuple(
    Probe(A.ref, Destination(PodRef(*end), port))
    for *end, port in (("y", "b", 53), ("x", "a", 80))
)


def step() -> StepRecord:
    """A step with a denial that connects, and a pod that reaches itself."""
    cells = [
        Cell(probe, verdict, Location("s.yaml", 20, 5))
        for probe, verdict in zip(PROBES, (Verdict.TIMEOUT, Verdict.ALLOWED), strict=True)
    ]
    made = Step("shut", Location("s.yaml", 7, 3), (), STATE, TruthTable(tuple(cells)))
    scenario = Scenario("s.yaml", "Shut", "s", "because", (made,))
    results = [CellResult(c, Observation(c.probe, 0, 1, Verdict.ALLOWED)) for c in cells]
    results[0] = replace(results[0], wrong_from_s=0.25, wrong_until_s=30.5)
    seen = Reachability(tuple(results))
    judge = oracle.Judge(STATE)
    background = Background(
        path=lambda probe: path(judge.predict(probe)),
        placements=PLACEMENTS,
        traces=(Trace(PROBES[0], "chain x accepted it", "iptables-save"),),
    )
    result = StepResult(scenario, made, seen, 2, 0.0, 0.0)
    return record(result, "fake", lambda _: "", lambda _: "", background)


def test_every_cell_has_its_path_and_a_traced_one_what_the_cni_says() -> None:
    made = step()
    wrong, right = made.cells
    assert made.path(wrong) == (
        "not judged: CiliumNetworkPolicy y/one may affect y/b, and its meaning is not known",
        "egress of x/a: not isolated (no policy selects it for Egress)",
        "ingress of y/b: isolated by NetworkPolicy y/one; no rule allows x/a -> y/b on TCP 53",
    )
    assert made.path(right) == ("x/a to itself is always allowed (R46)",)
    assert wrong.cni is not None
    assert (wrong.cni.says, wrong.cni.command) == ("chain x accepted it", "iptables-save")
    assert right.cni is None
    assert (wrong.wrong_from_s, wrong.wrong_until_s) == (0.25, 30.5)


def test_lines_that_paths_share_are_kept_once() -> None:
    made = step()
    assert len(set(made.path_lines)) == len(made.path_lines)
    assert made.topology == topology_record(STATE, PLACEMENTS)


def test_a_topology_survives_the_border_of_a_process_and_the_file() -> None:
    made = step()
    assert StepRecord.from_json(made.to_json()) == made
    run = Run("np1", "2030-01-01T00:00:00+00:00", 1.0, "0.1.0", "netns", 2)
    assert Results.from_json(Results(run, (made,)).to_json(), "r.json").steps == (made,)


def test_a_step_that_ended_early_has_its_topology_and_a_skipped_one_has_none() -> None:
    made = Step("shut", Location("s.yaml", 7, 3), (), STATE, TruthTable(()))
    scenario = Scenario("s.yaml", "Shut", "s", "because", (made,))
    broken = unmeasured_record(scenario, 0, Outcome.CLUSTER_ERROR, "fake", "gone")
    assert broken.topology == topology_record(STATE)
    skipped = unmeasured_record(scenario, 0, Outcome.SKIPPED, "fake", "no SCTP")
    assert skipped.topology == TopologyRecord()
