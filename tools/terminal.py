"""A picture of terminal output, as SVG: for the first screen of the README."""

from __future__ import annotations

import re
from html import escape

_COLUMNS = 100
_WIDTH, _LINE = 8.4, 19
_MARGIN, _BAR = 18, 30
_PROMPT = re.compile(r"^(\$ )(.*)$")
_WRONG = re.compile(r"\S+ != (?:[A-Z]+|allowed)|\b\d+ of \d+ cells? (?:is|are) wrong\b")


def svg(text: str, title: str) -> str:
    """Return the picture of a text; wrong cells are red, and what was typed is bold."""
    lines = [part for line in text.rstrip("\n").split("\n") for part in _wrapped(line)]
    width = round(2 * _MARGIN + _WIDTH * max(map(len, lines)))
    height = 2 * _MARGIN + _BAR + _LINE * (len(lines) - 1)
    rows = [
        f'  <text x="{_MARGIN}" y="{_MARGIN + _BAR + _LINE * number}">{_spans(line)}</text>'
        for number, line in enumerate(lines)
        if line.strip()
    ]
    circles = [
        f'  <circle cx="{_MARGIN + 18 * number}" cy="18" r="6" fill="{colour}"/>'
        for number, colour in enumerate(("#ff5f56", "#ffbd2e", "#27c93f"))
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" xml:space="preserve">',
            f"  <title>{escape(title)}</title>",
            "  <style>text { font: 14px ui-monospace, Menlo, Consolas, monospace; "
            "fill: #d6dbe5; white-space: pre } "
            ".wrong { fill: #ff6b68; font-weight: bold } .typed { font-weight: bold }</style>",
            f'  <rect width="{width}" height="{height}" rx="8" fill="#1b1f27"/>',
            *circles,
            *rows,
            "</svg>",
            "",
        ]
    )


def _wrapped(line: str) -> list[str]:
    """Return the lines that a terminal shows for one line."""
    return [line[at : at + _COLUMNS] for at in range(0, len(line), _COLUMNS)] or [""]


def _spans(line: str) -> str:
    typed = _PROMPT.match(line)
    if typed:
        return f'{escape(typed[1])}<tspan class="typed">{escape(typed[2])}</tspan>'
    parts, done = [], 0
    for found in _WRONG.finditer(line):
        parts.append(escape(line[done : found.start()]))
        parts.append(f'<tspan class="wrong">{escape(found[0])}</tspan>')
        done = found.end()
    return "".join([*parts, escape(line[done:])])
