"""The verdicts that a probe should give, and the reasons: a pure function of State and Probe.

Rulings follow the API (the ids of ``docs/requirements.md``) and have three values: a probe is
undefined if something that the API leaves open decides its result. Clusters must not import this
package, because it judges them.

``topology`` finds the objects of a State by name, and describes ends as policies see them.
``layers`` evaluates ordered clauses; ``network_policy`` creates those of NetworkPolicies, and
``tiers`` those of the policies before and after them.
``path`` follows a probe through names, Services and node ports. ``rulings`` has the three values,
``notes`` the notes beside a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.model import ContainerPort, Pod, Probe, State
from harness.oracle.layers import Policies
from harness.oracle.network_policy import NetworkPolicies
from harness.oracle.notes import near_labels, notes
from harness.oracle.path import Path
from harness.oracle.rulings import Decider, Judgement, Prediction, Ruling
from harness.oracle.selectors import selects, subjects
from harness.oracle.tiers import Tiers
from harness.oracle.topology import NO_FACTS, Facts, Topology
from harness.policy import (
    Direction,
    Effect,
    NetworkPolicy,
    Peer,
    PolicyPort,
    effect_of,
    may_act_on,
)
from harness.policy.tiers import Tier

__all__ = [
    "NO_FACTS",
    "Decider",
    "Explanation",
    "Facts",
    "Judge",
    "Judgement",
    "Prediction",
    "Ruling",
    "near_labels",
    "selects",
    "subjects",
]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A prediction with notes that help to understand it."""

    probe: Probe
    prediction: Prediction
    notes: tuple[str, ...] = ()


class Judge:
    """Judges the probes of one State; their common data is prepared once."""

    def __init__(self, state: State, facts: Facts = NO_FACTS) -> None:
        self._topology = Topology(state, facts)
        self._network_policies = NetworkPolicies(self._topology)
        self._unknown = [m for m in state.policies if effect_of(m) is Effect.UNKNOWN]
        admin, baseline = (Tiers(self._topology, tier) for tier in (Tier.ADMIN, Tier.BASELINE))
        own = self._network_policies
        self._policies = Policies([admin.layer, own.layer, baseline.layer])
        self._to_itself = Policies([admin.layer, own.exempt, baseline.layer])

    def predict(self, probe: Probe) -> Prediction:
        """Return the verdicts that the probe may give on a correct cluster."""
        prediction = Path(self._topology, self._policies, self._to_itself, probe).predict()
        unknown = self._unknown and self._not_judged(probe)
        return replace(prediction, not_judged=unknown) if unknown else prediction

    def _not_judged(self, probe: Probe) -> str | None:
        """Return which object of unknown meaning may affect a pod of the probe, if any."""
        for pod in self._topology.concerned(probe):
            for manifest in self._unknown:
                if may_act_on(manifest, pod.namespace):
                    return f"{manifest} may affect {pod.ref}, and its meaning is not known"
        return None

    def isolating(self, direction: Direction, pod: Pod) -> tuple[NetworkPolicy, ...]:
        """Return the NetworkPolicies that isolate a pod in a direction."""
        return self._network_policies.isolating(direction, pod)

    def matched(self, home: str, peer: Peer) -> tuple[Pod, ...]:
        """Return the pods that a peer matches by its selectors, in a policy of ``home``.

        The DNS server that every cluster has is one of them.
        """
        return self._network_policies.matched(home, peer)

    def matching_ports(self, port: PolicyPort, pod: Pod) -> tuple[ContainerPort, ...]:
        """Return the ports of a pod that an entry of ``ports`` matches."""
        return self._network_policies.matching_ports(port, pod)

    def notes(self, probe: Probe) -> tuple[str, ...]:
        """Return notes about policies that almost apply, one per line."""
        return notes(self._topology, self._network_policies, probe)

    def explain(self, probe: Probe) -> Explanation:
        """Return the prediction for a probe, with notes."""
        return Explanation(probe, self.predict(probe), self.notes(probe))
