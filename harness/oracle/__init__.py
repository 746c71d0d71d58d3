"""What should happen to a probe, and why: a pure function of State and Probe.

The rulings follow the API text (ids R01-R86 in ``docs/semantics.md``) and are three-valued:
what the API leaves open is undefined, but only where it decides the result. Clusters must
not import this package: they are judged by it.

``topology`` is the State by name, and the ends as policy sees them; ``layers`` decides by ordered
clauses, and ``network_policy`` makes the clauses of NetworkPolicies; ``path`` follows a probe
through names, Services and node ports; ``rulings`` are the three values, ``notes`` what stands
beside a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.model import Probe, State
from harness.oracle.layers import Policies
from harness.oracle.network_policy import NetworkPolicies
from harness.oracle.notes import notes
from harness.oracle.path import Path
from harness.oracle.rulings import Judgement, Prediction, Ruling
from harness.oracle.topology import NO_FACTS, Facts, Topology
from harness.policy import Effect, effect_of, may_act_on

__all__ = ["NO_FACTS", "Explanation", "Facts", "Judge", "Judgement", "Prediction", "Ruling"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A prediction with all that helps people to understand it."""

    probe: Probe
    prediction: Prediction
    notes: tuple[str, ...] = ()


class Judge:
    """Rules on the probes of one State; what they have in common is prepared once."""

    def __init__(self, state: State, facts: Facts = NO_FACTS) -> None:
        self._topology = Topology(state, facts)
        self._network_policies = NetworkPolicies(self._topology)
        self._unknown = [m for m in state.policies if effect_of(m) is Effect.UNKNOWN]
        self._policies = Policies([self._network_policies])

    def predict(self, probe: Probe) -> Prediction:
        """Return which verdicts the probe may give: policy, then names, endpoints and ports."""
        prediction = Path(self._topology, self._policies, probe).predict()
        unknown = self._unknown and self._not_judged(probe)
        return replace(prediction, not_judged=unknown) if unknown else prediction

    def _not_judged(self, probe: Probe) -> str | None:
        """Return which object of unknown meaning may act on a pod of the probe."""
        for pod in self._topology.concerned(probe):
            for manifest in self._unknown:
                if may_act_on(manifest, pod.namespace):
                    return f"{manifest} may act on {pod.ref}, and its meaning is not known"
        return None

    def notes(self, probe: Probe) -> tuple[str, ...]:
        """Return notes on the policies that nearly decided otherwise, one a line."""
        return notes(self._topology, self._network_policies, probe)

    def explain(self, probe: Probe) -> Explanation:
        """Return the prediction for a probe, and what to note beside it."""
        return Explanation(probe, self.predict(probe), self.notes(probe))
