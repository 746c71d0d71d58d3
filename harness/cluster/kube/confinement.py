"""Policies of the whole cluster, confined to the pods of one run and worker. Pure.

Such a policy selects pods in any namespace. On a cluster with other users, its subject also
requires the labels that only the namespaces of the run and worker have, so that it never selects
a pod of someone else. Peers stay as they are: they decide about connections of the subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model import Manifest
from harness.policy import Scope, kind_of
from harness.policy.admin_network_policy import BASELINE_KIND

Object = dict[str, Any]


def confines(item: Manifest) -> bool:
    """Whether ``confined`` knows the kind: a policy of the whole cluster, with a subject."""
    known = kind_of(item)
    return known is not None and known.scope is Scope.CLUSTER


def is_only_one(item: Manifest) -> bool:
    """Whether a cluster has at most one object of this kind, with a name that the API gives."""
    return item.kind == BASELINE_KIND


def confined(found: Object, labels: Mapping[str, str]) -> Object:
    """Return a policy whose subject selects only pods in namespaces with all of ``labels``.

    A subject that the API server refuses stays as it is: a step may expect that.
    """
    spec = found.get("spec")
    subject = spec.get("subject") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(subject, dict):
        return found
    kept = dict(subject)
    if "namespaces" in subject:
        kept["namespaces"] = _required(subject["namespaces"], labels)
    pods = subject.get("pods")
    if isinstance(pods, dict):
        kept["pods"] = {
            **pods,
            "namespaceSelector": _required(pods.get("namespaceSelector"), labels),
        }
    return {**found, "spec": {**spec, "subject": kept}}


def _required(selector: object, labels: Mapping[str, str]) -> object:
    """Return a selector that also requires ``labels``; None selects all, as ``{}`` does."""
    found = {} if selector is None else selector
    if not isinstance(found, dict):
        return found
    wanted = found.get("matchLabels") or {}
    return {**found, "matchLabels": {**wanted, **labels}} if isinstance(wanted, dict) else found
