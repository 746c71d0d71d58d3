"""What the API server refuses comes out in its own words, and which context may be used."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kmock
import pytest

from harness.cluster.kube.api import Api, ApiError, ExecError, resolve_context
from harness.errors import UsageError

from .conftest import refusal

POLICY: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny", "namespace": "x"},
    "spec": {},
}
POLICIES = "/c/apis/networking.k8s.io/v1/namespaces/x/networkpolicies"
EXEC = "/c/api/v1/namespaces/x/pods/a/exec"


def use(kubeconfig: str, current: str | None) -> str:
    path = Path(kubeconfig)
    content = json.loads(path.read_text())
    content["current-context"] = current
    path.write_text(json.dumps(content))
    return kubeconfig


def test_a_context_that_is_not_ours_must_be_spelled_out(kubeconfig: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_context(kubeconfig, None)
    assert str(caught.value) == (
        "the current context 'production' is not a kind cluster of ours, and no context was named"
        "\nhint: spell it out: --context production"
    )
    assert resolve_context(kubeconfig, "production") == "production"


def test_our_own_kind_cluster_needs_no_name(kubeconfig: str) -> None:
    assert resolve_context(use(kubeconfig, "kind-netpol"), None) == "kind-netpol"


def test_a_name_that_only_begins_like_ours_is_not_ours(kubeconfig: str) -> None:
    with pytest.raises(UsageError):
        resolve_context(use(kubeconfig, "kind-netpolitics"), None)


def test_an_unknown_context_lists_the_known(kubeconfig: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_context(kubeconfig, "prod")
    assert caught.value.message == "the kubeconfig has no context 'prod'"
    assert caught.value.hint == "it has production, kind-netpol, kind-netpolitics"


def test_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no usable kubeconfig at"):
        resolve_context(str(tmp_path / "none"), None)


def test_an_absent_object_is_none(api: Api, server: kmock.RawHandler) -> None:
    server[f"get {POLICIES}/deny"] << refusal(404, "not found")
    assert api.get("networking.k8s.io/v1", "NetworkPolicy", "deny", "x") is None


def test_a_refusal_keeps_its_words(api: Api, server: kmock.RawHandler) -> None:
    server[f"post {POLICIES}"] << refusal(403, 'admission webhook "no" denied the request')
    with pytest.raises(ApiError) as caught:
        api.create(POLICY)
    assert (caught.value.status, str(caught.value)) == (
        403,
        'admission webhook "no" denied the request',
    )


def test_an_unknown_kind_says_so(api: Api) -> None:
    with pytest.raises(
        ApiError, match=r"the cluster knows no GlobalNetworkPolicy of crd\.example"
    ):
        api.create({**POLICY, "apiVersion": "crd.example/v1", "kind": "GlobalNetworkPolicy"})


def test_unknown_fields_are_refused_and_dry_runs_are_dry(
    api: Api, server: kmock.RawHandler
) -> None:
    server[f"post {POLICIES}"] << POLICY
    api.create(POLICY, dry_run=True)
    (request,) = list(server[f"post {POLICIES}"])
    assert request.params.get("fieldValidation") == "Strict"
    assert request.params.get("dryRun") == "All"


def test_kinds_are_found(api: Api) -> None:
    found = api.kinds()
    assert {"v1/Secret", "apps/v1/Deployment", "cilium.io/v2/CiliumNetworkPolicy"} <= found


def test_an_aggregated_api_may_be_down_and_a_built_in_one_may_not(
    api: Api, server: kmock.RawHandler
) -> None:
    server.override["get /c/apis/cilium.io/v2"] << refusal(503, "no endpoints")
    assert "cilium.io/v2/CiliumNetworkPolicy" not in api.kinds()
    server.override["get /c/apis/apps/v1"] << refusal(503, "starting")
    with pytest.raises(ApiError, match="starting"):
        api.kinds()


@pytest.mark.parametrize("code", [403, 404, 500])
def test_an_exec_that_cannot_start_is_an_error(
    api: Api, server: kmock.RawHandler, code: int
) -> None:
    server[f"get {EXEC}"] << refusal(code, "because")
    with pytest.raises(ExecError) as caught:
        api.execute("x", "a", ["/bin/sh"], "", 5)
    assert (caught.value.status, caught.value.message) == (code, "because")
    assert not caught.value.timed_out


def test_an_api_server_that_is_not_there(kubeconfig: str) -> None:
    path = Path(kubeconfig)
    content = json.loads(path.read_text())
    content["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    path.write_text(json.dumps(content))
    with pytest.raises(
        ApiError, match=r"the API server at http://127\.0\.0\.1:1: no answer"
    ) as caught:
        Api(kubeconfig, "kind-netpol")
    assert caught.value.hint == "is the cluster up, and the context right?"


def test_the_servers_clock_is_in_its_answers(api: Api, server: kmock.RawHandler) -> None:
    assert abs(api.now() - datetime.now(UTC)) < timedelta(minutes=5)
    date = {"Date": "Thu, 01 Jan 2026 00:00:07 GMT"}
    server.override["get /c/version"] << kmock.Response(payload={}, headers=date)
    assert api.now() == datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC)


def test_a_server_that_does_not_say_what_time_it_is(api: Api, server: kmock.RawHandler) -> None:
    nonsense = {"Date": "once"}
    server.override["get /c/version"] << kmock.Response(payload={}, headers=nonsense)
    with pytest.raises(ApiError) as caught:
        api.now()
    assert str(caught.value) == "the API server does not say what time it is"
