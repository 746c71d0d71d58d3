"""Explanations of the oracle as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.model import Verdict
from harness.oracle import Explanation


def explained(explanation: Explanation) -> str:
    """Return the probe and its verdict, with the reasons below."""
    return "\n".join([_head(explanation), *(f"  {line}" for line in _path(explanation))])


def reasons(explanation: Explanation, stated: Verdict) -> str:
    """Return the reasons of a verdict, to print below a cell of a table.

    If the verdict differs from the table's, the first line contains it.
    """
    if explanation.prediction.verdicts == {stated}:
        return "\n".join(_path(as_written(explanation, stated)))
    return explained(explanation)


def as_written(explanation: Explanation, stated: Verdict) -> Explanation:
    """Return the explanation, without notes if the pair is allowed as the table says.

    The notes are about policies that might have denied it.
    """
    if explanation.prediction.verdicts == {stated} == {Verdict.ALLOWED}:
        return replace(explanation, notes=())
    return explanation


def _head(explanation: Explanation) -> str:
    prediction = explanation.prediction
    verdicts = " or ".join(str(verdict) for verdict in Verdict if verdict in prediction.verdicts)
    return f"{explanation.probe}  {verdicts or 'undefined'}"


def _path(explanation: Explanation) -> Iterator[str]:
    judgement = explanation.prediction.judgement
    if judgement.undefined:
        yield f"undefined: {judgement.undefined}"
    if explanation.prediction.not_judged:
        yield f"not judged: {explanation.prediction.not_judged}"
    yield from judgement.reasons
    yield from explanation.notes
