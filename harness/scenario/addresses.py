"""Placeholders in the manifests of a scenario: each names a pod that exists as long as they do."""

from __future__ import annotations

from collections.abc import Iterable

from harness.documents.problems import Problems
from harness.documents.source import Document, KeyPath, walk
from harness.errors import Location
from harness.model import Manifest, PodRef, State
from harness.policy.placeholders import Placeholder, read, words
from harness.policy.selectors import BadWord
from harness.suggest import nearest_or_all


class Placeholders:
    """The placeholders of all manifests that were read, with their places."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._known: dict[Location, tuple[tuple[Placeholder, Location], ...]] = {}
        """By the location of the object."""
        self._reported: set[Location] = set()

    def record(self, document: Document, base: KeyPath, body: object) -> None:
        """Remember the placeholders of an object, and report words that are none."""
        found = []
        for path, value in walk(body):
            for word in words(value) if isinstance(value, str) else ():
                meant, place = read(word), document.at((*base, *path))
                if isinstance(meant, BadWord):
                    self._problems.add(place, meant.fact, meant.hint)
                else:
                    found.append((meant, place))
        if found:
            self._known[document.key_at(base)] = tuple(found)

    def refuse(self, document: Document, base: KeyPath, body: object) -> None:
        """Report the placeholders of an object that the API server must refuse."""
        for path, value in walk(body):
            for word in words(value) if isinstance(value, str) else ():
                fact = f"{word} in an object that must be refused"
                self._problems.add(document.at((*base, *path)), fact, "write an address")

    def check(self, step: str, state: State) -> None:
        """Report the pods that are named and do not exist in the state of a step."""
        for manifest in state.policies if self._known else ():
            for meant, place in self._of(manifest):
                if isinstance(meant.of, PodRef) and place not in self._reported:
                    self._check_pod(meant, meant.of, place, step, state)

    def _of(self, manifest: Manifest) -> Iterable[tuple[Placeholder, Location]]:
        return () if manifest.location is None else self._known.get(manifest.location, ())

    def _check_pod(
        self, meant: Placeholder, ref: PodRef, place: Location, step: str, state: State
    ) -> None:
        pod = state.pod(ref)
        if any(item.ref == ref for item in state.completed):
            fact = f"{meant}: pod {ref} completes, so another pod may have its address"
            hint = "name a pod that runs"
        elif pod is None:
            fact = f"{meant}: there is no pod {str(ref)!r} in step {step!r}"
            hint = nearest_or_all(str(ref), (str(item.ref) for item in state.pods), "pods")
        elif pod.host_network:
            fact = f"{meant}: pod {ref} has the address of its node"
            hint = f"write {str(meant).replace(str(ref), f'node/{pod.node}')}"
        else:
            return
        self._reported.add(place)
        self._problems.add(place, fact, hint)
