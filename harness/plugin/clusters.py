"""One Cluster for each process of a run, created when first needed and closed at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ClusterError, HarnessError
from harness.plugin.options import choice_of, worker_name
from harness.predecessor import Predecessor

if TYPE_CHECKING:
    from harness.cluster import Cluster


class ClusterHolder:
    """Holds the Cluster of this process; if creating it fails, it is not tried again."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._cluster: Cluster | None = None
        self._failure: HarnessError | None = None
        self.predecessor = Predecessor()
        """The scenario that ran last on the Cluster."""

    def cluster(self) -> Cluster:
        """Return the Cluster. Raises the same HarnessError each time if creating it failed."""
        if self._failure:
            raise self._failure
        if self._cluster is None:
            try:
                self._cluster = self._make()
            except HarnessError as error:
                self._failure = error
                raise
        return self._cluster

    @property
    def kinds(self) -> frozenset[str] | None:
        """The kinds of the Cluster, or None as long as it was not needed."""
        return None if self._cluster is None else self._cluster.capabilities.kinds

    def _make(self) -> Cluster:
        made: Cluster | None = self._config.hook.pytest_netpol_make_cluster(
            config=self._config, worker=worker_name(self._config)
        )
        if made is None:
            raise ClusterError(
                "no implementation of pytest_netpol_make_cluster returned a cluster"
            )
        return made

    def close(self) -> tuple[str, ...]:
        """Close the Cluster; return what could not be removed."""
        cluster, self._cluster = self._cluster, None
        if cluster is None:
            return ()
        try:
            return cluster.close()
        except HarnessError as error:
            return (str(error),)


CLUSTER_HOLDER = pytest.StashKey[ClusterHolder]()


def cluster_holder(config: pytest.Config) -> ClusterHolder:
    """Return the ClusterHolder of this process."""
    return config.stash.setdefault(CLUSTER_HOLDER, ClusterHolder(config))


@pytest.hookimpl(trylast=True)
def pytest_netpol_make_cluster(config: pytest.Config, worker: str) -> Cluster:
    """Create the cluster that ``--netpol-cluster`` selects."""
    return choice_of(config).make(worker)


@pytest.hookimpl(trylast=True)
def pytest_netpol_remove_leftovers(config: pytest.Config, run_id: str) -> tuple[str, ...]:
    """Remove leftovers from the cluster that ``--netpol-cluster`` selects."""
    return tuple(str(item) for item in choice_of(config).sweep(run_id).failed)
