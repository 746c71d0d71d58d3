"""HTML pages: each has everything in it, and loads nothing.

``overview`` has what the template of a report renders, ``data`` what its script renders when a
scenario is opened; ``comparison`` has what the template of a comparison renders. Other pages use
``document``. The files in ``assets`` are templates, the style, and the scripts in their parts.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from collections.abc import Iterable, Sequence

from harness.report.compare import Comparison
from harness.report.html.comparison import differing
from harness.report.html.data import data
from harness.report.html.overview import overview
from harness.report.results import Results

_REPORT = (
    "theme", "page", "table", "timeline", "topology", "cell", "scenario", "filters", "main"
)  # fmt: skip
"""The parts of the script of a report, each after those that it uses."""
_COMPARISON = ("theme", "rows")


def page(results: Results, previous: Sequence[Results] = ()) -> str:
    """Return the report as one HTML document.

    ``previous`` are earlier results; a cell shows what they observed of it.
    """
    shown = overview(results)
    return document(
        "page",
        _REPORT,
        verdict=shown.verdict,
        is_fine=shown.is_fine,
        overview=shown,
        data=data(results, previous),
    )


def comparison_page(comparison: Comparison) -> str:
    """Return what differs between runs as one HTML document."""
    shown = differing(comparison)
    return document(
        "comparison", _COMPARISON, verdict=shown.verdict, is_fine=comparison.same, comparison=shown
    )


def document(template: str, scripts: Iterable[str], **given: object) -> str:
    """Return a template of ``assets`` with these parts of the script, as one HTML document."""
    # Imported here because only runs that write a page need it.
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    style = _asset("style.css")
    parts = "\n".join(_asset(f"{name}.js") for name in scripts)
    script = f'(() => {{\n"use strict";\n{parts}}})();\n'
    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["css"] = _css
    text = environment.get_template(f"{template}.html.jinja").render(
        style=style, script=script, policy=_content_policy(style, script), **given
    )
    # A file name may have bytes that are not UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8")


def _css(words: str) -> str:
    """Return the class of a status or an outcome: its words with hyphens."""
    return words.replace(" ", "-")


def _asset(name: str) -> str:
    return (importlib.resources.files(__name__) / "assets" / name).read_text(encoding="utf-8")


def _content_policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy: this style and this script, and nothing else."""
    return f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}"


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
