"""Results as people and programs read them. Pure: values in, text out; no terminal, no files.

``record`` turns a StepResult into a StepRecord, which travels between processes as JSON;
``grid`` arranges its cells, ``text`` and ``results`` print StepRecords, ``explanation`` what
the oracle explains.
"""

from harness.report.explanation import explained, reasons
from harness.report.grid import Entry, Grid, grid
from harness.report.record import (
    CellRecord,
    Outcome,
    StepRecord,
    in_order,
    record,
    unmeasured_record,
)
from harness.report.results import SCHEMA_VERSION, Results, Run, schema
from harness.report.text import WIDTH, failure, sentence, step_line, summary, table, tally

__all__ = [
    "SCHEMA_VERSION",
    "WIDTH",
    "CellRecord",
    "Entry",
    "Grid",
    "Outcome",
    "Results",
    "Run",
    "StepRecord",
    "explained",
    "failure",
    "grid",
    "in_order",
    "reasons",
    "record",
    "schema",
    "sentence",
    "step_line",
    "summary",
    "table",
    "tally",
    "unmeasured_record",
]
