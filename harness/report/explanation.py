"""Explanations of the oracle as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.model import Verdict
from harness.oracle import Explanation, Prediction


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


def path(prediction: Prediction) -> tuple[str, ...]:
    """Return which policy or rule decides at each end, one line for each: reasons without details.

    Details are the indented lines.
    """
    lines = (*_undefined(prediction), *prediction.judgement.reasons)
    return tuple(line for line in lines if not line.startswith(" "))


def _head(explanation: Explanation) -> str:
    prediction = explanation.prediction
    verdicts = " or ".join(str(verdict) for verdict in Verdict if verdict in prediction.verdicts)
    return f"{explanation.probe}  {verdicts or 'undefined'}"


def _path(explanation: Explanation) -> Iterator[str]:
    yield from _undefined(explanation.prediction)
    yield from explanation.prediction.judgement.reasons
    yield from explanation.notes


def _undefined(prediction: Prediction) -> Iterator[str]:
    if prediction.judgement.undefined:
        yield f"undefined: {prediction.judgement.undefined}"
    if prediction.not_judged:
        yield f"not judged: {prediction.not_judged}"
