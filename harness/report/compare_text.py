"""A comparison of runs as text or Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from harness import catalogue
from harness.report.compare import Apart, Compared, Comparison, Difference, Kind, StepApart
from harness.report.markdown import escaped, head, row
from harness.report.requirements import Tried
from harness.report.tally import counted

_MOST = 100
"""The maximum number of differences listed of each kind; steps that are apart likewise."""

ORDER = (Kind.REGRESSION, Kind.MEND, Kind.FLAKY, Kind.DIFFERENT)
"""The kinds of differences, the most important first."""


def summary_line(comparison: Comparison) -> str:
    """Return in one line whether the runs are the same, and what differs."""
    if comparison.same:
        (first, *_) = comparison.runs
        return f"the same: {counted(len(first.steps), 'step')}, {counted(first.cells, 'cell')}"
    return f"different: {', '.join(_counts(comparison)) or 'a run was refused'}"


def _counts(comparison: Comparison) -> Iterator[str]:
    for kind in ORDER:
        if found := comparison.of(kind):
            yield _counted(kind, len(found), comparison)
    for why in Apart:
        if steps := comparison.because(why):
            yield f"{counted(len(steps), 'step')} {apart(why)}"


def _counted(kind: Kind, number: int, comparison: Comparison) -> str:
    match kind:
        case Kind.REGRESSION | Kind.MEND:
            return counted(number, str(kind))
        case Kind.FLAKY:
            return f"{number} flaky"
        case Kind.DIFFERENT:
            noun = "other difference" if comparison.of_one_cni else "difference"
            return counted(number, noun)


def apart(why: Apart) -> str:
    """Return what the steps are, to stand behind their number or the word steps."""
    return "with another table" if why is Apart.CHANGED else str(why)


def title(kind: Kind, comparison: Comparison) -> str:
    """Return the title of the differences of a kind."""
    before, now = comparison.runs[0].name, comparison.runs[-1].name
    match kind:
        case Kind.REGRESSION:
            return f"Regressions: right in {before}, wrong in {now}"
        case Kind.MEND:
            return f"Mends: wrong in {before}, right in {now}"
        case Kind.FLAKY:
            return "Flaky: flapped, or different among three or more runs of one CNI"
        case Kind.DIFFERENT:
            return "Other differences" if comparison.of_one_cni else "Different"


def about(run: Compared) -> str:
    """Return what a run was, in one line."""
    started = run.run.started.replace("T", " ").replace("+00:00", " UTC")
    if run.run.refusal:
        what = f"no step ran: {run.run.refusal.partition(chr(10))[0]}"
    else:
        what = f"{counted(len(run.steps), 'step')}, {counted(run.cells, 'cell')}"
    return f"{run.clusters}, {started}, netpol {run.run.harness}: {what}"


def _more(total: int, noun: str) -> list[str]:
    rest = total - _MOST
    return [f"... and {counted(rest, noun)}"] if rest > 0 else []


def _expected(item: Difference) -> str:
    return f", expected {item.expected}" if item.expected else ""


def _seen(item: Difference, comparison: Comparison) -> str:
    """Return what each run gave; runs that gave the same are together."""
    names: dict[str, list[str]] = {}
    for run, given in zip(comparison.runs, item.given, strict=True):
        if given:
            names.setdefault(str(given), []).append(run.name)
    return "; ".join(f"{', '.join(runs)}: {given}" for given, runs in names.items())


def _where(item: StepApart, comparison: Comparison) -> str:
    """Return what became of a step in each run; runs with the same outcome are together."""
    names: dict[str, list[str]] = {}
    for run, outcome in zip(comparison.runs, item.outcomes, strict=True):
        names.setdefault(outcome or "not there", []).append(run.name)
    text = "; ".join(f"{', '.join(runs)}: {outcome}" for outcome, runs in names.items())
    return f"{text} ({'; '.join(item.reasons)})" if item.reasons else text


# ------------------------------------------------------------------ text


def text(comparison: Comparison) -> str:
    """Return the comparison as lines for a terminal; the last line is the summary."""
    parts = ["\n".join(f"{run.name}: {about(run)}" for run in comparison.runs)]
    parts += _requirement_lines(comparison)
    for kind in ORDER:
        if found := comparison.of(kind):
            lines = [f"{title(kind, comparison)} ({len(found)})"]
            lines += _difference_lines(found, comparison)
            parts.append("\n".join(lines))
    for why in Apart:
        if steps := comparison.because(why):
            lines = [f"Steps {apart(why)} ({len(steps)})"]
            lines += [f"  {item.name}\n    {_where(item, comparison)}" for item in steps[:_MOST]]
            lines += [f"  {line}" for line in _more(len(steps), "more step")]
            parts.append("\n".join(lines))
    return "\n\n".join([*parts, summary_line(comparison)])


def _difference_lines(found: Sequence[Difference], comparison: Comparison) -> Iterator[str]:
    for name, items in groupby(found[:_MOST], key=lambda item: item.name):
        yield f"  {name}"
        for item in items:
            pair = f"{item.pair}{_expected(item)}" if item.pair else "the step"
            yield f"    {item.location}: {pair}"
            yield f"      {_seen(item, comparison)}"
    yield from (f"  {line}" for line in _more(len(found), "more difference"))


def _requirement_lines(comparison: Comparison) -> Iterator[str]:
    rows = [row for row in comparison.requirements if row.differing]
    if not rows:
        return
    top = ("", *(run.name for run in comparison.runs), "differs")
    table = [(row.id, *_words(row.tried), _differs(row.differing, comparison)) for row in rows]
    widths = [max(len(line[place]) for line in (top, *table)) for place in range(len(top))]
    lines = [f"Requirements ({len(rows)} of {len(comparison.requirements)} differ)"]
    for line in (top, *table):
        cells = (word.ljust(width) for word, width in zip(line, widths, strict=True))
        lines.append(f"  {'  '.join(cells)}".rstrip())
    yield "\n".join(lines)


def _words(tried: Iterable[Tried]) -> Iterator[str]:
    return (one.word or "-" for one in tried)


def _differs(places: Iterable[int], comparison: Comparison) -> str:
    return ", ".join(comparison.runs[place].name for place in places)


# ------------------------------------------------------------------ Markdown


def markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown; the first line is the summary."""
    names = [escaped(run.name) for run in comparison.runs]
    abouts = zip(names, comparison.runs, strict=True)
    lines = [f"**{escaped(summary_line(comparison))}**", ""]
    lines += [f"- {name}: {escaped(about(run))}" for name, run in abouts]
    if rows := [line for line in comparison.requirements if line.differing]:
        lines += [
            "",
            f"## Requirements ({len(rows)} of {len(comparison.requirements)} differ)",
            "",
        ]
        lines += head(("id", "requirement", *names, "differs"))
        for line in rows:
            differs = escaped(_differs(line.differing, comparison))
            lines.append(row((line.id, _sentence(line.id), *_words(line.tried), differs)))
    for kind in ORDER:
        if found := comparison.of(kind):
            lines += ["", f"## {escaped(title(kind, comparison))} ({len(found)})", ""]
            lines += head(("step", "pair", "expected", *names))
            for item in found[:_MOST]:
                given = (str(one or "-") for one in item.given)
                words = (item.name, item.pair or "the step", item.expected, *given)
                lines.append(row(map(escaped, words)))
            lines += [line for more in _more(len(found), "more difference") for line in ("", more)]
    for why in Apart:
        if steps := comparison.because(why):
            lines += ["", f"## Steps {apart(why)} ({len(steps)})", ""]
            shown = steps[:_MOST]
            lines += [f"- {escaped(f'{item.name}: {_where(item, comparison)}')}" for item in shown]
            lines += [f"- {line}" for line in _more(len(steps), "more step")]
    return "\n".join(lines)


def _sentence(id_: str) -> str:
    """Return what a requirement says; the catalogue has Markdown."""
    found = catalogue.requirements().get(id_)
    return found.text if found else ""
