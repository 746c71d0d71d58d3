"""The pytest plugin: scenario files become items, one for each step.

``options`` declares the options, ``folders`` refuses folders without scenarios, ``collection``
creates items, ``clusters`` holds the Cluster of each process, ``spread`` keeps a scenario on one
worker, ``session`` runs the canary, ``terminal`` prints lines, tables and the summary,
``progress`` shows what a step waits for, ``ending`` decides the exit status. It uses only the
public API of pytest and pytest-xdist, and works without xdist.
"""

from harness.plugin.clusters import (
    pytest_netpol_make_cluster,
    pytest_netpol_remove_leftovers,
)
from harness.plugin.collection import (
    pytest_collect_file,
    pytest_collection_modifyitems,
    pytest_ignore_collect,
    pytest_runtest_makereport,
)
from harness.plugin.options import (
    pytest_addhooks,
    pytest_addoption,
    pytest_load_initial_conftests,
)
from harness.plugin.session import (
    pytest_configure,
    pytest_report_header,
    pytest_runtestloop,
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_testnodedown,
    pytest_unconfigure,
    pytest_xdist_node_collection_finished,
)
from harness.plugin.spread import pytest_configure_node, pytest_xdist_make_scheduler

__all__ = [
    "pytest_addhooks",
    "pytest_addoption",
    "pytest_collect_file",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_ignore_collect",
    "pytest_load_initial_conftests",
    "pytest_netpol_make_cluster",
    "pytest_netpol_remove_leftovers",
    "pytest_report_header",
    "pytest_runtest_makereport",
    "pytest_runtestloop",
    "pytest_sessionfinish",
    "pytest_sessionstart",
    "pytest_testnodedown",
    "pytest_unconfigure",
    "pytest_xdist_make_scheduler",
    "pytest_xdist_node_collection_finished",
]
