"""What was seen, compared with the oracle's judgement of the live policies.

A verdict counts only if both ends were the same pods all the time, and if the policies say the
same before and after. Nothing shows that a pair without a connection would connect without
policies: such a denial is "as the policies say", never proven.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness import oracle
from harness.audit.planning import state
from harness.audit.values import Cell, Pair, Plan, Word
from harness.cluster.kube.applications import Survey
from harness.cluster.kube.batch import slowest_s
from harness.model import DeniesBy, Observation, PodRef, Probe, ProbeError, Verdict

Round = Mapping[Probe, Observation]
"""What each pair gave when it was tried once."""


class _Seen(enum.Enum):
    """What one attempt shows about the network."""

    OPEN = "it connects"
    CLOSED = "no answer"
    NOTHING = "no verdict"


@dataclass(frozen=True, slots=True)
class Judging:
    """Judges rounds. ``denies_by`` is how the network plugin denies, or None if not known.

    ``limit_s`` is the longest time that a connection takes on a cluster that is not starved.
    """

    denies_by: DeniesBy | None
    limit_s: float

    def in_doubt(self, plan: Plan, seen: Round) -> tuple[Pair, ...]:
        """Return the pairs that contradict the policies after one round."""
        wrong = {Word.WRONGLY_OPEN, Word.WRONGLY_CLOSED}
        return tuple(
            pair
            for pair in plan.pairs
            if pair.probe in seen and self._word(pair, [seen[pair.probe]])[0] in wrong
        )

    def cells(self, plan: Plan, rounds: Sequence[Round], after: Survey) -> tuple[Cell, ...]:
        """Return all pairs, the worst first. ``after`` is what runs when all is tried."""
        changed = _changed(plan, after)
        judge = oracle.Judge(state(after))
        starved = self._starvation(item for seen in rounds for item in seen.values())
        cells = []
        for pair in plan.pairs:
            tries = [seen[pair.probe] for seen in rounds if pair.probe in seen]
            word, said = self._word(pair, tries)
            doubt = next((changed[ref] for ref in pair.pods if ref in changed), None)
            if doubt is None and judge.predict(pair.probe).verdicts != pair.prediction.verdicts:
                doubt = "policies or labels that decide it changed meanwhile"
            if doubt is None and word in {Word.WRONGLY_CLOSED, Word.DENIED}:
                doubt = starved
            if doubt is not None and word is not Word.NO_VERDICT:
                word, said = Word.NO_VERDICT, f"{said}, but {doubt}"
            cells.append(Cell(pair, word, said, pair.prediction.judgement.reasons))
        order = list(Word)
        return tuple(sorted(cells, key=lambda cell: order.index(cell.word)))

    # ------------------------------------------------------------------ one pair

    def _word(self, pair: Pair, tries: Sequence[Observation]) -> tuple[Word, str]:
        if not tries:
            return Word.NO_VERDICT, "it was not tried"
        seen = [self._seen(item, pair) for item in tries]
        may_open = Verdict.ALLOWED in pair.prediction.verdicts
        may_close = Verdict.TIMEOUT in pair.prediction.verdicts
        opened = seen.count(_Seen.OPEN)
        if opened:
            word = Word.ALLOWED if may_open else Word.WRONGLY_OPEN
            often = "" if opened == len(seen) else f" in {opened} of {len(seen)} attempts"
            return word, f"{self._said(tries[seen.index(_Seen.OPEN)])}{often}"
        if _Seen.NOTHING in seen:
            return Word.NO_VERDICT, self._said(tries[seen.index(_Seen.NOTHING)])
        often = f" in {len(seen)} attempts" if len(seen) > 1 else ""
        return Word.DENIED if may_close else Word.WRONGLY_CLOSED, f"no answer{often}"

    def _seen(self, item: Observation, pair: Pair) -> _Seen:
        match item.outcome:
            case Verdict.ALLOWED:
                return _Seen.OPEN
            case Verdict.TIMEOUT:
                return _Seen.CLOSED
            case Verdict.REFUSED if self.denies_by == "drop":
                return _Seen.OPEN  # only the pod itself refuses, so the packet reached it
            case Verdict.REFUSED if self.denies_by == "reject":
                is_denied = Verdict.ALLOWED not in pair.prediction.verdicts
                return _Seen.CLOSED if is_denied else _Seen.NOTHING
            case _:
                return _Seen.NOTHING

    def _said(self, item: Observation) -> str:
        match item.outcome:
            case Verdict.ALLOWED:
                return "it connects"
            case Verdict.REFUSED if self.denies_by == "drop":
                return "the packet reaches the pod, which listens on no such port"
            case Verdict.REFUSED:
                return (
                    "REFUSED: the pod listens on no such port, or the network plugin rejects "
                    "(--cni=NAME says how it denies)"
                )
            case ProbeError() as error:
                return str(error)
            case verdict:
                return f"{verdict}: {item.raw}"

    def _starvation(self, observed: Iterable[Observation]) -> str | None:
        took_s = slowest_s(tuple(observed))
        if took_s <= self.limit_s:
            return None
        return f"the cluster is starved of CPU: a connection took {took_s:.1f} s"


def _changed(plan: Plan, after: Survey) -> dict[PodRef, str]:
    """Return the pods that are not what they were, and why."""
    now = {item.ref: item for item in after.pods}
    found: dict[PodRef, str] = {}
    before = {item.ref: item for item in plan.pods}
    for ref in {ref for pair in plan.pairs for ref in pair.pods}:
        then, item = before[ref], now.get(ref)
        if item is None or item.live.uid != then.live.uid:
            found[ref] = f"{ref} was deleted meanwhile"
        elif item.live.addresses != then.live.addresses:
            found[ref] = f"{ref} changed its address meanwhile"
        elif item.fault is not None:
            found[ref] = f"{ref}: {item.fault}"
    return found
