"""The hooks that this plugin adds to pytest."""

from __future__ import annotations

import pytest

from harness.cluster import Cluster


@pytest.hookspec(firstresult=True)
def pytest_netpol_make_cluster(config: pytest.Config, worker: str) -> Cluster | None:
    """Create the Cluster of one process of the run; the first result is used.

    ``worker`` is xdist's id (``gw0``, ``gw1``, ...) or ``main``. The plugin itself creates what
    ``--netpol-cluster`` selects; implement this in a conftest.py for any other cluster. Raise
    HarnessError with a message for the user. The plugin calls ``close``.
    """


@pytest.hookspec(firstresult=True)
def pytest_netpol_remove_leftovers(config: pytest.Config, run_id: str) -> tuple[str, ...] | None:
    """Remove what crashed processes of the run left; return what cannot be removed.

    Called once, on the controller, after all workers have ended. Implement this too for your own
    clusters if they outlive their process. Raise HarnessError with a message for the user.
    """
