"""The service account of a pod, as credentials: what is needed, what is said, what is renewed."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import kubernetes
import pytest

from harness.cli import Exit, main
from harness.cluster.kube import kubeconfig
from harness.cluster.kube.kubeconfig import connect, resolve_context
from harness.errors import UsageError

HINT = (
    "run it in a pod with automountServiceAccountToken: true, as docs/gate.yaml does; elsewhere "
    "name a context of a kubeconfig"
)


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a service account, and the variables, of a pod without a kubeconfig."""
    (tmp_path / "token").write_text("first")
    (tmp_path / "ca.crt").write_text("a certificate")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    return tmp_path


def connected(account: Path) -> kubernetes.client.Configuration:
    configuration = kubernetes.client.Configuration()
    connect(None, "in-cluster", configuration, account)
    return configuration


def token(configuration: kubernetes.client.Configuration) -> str:
    return str(configuration.get_api_key_with_prefix("BearerToken", "authorization"))


def test_the_service_account_of_a_pod_is_used_if_it_is_named(account: Path) -> None:
    assert resolve_context(None, "in-cluster") == "in-cluster"
    configuration = connected(account)
    assert configuration.host == "https://[fd00::1]:6443"
    assert configuration.ssl_ca_cert == str(account / "ca.crt")
    assert token(configuration) == "bearer first"


def test_a_token_that_was_replaced_is_read_again(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = connected(account)
    (account / "token").write_text("second")
    assert token(configuration) == "bearer first"

    class InAMinute:
        @staticmethod
        def now() -> datetime:
            return datetime.now() + timedelta(seconds=61)

    class Times:
        datetime = InAMinute
        timedelta = timedelta

    monkeypatch.setattr(kubernetes.config.incluster_config, "datetime", Times)
    assert token(configuration) == "bearer second"


def test_it_is_not_used_unless_it_is_named(account: Path) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_context(None, None)
    assert caught.value.message.startswith(f"no usable kubeconfig at {account}/.kube/config: ")
    assert caught.value.hint == (
        "name one with KUBECONFIG; --context=in-cluster uses the service account of this pod"
    )


def test_in_a_kubeconfig_that_was_named_it_is_a_context_like_others(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = account / "config"
    file.write_text(
        "{apiVersion: v1, kind: Config, current-context: mine, users: [{name: u, user: {}}], "
        "clusters: [{name: c, cluster: {server: 'https://example.com'}}], "
        "contexts: [{name: mine, context: {cluster: c, user: u}}]}"
    )
    monkeypatch.setenv("KUBECONFIG", str(file))
    for given in (None, str(file)):
        with pytest.raises(UsageError) as caught:
            resolve_context(given, "in-cluster")
        assert str(caught.value) == (
            "the kubeconfig has no context 'in-cluster'\nhint: it has mine"
        )


def test_everything_that_is_missing_is_said_at_once(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "")
    (account / "token").unlink()
    (account / "ca.crt").write_text("")
    with pytest.raises(UsageError) as caught:
        connected(account)
    assert str(caught.value) == (
        "--context=in-cluster needs the service account of a pod: KUBERNETES_SERVICE_HOST is not "
        "set; KUBERNETES_SERVICE_PORT is not set; "
        f"{account}/token: No such file or directory; {account}/ca.crt is empty\nhint: {HINT}"
    )


@pytest.mark.parametrize("verb", [["clean"], ["gate"], ["run", "scenarios/examples"]])
def test_every_verb_says_it_outside_of_a_pod(
    verb: list[str],
    account: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if kubeconfig._ACCOUNT.exists():
        pytest.skip("these tests run in a pod")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    assert main([*verb, "--cluster=current", "--context=in-cluster"]) == Exit.USAGE
    wanted = (
        "--context=in-cluster needs the service account of a pod: KUBERNETES_SERVICE_HOST is not "
        "set; /var/run/secrets/kubernetes.io/serviceaccount/token: No such file or directory; "
        "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt: No such file or directory\n"
        f"hint: {HINT}\n"
    )
    assert wanted in capsys.readouterr().err
