"""Scenario files whose tables are what the policies of an application give: snapshots.

``importing`` writes the files of an application, ``units`` says which ends belong together,
``grid`` writes tables as people do, ``refresh`` compares the tables of a file with the policies
and brings them up to date.
"""

from harness.snapshot.importing import NewFile, imported
from harness.snapshot.refresh import Refreshed, Word, refreshed

__all__ = ["NewFile", "Refreshed", "Word", "imported", "refreshed"]
