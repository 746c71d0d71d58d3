"""The hooks that this plugin adds to pytest."""

from __future__ import annotations

import pytest

from harness.cluster import Cluster


@pytest.hookspec(firstresult=True)
def pytest_netpol_make_cluster(config: pytest.Config, worker: str) -> Cluster | None:
    """Make the Cluster of one process of the run; the first result wins.

    ``worker`` is xdist's id (``gw0``, ``gw1``, ...) or ``main``. The plugin itself makes what
    ``--netpol-cluster`` names; a conftest.py implements this for a cluster that the plugin does
    not know. Raises HarnessError, whose text is what the user reads. The plugin calls ``close``.
    """


@pytest.hookspec(firstresult=True)
def pytest_netpol_remove_leftovers(config: pytest.Config, run_id: str) -> tuple[str, ...] | None:
    """Remove what processes of the run left that died; name what cannot be removed.

    Called once, on the controller, after all workers are gone. A conftest.py that makes
    clusters of its own implements this too, if they outlive their process. Raises HarnessError.
    """
