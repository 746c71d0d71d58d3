"""The life of a kind cluster: made, ready with its CNI, looked at, deleted.

kind's own ``--wait`` succeeds when its time is over, so readiness is judged here. What can
happen at once does: archives are loaded into the nodes and the CNI's manifest is applied
while kubeadm still joins the workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from harness.cluster.kind import binary, command, manifest, profiles, resolver
from harness.cluster.kind.profiles import Profile
from harness.cluster.waiting import TimedOut, Wait
from harness.errors import ClusterError, HarnessError, UsageError

_CREATE_S = 300.0
_LOAD_S = 300.0
_READY_S = 300.0
_POLL_S = 1.0  # each look costs the control plane node a kubectl
_MARK = "netpol-harness"
_OWNER = "made-from"
_HOME = Path(__file__).resolve().parents[3]
"""The checkout, or the site-packages folder, that this harness is in."""

T = TypeVar("T")


def up(name: str, profile: Profile, offline: Path | None, config: Path) -> None:
    """Make the kind cluster ``name`` and return when its nodes, CNI and DNS are ready.

    A ready cluster of that name with the same profile is used as it is. ``offline`` is a
    folder that stands for the network (docs/real-clusters.md). Tells its progress on
    stderr. A cluster that did not become ready is deleted again, after Ctrl-C and SIGTERM
    too. Raises UsageError (something needed is not there) or ClusterError.
    """
    started = time.monotonic()
    text = _kind_config(config, profile)
    binary.install(offline)
    needed = _needs(profile, offline)
    if _exists(name):
        _reuse(name, profile)
        return
    folder = _folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kind-config.yaml").write_text(text, encoding="utf-8")
    (folder / _OWNER).write_text(str(_HOME), encoding="utf-8")
    command.say(f"making the kind cluster {name} with {profile}" + (" offline" if offline else ""))
    with _signals_as_exceptions():
        try:
            _make(_Making(name, profile, needed))
        except BaseException as error:
            command.say(f"the cluster {name} was not made: {type(error).__name__}")
            _discard(name)
            raise
    command.say(f"cluster {name} is up with {profile} after {time.monotonic() - started:.1f} s")
    command.say(f"KUBECONFIG={kubeconfig(name)}")


def down(name: str) -> None:
    """Delete the kind cluster ``name`` and its kubeconfig. One that is not there is no error.

    Raises UsageError for a cluster that ``up`` did not make, or that ``up`` of another
    checkout made: all checkouts of a user share the cluster's usual name.
    """
    by_hand = f"`kind delete cluster --name {name}` deletes it"
    if _exists(name):
        if not _folder(name).is_dir():
            raise UsageError(f"the kind cluster {name} was not made by this harness", by_hand)
        owner = _owner(name)
        if owner != _HOME and owner.is_dir():
            raise UsageError(
                f"the kind cluster {name} was made from {owner}, not from {_HOME}",
                f"run `netpol down` there; {by_hand} from anywhere",
            )
    _delete(name)
    command.say(f"cluster {name} is deleted")


def status(name: str) -> str:
    """Say in a few lines whether the cluster is there, with which CNI, and what is not ready."""
    if not _exists(name):
        return f"there is no kind cluster {name}\nhint: `netpol up` makes it"
    mark = installed(name)
    if mark is None:
        return f"the kind cluster {name} is there, and this harness did not finish making it"
    missing = _not_ready(name, _waits(mark.waits))
    lines = [
        f"kind cluster {name} with {mark.cni} {mark.version}",
        f"KUBECONFIG={kubeconfig(name)}",
    ]
    lines += [f"not ready: {item}" for item in missing] or ["ready"]
    return "\n".join(lines)


def export_logs(name: str, folder: Path) -> None:
    """Write the nodes' and the pods' logs, events and objects under ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    command.check([binary.find(), "export", "logs", folder, "--name", name], deadline_s=_LOAD_S)
    for what in ("pods", "events", "networkpolicies"):
        done = command.kubectl(name, "get", what, "--all-namespaces", "-o", "wide")
        (folder / f"{what}.txt").write_text(done.stdout or done.stderr, encoding="utf-8")


def kubeconfig(name: str) -> Path:
    """The cluster's own kubeconfig; the user's is never written. Its context is ``kind-NAME``."""
    return _folder(name) / "kubeconfig"


@dataclass(frozen=True, slots=True)
class Installed:
    """What ``up`` wrote into the cluster about itself."""

    cni: str
    version: str
    waits: tuple[str, ...]


def installed(name: str) -> Installed | None:
    """Read what CNI the cluster has; None for a cluster that ``up`` did not finish."""
    done = command.kubectl(name, "get", "configmap", _MARK, "-n", "kube-system", "-o", "json")
    if done.status:
        return None
    data = json.loads(done.stdout)["data"]
    return Installed(data["cni"], data["version"], tuple(data["waits"].split()))


def require(name: str, profile: Profile | None) -> Profile:
    """Give the profile of a cluster that is there; UsageError where it is not, or has another."""
    hint = f"`netpol up --cni={(profile or profiles.profile('calico')).name}` makes it"
    if not kubeconfig(name).is_file() or not _exists(name):
        raise UsageError(f"there is no kind cluster {name}", hint)
    found = installed(name)
    if found is None:
        raise UsageError(f"the kind cluster {name} is not ready, or half made", "`netpol status`")
    if profile is not None and (found.cni, found.version) != (profile.name, profile.version):
        raise UsageError(
            f"the kind cluster {name} has {found.cni} {found.version}, not {profile}",
            "`netpol down` deletes it; `netpol up` makes another",
        )
    return profile or profiles.profile(found.cni)


def choose(offline: Path | None, cni: str = "calico") -> tuple[str, str]:
    """Decide for ``CLUSTER=auto``: the cluster, and one sentence that says why.

    kind where Docker answers and what it needs is at hand or may be pulled
    (``NETPOL_PULL=yes``); else the embedded cluster.
    """
    pulls = os.environ.get("NETPOL_PULL") == "yes"
    try:
        if offline is not None or not pulls:
            binary.find()
        _needs(profiles.profile(cni), offline)
    except HarnessError as error:
        return "netns", f"netns, the embedded cluster, because {error.message}"
    if offline is not None:
        return "kind", f"kind with {cni}: Docker answers and {offline} holds what it needs"
    if pulls:
        return "kind", f"kind with {cni}: Docker answers and NETPOL_PULL=yes allows pulling images"
    return "netns", (
        "netns, the embedded cluster: Docker answers, but kind would pull about 1 GB of images"
        " (NETPOL_PULL=yes allows it, NETPOL_OFFLINE names a folder that holds them)"
    )


# ------------------------------------------------------------------ what is needed


@dataclass(frozen=True, slots=True)
class _Needed:
    """All that is needed, found before anything is made. ``image`` None: kind's own default."""

    image: str | None
    archives: tuple[Path, ...]
    offline: Path | None


def _needs(profile: Profile, offline: Path | None) -> _Needed:
    docker = command.run(["docker", "version", "--format", "{{.Server.Version}}"], deadline_s=20)
    if docker.status:
        raise UsageError(
            f"Docker does not answer: {docker.words}", "start the Docker daemon, or use netns"
        )
    if offline is None:
        return _Needed(None, (), None)
    place = offline / "node-image"
    if not place.is_file():
        raise UsageError(
            f"{place} is not there", "it names the node image that Docker has, in one line"
        )
    image = place.read_text(encoding="utf-8").strip()
    if command.run(["docker", "image", "inspect", image]).status:
        raise UsageError(
            f"Docker does not have the node image {image} that {place} names",
            "load it by `docker load`",
        )
    archives = (
        offline / "images" / f"{profile.name}-{profile.version}.tar",
        *sorted((offline / "images").glob("agnhost-*.tar")),
    )
    missing = [str(path) for path in archives if not path.is_file()]
    if missing or len(archives) == 1:
        raise UsageError(
            f"no image archive {', '.join(missing) or offline / 'images' / 'agnhost-*.tar'}",
            "make it by `docker save`, or use another --cni",
        )
    manifest.manifest(profile, offline)
    return _Needed(image, archives, offline)


def _kind_config(config: Path, profile: Profile) -> str:
    """Return the configuration of kind with the profile's pod subnet."""
    try:
        document = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the kind configuration {config}: {error}") from None
    networking = document.get("networking") if isinstance(document, dict) else None
    if not isinstance(networking, dict) or networking.get("disableDefaultCNI") is not True:
        raise UsageError(
            f"{config}: networking.disableDefaultCNI must be true",
            f"else kind installs kindnet beside {profile.name}",
        )
    networking["podSubnet"] = profile.pod_subnet
    return yaml.safe_dump(document, sort_keys=False)


def _exists(name: str) -> bool:
    return name in command.check([binary.find(), "get", "clusters"]).split()


def _reuse(name: str, profile: Profile) -> None:
    found = installed(name)
    if found is None or (found.cni, found.version) != (profile.name, profile.version):
        holds = f"{found.cni} {found.version}" if found else "no CNI that it knows of"
        raise UsageError(
            f"the kind cluster {name} is already there with {holds}, not {profile}",
            "`netpol down` deletes it; another --name keeps both",
        )
    _await_ready(name, profile.wait)
    command.say(f"cluster {name} is already up with {profile}")


# ------------------------------------------------------------------ making it


@dataclass(slots=True)
class _Making:
    """A cluster on its way: what runs beside ``kind create cluster`` ends when it fails."""

    name: str
    profile: Profile
    needed: _Needed
    over: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)

    def tell(self, text: str) -> None:
        command.say(f"{time.monotonic() - self.started:5.1f} s  {text}")


def _make(making: _Making) -> None:
    with ThreadPoolExecutor(max_workers=4) as pool:
        try:
            tasks = [
                pool.submit(_create, making),
                pool.submit(_load, making),
                pool.submit(_install, making),
            ]
            _all_of(tasks)
        except BaseException:
            making.over.set()
            _discard(making.name)  # ends `kind create cluster`, which the pool waits for
            raise
    _await_ready(making.name, making.profile.wait)
    making.tell("nodes, CNI and DNS are ready")
    _mark(making)


def _all_of(tasks: list[Future[None]]) -> None:
    """Wait for all, and raise the first failure as soon as it happens."""
    waiting = list(tasks)
    while waiting:
        for task in [item for item in waiting if item.done()]:
            task.result()
            waiting.remove(task)
        time.sleep(0.05)


def _create(making: _Making) -> None:
    folder = _folder(making.name)
    image = ["--image", making.needed.image] if making.needed.image else []
    done = command.run(
        [
            *(binary.find(), "create", "cluster", "--name", making.name, "--wait", "0s"),
            *("--config", folder / "kind-config.yaml", "--kubeconfig", folder / "kubeconfig"),
            *image,
        ],
        deadline_s=_CREATE_S,
    )
    if done.status:
        raise ClusterError(
            f"kind could not make the cluster {making.name}:\n{done.words}",
            "more than three clusters at a time run out of fs.inotify.max_user_instances",
        )
    making.tell("kind made the nodes")


def _load(making: _Making) -> None:
    """Load the archives into all nodes as soon as their containerd answers."""
    if not making.needed.archives:
        return
    nodes = _until(making, lambda: _nodes_with_containerd(making), "a node's containerd")
    for archive in making.needed.archives:
        command.check(
            [
                *(binary.find(), "load", "image-archive", archive),
                *("--name", making.name, "--nodes", ",".join(nodes)),
            ],
            deadline_s=_LOAD_S,
        )
        making.tell(f"loaded {archive.name}")


def _nodes_with_containerd(making: _Making) -> tuple[str, ...] | None:
    document = yaml.safe_load((_folder(making.name) / "kind-config.yaml").read_text())
    expected = len(document.get("nodes") or [None])
    nodes = command.nodes(making.name)
    answers = (command.run(["docker", "exec", node, "ctr", "version"]).status for node in nodes)
    return nodes if len(nodes) == expected and not any(answers) else None


def _install(making: _Making) -> None:
    """Apply the CNI's manifest as soon as the API server answers."""
    text = manifest.manifest(making.profile, making.needed.offline)
    _until(making, lambda: _api_answers(making.name), "the API server")
    done = _until(making, lambda: _applied(making.name, text), "the CNI's manifest")
    _until(making, lambda: resolver.prepare(making.name) or None, "CoreDNS")
    making.tell(f"applied {making.profile.file} ({len(done.splitlines())} objects)")


def _api_answers(name: str) -> bool | None:
    # kubeadm grants the administrators' rights after the server answers.
    done = command.kubectl(name, "auth", "can-i", "create", "clusterroles")
    return True if done.status == 0 else None


def _applied(name: str, text: str) -> str | None:
    done = command.kubectl(
        name, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text
    )
    if done.status and "invalid" in done.stderr.lower():
        raise ClusterError(f"the API server refuses the CNI's manifest:\n{done.words}")
    return done.stdout if done.status == 0 else None


def _until(making: _Making, ask: Callable[[], T | None], what: str) -> T:
    """Ask until there is an answer; ClusterError after the deadline or when making failed."""
    answers: list[T] = []

    def missing() -> str | None:
        answer = ask()
        if answer is None:
            return "no answer yet"
        answers.append(answer)
        return None

    try:
        Wait(_READY_S, _POLL_S).until(missing, f"{what} of {making.name}", making.over)
    except TimedOut as error:
        hint = "NETPOL_KEEP=1 keeps the half-made cluster for looking around"
        raise ClusterError(error.message, hint) from None
    return answers[0]


def _mark(making: _Making) -> None:
    data = {
        "cni": making.profile.name,
        "version": making.profile.version,
        "waits": " ".join(making.profile.wait),
    }
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _MARK, "namespace": "kube-system"},
        "data": data,
    }
    done = command.kubectl(
        making.name, "apply", "--server-side", "-f", "-", stdin=json.dumps(body)
    )
    if done.status:
        raise ClusterError(f"cannot mark the cluster {making.name} as ours:\n{done.words}")


# ------------------------------------------------------------------ readiness


@dataclass(frozen=True, slots=True)
class _Workload:
    """A DaemonSet or Deployment that must be ready."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


_DNS = _Workload("Deployment", "kube-system", "coredns")


def _waits(words: tuple[str, ...]) -> tuple[_Workload, ...]:
    return (*(_Workload(*word.split("/")) for word in words), _DNS)


def _await_ready(name: str, waits: tuple[str, ...]) -> None:
    """Wait for nodes, CNI and DNS together; ClusterError says what is not ready."""
    wanted = _waits(waits)

    def missing() -> str | None:
        return "; ".join(_not_ready(name, wanted)) or None

    try:
        Wait(_READY_S, _POLL_S).until(missing, f"the cluster {name} to become ready")
    except TimedOut as error:
        raise ClusterError(
            f"{error.message}\n{_troubled_pods(name)}".rstrip(),
            "NETPOL_KEEP=1 keeps the half-made cluster for looking around",
        ) from None


def _not_ready(name: str, wanted: tuple[_Workload, ...]) -> tuple[str, ...]:
    done = command.kubectl(name, "get", "nodes,daemonsets,deployments", "-A", "-o", "json")
    if done.status:
        return (f"the API server does not answer: {done.words}",)
    items = json.loads(done.stdout)["items"]
    found = {
        _Workload(
            item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]
        ): item
        for item in items
    }
    nodes = [(item.name, found[item]) for item in found if item.kind == "Node"]
    missing = [f"Node {name}" for name, item in nodes if _condition(item, "Ready") != "True"]
    missing += [
        f"{item}{_shortfall(found[item])}" if item in found else f"{item} is not there"
        for item in wanted
        if item not in found or _shortfall(found[item])
    ]
    return tuple(missing)


def _shortfall(item: dict[str, Any]) -> str:
    """Say ``: 1 of 3 ready``, or nothing for a workload that is wholly ready and up to date."""
    status = item.get("status", {})
    if status.get("observedGeneration") != item["metadata"].get("generation"):
        return ": not seen by its controller yet"
    if item["kind"] == "DaemonSet":
        want, have = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    else:
        want, have = item["spec"].get("replicas", 1), status.get("readyReplicas", 0)
    return "" if want and have >= want else f": {have} of {want} ready"


def _condition(item: dict[str, Any], kind: str) -> str:
    conditions = item.get("status", {}).get("conditions", [])
    return next((c["status"] for c in conditions if c["type"] == kind), "Unknown")


def _troubled_pods(name: str) -> str:
    """Lines about pods that do not run, with the reason that the kubelet gives."""
    done = command.kubectl(name, "get", "pods", "-A", "-o", "json")
    if done.status:
        return ""
    lines = []
    for pod in json.loads(done.stdout)["items"]:
        states = [
            *pod["status"].get("initContainerStatuses", []),
            *pod["status"].get("containerStatuses", []),
        ]
        waiting = [state["state"]["waiting"] for state in states if "waiting" in state["state"]]
        where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        lines += [
            f"  {where}: {item.get('reason', '')} {item.get('message', '')}".rstrip()
            for item in waiting
            if item.get("reason") != "PodInitializing"
        ]
    return "\n".join(lines)


# ------------------------------------------------------------------ the rest


def _discard(name: str) -> None:
    """Delete a half-made cluster, unless it is to be looked at."""
    if os.environ.get("NETPOL_KEEP") != "1":
        with contextlib.suppress(HarnessError):
            _delete(name)


def _delete(name: str) -> None:
    folder = _folder(name)
    command.check(
        [
            *(binary.find(), "delete", "cluster", "--name", name),
            *("--kubeconfig", folder / "kubeconfig"),
        ],
        deadline_s=_CREATE_S,
    )
    shutil.rmtree(folder, ignore_errors=True)


def _folder(name: str) -> Path:
    """Where a cluster of ours keeps its kubeconfig; that it is there says that it is ours."""
    return manifest.cache() / "clusters" / name


def _owner(name: str) -> Path:
    """Return the checkout that made a cluster of ours; this one where no other is recorded."""
    try:
        return Path((_folder(name) / _OWNER).read_text(encoding="utf-8"))
    except OSError:
        return _HOME


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that what was begun is cleaned up as after Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
