"""Scenario files whose tables are what the policies of an application give: snapshots.

``importing`` writes the files of an application: ``plans`` says which scenarios it gets, ``units``
which ends belong together, ``grid`` writes tables as people do, and ``manifests`` writes an
application that runs on a cluster. ``refresh`` compares files with the policies and brings
them up to date: ``table`` one table of a file, ``additions`` what no table has, ``changes`` says
what differs.
"""

from harness.snapshot.additions import Homeless, Snapshot
from harness.snapshot.changes import Added, Gone
from harness.snapshot.importing import NewFile, imported, imported_from
from harness.snapshot.refresh import Refreshed, read_snapshot, refreshed

__all__ = [
    "Added",
    "Gone",
    "Homeless",
    "NewFile",
    "Refreshed",
    "Snapshot",
    "imported",
    "imported_from",
    "read_snapshot",
    "refreshed",
]
