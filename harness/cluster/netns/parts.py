"""The parts of the embedded cluster between a State and the kernel; a defect replaces some.

State ── observe ──▶ Snapshot ── layers (stages) ──▶ rules of pods ── emit ──▶ nft ── load
  └───────────────────────── services ──────────────────────────────────────▶ nft ──┘
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.cluster.netns import services
from harness.cluster.netns.addresses import Addresses
from harness.cluster.netns.compiler import nft
from harness.cluster.netns.compiler.layers import LAYERS, LayersOf, pod_rules
from harness.cluster.netns.compiler.stages import STAGES, Stages
from harness.cluster.netns.compiler.values import PodRules
from harness.cluster.netns.kernel import run_nft
from harness.cluster.netns.tables import Table
from harness.model import State


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A State with the addresses of its pods, at one moment; what is implied is in it too."""

    state: State
    addresses: Addresses


Observe = Callable[[Snapshot | None, Snapshot], Snapshot]
"""Returns what the CNI believes now, of what it believed before (at first None) and what is true.

Stale labels, missed events and addresses of earlier owners are functions of these two. It must
not change the nodes.
"""
Emit = Callable[[int, Sequence[PodRules]], Table]
"""Returns the nft table of policies of one node from the rules of all pods."""
ServicesTable = Callable[[State, Addresses, int], Table]
"""Returns the nft table of Services of one node."""
Load = Callable[[Mapping[int, str]], None]
"""Loads nft scripts, by the descriptor of a network namespace. Raises ClusterError."""


def observe(believed: Snapshot | None, now: Snapshot) -> Snapshot:  # noqa: ARG001 - as Observe
    """Return what is true."""
    return now


@dataclass(frozen=True, slots=True)
class PodStart:
    """What brings new pods up, each once: in the order given on a cluster without defects.

    ``rules`` loads the rules of the new State, ``link`` gives the pods their network, ``init``
    returns when their init containers have ended, ``main`` starts their other containers.
    """

    rules: Callable[[], None]
    link: Callable[[], None]
    init: Callable[[], None]
    main: Callable[[], None]


Start = Callable[[PodStart], None]
"""Brings new pods up."""


def isolated_first(pods: PodStart) -> None:
    """Load the rules before the pods: a new pod must not be open for a moment (R80)."""
    pods.rules()
    pods.link()
    pods.init()
    pods.main()


@dataclass(frozen=True, slots=True)
class Parts:
    """What stands between a State and the kernel, in order."""

    observe: Observe = observe
    stages: Stages = STAGES
    layers: tuple[LayersOf, ...] = LAYERS
    emit: Emit = nft.emit
    services: ServicesTable = services.table
    load: Load = run_nft
    start: Start = isolated_first

    def policy_tables(self, believed: Snapshot) -> Mapping[int, Table]:
        """Return the nft table of the policies for every node, by the node's number from 1.

        The snapshot holds what is implied (``addresses.with_implied``), and only policies that
        an API server would accept. Equal input gives equal text.
        """
        rules = pod_rules(believed.state, believed.addresses, self.stages, self.layers)
        return {node: self.emit(node, rules) for node in sorted(believed.addresses.nodes)}


PARTS = Parts()
"""The parts without any defect."""
