"""Policies as frozen values, and everything that the API server would refuse in one.

Values only: nothing here matches a label or judges a connection, so that the oracle and the
embedded cluster can share this package and still be two readings of the API. ``selectors`` is
what rules are made of and the syntax of words, ``document`` checks the shape of what an author
wrote, ``placeholders`` are addresses that only the cluster knows, ``network_policy`` is one kind
of policy, ``kinds`` is the registry of all kinds of policy, ``builtin`` the list of the kinds that
Kubernetes itself has, ``json_schema`` what editors know of all kinds, from the ``definitions`` of
shared parts.
"""

from harness.policy.document import Fault, Path
from harness.policy.json_schema import OBJECT_PART, json_schema, schema_parts
from harness.policy.kinds import (
    KINDS,
    Effect,
    Policy,
    PolicyKind,
    Scope,
    effect_of,
    kind_of,
    may_act_on,
    parsed,
)
from harness.policy.network_policy import NetworkPolicy, Peer, Rule, faults, parse
from harness.policy.placeholders import (
    Everybody,
    Placeholder,
    filled,
    placeholder,
    placeholders,
)
from harness.policy.selectors import (
    Direction,
    IPBlock,
    LabelSelector,
    Operator,
    PolicyPort,
    Requirement,
)

__all__ = [
    "KINDS",
    "OBJECT_PART",
    "Direction",
    "Effect",
    "Everybody",
    "Fault",
    "IPBlock",
    "LabelSelector",
    "NetworkPolicy",
    "Operator",
    "Path",
    "Peer",
    "Placeholder",
    "Policy",
    "PolicyKind",
    "PolicyPort",
    "Requirement",
    "Rule",
    "Scope",
    "effect_of",
    "faults",
    "filled",
    "json_schema",
    "kind_of",
    "may_act_on",
    "parse",
    "parsed",
    "placeholder",
    "placeholders",
    "schema_parts",
]
