"""Folders that a command line names: refused where no scenario in them would run.

A folder of scenarios without any, and one whose scenarios pytest passes over because it is
none of theirs. Both would look like a run in which all is well.
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

_TITLE = re.compile(rb"^scenario:[ \t]+[^\s#]", re.MULTILINE)  # others have mappings there


def named(config: pytest.Config) -> list[str]:
    """Give the arguments that somebody wrote; a worker's are its controller's."""
    if options.is_worker(config):
        given: dict[str, list[str]] = config.workerinput  # type: ignore[attr-defined]
        return given.get("netpol_named", [])
    return config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []


def refuse_empty(config: pytest.Config) -> None:
    """Refuse a scenario folder that holds no scenarios. Raises pytest.UsageError."""
    for argument in config.args:
        folder = config.invocation_params.dir / argument.partition("::")[0]
        if _is_scenario_folder(folder, config) and not _find(folder):
            raise pytest.UsageError(
                f"{argument}: no scenario files (*.yaml) in this folder\n"
                "hint: `netpol init` writes a first one"
            )


def _find(folder: Path) -> tuple[Path, ...]:
    """Return the scenarios of a folder; pytest would pass over those that it cannot read.

    Raises pytest.UsageError.
    """
    try:
        found = scenario.find(folder)
    except OSError as error:
        raise pytest.UsageError(f"{error.filename}: {error.strerror}") from None
    for path in found:
        if not path.is_file():
            raise pytest.UsageError(
                f"{_shown(path)}: not a regular file, so it is no scenario\n"
                "hint: remove it, or give it another name"
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
    """Makes an error of collection out of each named folder whose scenarios are passed over.

    Not before all is collected: a folder with anything for pytest in it is somebody's own.
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
                text = _passed_over(argument, folder, count, self._config)
                report = pytest.CollectReport(argument, "failed", text, [])
                self._config.hook.pytest_collectreport(report=report)


def _scenarios(folder: Path) -> int:
    """Count the files that look like scenarios."""
    count = 0
    with contextlib.suppress(OSError):
        for path in scenario.find(folder):
            count += path.is_file() and bool(_TITLE.search(path.read_bytes()))
    return count


def _passed_over(argument: str, folder: Path, count: int, config: pytest.Config) -> str:
    known: list[str] = config.getini(options.SCENARIOS_INI)
    there = [name for name in known if (config.rootpath / name).is_dir()]
    wanted = shlex.join([*there, os.path.relpath(folder, config.rootpath)])
    files, them = ("file is", "the file") if count == 1 else ("files are", "the files")
    return (
        f"{argument}: {count} scenario {files} not collected: "
        f"the folder is not under {options.SCENARIOS_INI} ({shlex.join(known)})\n"
        f"hint: name {them}, or set {options.SCENARIOS_INI} = {wanted} "
        "in your pytest configuration"
    )
