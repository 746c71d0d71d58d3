"""Explanations of the oracle as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model import Verdict
from harness.oracle import Explanation


def explained(explanation: Explanation) -> str:
    """Print the probe with its verdict, and the path to it below."""
    return "\n".join([_head(explanation), *(f"  {line}" for line in _path(explanation))])


def reasons(explanation: Explanation, stated: Verdict) -> str:
    """Print the path to a verdict, for a place that names the probe and the author's word.

    Where the verdict is not the author's word, the first line tells it.
    """
    if explanation.prediction.words == {stated}:
        return "\n".join(_path(explanation))
    return explained(explanation)


def _head(explanation: Explanation) -> str:
    prediction = explanation.prediction
    words = " or ".join(str(word) for word in Verdict if word in prediction.words)
    return f"{explanation.probe}  {words or 'undefined'}"


def _path(explanation: Explanation) -> Iterator[str]:
    judgement = explanation.prediction.judgement
    if judgement.undefined:
        yield f"undefined: {judgement.undefined}"
    if explanation.prediction.not_judged:
        yield f"not judged: {explanation.prediction.not_judged}"
    yield from judgement.reasons
    yield from explanation.notes
