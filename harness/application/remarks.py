"""What authors tell netpol in their files: comments ``# netpol: ...``, and an annotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.application.values import Remark
from harness.documents.comments import comments
from harness.documents.objects import ObjectSource
from harness.documents.source import Document
from harness.errors import Location

ANNOTATION = "lint.netpol.harness/comment"
"""Its value is what a comment says behind ``# netpol:``; it is about its object as a whole."""
_WORD = "netpol"


def in_comments(
    text: str, found: Sequence[Document], items: Mapping[int, Location]
) -> Iterator[Remark]:
    """Yield the comments of a file; ``items`` are its objects, by the lines that they begin in."""
    for comment in comments(text, _WORD, found):
        item = items.get(comment.line)
        yield Remark(comment.text, comment.location, comment.line, item)


def in_annotation(source: ObjectSource) -> Iterator[Remark]:
    """Yield the annotation of an object, if it has one."""
    body = source.value
    metadata = body.get("metadata") if isinstance(body, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    text = annotations.get(ANNOTATION) if isinstance(annotations, dict) else None
    if isinstance(text, str):
        here = source.at(("metadata", "annotations", ANNOTATION))
        yield Remark(text, here, here.line, source.at(()))
