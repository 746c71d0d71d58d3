"""One page about one cell, as text: all that a record knows of why it has its verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent

from harness.model import CellStatus
from harness.report.ends import Ends
from harness.report.record import CellRecord, StepRecord
from harness.report.results import Results
from harness.report.topology import ObjectRecord, PodKind, PodRecord, TopologyRecord

_POLICIES = 5
"""The maximum number of policies whose text a page shows."""
_LINES = 60
"""The maximum number of lines of one policy."""
_ENDPOINTS = 4
"""The maximum number of pods behind a Service that a page describes."""
_DEEPER = "    "


def detail(cell: CellRecord) -> str:
    """Describe a cell without its surroundings: verdicts, reasons, the probe, the command."""
    return "\n".join([_head(cell), *_limitation(cell), *_oracle(cell), *_probe(cell)])


def page(step: StepRecord, cell: CellRecord, previous: Results | None = None) -> str:
    """Describe a cell with its surroundings, and what it gave in an earlier run."""
    found = _ends(step.topology, cell)
    lines = [
        _head(cell),
        *_limitation(cell),
        *_moments(cell),
        *_places(step.topology, found),
        *_policies(step.topology, found),
        *(_oracle(cell) if cell.reasons else _path(step, cell)),
        *_control(cell),
        *_cni(cell),
        *_probe(cell),
        *_ask(cell),
        *(_earlier(step, cell, previous) if previous else ()),
    ]
    return "\n".join(lines)


def _head(cell: CellRecord) -> str:
    return f"{cell.location}: {cell.pair}: {observed(cell)}"


def observed(cell: CellRecord) -> str:
    """Return what was observed, and what was expected."""
    match cell.status:
        case CellStatus.NO_VERDICT:
            return f"no verdict ({cell.reason}), expected {cell.expected}"
        case CellStatus.UNPROVEN:
            also = "also " if cell.control == cell.observed else ""
            control = (
                f"the control step (no policies applied) {also}got {cell.control}"
                if cell.control
                else "no step saw this pair connect, and the control step did not probe it"
            )
            return (
                f"{cell.observed} as expected, but unproven: {control}\n"
                "    hint: does the destination listen on that port? For a pair that never "
                "connects, declare `never-allowed`"
            )
        case _:
            reason = f"\n    {cell.reason}" if cell.reason else ""
            return f"observed {cell.observed}, expected {cell.expected}{reason}"


def _limitation(cell: CellRecord) -> Iterator[str]:
    if cell.limitation:
        yield f"    known limitation (the table says {cell.stated}): {cell.limitation}"
        if cell.rejected or cell.observed == cell.stated:
            yield "    hint: the limitation is no longer observed; remove it from the CNI profile"


def _oracle(cell: CellRecord) -> Iterator[str]:
    if cell.reasons:
        yield indent(cell.reasons, _DEEPER)


def _probe(cell: CellRecord) -> Iterator[str]:
    if cell.raw and cell.raw not in {cell.observed, cell.reason}:
        yield f"    probe output: {cell.raw.strip()}"
    if cell.command:
        yield f"    reproduce: {cell.command}"


# ------------------------------------------------------------------ only on a page


def _moments(cell: CellRecord) -> Iterator[str]:
    if cell.wrong_from_s is not None and cell.wrong_until_s is not None:
        yield (
            f"    seen wrong from {cell.wrong_from_s:.2f} s to {cell.wrong_until_s:.2f} s after "
            "the cluster accepted the change"
        )
    for flap in cell.flapped:
        yield (
            f"    right before, then {flap.observed} from {flap.from_s:.2f} s "
            f"to {flap.until_s:.2f} s"
        )


def _ends(topology: TopologyRecord, cell: CellRecord) -> Mapping[str, tuple[PodRecord, ...]]:
    """Return the pods at each end, by the text of the end."""
    ends = Ends(topology)
    found = {
        f"source {cell.source}": ends.source(cell.source),
        f"destination {cell.destination}": ends.destination(cell.destination),
    }
    return {text: tuple(topology.pods[at] for at in end.pods) for text, end in found.items()}


def _places(topology: TopologyRecord, ends: Mapping[str, tuple[PodRecord, ...]]) -> Iterator[str]:
    labels = {item.name: item.labels for item in topology.namespaces}
    for end, pods in ends.items():
        for number, pod in enumerate(pods[:_ENDPOINTS]):
            word = end if number == 0 else "  and"
            is_it = end.removeprefix("source ") == pod.ref
            name = "" if is_it or end.startswith(f"destination {pod.ref}:") else f"{pod.ref}; "
            yield f"    {word}: {name}{_pod(pod)}"
            if number == 0:
                yield f"      namespace {pod.namespace}: {_labels(labels.get(pod.namespace, {}))}"
        if len(pods) > _ENDPOINTS:
            yield f"      and {len(pods) - _ENDPOINTS} more endpoints"


def _pod(pod: PodRecord) -> str:
    ports = ", ".join(f"{port.number}/{port.protocol}" for port in pod.ports)
    facts = [
        f"labels {_labels(pod.labels)}",
        ", ".join(pod.addresses) or "address not known",
        f"on {pod.placed_on or f'node/{pod.node}'}",
        f"ports {ports or 'none'}",
    ]
    if pod.kind is not PodKind.USUAL:
        facts.append(str(pod.kind))
    return "; ".join(facts)


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items()) or "<none>"


def _policies(
    topology: TopologyRecord, ends: Mapping[str, tuple[PodRecord, ...]]
) -> Iterator[str]:
    """Yield the policies that select a pod at an end, and their texts, each once."""
    if not topology.objects:
        if topology.pods:
            yield "    policies: none"
        return
    shown: list[ObjectRecord] = []
    for end, pods in ends.items():
        if not pods:
            continue
        found = [item for item in topology.objects if any(_acts_on(item, pod) for pod in pods)]
        names = ", ".join(map(_named, found)) or "none"
        yield f"    policies that select the {end.partition(' ')[0]}: {names}"
        shown += [item for item in found if item not in shown]
    for item in shown[:_POLICIES]:
        yield f"    {item}{f', {item.location}' if item.location else ''}:"
        lines = item.yaml.splitlines()
        yield indent("\n".join(lines[:_LINES]), f"{_DEEPER}  ")
        if len(lines) > _LINES:
            yield f"      ... and {len(lines) - _LINES} more lines"
    if rest := len(shown) - _POLICIES:
        yield from [f"    ... and the texts of {rest} more"] if rest > 0 else []


def _named(item: ObjectRecord) -> str:
    if item.selects is None:
        return f"{item} (may, its meaning is not known)"
    return f"{item} ({', '.join(item.policy_types)})" if item.policy_types else str(item)


def _acts_on(item: ObjectRecord, pod: PodRecord) -> bool:
    if item.selects is None:
        return item.namespace in {"", pod.namespace}
    return pod.ref in item.selects


def _path(step: StepRecord, cell: CellRecord) -> Iterator[str]:
    yield from (f"    {line}" for line in step.path(cell))


def _control(cell: CellRecord) -> Iterator[str]:
    if cell.control and cell.status is not CellStatus.UNPROVEN:
        yield f"    the control step (no policies applied) got {cell.control}"


def _cni(cell: CellRecord) -> Iterator[str]:
    if cell.cni is None:
        return
    first, *others = cell.cni.says.splitlines() or [""]
    yield f"    the CNI says, of one more probe: {first}"
    yield from (f"      {line}" for line in others)


def _ask(cell: CellRecord) -> Iterator[str]:
    if cell.cni and cell.cni.command:
        yield f"    ask the CNI: {cell.cni.command}"


def _earlier(step: StepRecord, cell: CellRecord, previous: Results) -> Iterator[str]:
    run = f"run {previous.run.run_id} of {previous.run.started}"
    same = _same_step(step, previous.steps)
    if same is None:
        yield f"    earlier: the step is not in {run}"
        return
    pairs = [item for item in same.cells if item.pair == cell.pair]
    if not pairs:
        why = f", and was {same.outcome}" if not same.cells else ""
        yield f"    earlier: the step has no such cell in {run}{why}"
        return
    gave = pairs[0].observed or "no verdict"
    yield (
        f"    earlier: {gave}, expected {pairs[0].expected} ({pairs[0].status}), "
        f"in {run} on {same.cluster}"
    )


def _same_step(step: StepRecord, steps: Sequence[StepRecord]) -> StepRecord | None:
    return next((item for item in steps if item.name == step.name), None)
