"""What can go wrong, in one tree. Imports nothing of ours.

HarnessError
├── ScenarioError        the author's files: every problem, each with its place and a hint
├── UsageError           the command line or the environment asks for what cannot be
└── ClusterError         a cluster is absent or cannot reach a state
    ├── NoRights         the credentials do not allow what is needed there
    ├── NoNetwork        pods do not reach each other, although nothing denies it
    ├── NotEnforcing     the cluster accepts policies and enforces none of them
    ├── DeniesOtherwise  the cluster denies in another way than its profile says
    ├── Occupied         a cluster has one object of a kind, and it belongs to someone else
    └── NotRefused       the API server accepted an object that the step expects it to refuse

HarnessWarning           the run goes on, with less than it could have

A probe that gave no verdict is not an exception: it is the value ``model.ProbeError``.
A wrong verdict is not one either: ``model.Reachability`` lists its mismatches.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a file; ``line`` and ``column`` count from 1.

    An object that no file holds has line and column 0, and ``path`` says what it is.
    """

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path

    @classmethod
    def parse(cls, text: str) -> Location | None:
        """Return the place that a text names as ``str`` writes it, or None."""
        path, _, column = text.rpartition(":")
        path, _, line = path.rpartition(":")
        if line.isdecimal() and column.isdecimal():
            return cls(path, int(line), int(column))
        return None


_MOST_SHOWN = 200


def excerpt(line: str, column: int) -> str:
    """Return a line with control characters replaced; of a long one, the part at the column."""
    if len(line) > _MOST_SHOWN:
        room = _MOST_SHOWN - 6
        begin = max(0, min(column - 1 - room // 2, len(line) - room))
        before, behind = "..." * (begin > 0), "..." * (begin + room < len(line))
        line = f"{before}{line[begin : begin + room]}{behind}"
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", line)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file: where, what, the line as written, and what to do."""

    location: Location
    message: str
    excerpt: str = ""
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.location}: {self.message}"
        if self.excerpt:
            text += f"\n{self.location.line:>5} | {self.excerpt}"
        if self.hint:
            text += f"\nhint: {self.hint}"
        return text


class HarnessError(Exception):
    """The root of all errors that a user can cause; ``str()`` is what the user reads."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class ScenarioError(HarnessError):
    """A scenario file, or a file it names, is wrong."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(HarnessError):
    """The command line or the environment asks for what cannot be."""


class ClusterError(HarnessError):
    """A cluster is absent, or cannot reach a state.

    ``transient`` says that the same request may succeed a moment later.
    """

    transient = False


class NoRights(ClusterError):
    """The credentials do not allow what is needed on the cluster."""


class NoNetwork(ClusterError):
    """Pods do not reach each other, although no policy of ours denies it."""


class NotEnforcing(ClusterError):
    """The cluster accepts NetworkPolicies and enforces none of them (R48)."""


class DeniesOtherwise(ClusterError):
    """The cluster denies in another way than its profile says."""


class NotRefused(ClusterError):
    """The API server accepted an object that the step expects it to refuse."""


class Occupied(ClusterError):
    """A cluster has at most one object of a kind, and someone else's exists."""


class HarnessWarning(UserWarning):
    """The run goes on, with less than it could have; pytest shows these at its end."""
