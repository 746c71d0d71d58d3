"""Manifests as they are, from files, folders and standard input, as one Application."""

from __future__ import annotations

import functools
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import yaml

from harness.application.files import LeftOut, Text, texts
from harness.application.kustomize import (
    Kustomization,
    advice,
    kustomizations,
    listed,
    namespaces,
    note,
    patches,
)
from harness.application.part import Part
from harness.application.remarks import in_annotation, in_comments
from harness.application.services import service
from harness.application.values import (
    Application,
    AppNamespace,
    AppService,
    CustomObject,
    Ignored,
    Note,
    Remark,
    Workload,
    WorkloadKind,
)
from harness.application.workloads import workload
from harness.documents import kubernetes_yaml
from harness.documents.objects import ObjectSource, canonical, cleaned
from harness.documents.problems import Problems
from harness.documents.source import Document, Scope, documents, top_of
from harness.documents.text import template_in
from harness.documents.written import Written
from harness.errors import Location, Problem, ScenarioError, UsageError
from harness.model import Labels, Manifest
from harness.policy import PolicyKind, kinds, selectors
from harness.policy.builtin import group_of, is_builtin, makes_no_pods, no_such_kind
from harness.suggest import closest

INTO_FILE = "> rendered.yaml"
"""Where the output of a program goes if only a file can be read."""
_MOST_VALUES = 500_000
_MOST_ENDPOINTS = 10_000_000
"""How many pairs of a workload and a Service there may be: each is looked at."""
_SHOWN_REPEATED = 3
_KINDS = frozenset({*map(str, WorkloadKind), "Namespace", "Service"})
_WITHOUT_NAMESPACE = frozenset({
    "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "CiliumClusterwideNetworkPolicy",
    "ClusterNetworkPolicy", "GlobalNetworkPolicy", "StagedGlobalNetworkPolicy",
})  # fmt: skip
_POLICY = "NetworkPolicy"


def read(
    paths: Sequence[str],
    namespace: str = "default",
    stdin: BinaryIO | None = None,
    admits: Callable[[Path], bool] = lambda _: True,
    into: str = INTO_FILE,
) -> Application:
    """Return the application that the manifests in some files and folders describe.

    The path ``-`` stands for ``stdin``. Objects that name no namespace are in ``namespace``.
    Only files that ``admits`` accepts are read; others are problems. ``into`` says where the
    output of programs that render manifests has to go, as in a shell.
    Raises ScenarioError with every problem, and UsageError for too much input.
    """
    problems = Problems()
    found = tuple(texts(paths, stdin or io.BytesIO(), problems, admits))
    if problems.found:
        return _application(found, namespace, tuple(paths), into, problems)
    return _known(found, namespace, tuple(paths), into)


@functools.lru_cache(maxsize=4)  # Many scenarios may name the same manifests.
def _known(
    found: tuple[Text | LeftOut, ...], namespace: str, paths: tuple[str, ...], into: str
) -> Application:
    return _application(found, namespace, paths, into, Problems())


def _application(
    found: Sequence[Text | LeftOut],
    namespace: str,
    paths: Sequence[str],
    into: str,
    problems: Problems,
) -> Application:
    all_kustomizations = tuple(kustomizations(item for item in found if isinstance(item, Text)))
    left_out, set_by = patches(all_kustomizations), namespaces(all_kustomizations)
    reading = _Reading(problems, all_kustomizations, into)
    for item in found:
        match item:
            case LeftOut(location, why, command):
                rendered = f"; `{command} {into}` renders it" if command else ""
                reading.notes.append(Note(why + rendered, location))
            case Text(path, named=named) if named or path not in left_out:
                reading.text(item, set_by.get(path, namespace))
            case _:
                pass  # A patch of a kustomization.
    reading.require_content(paths)
    return reading.result(paths[0] if paths else "")


def read_objects(objects: Iterable[Document], notes: Sequence[Note] = ()) -> Application:
    """Return the application that objects describe which were not read from files.

    Each document is one object, or a list of them. Raises ScenarioError with every problem.
    """
    reading = _Reading(Problems())
    reading.notes.extend(notes)
    for document in objects:
        reading.document(document)
    return reading.result()


@functools.cache
def _is_needed(kind: str) -> bool:
    """Return whether objects of a kind may change connections; a slip is forgiven."""
    return kind in _KINDS or kind.endswith((_POLICY, "List")) or bool(closest(kind, _near()))


@functools.cache
def _near() -> tuple[str, ...]:
    return (*sorted(_KINDS), _POLICY)


def _is_wanted(root: yaml.Node) -> bool:
    kind = top_of(root).get("kind")
    return not isinstance(kind, str) or _is_needed(kind)


class _Reading:
    """What was read so far."""

    def __init__(
        self,
        problems: Problems,
        found: tuple[Kustomization, ...] = (),
        into: str = INTO_FILE,
    ) -> None:
        self.problems = problems
        self._kustomizations = found
        self._into = into
        self.notes: list[Note] = []
        self._default = "default"
        self._namespaces: dict[str, AppNamespace] = {}
        self._workloads: list[Workload] = []
        self._services: list[AppService] = []
        self._policies: list[Manifest] = []
        self._not_judged: list[Manifest] = []
        self._ignored: Counter[str] = Counter()
        self._known: dict[tuple[str, str, str], tuple[Location, bytes]] = {}
        self._repeated: list[tuple[ObjectSource, str]] = []
        self._customs: list[CustomObject] = []
        self._remarks: list[Remark] = []
        self._written = Written(self.problems)

    # ---------------------------------------------------------------- documents

    def text(self, file: Text, namespace: str) -> None:
        """Read the objects of a file; those that name no namespace are in ``namespace``."""
        self._default = namespace
        found = self._documents(file)
        begun: dict[int, Location] = {}
        for document in found:
            for source in _objects(ObjectSource(document, (), document.value)):
                here = source.at(())
                begun[here.line] = here
                self._object(source, file.named)
        self._remarks += in_comments(file.text, found, begun)

    def document(self, document: Document) -> None:
        """Read the objects of a document that no file holds."""
        for source in _objects(ObjectSource(document, (), document.value)):
            self._object(source, named=True)

    def _documents(self, file: Text) -> tuple[Document, ...]:
        """Return the documents of a file; a template that a folder holds is left out."""
        scope = Scope(_MOST_VALUES, _is_wanted)
        template = None if file.named else template_in(file.path, file.text)
        if template is not None:
            trial = Problems()
            found = documents(file.path, file.text, trial, scope)
            if trial.found:
                text = "this is a template, not YAML, and is left out; render it to read it"
                self.notes.append(Note(text, template))
                return ()
            self.problems.register(file.path, file.text)
            return found
        return documents(file.path, file.text, self.problems, scope)

    def _object(self, source: ObjectSource, named: bool) -> None:
        body = source.value
        if not isinstance(body, dict) or not {"apiVersion", "kind"} & body.keys():
            if named:
                hint = "it is a mapping with apiVersion, kind and metadata"
                source.add(self.problems, (), "this is not a Kubernetes object", hint)
            else:
                self._ignored["no Kubernetes object"] += 1
            return
        kind, version = body.get("kind"), body.get("apiVersion")
        for key, value in (("apiVersion", version), ("kind", kind)):
            if not isinstance(value, str):
                fact = f"{key} is missing" if value is None else f"{key} is not a word"
                source.add(self.problems, () if value is None else (key,), fact, f"{key}: ...")
        if isinstance(kind, str) and isinstance(version, str):
            self._of_kind(source, body, kind, version)

    def _of_kind(
        self, source: ObjectSource, body: dict[str, object], kind: str, version: str
    ) -> None:
        group = group_of(version)
        policy = kinds.meant(version, kind)
        if policy is not None and not kinds.is_other_version(version, kind):
            self._policy(source, body, policy)
            return
        custom = "." in group and not is_builtin(group)
        if custom or not _is_needed(kind):
            if custom and kind.endswith(_POLICY):
                self._other_policy(source, body, kind, version)
            else:
                self._ignored[kind] += 1
                if custom and not makes_no_pods(kind):
                    self._custom(source, kind)
            return
        wrong = no_such_kind(version, kind)
        if wrong is not None:
            source.add(self.problems, (wrong.key,), wrong.fact, wrong.hint)
        elif kind in _KINDS:
            self._needed(source, body, kind)
        else:
            self._ignored[kind] += 1

    # ---------------------------------------------------------------- objects

    def _needed(self, source: ObjectSource, body: dict[str, object], kind: str) -> None:
        part = Part(source, (), body, f"a {kind}", self.problems)
        name = self._name(part)
        if name is None:
            return
        part = Part(source, (), body, f"{kind} {name!r}", self.problems)
        if kind == "Namespace":
            labels = part.part("metadata").labels("labels")
            known = self._namespaces.get(name)
            if known is not None and known.labels == labels:
                return  # Many files begin with the Namespace of their objects.
            if self._is_new(source, kind, "", name):
                self._namespaces[name] = AppNamespace(name, labels, part.location)
            return
        namespace = self._namespace(part)
        if not self._is_new(source, kind, namespace, name):
            return
        if kind == "Service":
            self._services.append(service(namespace, name, part))
        else:
            self._workloads.append(workload(WorkloadKind(kind), namespace, name, part))

    def _name(self, part: Part) -> str | None:
        """Return the name of an object; one that the API server makes up has its beginning."""
        metadata = part.part("metadata")
        name = metadata.text("name")
        if name is None:
            name = (metadata.text("generateName") or "").rstrip("-") or None
        if name is None and "name" not in metadata.value:
            part.add("metadata", "metadata.name is missing", "metadata: {name: ...}")
        if name is not None:
            metadata.bad("name", selectors.dns_subdomain(name))
        return name

    def _namespace(self, part: Part) -> str:
        metadata = part.part("metadata")
        name = metadata.text("namespace")
        if name:
            metadata.bad("namespace", selectors.dns_label(name))
        return name or self._default

    def _is_new(self, source: ObjectSource, kind: str, namespace: str, name: str) -> bool:
        """Return whether an object was not read before; one that differs is a problem."""
        here, text = source.at(()), _digest(source.value)
        first, known = self._known.setdefault((kind, namespace, name), (here, text))
        if first == here:
            self._remember(source)
            return True
        if text != known:
            called = f"{namespace}/{name}" if namespace else name
            fact = f"{kind} {called} stands here and, with other contents, in {first}"
            self._repeated.append((source, fact))
        return False

    def _remember(self, source: ObjectSource) -> None:
        self._written.remember(source)
        self._remarks += in_annotation(source)

    def _custom(self, source: ObjectSource, kind: str) -> None:
        """Keep an object of a custom kind, of which the values were not read."""
        metadata = (*source.base, "metadata")
        texts = source.document.texts(metadata)
        if "name" in texts:
            labels = Labels(source.document.texts((*metadata, "labels")))
            namespace = texts.get("namespace") or self._default
            found = CustomObject(kind, namespace, texts["name"], labels, source.at(()))
            self._customs.append(found)

    def _policy(self, source: ObjectSource, body: dict[str, object], policy: PolicyKind) -> None:
        before = self.problems.met
        kubernetes_yaml.check(source.document, source.base, self.problems)
        kept, _ = cleaned(body)
        for fault in policy.faults(kept):
            source.add(self.problems, fault.path, fault.message, fault.hint)
        if self.problems.met == before:
            found = self._manifest(source, kept, policy.kind, policy.api_version)
            if found and self._is_new(source, policy.kind, found.namespace, found.name):
                self._policies.append(found)

    def _other_policy(
        self, source: ObjectSource, body: dict[str, object], kind: str, version: str
    ) -> None:
        found = self._manifest(source, cleaned(body)[0], kind, version)
        if found:
            self._not_judged.append(found)
            self._remember(source)
            text = f"{found} of {group_of(version)} is not judged: its meaning is not known here"
            if kinds.is_other_version(version, kind):
                text = f"{found} of {version} is not judged: this version is not known here"
            self.notes.append(Note(text, found.location))

    def _manifest(
        self, source: ObjectSource, body: dict[str, object], kind: str, version: str
    ) -> Manifest | None:
        part = Part(source, (), body, kind, self.problems)
        name = self._name(part)
        if name is None:
            return None
        namespace = "" if kind in _WITHOUT_NAMESPACE else self._namespace(part)
        json = canonical(body, namespace)
        return Manifest(version, kind, namespace, name, json, source.at(()))

    # ---------------------------------------------------------------- the result

    def require_content(self, paths: Sequence[str]) -> None:
        """Record objects that stand twice; raise ScenarioError if there is nothing at all."""
        self._add_repeated()
        if self._kustomizations:
            place = self._kustomizations[0].location
            self.notes.append(Note(note(self._kustomizations, self._into), place))
        if not (self.problems.found or self._workloads or self._policies or self._services):
            fact = "there is no workload, no Service and no policy in " + ", ".join(paths)
            hint = str(self.notes[0]) if self.notes else "name files or folders with manifests"
            place = Location(paths[0] if paths else "", 1, 1)
            raise ScenarioError([Problem(place, fact, hint=hint)])

    def result(self, first: str = "") -> Application:
        """Return the application. Raises ScenarioError, problems of the file ``first`` first."""
        if self.problems.found:
            raise ScenarioError(self.problems.in_order(first))
        if len(self._workloads) * len(self._services) > _MOST_ENDPOINTS:
            fact = f"{len(self._workloads):,} workloads and {len(self._services):,} Services"
            raise UsageError(f"{fact} are too many to be read at once", "name fewer files")
        self._imply_namespaces()
        return Application(
            tuple(self._namespaces.values()),
            tuple(self._workloads),
            tuple(self._services),
            tuple(self._policies),
            tuple(self._not_judged),
            tuple(Ignored(kind, count) for kind, count in sorted(self._ignored.items())),
            tuple(self.notes),
            tuple(self._customs),
            tuple(self._remarks),
            self._written,
        )

    def _add_repeated(self) -> None:
        """Record the objects that stand in two places, with what a person may do about it."""
        found = self._kustomizations
        for number, (source, fact) in enumerate(self._repeated[:_SHOWN_REPEATED], 1):
            hint = "name only one of both files"
            if found:
                hint += f", {advice(found, source.document.path, self._into)}"
            if found and number == 1:
                hint += f"; there are kustomizations in {listed(found)}"
            more = len(self._repeated) - number
            if number == _SHOWN_REPEATED and more:
                fact += f"; {more} more objects stand in two places"
            source.add(self.problems, (), fact, hint)

    def _imply_namespaces(self) -> None:
        """Add the namespaces that are used and have no manifest, and say so once."""
        used = {item.namespace for item in self._workloads}
        used |= {item.namespace for item in self._services}
        used |= {item.namespace for item in self._policies}
        missing = sorted(used - {"", *self._namespaces})  # a policy in a tier has no namespace
        for name in missing:
            self._namespaces[name] = AppNamespace(name)
        if missing:
            names = ", ".join(missing)
            text = f"without a manifest, and so without labels of their own: namespaces {names}"
            self.notes.append(Note(text))


def _digest(body: object) -> bytes:
    """Return what two objects of one name have in common only if they say the same.

    What they say is in their labels, and outside of their metadata.
    """
    kept = dict(body) if isinstance(body, dict) else {}
    metadata = kept.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    text = canonical({**kept, "metadata": labels or {}, "status": None}, "")
    return hashlib.sha256(text.encode(errors="replace")).digest()


def _objects(source: ObjectSource) -> Iterator[ObjectSource]:
    """Yield the object that stands there, or those of a list."""
    items = source.items()
    if items is None:
        yield source
    for item in items or ():
        yield from _objects(item)
