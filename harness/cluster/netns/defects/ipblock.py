"""Defects of ipBlock: CIDRs and their exceptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.cluster.netns.compiler.layers import admin, baseline, network_policy
from harness.cluster.netns.compiler.selecting import Matches, Pods
from harness.cluster.netns.compiler.stages import (
    STAGES,
    Block,
    PeerPods,
    Peers,
    Stages,
    peer_pods,
    peers,
    rules,
)
from harness.cluster.netns.compiler.tier_stages import Ends
from harness.cluster.netns.compiler.values import Action, AddressSet, Clause, Layer
from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.parts import PARTS
from harness.model import PodRef
from harness.policy import Direction, IPBlock, NetworkPolicy, Peer, Policy, Rule


def no_except(ip_block: IPBlock) -> AddressSet:
    """What is excepted is allowed."""
    return AddressSet.block(ip_block.cidr)


def zero_cidr_any(ip_block: IPBlock) -> AddressSet:
    """0.0.0.0/0 is IPv6 as well."""
    if ip_block == IPBlock("0.0.0.0/0"):
        return AddressSet.union(map(AddressSet.block, ("0.0.0.0/0", "::/0")))
    return STAGES.block(ip_block)


def except_inverted(ip_block: IPBlock) -> AddressSet:
    """Only what is excepted is allowed."""
    excepted = AddressSet.union(map(AddressSet.block, ip_block.excepts))
    return excepted if ip_block.excepts else AddressSet.block(ip_block.cidr)


def adds_namespace(matches: Matches, peer: Peer, namespace: str, pods: Pods) -> Pods:
    """An ipBlock selects the pods of the policy's namespace as well."""
    if peer.ip_block is not None:
        return tuple(pod for pod in pods if pod.ref.namespace == namespace)
    return peer_pods(matches, peer, namespace, pods)


def lost_with_port(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """With ports beside it, an ipBlock is every address."""
    return tuple(
        replace(rule, peers=())
        if rule.ports and any(peer.ip_block is not None for peer in rule.peers)
        else rule
        for rule in rules(policy, direction)
    )


def last_block_only(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """Of several ipBlocks in a list only the last one counts."""

    def kept(rule: Rule) -> tuple[Peer, ...]:
        blocks = [peer for peer in rule.peers if peer.ip_block is not None]
        return tuple(p for p in rule.peers if p.ip_block is None or p is blocks[-1])

    return tuple(replace(rule, peers=kept(rule)) for rule in rules(policy, direction))


def no_pod_addresses(rule: Rule, pods: Pods, peer_pods: PeerPods, block: Block) -> Peers:
    """An ipBlock does not match the addresses of pods."""
    of_pods = AddressSet.union(pod.at for pod in pods)
    return peers(rule, pods, peer_pods, lambda ip_block: block(ip_block) - of_pods)


def except_is_deny(
    stages: Stages, policies: Sequence[Policy], direction: Direction, ends: Ends
) -> Mapping[PodRef, Layer]:
    """What one policy excepts is denied, whatever another one allows."""

    def excepted(ref: PodRef) -> Iterator[Clause]:
        for policy in policies:
            if not isinstance(policy, NetworkPolicy):
                continue
            subjects = stages.subjects(stages.matches, policy, ends.pods)
            if ref not in {pod.ref for pod in subjects}:
                continue
            blocks = (p.ip_block for rule in policy.rules(direction) for p in rule.peers)
            for cidr in (cidr for block in blocks if block for cidr in block.excepts):
                yield Clause(Action.DENY, "excepted", AddressSet.block(cidr))

    found = network_policy(stages, policies, direction, ends)
    return {ref: (*excepted(ref), *layer) for ref, layer in found.items()}


DEFECTS = (
    Defect.in_stages("no-except", "B40", replace(STAGES, block=no_except)),
    Defect.in_stages("zero-cidr-any", "B47", replace(STAGES, block=zero_cidr_any)),
    Defect.in_stages("except-inverted", "B41", replace(STAGES, block=except_inverted)),
    Defect.in_stages("ipblock-adds-namespace", "B21", replace(STAGES, peer_pods=adds_namespace)),
    Defect.in_stages("ipblock-lost-with-port", "B25", replace(STAGES, rules=lost_with_port)),
    Defect.in_stages("last-ipblock-only", "B44", replace(STAGES, rules=last_block_only)),
    Defect.in_stages("ipblock-not-pods", "B39", replace(STAGES, peers=no_pod_addresses)),
    Defect("except-is-deny", "B42", replace(PARTS, layers=(admin, except_is_deny, baseline))),
)
