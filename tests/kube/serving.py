"""The double on HTTP: kmock carries the requests, ``ApiServer`` answers them.

kmock's own KubernetesEmulator is not used, because it has no resourceVersions, uids,
preconditions or selectors. Its place is taken through the method that it replaces too.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp.web
import kmock

from .apiserver import ApiServer, Broken
from .cluster_state import Refused

_ROOT = "/c"  # kmock itself fails to read /api/v1/namespaces, if that is the whole path


class HttpServer(kmock.RawHandler):
    """Serves the ApiServer that ``api`` is, which may be replaced between requests."""

    def __init__(self, api: ApiServer) -> None:
        super().__init__()
        self.api = api

    @property
    def address(self) -> str:
        """Where it serves: what a kubeconfig calls ``server``."""
        return str(self.url).rstrip("/") + _ROOT

    async def _handle(self, request: kmock.Request) -> aiohttp.web.StreamResponse:
        self._requests.clear()  # kmock keeps them all, and searches them each time
        method, path = request.method.value.upper(), request.url.path.removeprefix(_ROOT)
        content_type = request.headers.get("Content-Type", "")
        try:
            body = self.api.handle(
                method, path, request.params, json.loads(request.body or b"{}"), content_type
            )
        except Refused as refused:
            return aiohttp.web.json_response(refused.status, status=refused.code)
        except Broken:
            raw = request._raw_request
            if raw is not None and raw.transport is not None:
                raw.transport.abort()
            return aiohttp.web.Response()
        return aiohttp.web.json_response(body, status=201 if method == "POST" else 200)


@contextmanager
def serving() -> Iterator[HttpServer]:
    """Serve in a thread. Raises at the end what went wrong in the double itself."""
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()
    server = HttpServer(ApiServer())
    wrong: list[Exception] = []

    async def serve() -> None:
        async with server, kmock.Server(server):
            ready.set()
            await stop.wait()
            wrong.extend(server.errors)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
    if wrong:
        raise ExceptionGroup("the double is wrong", wrong)


def kubeconfig(server: HttpServer, folder: Path) -> str:
    """Write a kubeconfig with one context, ``kind-netpol``; return its path."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "kind-netpol",
        "clusters": [{"name": "c", "cluster": {"server": server.address}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "kind-netpol", "context": {"cluster": "c", "user": "u"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(content))
    return str(path)
