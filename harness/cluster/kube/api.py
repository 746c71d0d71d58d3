"""One connection to one Kubernetes API server: objects, access reviews, and exec.

Every failure is an ``ApiError`` with the message of the API server. No exception of the client
libraries leaves this module.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import kubernetes
import urllib3.exceptions
import websocket
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ResourceNotFoundError

from harness.cluster.kube import kubeconfig
from harness.errors import ClusterError

Object = dict[str, Any]
"""A Kubernetes object, as JSON."""

FIELD_MANAGER = "netpol-harness"

_REQUEST_TIMEOUT_S = (5.0, 30.0)  # to connect; to answer
_MERGE = "application/merge-patch+json"
_STDIN, _STDOUT, _STATUS = 0, 1, 3  # channels of an exec
_CHUNK = 32 * 1024


class ApiError(ClusterError):
    """The API server refused or did not answer. ``status`` is the HTTP status, or None."""

    def __init__(self, message: str, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.status = status
        self.transient = status is None or status == 429 or status >= 500


class ExecError(ApiError):
    """An exec without complete output. ``output`` is what arrived before the failure."""

    def __init__(
        self, message: str, status: int | None = None, output: str = "", timed_out: bool = False
    ) -> None:
        super().__init__(message, status)
        self.output = output
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod, by real names."""

    namespace: str
    pod: str
    name: str


@dataclass(frozen=True, slots=True)
class Output:
    """What an exec printed on stdout; ``began`` is ``time.monotonic()`` of its first byte."""

    text: str
    began: float


Heard = Callable[[str, float], str]
"""Gets a piece of an exec's stdout and the time at which it came; returns words for its stdin."""


def say_nothing(_piece: str, _came: float) -> str:
    """Send nothing: the command reads no more."""
    return ""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as discovery describes it; ``prefix`` is like ``/apis/networking.k8s.io/v1``."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of an object, or of the list of all in a namespace or everywhere."""
        parts = [self.prefix]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        return "/".join([*parts, name] if name else parts)


class Exec:
    """A command that runs in a container of a pod. One thread at a time may use it.

    The library's ``stream`` is not used: it patches its client, has no timeout for a node
    that accepts the connection and sends nothing, and returns normally after a timeout.
    """

    def __init__(self, link: websocket.WebSocket) -> None:
        self._link = link

    def ask(
        self,
        words: str,
        idle_s: float,
        heard: Heard = say_nothing,
        end: re.Pattern[str] | None = None,
    ) -> Output:
        """Send words to the command, and return what it prints: until ``end``, or to its end.

        Raises ExecError if it sent nothing for ``idle_s``, or ended without a status.
        """
        received: dict[int, bytearray] = {_STDOUT: bytearray(), _STATUS: bytearray()}
        began = time.monotonic()
        with _exec_in_words(idle_s, received[_STDOUT]):
            self._link.settimeout(idle_s)
            _send(self._link, words)
            for channel, piece in _frames(self._link):
                came = time.monotonic()
                if channel == _STDOUT:
                    began = began if received[_STDOUT] else came
                    _send(self._link, heard(piece.decode(errors="replace"), came))
                received.setdefault(channel, bytearray()).extend(piece)
                if end and end.search(received[_STDOUT].decode(errors="replace")):
                    return Output(received[_STDOUT].decode(errors="replace"), began)
        text = received[_STDOUT].decode(errors="replace")
        _check(received[_STATUS], text)
        return Output(text, began)

    def close(self) -> None:
        """End the connection, and with it the input of the command."""
        # Not close(): once the other side has closed, that leaves the socket open.
        self._link.shutdown()  # type: ignore[no-untyped-call]


class Api:
    """Requests to the API server of one context. Safe to use from many threads."""

    def __init__(self, path: str | None, context: str) -> None:
        self.context = context
        configuration = kubernetes.client.Configuration()
        configuration.connection_pool_maxsize = 32
        kubeconfig.connect(path, context, configuration)
        self._configuration = configuration
        self._client = kubernetes.client.ApiClient(configuration)
        self._tls = _tls(configuration)
        # A new discovery cache: the library's is shared by all clusters that were ever reached
        # at this address.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        what = f"the API server at {configuration.host}"
        with _in_words(what), tempfile.TemporaryDirectory() as folder:
            cache = f"{folder}/discovery"
            self._dynamic = DynamicClient(self._client, cache)  # type: ignore[no-untyped-call]

    # ------------------------------------------------------------------ objects

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """Read one object, or None if there is none."""
        try:
            return self.request("get", self._url(api_version, kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def find(
        self, api_version: str, kind: str, *, selector: str = "", namespace: str = ""
    ) -> list[Object]:
        """List objects by label selector, of all namespaces unless one is given."""
        query = [("labelSelector", selector)] if selector else []
        url = self._url(api_version, kind, namespace)
        return list(self.request("get", url, query=query).get("items") or [])

    def create(self, item: Object, *, dry_run: bool = False) -> Object:
        """Create an object; unknown fields are refused."""
        query = [("fieldValidation", "Strict"), ("fieldManager", FIELD_MANAGER)]
        return self.request("post", self._url_of(item, ""), body=item, query=query + _dry(dry_run))

    def replace(self, item: Object, *, dry_run: bool = False) -> Object:
        """Replace the object of the same names, uid and resourceVersion; 409 if they differ."""
        query = [("fieldValidation", "Strict"), ("fieldManager", FIELD_MANAGER)]
        url = self._url_of(item, item["metadata"]["name"])
        return self.request("put", url, body=item, query=query + _dry(dry_run))

    def merge(self, item: Object, changes: Object) -> Object:
        """Patch an object with a JSON merge patch: None removes a key."""
        url = self._url_of(item, item["metadata"]["name"])
        return self.request("patch", url, body=changes, content_type=_MERGE)

    def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid. Status 409 if another object has its name."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        self.request("delete", self._url(api_version, kind, namespace, name), body=body)

    def now(self) -> datetime:
        """Return the time of the API server's clock, to the second. Raises ApiError."""
        with _in_words("GET /version"):
            answer = self._dynamic.request(
                "get",
                "/version",
                header_params={},
                serialize=False,
                _request_timeout=_REQUEST_TIMEOUT_S,
            )
            answer.read()  # gives the connection back
        try:
            return parsedate_to_datetime(answer.headers["Date"])
        except (KeyError, ValueError):
            raise ApiError("the answer of the API server has no valid Date header") from None

    def version(self) -> tuple[int, int]:
        """Return the major and minor version of the API server. Raises ApiError."""
        found = self.request("get", "/version")
        numbers = [re.match(r"\d+", str(found.get(key, ""))) for key in ("major", "minor")]
        major, minor = (int(number[0]) if number else 0 for number in numbers)
        if not major:
            raise ApiError(f"the API server does not say its version: {found}")
        return major, minor

    def full_version(self) -> str:
        """Return the version of the API server, or an empty string if it does not say it.

        Raises ApiError if it does not answer.
        """
        return str(self.request("get", "/version").get("gitVersion", ""))

    def is_namespaced(self, api_version: str, kind: str) -> bool:
        """Whether objects of a kind live in a namespace, by discovery."""
        return bool(self.resource(api_version, kind).namespaced)

    def can_i(
        self, verb: str, group: str, resource: str, subresource: str = "", namespace: str = ""
    ) -> bool:
        """Whether the current user may do this in a namespace; without one, in all of them."""
        wanted = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
        wanted["namespace"] = namespace
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": wanted},
        }
        url = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = self.request("post", url, body=review)
        return bool(answer.get("status", {}).get("allowed"))

    # What a double of the API server replaces: these two, ``execute`` and ``start``.

    def resource(self, api_version: str, kind: str) -> Resource:
        """Return a kind as discovery describes it. Raises ApiError if there is none."""
        with _in_words(f"the kind {api_version} {kind}"):
            try:
                found = self._discovered(api_version, kind)
            except ResourceNotFoundError:
                raise ApiError(
                    f"the cluster has no kind {kind} in {api_version}",
                    404,
                    "install its CustomResourceDefinition",
                ) from None
        prefix = f"{found.prefix}/{found.group_version}"
        return Resource(prefix, str(found.name), bool(found.namespaced))

    def _discovered(self, api_version: str, kind: str) -> Any:
        """Ask the library, whose cache lacks its content after a discovery that failed."""
        resources = self._dynamic.resources
        try:
            return resources.get(api_version=api_version, kind=kind)
        except KeyError:
            resources.invalidate_cache()
            return resources.get(api_version=api_version, kind=kind)

    def _url(self, api_version: str, kind: str, namespace: str = "", name: str = "") -> str:
        return self.resource(api_version, kind).path(namespace, name)

    def _url_of(self, item: Object, name: str) -> str:
        namespace = item["metadata"].get("namespace", "")
        return self._url(item["apiVersion"], item["kind"], namespace, name)

    def request(
        self,
        method: str,
        url: str,
        *,
        body: Object | None = None,
        query: Sequence[tuple[str, str]] = (),
        content_type: str | None = None,
    ) -> Object:
        """Send one request and return the answer. Raises ApiError."""
        with _in_words(f"{method.upper()} {url}"):
            answer: Object = self._dynamic.request(
                method,
                url,
                body=body,
                query_params=list(query),
                content_type=content_type,
                header_params={},
                serializer=lambda _, data: data,
                _request_timeout=_REQUEST_TIMEOUT_S,
            )
            return answer

    # ------------------------------------------------------------------ exec

    def execute(
        self,
        container: Container,
        command: Sequence[str],
        stdin: str,
        idle_s: float,
        heard: Heard = say_nothing,
    ) -> Output:
        """Run a command in a container of a pod; it must end by itself, or when it is told to.

        Raises ExecError if the command could not start, sent nothing for ``idle_s``, or ended
        without a status. The exit status is ignored: the output must prove itself.
        """
        with contextlib.closing(self.start(container, command, idle_s)) as running:
            return running.ask(stdin, idle_s, heard)

    def start(self, container: Container, command: Sequence[str], timeout_s: float) -> Exec:
        """Start a command in a container of a pod, and return it. Raises ExecError."""
        query = [("container", container.name), ("stdin", "true"), ("stdout", "true")]
        query += [("stderr", "false")] + [("command", word) for word in command]
        with _exec_in_words(timeout_s):
            return Exec(self._connect(container, query, timeout_s))

    def _connect(
        self, container: Container, query: list[tuple[str, str]], timeout_s: float
    ) -> websocket.WebSocket:
        host = urlsplit(self._configuration.host)
        scheme = "wss" if host.scheme == "https" else "ws"
        pod = f"namespaces/{container.namespace}/pods/{container.pod}"
        path = f"{host.path.rstrip('/')}/api/v1/{pod}/exec"
        url = f"{scheme}://{host.netloc}{path}?{urlencode(query)}"
        headers: list[str] = []
        if token := self._configuration.get_api_key_with_prefix("BearerToken", "authorization"):
            headers.append(f"Authorization: {token}")
        proxy = urlsplit(self._configuration.proxy or "")
        return websocket.create_connection(
            url,
            timeout=timeout_s,
            header=headers,
            subprotocols=["v4.channel.k8s.io"],
            sslopt={"context": self._tls, "server_hostname": self._server_name(host.hostname)},
            http_proxy_host=proxy.hostname,
            http_proxy_port=proxy.port,
            skip_utf8_validation=True,
        )

    def _server_name(self, hostname: str | None) -> str | None:
        return self._configuration.tls_server_name or hostname


def _tls(configuration: kubernetes.client.Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context


def _send(link: websocket.WebSocket, words: str) -> None:
    data = words.encode()
    for start in range(0, len(data), _CHUNK):
        link.send_binary(bytes([_STDIN]) + data[start : start + _CHUNK])


def _check(status: bytearray, printed: str) -> None:
    """Raise ExecError unless a command ended by itself."""
    if not status:
        raise ExecError("the exec ended without a status", None, printed)
    said = json.loads(status)
    if said.get("status") != "Success" and said.get("reason") != "NonZeroExitCode":
        raise ExecError(str(said.get("message", said)), None, printed)


def _frames(link: websocket.WebSocket) -> Iterator[tuple[int, bytes]]:
    """Yield (channel, data) until the server closes. Raises on a timeout."""
    while True:
        opcode, data = link.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return
        if data:
            yield data[0], data[1:]


def _dry(dry_run: bool) -> list[tuple[str, str]]:
    return [("dryRun", "All")] if dry_run else []


def _message(body: bytes | str | None) -> str:
    """Return the message of a Status, or the beginning of the body if it is none."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else (body or "")
    with contextlib.suppress(ValueError):
        parsed = json.loads(text)
        if isinstance(parsed, dict) and parsed.get("message"):
            return str(parsed["message"])
    return text.strip()[:500]


@contextlib.contextmanager
def _exec_in_words(idle_s: float, printed: bytes | bytearray = b"") -> Iterator[None]:
    """Turn what goes wrong in an exec into ExecError, with what it ``printed``."""
    try:
        yield
    except websocket.WebSocketBadStatusException as error:
        message = _message(error.resp_body) or str(error)
        raise ExecError(message, error.status_code) from None
    except kubernetes.config.ConfigException as error:
        raise ExecError(f"the credentials cannot be read: {error}") from None
    except (websocket.WebSocketException, OSError) as error:
        timed_out = isinstance(error, websocket.WebSocketTimeoutException | TimeoutError)
        what = f"no output for {idle_s:.0f} s" if timed_out else f"the exec failed: {error}"
        raise ExecError(what, None, printed.decode(errors="replace"), timed_out) from None


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Turn the libraries' exceptions into ApiError."""
    try:
        yield
    except kubernetes.client.ApiException as error:
        message = _message(error.body) or error.reason or "no reason given"
        raise ApiError(str(message), error.status or None) from None
    except urllib3.exceptions.HTTPError as error:
        reason = getattr(error, "reason", None) or error
        raise ApiError(
            f"{what}: no answer: {reason}",
            hint="check that the cluster is running, and that the context is the right one",
        ) from None
    except (kubernetes.config.ConfigException, OSError) as error:
        raise ApiError(f"{what}: the credentials cannot be read: {error}") from None
