"""Which kinds an API server has."""

from __future__ import annotations

import contextlib

from harness.cluster.kube.api import Api, ApiError
from harness.cluster.kube.objects import Object
from harness.policy import builtin


def versions(api: Api) -> tuple[str, ...]:
    """Return all versions of all API groups, as in ``apiVersion``. Raises ApiError."""
    groups = api.request("get", "/apis").get("groups", [])
    found = (version["groupVersion"] for group in groups for version in group["versions"])
    return ("v1", *found)


def kinds(api: Api) -> frozenset[str]:
    """Return the kinds that the server has, as ``apiVersion/Kind``. Raises ApiError.

    The kinds of an aggregated API that does not answer are left out. An error of a built-in
    API is raised, so that no scenario is skipped because of it.
    """
    found: set[str] = set()
    for version in versions(api):
        is_builtin = builtin.is_builtin(version.rpartition("/")[0])
        with contextlib.nullcontext() if is_builtin else contextlib.suppress(ApiError):
            found |= {f"{version}/{item['kind']}" for item in _resources(api, version)}
    return frozenset(found)


def kinds_of(api: Api, version: str) -> tuple[tuple[str, bool], ...]:
    """Return the kinds of one version, and whether each lives in namespaces. Raises ApiError."""
    return tuple((item["kind"], bool(item["namespaced"])) for item in _resources(api, version))


def cluster_kinds(api: Api, version: str) -> tuple[str, ...]:
    """Return the kinds of one version that belong to no namespace and can be listed and deleted.

    Raises ApiError.
    """
    return tuple(
        item["kind"]
        for item in _resources(api, version)
        if not item["namespaced"] and {"list", "delete"} <= set(item["verbs"])
    )


def egress_peers(api: Api, version: str) -> tuple[frozenset[str], ...]:
    """Return for each kind of one version the keys of the peers in its rules of egress.

    Kinds without such rules have no entry. Raises ApiError.
    """
    document = api.request("get", f"/openapi/v3/apis/{version}")
    schemas = document.get("components", {}).get("schemas", {})
    found = (_beneath(schema, "spec", "egress", "to") for schema in schemas.values())
    return tuple(frozenset(keys) for keys in found if keys)


def _beneath(schema: Object, *path: str) -> Object:
    """Return the properties of the schema at the end of a path, or of the items of a list."""
    for key in path:
        schema = schema.get("properties", {}).get(key, {})
        schema = schema.get("items", schema)
    properties: Object = schema.get("properties", {})
    return properties


def _resources(api: Api, version: str) -> list[Object]:
    """Return the resources of one version, without subresources."""
    url = f"/apis/{version}" if "/" in version else f"/api/{version}"
    found = api.request("get", url).get("resources", [])
    return [item for item in found if "/" not in item["name"]]
