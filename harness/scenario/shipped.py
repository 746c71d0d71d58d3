"""What an application's manifests give a scenario: namespaces, pods, Services and policies.

The pods are those that stand for the workloads. Each is a pod of the harness with the labels and
ports of its workload. What no scenario can have is left out, with a note.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import application
from harness.application import Application, AppNamespace
from harness.application.state import Deployed, deployed, modelled
from harness.documents.problems import Problems
from harness.documents.source import Document, KeyPath
from harness.errors import Location, ScenarioError, UsageError
from harness.files import Unreadable, display
from harness.model import RESERVED_NAMESPACES, Manifest, Pod, Service
from harness.policy import placeholders
from harness.scenario.files import Project, shortest
from harness.scenario.reserved import RESERVED_HINT, RESERVED_PREFIX, reserved_fact
from harness.scenario.schema import ManifestsWire
from harness.suggest import nearest_or_all

MOST_PODS = 250
MOST_SERVICES = 1_000
_KEY = "manifests"


@dataclass(frozen=True, slots=True)
class FromManifests:
    """What the manifests give, each with its place; ``location`` is that of the key."""

    location: Location
    namespaces: tuple[AppNamespace, ...]
    pods: tuple[tuple[Pod, Location], ...]
    services: tuple[tuple[Service, Location], ...]
    policies: tuple[Manifest, ...]

    def pods_in(self, namespace: str) -> Iterator[tuple[Pod, Location]]:
        return (item for item in self.pods if item[0].namespace == namespace)

    def services_in(self, namespace: str) -> Iterator[tuple[Service, Location]]:
        return (item for item in self.services if item[0].namespace == namespace)


@dataclass(frozen=True, slots=True)
class _Key:
    """The key of a file that names manifests."""

    document: Document
    wire: ManifestsWire
    place: KeyPath

    @classmethod
    def of(cls, document: Document, wire: ManifestsWire | list[str]) -> _Key:
        if isinstance(wire, list):
            return cls(document, ManifestsWire.model_construct(paths=wire), (_KEY,))
        return cls(document, wire, (_KEY, "paths"))

    def path(self, index: int) -> Location:
        return self.document.at((*self.place, index))

    def without(self, index: int) -> Location:
        return self.document.at((_KEY, "without", index))

    def location(self) -> Location:
        return self.document.key_at((_KEY,))


def read(
    document: Document,
    wire: ManifestsWire | list[str],
    folder: Path,
    project: Project,
    problems: Problems,
) -> FromManifests | None:
    """Read the manifests that a file names; report what is wrong with them."""
    key, before = _Key.of(document, wire), problems.met
    paths = [*_paths(key, folder, project, problems)]
    if problems.met > before:
        return None
    try:
        found = application.read(paths, key.wire.namespace, admits=project.holds)
    except ScenarioError as error:
        problems.adopt(error.problems)
        return None
    except UsageError as error:
        problems.add(key.location(), error.message, error.hint)
        return None
    left_out = {policy.location for policy in found.not_judged}
    for note in found.notes:
        if note.location is None or note.location not in left_out:
            problems.note(note.location or key.location(), note.text)
    made = _made(found, key, problems)
    return made if problems.met == before else None


def _paths(key: _Key, folder: Path, project: Project, problems: Problems) -> Iterator[str]:
    for index, written in enumerate(key.wire.paths):
        here = key.path(index)
        if not written:
            problems.add(here, "the path is empty", "name a file or a folder")
            continue
        try:
            path = shortest(project.file(folder, written))
            if path.exists():
                yield str(path.absolute()) if str(path).startswith("-") else str(path)
                continue
        except Unreadable as error:
            problems.add(here, error.fact, error.hint)
            continue
        except (OSError, ValueError):
            pass
        fact = f"there is no file and no folder {display(folder / written)}"
        problems.add(here, fact, "paths are relative to the folder of this file")


# ------------------------------------------------------------------ what a scenario can have


def _made(found: Application, key: _Key, problems: Problems) -> FromManifests:
    kept = _without_clusters_own(found, key, problems)
    workloads = [*_wanted(deployed(kept), key, problems)]
    pods = tuple((pod, item.workload.location) for item in workloads for pod in item.pods)
    if len(pods) > MOST_PODS:
        fact = f"the manifests make {len(pods)} pods, and a scenario has at most {MOST_PODS}"
        hint = "name fewer manifests, or leave workloads out: `without: [shop/web]`"
        problems.add(key.location(), fact, hint)
    if len(kept.services) > MOST_SERVICES:
        fact = f"the manifests have {len(kept.services):,} Services"
        hint = f"a scenario has at most {MOST_SERVICES:,}; name fewer manifests"
        problems.add(key.location(), fact, hint)
        kept = replace(kept, services=())
    for item in workloads:
        if not item.pods:
            problems.note(item.workload.location, f"{item.title} asks for no pods")
        _refuse_own_words(item.workload.labels, item.workload.location, problems)
    for space in kept.namespaces:
        _refuse_own_words(space.labels, space.location or key.location(), problems)
    for policy in kept.policies:
        _check_policy(policy, problems)
    for policy in kept.not_judged:
        if policy.location is not None:
            text = f"{policy} is left out: its meaning is not known here"
            problems.note(policy.location, f"{text}; `apply` in a step applies it")
    services = tuple(_services(kept, [pod for pod, _ in pods], problems))
    return FromManifests(key.location(), kept.namespaces, pods, services, kept.policies)


def _without_clusters_own(found: Application, key: _Key, problems: Problems) -> Application:
    """Return the application without the namespaces that no scenario can have."""
    odd = [space for space in found.namespaces if _is_clusters_own(space.name)]
    for space in odd:
        homes = [item.namespace for item in found.workloads]
        homes += [item.namespace for item in found.services]
        homes += [item.namespace for item in found.policies]
        number = homes.count(space.name)
        if number:
            objects = f"{number} object" if number == 1 else f"{number} objects"
            text = f"namespace {space.name} with {objects} is left out: no scenario can have it"
            problems.note(space.location or key.location(), text)
    names = {space.name for space in odd}
    return replace(
        found,
        namespaces=tuple(item for item in found.namespaces if item.name not in names),
        workloads=tuple(item for item in found.workloads if item.namespace not in names),
        services=tuple(item for item in found.services if item.namespace not in names),
        policies=tuple(item for item in found.policies if item.namespace not in names),
        not_judged=tuple(item for item in found.not_judged if item.namespace not in names),
    )


def _is_clusters_own(name: str) -> bool:
    return name in RESERVED_NAMESPACES or name.startswith("kube-")


def _wanted(workloads: Sequence[Deployed], key: _Key, problems: Problems) -> Iterator[Deployed]:
    """Yield the workloads that no pattern of ``without`` matches."""
    titles = [item.title for item in workloads]
    left_out: set[str] = set()
    for index, pattern in enumerate(key.wire.without):
        matched = fnmatch.filter(titles, pattern)
        if not matched:
            hint = nearest_or_all(pattern, titles, "workloads")
            problems.add(key.without(index), f"no workload is called {pattern!r}", hint)
        left_out.update(matched)
    return (item for item in workloads if item.title not in left_out)


def _refuse_own_words(words: Mapping[str, object], location: Location, problems: Problems) -> None:
    for word in words:
        if word.startswith(RESERVED_PREFIX):
            problems.add(location, reserved_fact(word), RESERVED_HINT)


def _check_policy(policy: Manifest, problems: Problems) -> None:
    if policy.location is None:
        return
    if f'"{RESERVED_PREFIX}' in policy.json:  # not the annotation that silences lint
        problems.add(policy.location, reserved_fact(RESERVED_PREFIX), RESERVED_HINT)
    for found in placeholders(policy):
        fact = f"{found} stands only in manifests that a step applies"
        problems.add(policy.location, fact, "write an address")


def _services(
    found: Application, pods: Sequence[Pod], problems: Problems
) -> Iterator[tuple[Service, Location]]:
    """Yield the Services with the ports that lead somewhere or are refused."""
    for item in found.services:
        service = modelled(item)
        if service is None:
            text = f"{item} is left out: the manifests do not show its endpoints"
            problems.note(item.location, text)
            continue
        behind = [
            pod
            for pod in pods
            if pod.namespace == service.namespace
            and service.selector.items() <= pod.labels.items()
        ]
        names = {(port.name, port.protocol) for pod in behind for port in pod.ports}
        known = tuple(
            port
            for port in service.ports
            if isinstance(port.target, int) or (port.target, port.protocol) in names or not behind
        )
        for port in service.ports:
            if port not in known:
                text = f"{item}: port {port.number} is left out: no pod has a port {port.target!r}"
                problems.note(item.location, text)
        if known or not service.ports:
            yield replace(service, ports=known), item.location


# ------------------------------------------------------------------ policies of a step


def chosen(
    wanted: str | Iterable[str],
    policies: Sequence[Manifest],
    at: tuple[Document, KeyPath],
    problems: Problems,
) -> Iterator[Manifest]:
    """Yield the policies that a step names; report names that match none."""
    document, place = at
    if not policies:
        fact = "there are no manifests with policies"
        hint = "`manifests: [k8s/]` at the top of the file names files and folders"
        problems.add(document.key_at(place), fact, hint)
    elif isinstance(wanted, str):
        yield from policies
    else:
        names = [f"{item.namespace}/{item.name}" for item in policies]
        meant: set[str] = set()
        for index, pattern in enumerate(wanted):
            matched = fnmatch.filter(names, pattern)
            if not matched:
                hint = nearest_or_all(pattern, names, "policies of the manifests")
                fact = f"no policy of the manifests is called {pattern!r}"
                problems.add(document.at((*place, index)), fact, hint)
            meant.update(matched)
        yield from (item for item, name in zip(policies, names, strict=True) if name in meant)
