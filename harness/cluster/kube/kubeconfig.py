"""Which context of which kubeconfig is used."""

from __future__ import annotations

import os
from pathlib import Path

import kubernetes

from harness.errors import UsageError


def contexts(kubeconfig: str | None) -> tuple[tuple[str, ...], str | None]:
    """Return the contexts of a kubeconfig, and the current one. Raises UsageError."""
    path = kubeconfig_path(kubeconfig)
    try:
        found, current = kubernetes.config.list_kube_config_contexts(path)  # type: ignore[no-untyped-call]
    except kubernetes.config.ConfigException as error:
        raise UsageError(
            f"no usable kubeconfig at {path}: {error}", "name one with KUBECONFIG"
        ) from None
    return tuple(str(item["name"]) for item in found), (current or {}).get("name")


def resolve_context(kubeconfig: str | None, wanted: str | None) -> str:
    """Return the context to use: the one named, or the current one if ``netpol up`` made it.

    Any other current context must be named, so that no cluster is used by accident. Raises
    UsageError.
    """
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
