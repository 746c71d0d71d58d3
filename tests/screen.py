"""A terminal without a window: what people see after a program has written to it."""

from __future__ import annotations

import re

_SEQUENCE = re.compile(r"\x1b\[(\d*)([A-Za-z])")


class Screen:
    """Rows of characters. It knows the control sequences that the progress line uses."""

    def __init__(self, columns: int, rows: int = 100) -> None:
        self._columns = columns
        self._most = rows
        self._rows: list[list[str]] = [[]]
        self._top = 0  # the first row that can still be written
        self._row = self._column = 0

    def write(self, text: str) -> None:
        place = 0
        while place < len(text):
            if found := _SEQUENCE.match(text, place):
                self._control(found[2], int(found[1] or "1"), found[1])
                place = found.end()
                continue
            self._put(text[place])
            place += 1

    def flush(self) -> None:
        """Nothing is kept back."""

    def text(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self._rows).rstrip("\n")

    @property
    def cursor(self) -> tuple[int, int]:
        """The row and the column, from 0."""
        return self._row, self._column

    def _put(self, sign: str) -> None:
        if sign == "\r":
            self._column = 0
        elif sign == "\n":  # The kernel adds the carriage return.
            self._column = 0
            self._row += 1
            while len(self._rows) <= self._row:
                self._rows.append([])
            self._top = max(self._top, self._row - self._most + 1)
        else:
            if self._column == self._columns:
                self._put("\r")
                self._put("\n")
            row = self._rows[self._row]
            row += " " * (self._column + 1 - len(row))
            row[self._column] = sign
            self._column += 1

    def _control(self, name: str, number: int, given: str) -> None:
        row = self._rows[self._row]
        match name:
            case "A":
                self._row = max(self._top, self._row - number)
            case "C":
                self._column = min(self._columns - 1, self._column + number)
            case "K" if not given:
                del row[self._column :]
            case "J" if not given:
                del row[self._column :]
                for below in self._rows[self._row + 1 :]:
                    below.clear()
            case "m":
                pass
            case _:
                raise AssertionError(f"unknown control sequence {given}{name}")
