"""Scenarios with kinds of policy that a cluster lacks, as variants with kinds that it has.

A scenario with ClusterNetworkPolicy also runs on a cluster that has another version of that kind,
or its forerunners AdminNetworkPolicy and BaselineAdminNetworkPolicy. A step whose policies have no
such variant is skipped with the reason, and the steps after it.
"""

from __future__ import annotations

import enum
from collections.abc import Set
from dataclasses import dataclass, replace

from harness.cluster import Capabilities, Gap
from harness.model import Manifest, Scenario, State, Step
from harness.policy import parsed
from harness.policy.admin_network_policy import ADMIN_KIND, API_VERSION, BASELINE_KIND
from harness.policy.cluster_network_policy import API_VERSIONS, KIND
from harness.policy.tiers import Tier, TierPolicy
from harness.policy.translation import (
    Impossible,
    at_version,
    forerunner,
    is_cluster_network_policy,
)

_VERSIONS = {f"{version}/{KIND}": version for version in API_VERSIONS}
_FORERUNNERS = {Tier.ADMIN: f"{API_VERSION}/{ADMIN_KIND}"} | {
    Tier.BASELINE: f"{API_VERSION}/{BASELINE_KIND}"
}


@dataclass(frozen=True, slots=True)
class Variant:
    """A scenario as a cluster can run it; ``skips`` has the reason for each step that it skips.

    The scenario is the one that was written, if the cluster has its kinds.
    """

    scenario: Scenario
    skips: tuple[str | None, ...]

    @property
    def lack(self) -> str | None:
        """Why the cluster cannot run all steps: the first reason, or None if it can."""
        return next(filter(None, self.skips), None)


def variant(scenario: Scenario, capabilities: Capabilities) -> Variant:
    """Return a scenario with kinds of policy that the cluster has, if there is such a variant."""
    written = scenario.needs.kinds & _VERSIONS.keys()
    if written <= capabilities.kinds:
        return Variant(scenario, capabilities.skips(scenario))
    others = _VERSIONS.keys() & capabilities.kinds
    if len(written) == 1 and others:
        [other] = sorted(others)[:1]
        adapted = _of_version(scenario, other)
        return Variant(adapted, capabilities.skips(adapted))
    if not others and _FORERUNNERS[Tier.ADMIN] in capabilities.kinds:
        return _of_forerunners(scenario, capabilities)
    return Variant(scenario, capabilities.skips(scenario))


class TierKinds(enum.Enum):
    """The kinds of policies in tiers that a cluster has, as a sentence names them."""

    CLUSTER_NETWORK_POLICY = "ClusterNetworkPolicy"
    FORERUNNERS = "AdminNetworkPolicy and BaselineAdminNetworkPolicy"
    ADMIN_ONLY = "AdminNetworkPolicy"
    NONE = "none"

    @classmethod
    def among(cls, kinds: Set[str]) -> TierKinds:
        """Return what a cluster with these kinds has; the first is used if it has several."""
        if _VERSIONS.keys() & kinds:
            return cls.CLUSTER_NETWORK_POLICY
        if _FORERUNNERS[Tier.ADMIN] not in kinds:
            return cls.NONE
        return cls.FORERUNNERS if _FORERUNNERS[Tier.BASELINE] in kinds else cls.ADMIN_ONLY

    def can_have(self, state: State) -> bool:
        """Return whether the ClusterNetworkPolicies of a state have a variant of these kinds."""
        match self:
            case TierKinds.CLUSTER_NETWORK_POLICY:
                return True
            case TierKinds.FORERUNNERS:
                return isinstance(_state(state, frozenset(_FORERUNNERS.values())), State)
            case TierKinds.ADMIN_ONLY:
                return isinstance(_state(state, frozenset({_FORERUNNERS[Tier.ADMIN]})), State)
            case TierKinds.NONE:
                return not any(map(is_cluster_network_policy, state.policies))


def has_only_one_baseline(kinds: Set[str]) -> bool:
    """Return whether a cluster with these kinds has one Baseline policy for all scenarios."""
    return not _VERSIONS.keys() & kinds and _FORERUNNERS[Tier.BASELINE] in kinds


def has_baseline(scenario: Scenario) -> bool:
    """Return whether a step has a ClusterNetworkPolicy of the tier Baseline."""
    policies = (policy for step in scenario.steps for policy in parsed(step.state.policies))
    return any(
        isinstance(policy, TierPolicy) and policy.kind == KIND and policy.tier is Tier.BASELINE
        for policy in policies
    )


# ------------------------------------------------------------------ another version


def _of_version(scenario: Scenario, kind: str) -> Scenario:
    def renamed(manifests: tuple[Manifest, ...]) -> tuple[Manifest, ...]:
        version = _VERSIONS[kind]
        return tuple(
            at_version(item, version) if is_cluster_network_policy(item) else item
            for item in manifests
        )

    def of(state: State) -> State:
        return replace(state, policies=renamed(state.policies), refused=renamed(state.refused))

    steps = tuple(replace(step, state=of(step.state)) for step in scenario.steps)
    return _with(scenario, steps, frozenset({kind}))


# ------------------------------------------------------------------ forerunners


def _of_forerunners(scenario: Scenario, capabilities: Capabilities) -> Variant:
    """Return the steps with AdminNetworkPolicy and BaselineAdminNetworkPolicy.

    A step without a variant gets a need that the cluster does not meet, so that it and those
    after it are skipped as every step whose State a cluster cannot have.
    """
    steps: list[Step] = []
    kinds: set[str] = set()
    gap: Gap | None = None
    for step in scenario.steps:
        found = _state(step.state, capabilities.kinds)
        if isinstance(found, Impossible):
            gap = Gap(KIND, found.why)
            state_needs = step.needs.state | {KIND}
            steps.append(replace(step, needs=replace(step.needs, state=state_needs)))
            break
        kinds |= {f"{item.api_version}/{item.kind}" for item in found.policies if item.written_as}
        if any(is_cluster_network_policy(item) for item in step.state.refused):
            gap = gap or Gap(KIND, "a step expects it to be refused")
            table_needs = step.needs.table | {KIND}
            step = replace(step, needs=replace(step.needs, table=table_needs))
        steps.append(replace(step, state=found))
    adapted = _with(scenario, (*steps, *scenario.steps[len(steps) :]), frozenset(kinds))
    gaps = capabilities.gaps if gap is None else (*capabilities.gaps, gap)
    return Variant(adapted, replace(capabilities, gaps=gaps).skips(adapted))


def _state(state: State, kinds: Set[str]) -> State | Impossible:
    found: list[Manifest] = []
    for item in state.policies:
        other = forerunner(item) if is_cluster_network_policy(item) else item
        if isinstance(other, Impossible):
            return other
        kind = f"{other.api_version}/{other.kind}"
        if other.written_as and kind not in kinds:
            return Impossible(f"the cluster has no {other.kind}")
        if any(earlier.key == other.key for earlier in found):
            return Impossible(f"the step has two, and a cluster has only one {other.kind}")
        found.append(other)
    return replace(state, policies=tuple(found))


def _with(scenario: Scenario, steps: tuple[Step, ...], kinds: frozenset[str]) -> Scenario:
    needed = (scenario.needs.kinds - _VERSIONS.keys()) | kinds
    return replace(scenario, steps=steps, needs=replace(scenario.needs, kinds=needed))
