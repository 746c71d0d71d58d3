"""What the API server refuses comes out in its own words, and which context may be used."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp.web
import kmock
import pytest
import websocket

from harness.cluster.kube import discovery
from harness.cluster.kube.api import Api, ApiError, Container, Exec, ExecError
from harness.cluster.kube.kubeconfig import resolve_context
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
A = Container("x", "a", "debugger")


def use(kubeconfig: str, current: str | None) -> str:
    path = Path(kubeconfig)
    content = json.loads(path.read_text())
    content["current-context"] = current
    path.write_text(json.dumps(content))
    return kubeconfig


def test_the_context_of_another_cluster_must_be_named(kubeconfig: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_context(kubeconfig, None)
    assert str(caught.value) == (
        "no context was named, and the current context 'production' is not a kind cluster "
        "made by netpol\nhint: name one: --context=production (with pytest --netpol-context)"
    )
    assert resolve_context(kubeconfig, "production") == "production"


def test_a_kind_cluster_made_by_netpol_needs_no_name(kubeconfig: str) -> None:
    assert resolve_context(use(kubeconfig, "kind-netpol"), None) == "kind-netpol"


def test_a_context_with_a_similar_name_is_another_cluster(kubeconfig: str) -> None:
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
        ApiError, match=r"the cluster has no kind GlobalNetworkPolicy in crd\.example"
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
    found = discovery.kinds(api)
    assert {"v1/Secret", "apps/v1/Deployment", "cilium.io/v2/CiliumNetworkPolicy"} <= found


def test_an_aggregated_api_may_be_down_and_a_built_in_one_may_not(
    api: Api, server: kmock.RawHandler
) -> None:
    server.override["get /c/apis/cilium.io/v2"] << refusal(503, "no endpoints")
    assert "cilium.io/v2/CiliumNetworkPolicy" not in discovery.kinds(api)
    server.override["get /c/apis/apps/v1"] << refusal(503, "starting")
    with pytest.raises(ApiError, match="starting"):
        discovery.kinds(api)


@pytest.mark.parametrize("code", [403, 404, 500])
def test_an_exec_that_cannot_start_is_an_error(
    api: Api, server: kmock.RawHandler, code: int
) -> None:
    server[f"get {EXEC}"] << refusal(code, "because")
    with pytest.raises(ExecError) as caught:
        api.execute(A, ["/bin/sh"], "", 5)
    assert (caught.value.status, caught.value.message) == (code, "because")
    assert not caught.value.timed_out
    (request,) = list(server[f"get {EXEC}"])
    assert request.params.get("container") == "debugger"


def test_an_api_server_that_is_not_there(kubeconfig: str) -> None:
    path = Path(kubeconfig)
    content = json.loads(path.read_text())
    content["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    path.write_text(json.dumps(content))
    with pytest.raises(
        ApiError, match=r"the API server at http://127\.0\.0\.1:1: no answer"
    ) as caught:
        Api(kubeconfig, "kind-netpol")
    assert (
        caught.value.hint
        == "check that the cluster is running, and that the context is the right one"
    )


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
    assert str(caught.value) == "the answer of the API server has no valid Date header"


# ------------------------------------------------------------------ how an exec ends


WAIT = b"wait"


@contextmanager
def exec_that_sends(frames: Sequence[bytes], folder: Path) -> Iterator[Api]:
    """An API server whose execs send these frames and close; WAIT waits for stdin, and echoes."""
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def answer(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        if not request.path.endswith("/exec"):
            return aiohttp.web.json_response({"kind": "APIGroupList", "groups": []})
        link = aiohttp.web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await link.prepare(request)
        for frame in frames:
            if frame is WAIT:
                echoed = await link.receive_bytes()
                await link.send_bytes(b"\x01" + echoed[1:])
            else:
                await link.send_bytes(frame)
        await link.close()
        return link

    async def serve() -> None:
        application = aiohttp.web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        runner = aiohttp.web.AppRunner(application)
        await runner.setup()
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports.append(runner.addresses[0][1])
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    path = folder / "exec-kubeconfig"
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{ports[0]}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }))  # fmt: skip
    try:
        yield Api(str(path), "x")
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def ended(**status: str) -> bytes:
    return b"\x03" + json.dumps(status).encode()


@pytest.mark.parametrize(
    "last",
    [ended(status="Success"), ended(status="Failure", reason="NonZeroExitCode")],
    ids=["success", "failure"],
)
def test_an_exec_that_ran_to_its_end_gives_what_it_printed(tmp_path: Path, last: bytes) -> None:
    with exec_that_sends([b"\x01= begin", b"\x01 1\n", last], tmp_path) as api:
        assert api.execute(A, ["/bin/sh"], "", 5).text == "= begin 1\n"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (
            [ended(status="Failure", reason="InternalError", message="container not running")],
            "container not running",
        ),
        ([], "the exec ended without a status"),
    ],
)
def test_an_exec_that_broke_off_is_an_error_with_what_it_printed(
    tmp_path: Path, frames: list[bytes], message: str
) -> None:
    with (
        exec_that_sends([b"\x01= begin 1\n", *frames], tmp_path) as api,
        pytest.raises(ExecError) as caught,
    ):
        api.execute(A, ["/bin/sh"], "", 5)
    assert (caught.value.message, caught.value.output) == (message, "= begin 1\n")


def test_an_exec_is_heard_as_it_prints_and_told_what_to_do(tmp_path: Path) -> None:
    heard: list[tuple[str, float]] = []

    def answer(piece: str, came: float) -> str:
        heard.append((piece, came))
        return "stop\n" if piece == "= tick 2\n" else ""

    frames = [b"\x01= begin 1\n", b"\x01= tick 2\n", WAIT, ended(status="Success")]
    with exec_that_sends(frames, tmp_path) as api:
        output = api.execute(A, ["/bin/sh"], "", 5, answer)
    assert [piece for piece, _ in heard] == ["= begin 1\n", "= tick 2\n", "stop\n"]
    assert output.text == "= begin 1\n= tick 2\nstop\n"
    assert output.began == heard[0][1]


def test_a_command_that_stays_is_asked_again_and_again(tmp_path: Path) -> None:
    end = re.compile(r"^= end \d+\n", re.MULTILINE)
    with (
        exec_that_sends([WAIT, b"\x01 2\n", WAIT], tmp_path) as api,
        closing(api.start(A, ["/bin/sh"], 5)) as running,
    ):
        assert running.ask("= begin 1\n= end", 5, end=end).text == "= begin 1\n= end 2\n"
        assert running.ask("= end 3\n", 5, end=end).text == "= end 3\n"
        with pytest.raises(ExecError) as caught:
            running.ask("more", 5, end=end)
    assert not caught.value.timed_out


def test_a_command_that_stays_silent_timed_out(tmp_path: Path) -> None:
    with (
        exec_that_sends([WAIT, WAIT], tmp_path) as api,
        closing(api.start(A, ["/bin/sh"], 5)) as running,
        pytest.raises(ExecError, match="no output for 0 s") as caught,
    ):
        running.ask("= begin 1\n", 0.2, end=re.compile("never"))
    assert (caught.value.timed_out, caught.value.output) == (True, "= begin 1\n")


class SilentLink:
    """A connection on which nothing arrives before its time-out, in place of the library's."""

    def __init__(self) -> None:
        self.limits_s: list[float] = []

    def settimeout(self, limit_s: float) -> None:
        self.limits_s.append(limit_s)

    def send_binary(self, _: bytes) -> None:
        pass

    def recv_data(self) -> tuple[int, bytes]:
        raise websocket.WebSocketTimeoutException


def test_each_question_has_a_timeout_of_its_own() -> None:
    link = SilentLink()
    running = Exec(link)  # type: ignore[arg-type]
    for idle_s in (5, 0.2):
        with pytest.raises(ExecError):
            running.ask("", idle_s)
    assert link.limits_s == [5, 0.2]
