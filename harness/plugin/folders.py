"""Folders on the command line: refused if no scenario in them would run.

These are scenario folders without scenarios, and other folders whose scenarios pytest does not
collect. Without an error, both would look like a successful run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from pathlib import Path

import pytest

from harness import scenario
from harness.plugin import options

_TITLE = re.compile(rb"^scenario:[ \t]+[^\s#]", re.MULTILINE)  # other formats have mappings there


def named(config: pytest.Config) -> list[str]:
    """Return the arguments that the user wrote; a worker gets those of its controller."""
    if options.is_worker(config):
        given: dict[str, list[str]] = config.workerinput  # type: ignore[attr-defined]
        return given.get("netpol_named", [])
    return config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []


def refuse_empty(config: pytest.Config) -> None:
    """Raise pytest.UsageError for a scenario folder without scenarios."""
    for argument in config.args:
        folder = config.invocation_params.dir / argument.partition("::")[0]
        if _is_scenario_folder(folder, config) and not _find(folder):
            raise pytest.UsageError(
                f"{argument}: no scenario files (*.yaml) in this folder\n"
                "hint: `netpol init` writes an example"
            )


def _find(folder: Path) -> tuple[Path, ...]:
    """Return the scenarios of a folder. pytest would ignore those that it cannot read.

    Raises pytest.UsageError.
    """
    try:
        found = scenario.find(folder)
    except OSError as error:
        raise pytest.UsageError(f"{error.filename}: {error.strerror}") from None
    for path in found:
        if not path.is_file():
            raise pytest.UsageError(
                f"{_shown(path)}: not a regular file, so it cannot be a scenario\n"
                "hint: remove it or rename it"
            )
    return found


def _shown(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _is_scenario_folder(folder: Path, config: pytest.Config) -> bool:
    here = folder.resolve()
    return here.is_dir() and any(
        here.is_relative_to(root.resolve()) for root in options.roots(config)
    )


class FolderWatch:
    """Reports a collection error for each folder whose scenarios are not collected.

    It waits until everything is collected, because a folder with other tests is no error.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._collected: set[Path] = set()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        found = report.result or ()  # None on the controller of pytest-xdist
        self._collected |= {node.path for node in found if not isinstance(node, pytest.Directory)}

    def pytest_collection_modifyitems(self) -> None:
        for argument in named(self._config):
            folder = Path(os.path.abspath(self._config.invocation_params.dir / argument))  # noqa: PTH100 - as pytest does
            if any(path.is_relative_to(folder) for path in self._collected):
                continue
            if not _is_scenario_folder(folder, self._config) and (count := _scenarios(folder)):
                text = _not_collected(argument, folder, count, self._config)
                report = pytest.CollectReport(argument, "failed", text, [])
                self._config.hook.pytest_collectreport(report=report)


def _scenarios(folder: Path) -> int:
    """Return the number of files that look like scenarios."""
    count = 0
    with contextlib.suppress(OSError):
        for path in scenario.find(folder):
            count += path.is_file() and bool(_TITLE.search(path.read_bytes()))
    return count


def _not_collected(argument: str, folder: Path, count: int, config: pytest.Config) -> str:
    known: list[str] = config.getini(options.SCENARIOS_INI)
    there = [name for name in known if (config.rootpath / name).is_dir()]
    wanted = shlex.join([*there, os.path.relpath(folder, config.rootpath)])
    files, them = ("file is", "the file") if count == 1 else ("files are", "the files")
    return (
        f"{argument}: {count} scenario {files} not collected: "
        f"the folder is not in {options.SCENARIOS_INI} ({shlex.join(known)})\n"
        f"hint: pass {them}, or set {options.SCENARIOS_INI} = {wanted} "
        "in your pytest configuration"
    )
