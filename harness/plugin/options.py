"""What may be asked for on the command line and in the ini file."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.plugin import hooks
from harness.plugin.choice import CLUSTERS, KIND_NAME, ClusterChoice, new_run_id
from harness.settle import Timing

SCENARIOS_INI = "netpol_scenarios"


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare ``pytest_netpol_make_cluster``."""
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
    _add_cluster_options(group)
    _add_run_options(group)


def _add_cluster_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--cluster",
        dest="netpol_cluster",
        choices=CLUSTERS,
        default="netns",
        help="where to run: netns (embedded, the default), kind (made by `netpol up`), "
        "current (your kubeconfig, see --context)",
    )
    group.addoption(
        "--context",
        dest="netpol_context",
        metavar="NAME",
        help="with --cluster=current: the context; without it, only a kind cluster of ours",
    )
    group.addoption(
        "--kubeconfig",
        dest="netpol_kubeconfig",
        metavar="FILE",
        type=Path,
        help="with --cluster=current: the kubeconfig (default: as kubectl finds it)",
    )
    group.addoption(
        "--cni",
        dest="netpol_cni",
        metavar="NAME",
        help="with kind: the CNI profile that it must have been made with; "
        "with current: the profile that knows how its CNI denies and what it does not do",
    )
    group.addoption(
        "--kind-name",
        dest="netpol_kind_name",
        metavar="NAME",
        default=KIND_NAME,
        help="with --cluster=kind: the name of the kind cluster (default %(default)s)",
    )
    group.addoption(
        "--agnhost-image",
        dest="netpol_agnhost_image",
        metavar="IMAGE",
        help="with kind and current: the agnhost image of all pods",
    )
    group.addoption(
        "--image-pull-secret",
        dest="netpol_image_pull_secrets",
        metavar="NAMESPACE/NAME",
        action="append",
        default=[],
        help="with kind and current: a secret of the cluster to pull it with; repeatable",
    )
    group.addoption(
        "--defect",
        dest="netpol_defect",
        metavar="NAME",
        help="with --cluster=netns: switch on one known defect of a CNI",
    )


def _add_run_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--probe-timeout",
        dest="netpol_probe_timeout_s",
        type=_seconds,
        metavar="SECONDS",
        help="how long a probe waits (default 0.3 on netns, 1 elsewhere)",
    )
    group.addoption(
        "--settle",
        dest="netpol_settle_s",
        type=_seconds,
        metavar="SECONDS",
        help="how long a step may take to become right (default: the cluster's own)",
    )
    group.addoption(
        "--hold",
        dest="netpol_hold_s",
        type=_seconds,
        metavar="SECONDS",
        default=0.0,
        help="how long a right table must stay right (default: one confirming round)",
    )
    group.addoption(
        "--canary",
        dest="netpol_canary",
        choices=("on", "off"),
        default="on",
        help="whether a deny-all must deny before anything runs; off only with --defect",
    )
    group.addoption(
        "--tables",
        dest="netpol_tables",
        action="store_true",
        help="print the truth table of every step after the run",
    )
    group.addoption(
        "--results",
        dest="netpol_results",
        type=Path,
        metavar="FILE",
        help="write all cells of the run as JSON",
    )
    group.addoption(
        "--allow-empty",
        dest="netpol_allow_empty",
        action="store_true",
        help="accept a run in which every step is skipped, and no cell is measured",
    )
    group.addoption(
        "--netpol-run-id",
        dest="netpol_run_id",
        metavar="ID",
        help="the word that names what this run makes (default: a random one)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds, 0 or more")
    return seconds


def settle_options(config: pytest.Config) -> None:
    """Choose the run's id, before any worker starts. Raises pytest.UsageError."""
    if config.getoption("netpol_run_id") is None:
        # A worker is given the arguments of the command line, and not what was made of them.
        given: dict[str, str] = getattr(config, "workerinput", {})
        config.option.netpol_run_id = given.get("netpol_run_id") or new_run_id()
    if config.getoption("netpol_canary") == "off" and not config.getoption("netpol_defect"):
        raise pytest.UsageError(
            "--canary=off needs --defect: without the canary, a cluster that enforces nothing "
            "would only show as many failures"
        )
    try:
        choice_of(config).check()
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None


def choice_of(config: pytest.Config) -> ClusterChoice:
    """Read from the options which cluster was asked for."""
    return ClusterChoice(
        run_id=config.getoption("netpol_run_id"),
        cluster=config.getoption("netpol_cluster"),
        context=config.getoption("netpol_context"),
        kubeconfig=config.getoption("netpol_kubeconfig"),
        cni=config.getoption("netpol_cni"),
        kind_name=config.getoption("netpol_kind_name"),
        agnhost_image=config.getoption("netpol_agnhost_image"),
        image_pull_secrets=tuple(config.getoption("netpol_image_pull_secrets")),
        probe_timeout_s=config.getoption("netpol_probe_timeout_s"),
        defect=config.getoption("netpol_defect"),
    )


def timing(config: pytest.Config) -> Timing:
    """Give the runner's waits, as asked for."""
    return Timing(
        settle_s=config.getoption("netpol_settle_s"), hold_s=config.getoption("netpol_hold_s")
    )


def roots(config: pytest.Config) -> tuple[Path, ...]:
    """Give the folders whose YAML files are scenarios."""
    return tuple(config.rootpath / folder for folder in config.getini(SCENARIOS_INI))


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def worker_name(config: pytest.Config) -> str:
    """Give this process's name within the run: ``gw0``, ``gw1``, ..., or ``main``."""
    given: dict[str, str] = getattr(config, "workerinput", {})
    return given.get("workerid", "main")
