"""Any Kubernetes cluster that a kubeconfig names: kind, AKS, EKS, GKE, bare metal.

``KubeCluster`` is the seam's implementation. Behind it ``api`` speaks to the API server,
``objects`` (pure) turns values into Kubernetes objects and names, ``live`` (pure) reads them
back, and ``inventory`` knows which of them to ask for. ``owned`` creates, changes and deletes;
``pods`` and ``reconcile`` make a State true with it. ``batch`` runs the probes of one source
once, ``loops`` again and again, ``starts`` those of new pods; ``belief`` decides which answers
count, and ``probing`` runs a round or a watch. ``tracing`` asks the network plugin about a probe,
and ``iptables`` (pure) reads its rules. ``gates`` finds out what the cluster can do,
``rights`` what the credentials allow. ``applications`` reads what runs there.
``identity`` and ``heartbeat`` show whether a run is alive, and ``leftovers`` removes what dead
runs left behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness.cluster import Capabilities, Cluster, Gap, KnownCell, KnownTrait
from harness.cluster.kube import diagnosis, discovery, leftovers, rights
from harness.cluster.kube.agents import Agents
from harness.cluster.kube.api import Api
from harness.cluster.kube.batch import BatchRunner, OutsideHosts, ProbeSettings
from harness.cluster.kube.confinement import confines
from harness.cluster.kube.gates import MISSING, Gates
from harness.cluster.kube.heartbeat import Heartbeat
from harness.cluster.kube.identity import Machine
from harness.cluster.kube.inventory import Inventory
from harness.cluster.kube.kubeconfig import resolve_context
from harness.cluster.kube.leftovers import Cleaning, Leftover
from harness.cluster.kube.objects import Image, Naming
from harness.cluster.kube.owned import Owned
from harness.cluster.kube.pods import Limits, PodFactory, PodSettings
from harness.cluster.kube.probing import Prober
from harness.cluster.kube.ranges import Pool, detect
from harness.cluster.kube.reconcile import Reconciler
from harness.cluster.kube.rights import Rights
from harness.cluster.kube.starts import Starts
from harness.cluster.kube.tracing import AgentCommand, Tracing, by_hand
from harness.cluster.waiting import REAL, Clock, Wait
from harness.errors import ClusterError
from harness.model import (
    DeniesBy,
    FirstMoments,
    Networks,
    Observation,
    Placement,
    Probe,
    State,
    Trace,
)

__all__ = [
    "AgentCommand",
    "Cleaning",
    "KubeCluster",
    "KubeSettings",
    "Leftover",
    "Limits",
    "OutsideHosts",
    "Pool",
    "Rights",
    "clean",
    "connect",
    "rights",
]

AGNHOST_IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.56"

_ASSUMED = frozenset(
    {
        "admission",
        "domain-names",
        "endport",
        "from-start",
        "hairpin",
        "hostnetwork",
        "kubelet",
        "node-peers",
        "nodeport",
        "sctp",
    }
)
"""Features that a cluster has unless its profile, or an answer of the cluster, says otherwise."""
_RIGHTS_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeSettings:
    """Under which names a cluster is used, and what is known about it.

    ``features`` are those of ``model.FEATURES`` that nothing shows and that are known
    otherwise: ``ipblock-pod-ip`` and ``ipblock-node-ip``; ``gaps`` are those that the CNI is
    known not to support, for example ``endport`` or ``hairpin``; ``known_cells`` and policies
    with one of ``known_traits`` are those that it is known to get wrong. ``pools`` are the
    objects in which its CNI keeps ranges of pod addresses.
    ``image_pull_secrets`` are ``namespace/name`` of secrets that are copied beside the pods.

    ``trace`` is how the network plugin's agents are asked about a probe, or None;
    ``trace_by_hand`` is a command for people then, with placeholders (see ``tracing.by_hand``).
    ``agents`` are the network plugin's own workloads, as ``Kind/namespace/name`` of a DaemonSet
    that belongs on every node or of a Deployment; ``describe`` names those that are not ready,
    and a disruptive scenario may restart the DaemonSets. ``cni`` is the name of its profile, and
    ``cni_version`` its version; empty if they are not known.
    """

    run: str
    worker: str = "main"
    name: str = "current"
    image: str = AGNHOST_IMAGE
    image_pull_secrets: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    denies_by: DeniesBy = "drop"
    cni: str = ""
    cni_version: str = ""
    features: frozenset[str] = frozenset()
    gaps: tuple[Gap, ...] = ()
    known_cells: tuple[KnownCell, ...] = ()
    known_traits: tuple[KnownTrait, ...] = ()
    pools: tuple[Pool, ...] = ()
    trace: AgentCommand | None = None
    trace_by_hand: tuple[str, ...] = ()
    probe_timeout_s: float = 1.0
    settle_s: float = 30.0
    exec_grace_s: float = 5.0
    parallel: int = 32
    cluster_domain: str = "cluster.local"
    limits: Limits = field(default_factory=Limits)
    clock: Clock = REAL
    machine: Machine = field(default_factory=Machine)


class KubeCluster(Cluster):
    """The part of a cluster that one run and worker uses; see ``harness.cluster.Cluster``.

    ``outside`` makes the outside hosts of a scenario, or is None; it is closed with the
    cluster.
    """

    def __init__(
        self, settings: KubeSettings, api: Api, outside: OutsideHosts | None = None
    ) -> None:
        self._settings = settings
        self._outside = outside
        self._api = api
        naming = Naming(settings.run, settings.worker)
        owned = self._owned(naming)
        batches = BatchRunner(self._api, _probe_settings(settings), outside, settings.clock)
        pod_settings = PodSettings(
            Image(settings.image, settings.image_pull_secrets), settings.limits
        )
        self._inventory = Inventory(self._api, naming)
        self._agents = Agents(self._api, settings.agents, settings.clock)
        factory = PodFactory(owned, naming, pod_settings, self._inventory, batches)
        heartbeat = Heartbeat(self._owned(naming), naming)
        self._prober = Prober(batches, self._inventory, factory)
        self._starts = Starts(batches, self._prober.proof)
        self._reconciler = Reconciler(
            owned, naming, self._inventory, factory, settings.limits, heartbeat
        )
        self._allowed: set[tuple[str, str]] = set()
        """The kinds of policies of the whole cluster that the credentials allow."""
        self._gates = Gates(self._api, lambda: self._reconciler.view, factory, batches)

    def _owned(self, naming: Naming) -> Owned:
        settings = self._settings
        process = str(settings.machine.this_process())
        return Owned(self._api, naming.labels, process, settings.clock)

    def _may_apply(self, api_version: str, kind: str) -> None:
        """Raise NoRights if the credentials do not allow policies of a kind, once for each."""
        if (api_version, kind) not in self._allowed:
            Wait(_RIGHTS_S, clock=self._settings.clock).value(
                lambda: rights.require_for(self._api, api_version, kind),
                f"whether {kind} may be applied",
            )
            self._allowed.add((api_version, kind))

    @cached_property
    def _networks(self) -> Networks:
        return detect(self._api, self._settings.pools)

    @cached_property
    def capabilities(self) -> Capabilities:
        """What this cluster can do; ``KubeSettings.features`` adds what nothing shows."""
        settings = self._settings
        features = _ASSUMED | settings.features
        if settings.agents:
            features |= {"agents"}
        if self._outside is not None:
            features |= {"external"}
        if self._inventory.has_ipv6():
            features |= {"ipv6"}
        lacking = {gap.feature for gap in settings.gaps}
        others = sorted(MISSING.keys() - features - lacking)
        return Capabilities(
            name=settings.name,
            features=features - lacking,
            nodes=len(self._reconciler.view.nodes),
            kinds=discovery.kinds(self._api),
            networks=self._networks,
            gaps=(*settings.gaps, *(Gap(feature, MISSING[feature]) for feature in others)),
            questions=self._gates.questions(),
            known_cells=settings.known_cells,
            known_traits=settings.known_traits,
            denies_by=settings.denies_by,
            cni=settings.cni,
            cni_version=settings.cni_version,
            kubernetes=self._api.full_version(),
            probe_timeout_s=settings.probe_timeout_s,
            settle_s=settings.settle_s,
        )

    def sync(self, state: State) -> None:
        """Make the cluster equal to ``state``, outside hosts included.

        If agents are restarted, everything else changes while they start.
        """
        if state.externals or self._reconciler.view.state.externals:
            if self._outside is None:
                raise ClusterError(
                    "this cluster has no outside hosts", "write 'needs: [external]'"
                )
            self._outside.sync(state.externals)
        for kind in {(item.api_version, item.kind) for item in state.policies if confines(item)}:
            self._may_apply(*kind)
        restarts = state.restarts_agents(self._reconciler.view.state)
        deleted = self._agents.restart() if restarts else frozenset()
        self._reconciler.sync(state, lambda: self._networks, self._starts.counting)
        if deleted:
            self._agents.await_restarted(deleted)

    def probe(self, probes: Sequence[Probe]) -> Iterable[Observation]:
        """Run a round; see ``belief`` for when a TIMEOUT is believed."""
        return self._prober.probe(self._reconciler.view, probes)

    def watch(self, probes: Sequence[Probe]) -> AbstractContextManager[list[Observation]]:
        """Probe pairs with loops in the pods; see ``Cluster``."""
        interval_s = self.capabilities.watch_interval_s
        return self._prober.watch(lambda: self._reconciler.view, probes, interval_s)

    def watch_starts(self, probes: Sequence[Probe]) -> AbstractContextManager[FirstMoments]:
        """Have new pods probe from their first moment; see ``Cluster``."""
        return self._starts.watch(lambda: self._reconciler.view, probes)

    def placements(self) -> tuple[Placement, ...]:
        """Return where the pods and Services are; see ``Cluster``."""
        return self._reconciler.view.placements()

    def trace(self, probes: Sequence[Probe]) -> tuple[Trace, ...]:
        """Return what the network plugin says about probes; see ``tracing``."""
        view, settings = self._reconciler.view, self._settings
        if settings.trace is None and settings.trace_by_hand:
            return tuple(by_hand(settings.trace_by_hand, view, probe) for probe in probes)
        if settings.trace is None:
            return super().trace(probes)
        tracing = Tracing(
            self._api,
            self._agents,
            settings.trace,
            lambda probe: self._prober.probe(view, [probe]),
            settings.clock,
        )
        return tracing.trace(view, probes)

    def describe(self, probes: Sequence[Probe]) -> str:
        """Describe the network plugin and both ends of the probes; see ``diagnosis``."""
        view = self._reconciler.view
        return diagnosis.describe(self._api, self._inventory, view, self._agents, probes)

    def close(self) -> tuple[str, ...]:
        """Remove all objects of this run, and name what is left."""
        self._prober.close()
        left = self._outside.close() if self._outside is not None else ()
        return (*left, *self._reconciler.close())


def _probe_settings(settings: KubeSettings) -> ProbeSettings:
    return ProbeSettings(
        timeout_s=settings.probe_timeout_s,
        grace_s=settings.exec_grace_s,
        parallel=settings.parallel,
        denies_by=settings.denies_by,
        cluster_domain=settings.cluster_domain,
    )


def connect(kubeconfig: Path | None, context: str | None) -> Api:
    """Return a connection to the API server of a context; see ``resolve_context`` for None.

    Raises UsageError and ClusterError.
    """
    path = None if kubeconfig is None else str(kubeconfig)
    return Api(path, resolve_context(path, context))


def clean(api: Api, run: str | None = None) -> Cleaning:
    """Delete the namespaces of runs that are over, or of the named run unless it is alive.

    Raises ClusterError if the API server does not answer.
    """
    return leftovers.clean(api, leftovers.runs(api, run))
