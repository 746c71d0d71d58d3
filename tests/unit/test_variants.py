"""Scenarios with ClusterNetworkPolicy on clusters that lack the kind, or its version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import scenario
from harness.cluster import Capabilities
from harness.model import Manifest, Scenario, State
from harness.report.record import record
from harness.runner import ScenarioRun
from harness.settle import Timing
from harness.variants import TierKinds, has_baseline, has_only_one_baseline, variant
from tests.fakes import FakeCluster, allows_all

GROUP = "policy.networking.k8s.io"
NEW, NEWER = (f"{GROUP}/{version}/ClusterNetworkPolicy" for version in ("v1alpha2", "v1beta1"))
ADMIN = f"{GROUP}/v1alpha1/AdminNetworkPolicy"
BASELINE = f"{GROUP}/v1alpha1/BaselineAdminNetworkPolicy"
NP = "networking.k8s.io/v1/NetworkPolicy"
OLD = frozenset({ADMIN, BASELINE, NP})

HEAD = """
scenario: Tiers
why: for a test
proves: nothing-changes
topology:
  x:
    pods:
      a: {ports: [80]}
      b: {}
steps:
  - step: one of each tier
    apply: [ADMIN, BASELINE]
    expect: |2
           x/a:80
      x/b  allowed
"""
SECOND = """
  - step: more
    apply: [MORE]
    expect: |2
           x/a:80
      x/b  allowed
  - step: fewer
    delete: [ClusterNetworkPolicy/first]
    expect: |2
           x/a:80
      x/b  allowed
"""


def policy(name: str, tier: str, action: str = "Accept", version: str = "v1alpha2") -> str:
    rule = {"action": action, "from": [{"namespaces": {}}]}
    return json.dumps({
        "apiVersion": f"{GROUP}/{version}",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {"tier": tier, "priority": 1, "subject": {"namespaces": {}}, "ingress": [rule]},
    })  # fmt: skip


def written(tmp_path: Path, more: str = "", version: str = "v1alpha2") -> Scenario:
    text = HEAD.replace("ADMIN", policy("first", "Admin", version=version))
    text = text.replace("BASELINE", policy("last", "Baseline", version=version))
    if more:
        text += SECOND.replace("MORE", more)
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return scenario.read(path, [tmp_path])


def cluster(*kinds: str) -> Capabilities:
    return Capabilities("mine", frozenset({"admission"}), nodes=2, kinds=frozenset(kinds))


def applied(found: Scenario, step: int) -> list[str]:
    policies = found.steps[step].state.policies
    assert all(json.loads(item.json)["kind"] == item.kind for item in policies)
    return [f"{item.api_version}/{item.kind} {item.name}" for item in policies]


def test_a_cluster_with_the_kind_gets_what_was_written(tmp_path: Path) -> None:
    found = written(tmp_path)
    assert variant(found, cluster(NEW, *OLD)).scenario is found
    assert variant(found, cluster(NEW, *OLD)).skips == (None,)


@pytest.mark.parametrize(("version", "there"), [("v1alpha2", NEWER), ("v1beta1", NEW)])
def test_another_version_of_the_kind_is_used(tmp_path: Path, version: str, there: str) -> None:
    ours = variant(written(tmp_path, version=version), cluster(there, *OLD))
    assert ours.skips == (None,)
    assert applied(ours.scenario, 0) == [f"{there} first", f"{there} last"]
    assert ours.scenario.needs.kinds == {there}


def test_the_forerunners_are_used(tmp_path: Path) -> None:
    ours = variant(written(tmp_path), cluster(*OLD))
    assert ours.skips == (None,)
    assert applied(ours.scenario, 0) == [f"{ADMIN} first", f"{BASELINE} default"]
    assert ours.scenario.needs.kinds == {ADMIN, BASELINE}


def test_a_cluster_without_any_of_them_lacks_the_kind(tmp_path: Path) -> None:
    ours = variant(written(tmp_path), cluster(NP))
    assert ours.skips == (f"cluster mine lacks the API {NEW}",)


@pytest.mark.parametrize(
    ("more", "kinds", "why"),
    [
        (
            policy("more", "Baseline"),
            OLD,
            "the step has two, and a cluster has only one BaselineAdminNetworkPolicy",
        ),
        (
            policy("last", "Baseline", "Pass"),
            OLD,
            "a BaselineAdminNetworkPolicy has no action Pass",
        ),
    ],
)
def test_what_has_no_variant_is_skipped_and_what_comes_after_it(
    tmp_path: Path, more: str, kinds: frozenset[str], why: str
) -> None:
    found = written(tmp_path, more)
    ours = variant(found, cluster(*kinds))
    reason = f"cluster mine lacks feature ClusterNetworkPolicy ({why})"
    after = f"it comes after step 'more', which is skipped: {reason}"
    assert ours.skips == (None, reason, after)
    run = ScenarioRun(FakeCluster(allows_all, cluster(*kinds)), ours.scenario, Timing(0.03, 0.001))
    result = run.run(0)
    assert record(result, "mine", lambda _: "", lambda _: "").applied_as == (
        f"ClusterNetworkPolicy as {GROUP}/v1alpha1 AdminNetworkPolicy",
        f"ClusterNetworkPolicy as {GROUP}/v1alpha1 BaselineAdminNetworkPolicy",
    )


def test_a_cluster_with_one_of_the_forerunners_skips_the_other(tmp_path: Path) -> None:
    ours = variant(written(tmp_path), cluster(ADMIN, NP))
    assert ours.skips == (
        "cluster mine lacks feature ClusterNetworkPolicy "
        "(the cluster has no BaselineAdminNetworkPolicy)",
    )


def test_a_policy_that_must_be_refused_has_no_variant(tmp_path: Path) -> None:
    refused = policy("no", "Admin").replace('"Accept"', '"Admit"')
    text = SECOND.replace("apply: [MORE]", f"refused: [{refused}]")
    text = text.replace("delete: [ClusterNetworkPolicy/first]", "restart: [x/a]")
    path = tmp_path / "t.yaml"
    head = HEAD.replace("ADMIN", policy("first", "Admin")).replace(", BASELINE", "")
    path.write_text(head + text, encoding="utf-8")
    found = scenario.read(path, [tmp_path])
    ours = variant(found, cluster(*OLD))
    assert ours.skips == (
        None,
        "cluster mine lacks feature ClusterNetworkPolicy (a step expects it to be refused)",
        None,
    )


def test_the_only_baseline_policy_is_used_by_those_that_have_one(tmp_path: Path) -> None:
    assert has_baseline(written(tmp_path))
    path = tmp_path / "admin.yaml"
    text = HEAD.replace("ADMIN, BASELINE", policy("first", "Admin"))
    path.write_text(text, encoding="utf-8")
    assert not has_baseline(scenario.read(path, [tmp_path]))
    assert has_only_one_baseline(OLD)
    assert not has_only_one_baseline(OLD | {NEW})
    assert not has_only_one_baseline(frozenset({ADMIN, NP}))


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ({NEW, *OLD}, TierKinds.CLUSTER_NETWORK_POLICY),
        ({NEWER}, TierKinds.CLUSTER_NETWORK_POLICY),
        (OLD, TierKinds.FORERUNNERS),
        ({ADMIN, NP}, TierKinds.ADMIN_ONLY),
        ({BASELINE, NP}, TierKinds.NONE),
        ({NP}, TierKinds.NONE),
    ],
)
def test_the_kinds_of_policies_in_tiers_of_a_cluster(kinds: set[str], found: TierKinds) -> None:
    assert TierKinds.among(frozenset(kinds)) is found


ONE, TWO = policy("one", "Baseline"), policy("two", "Baseline")
PASSES = policy("one", "Baseline", "Pass")
EVERY = [TierKinds.CLUSTER_NETWORK_POLICY]
FORERUNNERS = [*EVERY, TierKinds.FORERUNNERS]


@pytest.mark.parametrize(
    ("more", "kinds"),
    [
        ([], [*TierKinds]),
        ([policy("one", "Admin", "Pass")], [*FORERUNNERS, TierKinds.ADMIN_ONLY]),
        ([policy("one", "Admin"), TWO], FORERUNNERS),
        ([ONE, TWO], EVERY),
        ([PASSES], EVERY),
    ],
    ids=["none", "admin", "both", "two baselines", "pass in baseline"],
)
def test_which_kinds_can_have_a_state(more: list[str], kinds: list[TierKinds]) -> None:
    bodies = [json.loads(text) for text in more]
    manifests = tuple(
        Manifest(body["apiVersion"], body["kind"], "", body["metadata"]["name"], json.dumps(body))
        for body in bodies
    )
    state = State("s", policies=manifests)
    assert [one for one in TierKinds if one.can_have(state)] == kinds
