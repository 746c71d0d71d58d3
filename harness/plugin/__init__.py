"""The pytest plugin: scenario files become items, one for each step.

``options`` says what may be asked for, ``folders`` refuses those without anything to run,
``collection`` makes items, ``clusters`` gives each process its Cluster, ``spread`` keeps a
scenario on one worker, ``session`` guards the run and sums it up, ``ending`` decides its exit
status, ``results_file`` writes ``results.json``. Only public API of pytest and
pytest-xdist; works without xdist.
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
