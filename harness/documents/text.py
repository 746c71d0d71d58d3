"""Texts of files before they are parsed: their encoding, and whether they are templates."""

from __future__ import annotations

import re
from pathlib import Path

from harness.documents.problems import Problems, lines_of
from harness.errors import Location
from harness.files import Unreadable, display, read_bytes


def read_text(path: Path, mentioned: Location, problems: Problems, relative_to: str) -> str | None:
    """Return the text of a file; what is wrong with it is reported where it is mentioned.

    ``relative_to`` names the folder that paths start from, for a file that is not there.
    """
    try:
        raw = read_bytes(path, relative_to)
    except Unreadable as error:
        problems.add(mentioned, error.fact, error.hint)
        return None
    return decoded(display(path), raw, problems)


def decoded(shown: str, raw: bytes, problems: Problems) -> str | None:
    """Return the text that some bytes are; the file is called ``shown`` in messages."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        line = len(lines_of(before))
        here = Location(shown, line, len(lines_of(before)[-1]) + 1)
        problems.register(shown, raw.decode("utf-8", errors="replace"))
        fact = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        problems.add(here, fact, "save the file in the encoding UTF-8")
        return None


_TEMPLATE = re.compile(r"\{\{-?\s*[.$\w/]")


def template_in(path: str, text: str) -> Location | None:
    """Return where a text begins to look like a template of Helm, or None."""
    template = _TEMPLATE.search(text)
    if template is None:
        return None
    lines = lines_of(text[: template.start()])
    return Location(path, len(lines), len(lines[-1]) + 1)
