"""The canary: a check before the first scenario that the cluster enforces policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from harness.cluster import Cluster
from harness.errors import ClusterError, DeniesOtherwise, Location, NoNetwork, NotEnforcing
from harness.model import (
    Cell,
    CellResult,
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

    ``tell`` receives the progress. Raises what ``require_open`` and ``require_denied`` raise:
    then results of scenarios would be meaningless.
    """
    run = ScenarioRun(cluster, _canary_scenario(), timing, tell=tell)
    require_open(cluster, run.run(0).reachability)
    require_denied(cluster, run.run(1).reachability, "all ingress")


def require_open(cluster: Cluster, seen: Reachability) -> None:
    """Require that everything connected, without any policy.

    Raises NoNetwork, with what the cluster says of its network plugin, or ClusterError if there
    is no verdict.
    """
    _require_verdicts(seen)
    if not seen.mismatches:
        return
    pairs = _listed([f"{result.cell.probe} {result.outcome}" for result in seen.mismatches])
    described = cluster.describe([seen.mismatches[0].cell.probe])
    raise NoNetwork(
        f"pods cannot reach each other on {cluster.capabilities.name} "
        f"without any policy: {pairs}" + (f"\n{described}" if described else ""),
        hint="the cluster's network does not work, or something else denies this, such as a "
        "cluster-wide policy or a policy that is put into each new namespace; "
        "see `kubectl get pods -A`",
    )


def require_denied(cluster: Cluster, seen: Reachability, denied: str) -> None:
    """Require that a policy that denies ``denied`` denied it, and nothing else.

    Raises NotEnforcing, DeniesOtherwise if the cluster denies in another way than its profile
    says, NoNetwork if it denied more, and ClusterError if there is no verdict or no evidence.
    """
    _require_verdicts(seen)
    name = cluster.capabilities.name
    denials = [result for result in seen.results if result.cell.stated is not Verdict.ALLOWED]
    leaks = [result for result in denials if result.outcome is Verdict.ALLOWED]
    if leaks:
        _refuse(name, leaks, len(denials), denied)
    for odd in seen.mismatches:
        if odd.cell.expected is Verdict.ALLOWED:
            raise NoNetwork(
                f"under a policy that denies {denied}, {odd.cell.probe} gave {odd.outcome} on "
                f"{name}, although the policy does not deny it",
                hint="the network broke meanwhile, or the CNI denies too much",
            )
        raise DeniesOtherwise(
            f"cluster {name} does not deny by TIMEOUT: under a policy that denies {denied}, "
            f"{odd.cell.probe} gave {odd.outcome}",
            hint="if its CNI denies by rejecting, select its profile, for example "
            "--cni=kube-router (with pytest --netpol-cni)",
        )
    for result in seen.unproven:
        raise ClusterError(f"{result.cell.probe} was never seen connecting")


def _refuse(name: str, leaks: Sequence[CellResult], denials: int, denied: str) -> NoReturn:
    """Raise NotEnforcing."""
    pairs = _listed([str(result.cell.probe) for result in leaks])
    if len(leaks) == denials:
        raise NotEnforcing(
            f"cluster {name} does not enforce NetworkPolicy: a policy that denies {denied} "
            f"was accepted, and {pairs} still {'connects' if denials == 1 else 'connect'}",
            hint="use a CNI that implements NetworkPolicy (Calico, Cilium, kube-router, ...); "
            "flannel and kubenet accept policies and ignore them",
        )
    raise NotEnforcing(
        f"cluster {name} enforces NetworkPolicy only in part: a policy that denies {denied} was "
        f"accepted, and of {denials} denied pairs {len(leaks)} still connect: {pairs}",
        hint="see whether the CNI's agent runs on the nodes of these pods",
    )


_SHOWN_PAIRS = 4


def _listed(pairs: Sequence[str]) -> str:
    more = len(pairs) - _SHOWN_PAIRS
    return ", ".join([*pairs[:_SHOWN_PAIRS], *([f"and {more} more"] if more > 0 else [])])


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
