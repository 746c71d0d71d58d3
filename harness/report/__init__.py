"""Results as people and programs read them. Pure: values in, text out; no terminal, no files.

``record`` turns a StepResult into a StepRecord, which travels between processes as JSON;
``text`` and ``results`` print StepRecords, ``explanation`` what the oracle explains.
"""

from harness.report.explanation import explained, reasons
from harness.report.record import (
    CellRecord,
    Outcome,
    StepRecord,
    record,
    unmeasured_record,
)
from harness.report.results import SCHEMA_VERSION, Run, results_json
from harness.report.text import WIDTH, failure, sentence, step_line, summary, table, tally

__all__ = [
    "SCHEMA_VERSION",
    "WIDTH",
    "CellRecord",
    "Outcome",
    "Run",
    "StepRecord",
    "explained",
    "failure",
    "reasons",
    "record",
    "results_json",
    "sentence",
    "step_line",
    "summary",
    "table",
    "tally",
    "unmeasured_record",
]
