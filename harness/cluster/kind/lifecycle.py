"""The life of a kind cluster: making it with its network plugin, its status, deleting it.

Steps that do not depend on each other run at the same time: archives are loaded into the
nodes and the plugin's manifest is applied while kubeadm still joins the workers.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml

from harness.cluster.kind import binary, command, manifest, mark, resolver
from harness.cluster.kind.installation import Installation, installation
from harness.cluster.kind.mark import Mark
from harness.cluster.kind.readiness import (
    KEEP_HINT,
    POLL_S,
    READY_S,
    await_ready,
    not_ready,
    waited_for,
)
from harness.cluster.kind.requirements import Needed, kind_config, needs
from harness.cluster.profiles import DEFAULT, Profile
from harness.cluster.waiting import TimedOut, Wait
from harness.errors import ClusterError, HarnessError, UsageError

_CREATE_S = 300.0
_LOAD_S = 300.0
_OWNER = "made-from"
_HOME = Path(__file__).resolve().parents[3]
"""The checkout, or the site-packages folder, that this harness is in."""

T = TypeVar("T")


def up(name: str, profile: Profile, offline: Path | None, config: Path) -> None:
    """Make the kind cluster ``name`` and return when its nodes, CNI and DNS are ready.

    A ready cluster of that name with the same profile is used unchanged. With ``offline``, a
    folder of images and manifests, nothing is downloaded (docs/real-clusters.md). Prints its
    progress to stderr. A cluster that does not become ready is deleted again, also after
    Ctrl-C and SIGTERM. Raises UsageError (something needed is missing) or ClusterError.
    """
    started = time.monotonic()
    install = installation(profile)
    text = kind_config(config, install)
    binary.install(offline)
    needed = needs(install, offline)
    if _exists(name):
        _reuse(name, install)
        return
    folder = _folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kind-config.yaml").write_text(text, encoding="utf-8")
    (folder / _OWNER).write_text(str(_HOME), encoding="utf-8")
    how = " offline" if offline else ""
    command.progress(f"making the kind cluster {name} with {install}{how}")
    with _signals_as_exceptions():
        try:
            _make(_Making(name, profile, install, needed))
        except BaseException as error:
            command.progress(f"the cluster {name} was not made: {type(error).__name__}")
            _discard(name)
            raise
    seconds = time.monotonic() - started
    command.progress(f"cluster {name} is up with {install} after {seconds:.1f} s")
    command.progress(f"KUBECONFIG={kubeconfig(name)}")


def down(name: str) -> None:
    """Delete the kind cluster ``name`` and its kubeconfig, if there is one.

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
    command.progress(f"cluster {name} is deleted")


def status(name: str) -> str:
    """Return in a few lines whether the cluster exists, its CNI, and what is not ready."""
    if not _exists(name):
        return f"there is no kind cluster {name}\nhint: `netpol up` makes it"
    found = mark.read(name)
    if found is None:
        return f"the kind cluster {name} exists, but its creation did not finish"
    missing = not_ready(name, waited_for(found.waits))
    lines = [f"kind cluster {name} with {found}", f"KUBECONFIG={kubeconfig(name)}"]
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
    """Return the cluster's own kubeconfig, with the context ``kind-NAME``.

    The user's kubeconfig is never written.
    """
    return _folder(name) / "kubeconfig"


def require(name: str, profile: Profile | None) -> Profile:
    """Return the profile of a cluster that exists; ``profile`` None accepts any.

    Raises UsageError if there is no such cluster, or if it was made with another profile.
    """
    install = installation(profile) if profile else None
    option = profile.file.option if profile else f"--cni={DEFAULT}"
    hint = f"`netpol up {option}` makes it"
    if not kubeconfig(name).is_file() or not _exists(name):
        raise UsageError(f"there is no kind cluster {name}", hint)
    found = mark.read(name)
    if found is None:
        raise UsageError(
            f"the kind cluster {name} is not ready, or its creation did not finish",
            "`netpol status` shows what is not ready",
        )
    if profile is None or install is None:
        return found.profile()
    if difference := _difference(found, install):
        raise UsageError(
            f"the kind cluster {name} has {difference}, not {install}",
            "`netpol down` deletes it; `netpol up` makes another",
        )
    return profile


def _exists(name: str) -> bool:
    return name in command.check([binary.find(), "get", "clusters"]).split()


def _reuse(name: str, install: Installation) -> None:
    found = mark.read(name)
    difference = _difference(found, install) if found else "no CNI that netpol installed"
    if difference:
        raise UsageError(
            f"the kind cluster {name} already exists with {difference}, not {install}",
            "`netpol down` deletes it; another --name keeps both",
        )
    await_ready(name, install.wait)
    command.progress(f"cluster {name} is already up with {install}")


def _difference(found: Mark, install: Installation) -> str:
    """Return what a cluster has instead of an installation, or nothing if it has that."""
    if (found.cni, found.version) != (install.name, install.version):
        return str(found)
    if installation(found.profile()) != install:
        return f"{found} of another profile file"
    return ""


# ------------------------------------------------------------------ making it


@dataclass(slots=True)
class _Making:
    """A cluster that is being made; ``over`` ends all tasks when one of them fails."""

    name: str
    profile: Profile
    install: Installation
    needed: Needed
    over: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)

    def progress(self, text: str) -> None:
        command.progress(f"{time.monotonic() - self.started:5.1f} s  {text}")


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
    await_ready(making.name, making.install.wait)
    making.progress("nodes, CNI and DNS are ready")
    mark.write(making.name, making.profile, making.install)


def _all_of(tasks: list[Future[None]]) -> None:
    """Wait for all tasks; raise the first failure as soon as it happens."""
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
            f"kind could not make the cluster {making.name}:\n{done.output}",
            "more than three clusters at a time run out of fs.inotify.max_user_instances",
        )
    making.progress("kind made the nodes")


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
        making.progress(f"loaded {archive.name}")


def _nodes_with_containerd(making: _Making) -> tuple[str, ...] | None:
    document = yaml.safe_load((_folder(making.name) / "kind-config.yaml").read_text())
    expected = len(document.get("nodes") or [None])
    nodes = command.nodes(making.name)
    answers = (command.run(["docker", "exec", node, "ctr", "version"]).status for node in nodes)
    return nodes if len(nodes) == expected and not any(answers) else None


def _install(making: _Making) -> None:
    """Apply the CNI's manifest, and what it needs, as soon as the API server answers."""
    text = manifest.manifest(making.install, making.needed.offline)
    definitions = manifest.definitions(making.install, making.needed.offline)
    _until(making, lambda: _api_answers(making.name), "the API server")
    for item in definitions:
        _until(making, functools.partial(_applied, making.name, item), "the definitions of kinds")
    done = _until(making, lambda: _applied(making.name, text), "the CNI's manifest")
    _until(making, lambda: resolver.prepare(making.name) or None, "CoreDNS")
    making.progress(f"applied {making.install.file} ({len(done.splitlines())} objects)")


def _api_answers(name: str) -> bool | None:
    # kubeadm grants the administrators' rights after the server answers.
    done = command.kubectl(name, "auth", "can-i", "create", "clusterroles")
    return True if done.status == 0 else None


def _applied(name: str, text: str) -> str | None:
    done = command.kubectl(
        name, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text
    )
    if done.status and "invalid" in done.stderr.lower():
        raise ClusterError(f"the API server refuses the CNI's manifest:\n{done.output}")
    return done.stdout if done.status == 0 else None


def _until(making: _Making, ask: Callable[[], T | None], what: str) -> T:
    """Ask until there is an answer. Raises ClusterError after the deadline or a failure."""
    answers: list[T] = []

    def missing() -> str | None:
        answer = ask()
        if answer is None:
            return "no answer yet"
        answers.append(answer)
        return None

    try:
        Wait(READY_S, POLL_S).until(missing, f"{what} of {making.name}", making.over)
    except TimedOut as error:
        raise ClusterError(error.message, KEEP_HINT) from None
    return answers[0]


# ------------------------------------------------------------------ deleting it


def _discard(name: str) -> None:
    """Delete a cluster whose creation failed, unless NETPOL_KEEP=1 keeps it."""
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
    """Return the cluster's folder; its existence marks the cluster as created by netpol."""
    return manifest.cache() / "clusters" / name


def _owner(name: str) -> Path:
    """Return the checkout that made a cluster; this one if none is recorded."""
    try:
        return Path((_folder(name) / _OWNER).read_text(encoding="utf-8"))
    except OSError:
        return _HOME


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that it is followed by the same cleanup as Ctrl-C."""
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
