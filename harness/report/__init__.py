"""Results as text and data. Pure functions: no terminal, no files.

``record`` converts a StepResult to a StepRecord, which is sent between processes as JSON.
``topology`` has the records of what the cluster held. ``grid`` arranges the cells of a record,
``tally`` counts them. ``enforcement`` computes statistics of times.
``pairs`` has the records of pairs that were probed over time, and ``watches`` describes them.
``text``, ``results`` and ``junit`` format StepRecords, ``closing`` the summary of a run, and
``progress`` a step as a line; ``widths`` cuts texts. ``page`` tells all about one cell, and
``ends`` finds its ends in the topology. ``explanation`` formats explanations of the oracle.
``requirements`` joins the steps that cover a requirement. ``compare`` finds the differences
between runs, and ``compare_text`` formats them. ``github`` formats a run for GitHub Actions,
``markdown`` escapes.
"""

from harness.report.closing import summary, what_is_wrong
from harness.report.explanation import as_written, explained, path, reasons
from harness.report.grid import Entry, Grid, grid
from harness.report.junit import Case, Kind, Trouble, about, document, properties
from harness.report.page import page
from harness.report.pairs import GapRecord, PhaseRecord, StartRecord, WatchRecord
from harness.report.progress import details, ended, running
from harness.report.record import (
    Background,
    CellRecord,
    FlapRecord,
    Outcome,
    StepRecord,
    TraceRecord,
    at_best,
    in_order,
    record,
    unmeasured_record,
)
from harness.report.results import SCHEMA_VERSION, Results, Run, schema
from harness.report.tally import agreement, excuses, prospect, tally
from harness.report.text import WIDTH, failure, sentence, step_line, table
from harness.report.topology import (
    ExternalRecord,
    NamespaceRecord,
    ObjectRecord,
    PodKind,
    PodRecord,
    PortRecord,
    ServicePortRecord,
    ServiceRecord,
    TopologyRecord,
    topology_record,
)

__all__ = [
    "SCHEMA_VERSION",
    "WIDTH",
    "Background",
    "Case",
    "CellRecord",
    "Entry",
    "ExternalRecord",
    "FlapRecord",
    "GapRecord",
    "Grid",
    "Kind",
    "NamespaceRecord",
    "ObjectRecord",
    "Outcome",
    "PhaseRecord",
    "PodKind",
    "PodRecord",
    "PortRecord",
    "Results",
    "Run",
    "ServicePortRecord",
    "ServiceRecord",
    "StartRecord",
    "StepRecord",
    "TopologyRecord",
    "TraceRecord",
    "Trouble",
    "WatchRecord",
    "about",
    "agreement",
    "as_written",
    "at_best",
    "details",
    "document",
    "ended",
    "excuses",
    "explained",
    "failure",
    "grid",
    "in_order",
    "page",
    "path",
    "properties",
    "prospect",
    "reasons",
    "record",
    "running",
    "schema",
    "sentence",
    "step_line",
    "summary",
    "table",
    "tally",
    "topology_record",
    "unmeasured_record",
    "what_is_wrong",
]
