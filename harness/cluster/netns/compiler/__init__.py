"""Policies to nftables: what the small CNI of the embedded cluster decides.

Pure functions from a State to the text of one table for each node. ``stages`` holds the steps
with the names under which real CNIs go wrong (select, isolate, rules, ports, ipblock, combine);
``layers`` makes ordered clauses with them, one layer for each kind of policy; ``nft`` writes the
text. ``harness.cluster.netns.defects`` puts known mistakes in their place. Shares parsed policies
with the oracle and no decision: it may not import it.

Where a packet is judged: in the forward hook, after DNAT and before source NAT, the egress of
a pod on its own node and the ingress of a pod on its own node. Traffic between a pod and its
own node passes the input and output hooks, where nothing is filtered (R06, R47); another node
is a source like any other. A pod that reaches itself, through its Service as well, is let
through: the destination is already its own address when the packet is judged (R46; through a
Service the API leaves it open). hostNetwork pods are not seen at all: no selector yields them,
and their traffic is their node's (the second possibility of R83). ipBlock matches whatever
carries an address, pods and nodes included. A denial is a drop.
"""
