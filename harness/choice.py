"""The choice of the cluster, how it is created, and the options of a run.

The options of pytest and ``netpol`` and the "reproduce" lines are generated from the tables
here. In pytest each option has the prefix ``netpol-``, to avoid conflicts with other plugins.
"""

from __future__ import annotations

import argparse
import enum
import math
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from harness.cluster import Cluster
    from harness.cluster.kube import Cleaning, KubeSettings

CLUSTERS = ("netns", "kind", "current")
KIND_NAME = os.environ.get("NETPOL_KIND_NAME") or "netpol"
PYTEST = "netpol-"


def new_run_id() -> str:
    """Return a new id for the names of everything that a run creates."""
    return f"np{secrets.token_hex(2)}"


def offline_folder() -> Path | None:
    """Return the folder that replaces the network (NETPOL_OFFLINE), or None."""
    given = os.environ.get("NETPOL_OFFLINE")
    return Path(given) if given else None


def seconds(text: str) -> float:
    """Parse a number of seconds. Raises argparse.ArgumentTypeError."""
    try:
        number = float(text.removesuffix("s"))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds, 0 or more")
    return number


def limit(text: str) -> float:
    """Parse a number of seconds that is not 0. Raises argparse.ArgumentTypeError."""
    number = seconds(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds, more than 0")
    return number


def minutes(text: str) -> float:
    """Parse a number of minutes. Raises argparse.ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes, more than 0")
    return number


def whole_number(text: str) -> int:
    """Parse a whole number from 1. Raises argparse.ArgumentTypeError."""
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < _TOO_LARGE:
        raise argparse.ArgumentTypeError(
            f"{text} is not a whole number from 1 to {_TOO_LARGE - 1}"
        )
    return int(text)


_TOO_LARGE = 1_000_000


class Purpose(enum.Enum):
    """What a cluster is used for: it decides which rights are needed there."""

    RUN = "scenarios"
    GATE = "the gate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option; ``name`` is how ``netpol`` spells it, without dashes.

    ``only_with`` are the clusters that it applies to.
    """

    name: str
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    parse: Callable[[str], object] = str
    default: object = None
    is_flag: bool = False
    repeats: bool = False
    only_with: tuple[str, ...] = CLUSTERS

    @property
    def dest(self) -> str:
        """The attribute that holds its value once parsed."""
        return f"netpol_{self.name.replace('-', '_')}"

    @property
    def initial(self) -> object:
        """Its value if it is not given."""
        return [] if self.repeats else self.default

    def spelled(self, prefix: str = "") -> str:
        """Return the option as it is typed."""
        return f"--{prefix}{self.name}"

    def add(self, add: Callable[..., object], prefix: str = "") -> None:
        """Add the option with argparse's ``add_argument`` or pytest's ``addoption``."""
        if self.is_flag:
            add(self.spelled(prefix), dest=self.dest, action="store_true", help=self.help)
            return
        more: dict[str, object] = {"default": self.initial, "type": self.parse}
        if self.choices:
            more = {"default": self.initial, "choices": self.choices}
        if self.metavar:
            more["metavar"] = self.metavar
        if self.repeats:
            more |= {"action": "append"}
        add(self.spelled(prefix), dest=self.dest, help=self.help, **more)

    def arguments(self, value: Any, prefix: str = "") -> Iterator[str]:
        """Yield the arguments that set it to this value; none for the default."""
        if self.is_flag:
            yield from [self.spelled(prefix)] if value else []
        elif self.repeats:
            yield from (f"{self.spelled(prefix)}={item}" for item in value)
        elif value not in (None, self.default):
            yield f"{self.spelled(prefix)}={value}"


CLUSTER_OPTIONS = (
    Option(
        name="cluster",
        choices=CLUSTERS,
        default="netns",
        help="netns (embedded), kind (made by `netpol up`), or current (a cluster of your "
        "kubeconfig); default: %(default)s",
    ),
    Option(
        name="context",
        metavar="NAME",
        only_with=("current",),
        help="current: the context, or in-cluster for the service account of this pod; without "
        "it, only a kind cluster that netpol made is used",
    ),
    Option(
        name="kubeconfig",
        metavar="FILE",
        parse=Path,
        only_with=("current",),
        help="current: the kubeconfig (default: as kubectl finds it)",
    ),
    Option(
        name="cni",
        metavar="NAME",
        only_with=("kind", "current"),
        help="a CNI profile, by name or path; kind: fail unless the cluster was made with it; "
        "current: how the cluster's CNI denies, and what it does not support",
    ),
    Option(
        name="kind-name",
        metavar="NAME",
        default=KIND_NAME,
        help=f"kind: the name of the kind cluster (default {KIND_NAME})",
    ),
    Option(
        name="agnhost-image",
        metavar="IMAGE",
        only_with=("kind", "current"),
        help="kind and current: the agnhost image of all pods",
    ),
    Option(
        name="image-pull-secret",
        metavar="NAMESPACE/NAME",
        repeats=True,
        only_with=("kind", "current"),
        help="kind and current: a secret of the cluster to pull the image with; repeatable",
    ),
    Option(
        name="probe-timeout",
        metavar="SECONDS",
        parse=seconds,
        help="how long a probe waits (default 0.3 on netns, 1 elsewhere)",
    ),
    Option(
        name="defect",
        metavar="NAME[:SECONDS]",
        only_with=("netns",),
        help="netns: switch on a known defect of a CNI, or two as ONE+OTHER; "
        "one that depends on time takes a delay",
    ),
)

RUN_OPTIONS = (
    Option(
        name="settle",
        metavar="SECONDS",
        parse=seconds,
        help="how long a table may take to become right (default: depends on the cluster)",
    ),
    Option(
        name="hold",
        metavar="SECONDS",
        parse=seconds,
        default=0.0,
        help="how long a right table must stay right (default: one confirming round)",
    ),
    Option(
        name="canary",
        choices=("on", "off"),
        default="on",
        help="check that a deny-all policy denies before anything runs; off only with a defect",
    ),
    Option(
        name="results",
        metavar="FILE",
        parse=Path,
        help="write all results of the run as JSON",
    ),
    Option(
        name="html",
        metavar="FILE",
        parse=Path,
        help="write a report of the run as one HTML page",
    ),
    Option(
        name="include",
        choices=("disruptive", "scale"),
        repeats=True,
        help="also run the scenarios that need this, which are skipped by default; repeatable",
    ),
    Option(
        name="allow-empty",
        is_flag=True,
        help="accept a run in which every step is skipped and no cell is measured",
    ),
    Option(
        name="run-id",
        metavar="ID",
        help="the id in the names of everything that this run creates (default: random)",
    ),
)


def arguments(
    options: Iterable[Option], value: Callable[[str], Any], prefix: str = ""
) -> tuple[str, ...]:
    """Return the arguments that set these options to the values that ``value(dest)`` returns."""
    return tuple(
        argument for option in options for argument in option.arguments(value(option.dest), prefix)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterChoice:
    """The choice of a Cluster: a field for each of ``CLUSTER_OPTIONS``. None is the default.

    Clients of clusters are imported only when they are needed. Times are seconds.
    """

    run_id: str = field(default_factory=new_run_id)
    cluster: str = "netns"
    context: str | None = None
    kubeconfig: Path | None = None
    cni: str | None = None
    kind_name: str = KIND_NAME
    agnhost_image: str | None = None
    image_pull_secret: tuple[str, ...] = ()
    probe_timeout: float | None = None
    defect: str | None = None

    @classmethod
    def of(cls, value: Callable[[str], Any], run_id: str | None = None) -> ClusterChoice:
        """Return the choice in parsed options; ``value`` returns the value of a ``dest``."""
        return cls(
            run_id=run_id or new_run_id(),
            cluster=value("netpol_cluster"),
            context=value("netpol_context"),
            kubeconfig=value("netpol_kubeconfig"),
            cni=value("netpol_cni"),
            kind_name=value("netpol_kind_name"),
            agnhost_image=value("netpol_agnhost_image"),
            image_pull_secret=tuple(value("netpol_image_pull_secret")),
            probe_timeout=value("netpol_probe_timeout"),
            defect=value("netpol_defect"),
        )

    def check(self, prefix: str = "") -> None:
        """Raise UsageError for options that contradict each other, spelled with the prefix."""
        for option in CLUSTER_OPTIONS:
            given = " ".join(option.arguments(self._value(option.dest), prefix))
            if given and self.cluster not in option.only_with:
                wanted = " or ".join(option.only_with)
                raise UsageError(
                    f"{given} needs --{prefix}cluster={wanted}, "
                    f"not --{prefix}cluster={self.cluster}",
                    "only the embedded cluster has defects to switch on"
                    if option.name == "defect"
                    else None,
                )
        for secret in self.image_pull_secret:
            if secret.count("/") != 1 or not all(secret.split("/")):
                raise UsageError(f"--{prefix}image-pull-secret={secret} is not NAMESPACE/NAME")

    def arguments(self) -> tuple[str, ...]:
        """Return the options that select the same cluster in another ``netpol`` command."""
        return arguments(CLUSTER_OPTIONS, self._value)

    def _value(self, dest: str) -> Any:
        return getattr(self, dest.removeprefix("netpol_"))

    def make(self, worker: str, purpose: Purpose = Purpose.RUN) -> Cluster:
        """Create the Cluster of one process, ``worker``. Raises HarnessError."""
        match self.cluster:
            case "netns":
                return self._netns()
            case "kind":
                return self._kind(worker)
            case _:
                return self._current(worker, purpose)

    def sweep(self, run_id: str | None) -> Cleaning:
        """Remove what one run, or all runs that are over, left on a shared cluster.

        Objects of a run that is alive are kept, except those that this process created.
        """
        match self.cluster:
            case "kind":
                from harness.cluster import kind

                return kind.clean(self.kind_name, run_id)
            case "current":
                from harness.cluster import kube

                return kube.clean(kube.connect(self.kubeconfig, self.context), run_id)
            case _:
                from harness.cluster.kube import Cleaning

                return Cleaning()

    def _netns(self) -> Cluster:
        from harness.cluster.netns import NetnsCluster, why_unavailable

        if reason := why_unavailable():
            raise ClusterError(f"the embedded cluster cannot run here: {reason}")
        timeout_s = 0.3 if self.probe_timeout is None else self.probe_timeout
        return NetnsCluster(probe_timeout_s=timeout_s, defect=self.defect)

    def _kind(self, worker: str) -> Cluster:
        from harness.cluster import kind
        from harness.cluster.profiles import profile

        wanted = profile(self.cni) if self.cni else None
        settings = self._settings(worker, f"kind-{self.kind_name}")
        return kind.connect(self.kind_name, wanted, settings, offline_folder())

    def _current(self, worker: str, purpose: Purpose) -> Cluster:
        from harness.cluster.kube import KubeCluster, Rights, connect, rights

        api = connect(self.kubeconfig, self.context)
        settings = self._settings(worker, api.context)
        if self.cni:
            from harness.cluster.kube.profiled import with_profile
            from harness.cluster.profiles import profile

            settings = with_profile(settings, profile(self.cni))
        if worker == "main":
            rights.require(api, Rights.GATE if purpose is Purpose.GATE else Rights.RUN)
        return KubeCluster(settings, api)

    def _settings(self, worker: str, name: str) -> KubeSettings:
        from harness.cluster.kube import KubeSettings

        usual = KubeSettings(run=self.run_id)
        return KubeSettings(
            run=self.run_id,
            worker=worker,
            name=name,
            image=self.agnhost_image or usual.image,
            image_pull_secrets=self.image_pull_secret,
            probe_timeout_s=self.probe_timeout or usual.probe_timeout_s,
        )
