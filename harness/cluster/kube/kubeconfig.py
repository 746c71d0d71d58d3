"""Which context of which kubeconfig is used, or the service account of the pod around netpol.

The context ``in-cluster`` stands for that service account, unless a kubeconfig was named. Like
every other cluster, it must be named to be used.
"""

from __future__ import annotations

import os
from pathlib import Path

import kubernetes

from harness.errors import UsageError

IN_CLUSTER = "in-cluster"
"""The name of the context that stands for the service account of this pod."""

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HOST, _PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


def connect(
    kubeconfig: str | None,
    context: str,
    configuration: kubernetes.client.Configuration,
    account: Path = _ACCOUNT,
) -> None:
    """Fill in the address and the credentials of a context. Raises UsageError.

    ``account`` is the folder with the files of the pod's service account. Its token is read
    again every minute, because the kubelet replaces it before it expires.
    """
    if _is_in_cluster(kubeconfig, context):
        _require_account(account)
        loader = kubernetes.config.incluster_config.InClusterConfigLoader(  # type: ignore[no-untyped-call]
            str(account / "token"), str(account / "ca.crt")
        )
        try:
            loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
        except (kubernetes.config.ConfigException, OSError) as error:
            raise UsageError(
                f"the service account of this pod cannot be used: {error}", _HOW_IN_A_POD
            ) from None
        return
    try:
        kubernetes.config.load_kube_config(  # type: ignore[no-untyped-call]
            kubeconfig_path(kubeconfig), context, client_configuration=configuration
        )
    except kubernetes.config.ConfigException as error:
        raise UsageError(f"context {context!r} cannot be used: {error}") from None


def _is_in_cluster(kubeconfig: str | None, context: str | None) -> bool:
    return context == IN_CLUSTER and kubeconfig is None and not os.environ.get("KUBECONFIG")


def _require_account(account: Path) -> None:
    """Raise UsageError that names everything of a pod's service account that is missing."""
    missing = [f"{name} is not set" for name in (_HOST, _PORT) if not os.environ.get(name)]
    for name in ("token", "ca.crt"):
        try:
            is_empty = not (account / name).read_bytes()
        except OSError as error:
            missing.append(f"{account / name}: {error.strerror}")
        else:
            missing += [f"{account / name} is empty"] * is_empty
    if missing:
        raise UsageError(
            f"--context={IN_CLUSTER} needs the service account of a pod: {'; '.join(missing)}",
            _HOW_IN_A_POD,
        )


_HOW_IN_A_POD = (
    "run it in a pod with automountServiceAccountToken: true, as docs/gate.yaml does; elsewhere "
    "name a context of a kubeconfig"
)


def contexts(kubeconfig: str | None) -> tuple[tuple[str, ...], str | None]:
    """Return the contexts of a kubeconfig, and the current one. Raises UsageError."""
    path = kubeconfig_path(kubeconfig)
    try:
        found, current = kubernetes.config.list_kube_config_contexts(path)  # type: ignore[no-untyped-call]
    except kubernetes.config.ConfigException as error:
        hint = "name one with KUBECONFIG"
        if os.environ.get(_HOST):
            hint += f"; --context={IN_CLUSTER} uses the service account of this pod"
        raise UsageError(f"no usable kubeconfig at {path}: {error}", hint) from None
    return tuple(str(item["name"]) for item in found), (current or {}).get("name")


def resolve_context(kubeconfig: str | None, wanted: str | None) -> str:
    """Return the context to use: the one named, or the current one if ``netpol up`` made it.

    ``in-cluster`` is known if no kubeconfig was named; ``connect`` finds out whether it works.
    Any other current context must be named, so that no cluster is used by accident. Raises
    UsageError.
    """
    if wanted is not None and _is_in_cluster(kubeconfig, wanted):
        return IN_CLUSTER
    known, current = contexts(kubeconfig)
    if wanted is not None:
        if wanted in known:
            return wanted
        raise UsageError(
            f"the kubeconfig has no context {wanted!r}", f"it has {', '.join(known) or 'none'}"
        )
    if current is not None and (current == "kind-netpol" or current.startswith("kind-netpol-")):
        return current
    found = (
        f"the current context {current!r} is not a kind cluster made by netpol"
        if current
        else "there is no current context"
    )
    raise UsageError(
        f"no context was named, and {found}",
        f"name one: --context={current or 'NAME'} (with pytest --netpol-context)",
    )


def kubeconfig_path(kubeconfig: str | None) -> str:
    """Return the kubeconfig that was named, that of the environment, or the user's own."""
    return kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
