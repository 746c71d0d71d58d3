"""The options on pytest's command line and in the ini file.

Every option has the prefix ``netpol-``. An option without it, as in ``netpol run``, is refused
with a hint, unless another plugin has an option of that name.
"""

from __future__ import annotations

import shlex
from collections.abc import Generator
from pathlib import Path

import pytest

from harness.choice import (
    CLUSTER_OPTIONS,
    PYTEST,
    RUN_OPTIONS,
    ClusterChoice,
    Option,
    arguments,
    new_run_id,
)
from harness.errors import HarnessError
from harness.model import Needs
from harness.plugin import hooks
from harness.settle import Timing

SCENARIOS_INI = "netpol_scenarios"
NETPOL_RUN = "netpol-run"
_TABLES = Option(
    name="tables", is_flag=True, help="print the truth table of every step after the run"
)
_DECIDING = {"cluster", "cni", "probe-timeout", "defect", "settle", "hold", "canary", "include"}
_OPTIONS = (*CLUSTER_OPTIONS, *RUN_OPTIONS, _TABLES)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks of ``hooks``."""
    pluginmanager.add_hookspecs(hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ini option and the group of options."""
    parser.addini(
        SCENARIOS_INI,
        "folders, relative to rootdir, whose YAML files are scenarios",
        type="args",
        default=["scenarios"],
    )
    group = parser.getgroup("netpol", "NetworkPolicy scenarios")
    for option in _OPTIONS:
        option.add(group.addoption, PYTEST)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    """Refuse options without the prefix, after every conftest.py has declared its options."""
    yield
    _, unknown = parser.parse_known_and_unknown_args(args)
    short = {option.spelled(): option.spelled(PYTEST) for option in _OPTIONS}
    for given in unknown:
        name, equals, value = given.partition("=")
        if name in short:
            raise pytest.UsageError(
                f"unknown option {given}\n"
                f"hint: use {short[name]}{equals}{value} in pytest; "
                f"only `netpol run` accepts {name}"
            )


def is_netpol_run(config: pytest.Config) -> bool:
    """Return whether ``netpol run`` started this run; its workers are told so."""
    given: dict[str, object] = getattr(config, "workerinput", {})
    return config.pluginmanager.has_plugin(NETPOL_RUN) or NETPOL_RUN in given


def _prefix(config: pytest.Config) -> str:
    """Return the prefix of the options that whoever started this run typed."""
    return "" if is_netpol_run(config) else PYTEST


def spelled(config: pytest.Config, name: str) -> str:
    """Return the spelling of an option for the command that started this run."""
    return f"--{_prefix(config)}{name}"


def verbosity(config: pytest.Config) -> int:
    """Return how often ``-v`` was typed, or a negative number for ``-q``.

    ``netpol run`` itself gives one ``-q`` to pytest.
    """
    given: int = config.option.verbose
    return given + 1 if is_netpol_run(config) else given


def check_options(config: pytest.Config) -> None:
    """Choose the run's id, before any worker starts. Raises pytest.UsageError."""
    if config.getoption("netpol_run_id") is None:
        # A worker gets the arguments of the command line, not the parsed options.
        given: dict[str, str] = getattr(config, "workerinput", {})
        config.option.netpol_run_id = given.get("netpol_run_id") or new_run_id()
    if config.getoption("netpol_canary") == "off" and not config.getoption("netpol_defect"):
        raise pytest.UsageError(
            f"{spelled(config, 'canary')}=off needs {spelled(config, 'defect')}: without the "
            "canary, a cluster that enforces nothing would only be visible as many failures"
        )
    try:
        choice_of(config).check(_prefix(config))
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None


def choice_of(config: pytest.Config) -> ClusterChoice:
    """Return the choice of the cluster in the options."""
    return ClusterChoice.of(config.getoption, config.getoption("netpol_run_id"))


def shown(config: pytest.Config) -> str:
    """Return the options that decide what a run measures, as ``netpol run`` spells them."""
    told = (option for option in _OPTIONS if option.name in _DECIDING)
    return shlex.join(arguments(told, config.getoption))


def excluded(config: pytest.Config, needs: Needs) -> str | None:
    """Return the reason why this run does not include a scenario with these needs, or None."""
    missing = sorted(needs.on_request - set(config.getoption("netpol_include")))
    if not missing:
        return None
    include = " ".join(f"{spelled(config, 'include')}={word}" for word in missing)
    return f"runs only with {include}"


def timing(config: pytest.Config) -> Timing:
    """Return the waits of the runner, from the options."""
    return Timing(
        settle_s=config.getoption("netpol_settle"), hold_s=config.getoption("netpol_hold")
    )


def roots(config: pytest.Config) -> tuple[Path, ...]:
    """Return the folders whose YAML files are scenarios."""
    return tuple(config.rootpath / folder for folder in config.getini(SCENARIOS_INI))


def is_worker(config: pytest.Config) -> bool:
    """Return whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def worker_name(config: pytest.Config) -> str:
    """Return the name of this process in the run: ``gw0``, ``gw1``, ..., or ``main``."""
    given: dict[str, str] = getattr(config, "workerinput", {})
    return given.get("workerid", "main")
