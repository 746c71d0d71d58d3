"""The canary: a check before the first scenario that the cluster enforces policies."""

from __future__ import annotations

from dataclasses import replace

from harness.cluster import Cluster
from harness.errors import ClusterError, Location, NotEnforcing
from harness.model import (
    Cell,
    ContainerPort,
    Destination,
    Labels,
    Manifest,
    Namespace,
    Pod,
    PodRef,
    Probe,
    Reachability,
    Scenario,
    State,
    Step,
    TruthTable,
    Verdict,
)
from harness.runner import ScenarioRun
from harness.settle import Tell, Timing, tell_nobody


def check(cluster: Cluster, timing: Timing | None = None, tell: Tell = tell_nobody) -> None:
    """Check that a policy that denies all ingress denies, on the same node and across nodes.

    ``tell`` receives the progress.
    Raises NotEnforcing if it does not. Raises ClusterError if pods cannot reach each other
    without policies (with what the cluster says of its network plugin), if there is no verdict,
    or if the cluster denies in another way than its profile says: then results of scenarios
    would be meaningless.
    """
    scenario = _canary_scenario()
    run = ScenarioRun(cluster, scenario, timing, tell=tell)
    before = run.run(0).reachability
    _require_verdicts(before)
    if before.mismatches:
        pairs = ", ".join(f"{result.cell.probe} {result.outcome}" for result in before.mismatches)
        described = cluster.describe(())
        raise ClusterError(
            f"pods cannot reach each other on {cluster.capabilities.name} "
            f"without any policy: {pairs}" + (f"\n{described}" if described else ""),
            hint="the cluster's network does not work; see `kubectl get pods -A`",
        )
    after = run.run(1).reachability
    _require_verdicts(after)
    name = cluster.capabilities.name
    still_allowed = [result for result in after.mismatches if result.outcome is Verdict.ALLOWED]
    if still_allowed:
        raise NotEnforcing(
            f"cluster {name} does not enforce NetworkPolicy: a policy that denies all ingress "
            f"was accepted, and {still_allowed[0].cell.probe} still connects",
            hint="use a CNI that implements NetworkPolicy (Calico, Cilium, kube-router, ...); "
            "flannel and kubenet accept policies and ignore them",
        )
    if after.mismatches:
        odd = after.mismatches[0]
        raise ClusterError(
            f"cluster {name} does not deny by TIMEOUT: under a policy that denies all ingress, "
            f"{odd.cell.probe} gave {odd.outcome}",
            hint="if its CNI denies by rejecting, select its profile, for example "
            "--cni=kube-router (with pytest --netpol-cni)",
        )


def _require_verdicts(reachability: Reachability) -> None:
    for result in reachability.unmeasured:
        raise ClusterError(f"the canary got no verdict on {result.cell.probe}: {result.outcome}")


def _canary_scenario() -> Scenario:
    here = Location("<canary>", 1, 1)
    name = "canary"
    pods = (
        Pod(name, "client", Labels({"app": "client"}), node=1),
        Pod(name, "near", Labels({"app": "near"}), (ContainerPort(8080),), node=1),
        Pod(name, "far", Labels({"app": "far"}), (ContainerPort(8080),), node=2),
    )
    policy = Manifest(
        api_version="networking.k8s.io/v1",
        kind="NetworkPolicy",
        namespace=name,
        name="deny-all",
        json='{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",'
        '"metadata":{"name":"deny-all","namespace":"canary"},'
        '"spec":{"podSelector":{},"policyTypes":["Ingress"]}}',
    )
    open_state = State(scope=name, namespaces=(Namespace(name),), pods=pods)
    shut_state = replace(open_state, policies=(policy,))

    def step(title: str, state: State, verdict: Verdict) -> Step:
        cells = tuple(
            Cell(Probe(pods[0].ref, Destination(PodRef(name, to), 8080)), verdict, here)
            for to in ("near", "far")
        )
        return Step(title, here, (), state, TruthTable(cells))

    return Scenario(
        path="<canary>",
        name="canary",
        slug=name,
        why="a policy that denies all must deny",
        steps=(
            step("nothing is restricted", open_state, Verdict.ALLOWED),
            step("all ingress is denied", shut_state, Verdict.TIMEOUT),
        ),
    )
