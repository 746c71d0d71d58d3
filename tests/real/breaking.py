"""Ways to break a cluster for the time of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.cluster.kind import command


@contextmanager
def all_accepted(node: str) -> Iterator[None]:
    """Let a node forward every packet before it comes to the rules of policies.

    Calico's agent would put its rules in front again, so it is stopped meanwhile.
    """
    inside = ["docker", "exec", node]
    agent = command.check([*inside, "pgrep", "-f", "calico-node -felix"]).split()
    rule = ["FORWARD", "-j", "ACCEPT"]
    command.check([*inside, "kill", "-STOP", *agent])
    try:
        command.check([*inside, "iptables", "-I", *rule])
        yield
    finally:
        command.check([*inside, "iptables", "-D", *rule])
        command.check([*inside, "kill", "-CONT", *agent])
