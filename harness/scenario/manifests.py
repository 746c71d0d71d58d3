"""Kubernetes objects, from files and inline, as Manifests: verbatim, but checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.documents import kubernetes_yaml
from harness.documents.objects import ObjectSource, canonical, cleaned
from harness.documents.problems import Problems
from harness.documents.source import Document, KeyPath, documents, walk
from harness.documents.text import read_text
from harness.errors import Location
from harness.files import Unreadable, display
from harness.model import Labels, Manifest
from harness.policy import PolicyKind, Scope, kinds
from harness.policy.builtin import no_such_kind
from harness.scenario.addresses import Placeholders
from harness.scenario.files import OWN_FOLDER, Project
from harness.scenario.reserved import RESERVED_HINT, RESERVED_PREFIX, reserved_fact

_TOPOLOGY = {
    "Service": "a Service is written in topology, or made by a step's create",
    **dict.fromkeys(
        (
            "Pod",
            "Deployment",
            "StatefulSet",
            "DaemonSet",
            "ReplicaSet",
            "ReplicationController",
            "Job",
            "CronJob",
        ),
        "pods are written in topology, or made by a step's create",
    ),
    **dict.fromkeys(
        ("Endpoints", "EndpointSlice"),
        "the endpoints of a Service are the pods that its selector selects",
    ),
}

CLUSTER_SCOPED = frozenset({
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
    "CiliumCIDRGroup",
    "CiliumClusterwideNetworkPolicy",
    "ClusterNetworkPolicy",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "GlobalNetworkPolicy",
    "GlobalNetworkSet",
    "HostEndpoint",
    "Namespace",
    "Node",
    "StagedGlobalNetworkPolicy",
    "Tier",
})  # fmt: skip
"""Kinds that have no namespace."""

_NAMESPACE_WORD = re.compile(r"projectcalico\.org/name\b|kubernetes\.io/metadata\.name\b")
_KEY_ALONE = re.compile(r"([a-z0-9]+[:.])?(projectcalico\.org/name|kubernetes\.io/metadata\.name)")


_ANY_NAMESPACE = "any"


@dataclass(frozen=True, slots=True)
class ManifestContext:
    """What a step says about its manifests: ``verb`` is ``apply`` or ``refused``.

    ``namespaces`` are those of the step, with their labels.
    """

    verb: str
    namespace: str | None
    exact_names: bool
    namespaces: Mapping[str, Labels] = field(default_factory=dict)


class Manifests:
    """Reads the manifests of one scenario; a file that several steps name is read once."""

    def __init__(
        self, scenario: Document, folder: Path, project: Project, problems: Problems
    ) -> None:
        self._scenario = scenario
        self._folder = folder
        self._project = project
        self.problems = problems
        self.placeholders = Placeholders(problems)
        self._files: dict[Path, tuple[Document, ...]] = {}

    def read(
        self, entries: Sequence[object], place: KeyPath, context: ManifestContext
    ) -> Iterator[Manifest]:
        """The manifests of one verb, in order, without those that have problems."""
        for index, entry in enumerate(entries):
            if self.problems.are_many:  # no more of them will be shown
                return
            here = (*place, index)
            if isinstance(entry, dict):
                yield from self._objects(ObjectSource(self._scenario, here, entry), context)
            elif isinstance(entry, str):
                yield from self._file(entry, self._scenario.at(here), context)

    def check_all(self) -> None:
        """Find what is wrong with the manifests of a scenario that itself is not sound."""
        body = self._scenario.value
        steps = body.get("steps") if isinstance(body, dict) else None
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            entries = step.get("apply") if isinstance(step, dict) else None
            if isinstance(entries, list):
                context = ManifestContext("apply", _ANY_NAMESPACE, exact_names=True)
                tuple(self.read(entries, ("steps", index, "apply"), context))

    def _file(
        self, name: str, mentioned: Location, context: ManifestContext
    ) -> Iterator[Manifest]:
        """The manifests of a file, of the files of a folder, or of those a pattern names."""
        if not name:
            self.problems.add(mentioned, "the path is empty", "name a file")
            return
        try:
            paths = self._project.expand(self._folder, name)
        except Unreadable as error:
            self.problems.add(mentioned, error.fact, error.hint)
            return
        for path in paths:
            for document in self._documents(path, mentioned):
                yield from self._objects(ObjectSource(document, (), document.value), context)

    def _objects(self, source: ObjectSource, context: ManifestContext) -> Iterator[Manifest]:
        """The object that stands there, or those of a list as kubectl prints it."""
        before = self.problems.met
        kubernetes_yaml.check(source.document, source.base, self.problems)
        if self.problems.met > before:  # a server would get other values than those here
            return
        for item in source.items() or (source,):
            found = self._manifest(item, context)
            if found:
                yield found

    def _documents(self, path: Path, mentioned: Location) -> tuple[Document, ...]:
        if path not in self._files:
            text = read_text(path, mentioned, self.problems, OWN_FOLDER)
            before = self.problems.met
            read = () if text is None else documents(display(path), text, self.problems)
            if text is not None and not read and self.problems.met == before:
                fact = f"{display(path)} holds no object"
                self.problems.add(mentioned, fact, "a manifest has apiVersion, kind, metadata")
            self._files[path] = read
        return self._files[path]

    def _manifest(self, source: ObjectSource, context: ManifestContext) -> Manifest | None:
        before = self.problems.met
        body = source.value
        if not isinstance(body, dict):
            source.add(self.problems, (), "a manifest is a mapping", "apiVersion, kind, ...")
            return None
        if context.verb == "apply":
            body = self._cleaned(source, body)
            source = ObjectSource(source.document, source.base, body)
            if body.get("kind") == "Namespace" and body.get("apiVersion") == "v1":
                self._compare_namespace(source, body, context)
                return None
        self._refuse_own_words(source, body)
        kind, version = body.get("kind"), body.get("apiVersion")
        policy = kinds.meant(version, kind)
        if context.verb == "apply" and policy:
            self._policy(source, policy)
        else:
            self._identity(source, body)
            if self.problems.met == before:
                self._known(source, str(version), str(kind))
        if context.verb == "apply" and isinstance(kind, str) and kind in _TOPOLOGY:
            source.add(
                self.problems,
                ("kind",),
                f"objects of kind {kind} cannot be applied",
                _TOPOLOGY[kind],
            )
        if self.problems.met > before:
            return None
        namespace = self._namespace(source, body, policy, context)
        if namespace is None:
            return None
        if not context.exact_names and not policy:
            self._untranslatable(source)
        return self._remembered(
            source,
            context,
            Manifest(
                api_version=str(version),
                kind=str(kind),
                namespace=namespace,
                name=body["metadata"]["name"],
                json=canonical(body, namespace),
                location=source.at(()),
                namespace_from_step=bool(namespace) and not body["metadata"].get("namespace"),
            ),
        )

    def _remembered(
        self, source: ObjectSource, context: ManifestContext, found: Manifest
    ) -> Manifest:
        """Return an object, and remember the addresses in it that only the cluster knows."""
        if "$(" in found.json:
            remember = self.placeholders.record
            if context.verb == "refused":
                remember = self.placeholders.refuse
            remember(source.document, source.base, source.value)
        return found

    def _cleaned(self, source: ObjectSource, body: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what the API server sets itself; a strict server refuses some of it."""
        kept, dropped = cleaned(body)
        if dropped:
            called = f"{body.get('kind')} {kept.get('metadata', {}).get('name')}"
            self.problems.note(source.at(()), f"{called}: {', '.join(dropped)} left out")
        return kept

    def _refuse_own_words(self, source: ObjectSource, body: Mapping[str, Any]) -> None:
        """Labels and annotations under ``netpol.harness/`` tell the harness what is its own."""
        metadata = body.get("metadata")
        for key in ("labels", "annotations"):
            words = metadata.get(key) if isinstance(metadata, dict) else None
            for word in words if isinstance(words, dict) else ():
                if isinstance(word, str) and word.startswith(RESERVED_PREFIX):
                    place = ("metadata", key, word)
                    source.add(self.problems, place, reserved_fact(word), RESERVED_HINT)

    def _compare_namespace(
        self, source: ObjectSource, body: Mapping[str, Any], context: ManifestContext
    ) -> None:
        """A Namespace is the topology's; one in a manifest must say the same."""
        metadata = body.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        known = context.namespaces.get(str(name))
        if known is None:
            fact = f"there is no namespace {name!r} in this step"
            source.add(self.problems, ("metadata", "name"), fact, "write it in topology")
            return
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        for key, value in (labels if isinstance(labels, dict) else {}).items():
            if key != "kubernetes.io/metadata.name" and known.get(str(key)) != value:
                has = f"{key}={known[key]}" if key in known else f"no label {key}"
                fact = f"namespace {name} has {key}={value} here, and {has} in the scenario"
                hint = f"topology: {{{name}: {{labels: {{{key}: {value}}}}}}}"
                source.add(self.problems, ("metadata", "labels", key), fact, hint)
        self.problems.note(source.at(()), f"Namespace {name} left out: the topology makes it")

    def _policy(self, source: ObjectSource, kind: PolicyKind) -> None:
        faults = kind.faults(source.value)
        for fault in faults:
            source.add(self.problems, fault.path, fault.message, fault.hint)
        for warning in () if faults else kind.warnings(source.value):
            self.problems.note(source.at(warning.path), f"{warning.message}: {warning.hint}")

    def _known(self, source: ObjectSource, api_version: str, kind: str) -> None:
        wrong = no_such_kind(api_version, kind)
        if wrong is not None:
            source.add(self.problems, (wrong.key,), wrong.fact, wrong.hint)

    def _identity(self, source: ObjectSource, body: Mapping[str, Any]) -> None:
        """Check what every object needs, whatever its kind."""
        for key, example in (("apiVersion", "networking.k8s.io/v1"), ("kind", "NetworkPolicy")):
            given = body.get(key)
            if not isinstance(given, str) or not given:
                fact = f"a manifest without {key}" if given is None else f"{key} is not a word"
                source.add(
                    self.problems, () if given is None else (key,), fact, f"{key}: {example}"
                )
        metadata = body.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        name = metadata.get("name")
        if not isinstance(name, str) or not name:
            fact = f"{body.get('kind') or 'a manifest'} without metadata.name"
            source.add(self.problems, ("metadata",), fact, "metadata: {name: ...}")
            return
        if not isinstance(metadata.get("namespace", ""), str):
            fact = f"metadata.namespace of {name!r} is not a name"
            source.add(self.problems, ("metadata", "namespace"), fact, "quote it")

    def _namespace(
        self,
        source: ObjectSource,
        body: Mapping[str, Any],
        policy: PolicyKind | None,
        context: ManifestContext,
    ) -> str | None:
        """The namespace the object belongs to, ``""`` for a cluster-scoped kind, or None."""
        kind, metadata = str(body["kind"]), body["metadata"]
        own = metadata.get("namespace") or ""
        if kind in CLUSTER_SCOPED or (policy and policy.scope is Scope.CLUSTER):
            if own:
                fact = f"{kind} {metadata['name']!r} is in no namespace"
                source.add(self.problems, ("metadata", "namespace"), fact, "remove this line")
                return None
            return ""
        if not own and not context.namespace:
            fact = f"{kind} {metadata['name']!r} names no namespace, and neither does the step"
            hint = "write namespace: in the step, or in the manifest's metadata"
            source.add(self.problems, ("metadata",), fact, hint)
            return None
        return str(own or context.namespace)

    def _untranslatable(self, source: ObjectSource) -> None:
        for place, value in walk(source.value):
            if not isinstance(value, str) or _KEY_ALONE.fullmatch(value):
                continue
            found = _NAMESPACE_WORD.search(value)
            if found:
                fact = f"{found[0]} in a selector expression names a namespace"
                hint = (
                    "namespaces are renamed on a cluster, and expressions are not "
                    "translated; write `exact names: true` in the scenario"
                )
                source.add(self.problems, place, fact, hint)
