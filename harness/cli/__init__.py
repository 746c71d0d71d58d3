"""The command ``netpol``.

``parser`` declares the verbs and imports none of them: a verb is a function of a module here that
takes parsed arguments and returns an exit status, and is imported when it is called. Only
``main`` prints errors.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.cli.exits import Exit, status_of
from harness.cli.parser import parser
from harness.errors import HarnessError, UsageError

__all__ = ["Exit", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; print errors to stderr and return the exit status."""
    if arguments is None and sys.getfilesystemencoding() != "utf-8":
        # pytest puts the titles of steps into its environment, which such a locale cannot hold.
        os.execve(sys.executable, sys.orig_argv, os.environ | {"PYTHONUTF8": "1"})  # noqa: S606
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # A locale may lack characters.
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on. Python would complain about it again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except HarnessError as error:
        print(error, file=sys.stderr)
        return status_of(error)
    except Exception as error:  # noqa: BLE001 - the last place where a user can be told
        return _bug(error)


def _run(arguments: Sequence[str] | None) -> int:
    parsed, rest = parser().parse_known_args(arguments)
    _require_current_folder()
    if rest and not parsed.passes_on:
        raise UsageError(f"unknown arguments: {' '.join(rest)}", "`netpol --help`")
    parsed.rest = rest
    return _verb(parsed)(parsed)


def _verb(parsed: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    module = importlib.import_module(f"harness.cli.{parsed.module}")
    verb: Callable[[argparse.Namespace], int] = getattr(module, parsed.verb)
    return verb


def _require_current_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        text = "the current folder does not exist any more"
        raise UsageError(text, "change to a folder that exists") from None


def _bug(error: Exception) -> Exit:
    if os.environ.get("NETPOL_DEBUG"):
        import traceback

        traceback.print_exc()
    else:
        print(f"netpol failed: {type(error).__name__}: {error}", file=sys.stderr)
        print("hint: this is a bug in netpol; NETPOL_DEBUG=1 shows where", file=sys.stderr)
    return Exit.BROKEN
