"""The rights that are needed on a cluster, and which of them the credentials lack."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.cluster.kube.api import Api
from harness.errors import NoRights


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on a resource; ``resource`` is like ``pods`` or ``pods/exec``."""

    resource: str
    verbs: tuple[str, ...]
    group: str = ""


_APPLYING = ("get", "create", "update", "delete")


class Rights(enum.Enum):
    """The rights for one use of a cluster, and the document that grants them."""

    RUN = (
        "docs/rbac.yaml",
        Right("nodes", ("list",)),
        Right("namespaces", ("get", "list", "create", "patch", "delete")),
        Right("pods", ("get", "list", "create", "patch", "delete")),
        Right("pods/exec", ("get", "create")),
        Right("services", ("get", "create", "update", "delete")),
        Right("endpointslices", ("list",), "discovery.k8s.io"),
        Right(
            "networkpolicies", ("get", "list", "create", "update", "delete"), "networking.k8s.io"
        ),
    )
    """For scenarios, whose steps change and delete what earlier ones made."""

    GATE = (
        "docs/gate.yaml",
        Right("nodes", ("list",)),
        Right("namespaces", ("get", "list", "create", "delete")),
        Right("pods", ("get", "list", "create")),
        Right("pods/exec", ("get", "create")),
        Right("networkpolicies", ("get", "create"), "networking.k8s.io"),
    )
    """For states that only grow, and are deleted with their namespaces."""

    AUDIT = (
        "docs/rbac-audit.yaml",
        Right("pods/ephemeralcontainers", ("patch",)),
        Right("pods/exec", ("get", "create")),
    )
    """For containers that are added to pods of a namespace, beside the rights to read it."""

    def __init__(self, document: str, *rights: Right) -> None:
        self.document = document
        self.rights = rights


def require(api: Api, needed: Rights, namespaces: Sequence[str] = ("",)) -> None:
    """Raise NoRights that names each right that the credentials lack, or ApiError.

    The rights must hold in each of the namespaces; an empty name stands for all that there are.
    """
    missing = [right for name in namespaces for right in _missing(api, needed.rights, name)]
    _refuse(api, missing, needed)


def require_for(api: Api, api_version: str, kind: str) -> None:
    """Raise NoRights if the credentials do not allow to apply and delete objects of a kind.

    Scenarios apply kinds that are not in ``Rights.RUN``. Raises ApiError if there is no such kind.
    """
    plural = api.resource(api_version, kind).plural
    right = Right(plural, _APPLYING, api_version.rpartition("/")[0])
    _refuse(api, list(_missing(api, [right], "")), Rights.RUN)


def _refuse(api: Api, missing: Sequence[str], needed: Rights) -> None:
    if missing:
        raise NoRights(
            f"context {api.context!r} lacks the rights to {', '.join(missing)}",
            f"{needed.document} has a role with all rights that are needed",
        )


def _missing(api: Api, rights: Sequence[Right], namespace: str) -> Iterator[str]:
    where = f" in namespace {namespace}" if namespace else ""
    for right in rights:
        resource, _, subresource = right.resource.partition("/")
        group = f" ({right.group})" if right.group else ""
        for verb in right.verbs:
            if not api.can_i(verb, right.group, resource, subresource, namespace):
                yield f"{verb} {right.resource}{group}{where}"
