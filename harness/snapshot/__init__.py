"""Scenario files whose tables are what the policies of an application give: snapshots.

``importing`` writes the files of an application: ``plans`` says which scenarios it gets, ``units``
which ends belong together, ``grid`` writes tables as people do, and ``manifests`` writes an
application that runs on a cluster. ``refresh`` compares the tables of a file with the policies
and brings them up to date.
"""

from harness.snapshot.importing import NewFile, imported, imported_from
from harness.snapshot.refresh import Refreshed, Word, refreshed

__all__ = ["NewFile", "Refreshed", "Word", "imported", "imported_from", "refreshed"]
