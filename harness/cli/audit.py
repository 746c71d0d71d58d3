"""The verb audit: does a cluster do what its policies say?"""

from __future__ import annotations

import argparse
import sys

from harness.audit import Audit, Judging, Pace, Prober, Word, planned
from harness.audit.formats import json_text, plan_text, text
from harness.cli.exits import Exit
from harness.cluster import kube
from harness.cluster.kube import Rights, rights
from harness.cluster.kube.applications import survey
from harness.cluster.kube.batch import ProbeSettings
from harness.cluster.profiles import profile
from harness.errors import ClusterError, UsageError


def audit(parsed: argparse.Namespace) -> int:
    """Probe between the workloads that run; before, say what will be done, and ask."""
    judged_by = profile(parsed.cni).denies_by if parsed.cni else None
    settings = ProbeSettings(timeout_s=parsed.probe_timeout)
    image, pace = parsed.agnhost_image or kube.AGNHOST_IMAGE, Pace(parsed.rate)
    namespaces = tuple(dict.fromkeys(parsed.namespaces))
    api = kube.connect(parsed.kubeconfig, parsed.context)
    plan = planned(survey(api, namespaces))
    rights.require(api, Rights.AUDIT, namespaces)
    plan = plan.without(Prober(api, plan, image, settings, pace).refusals())
    if not plan.pairs:
        hint = "\n".join((*plan.gaps, *plan.notes)) or None
        raise ClusterError("there is no connection that could be tried", hint)
    print(plan_text(plan, image, parsed.rate), end="", file=sys.stderr)
    if not parsed.yes:
        _ask()
    found = Prober(api, plan, image, settings, pace).audited(Judging(judged_by, settings.limit_s))
    print(json_text(found) if parsed.format == "json" else text(found), end="")
    return _status(found)


def _ask() -> None:
    """Go on only if a person says so. Raises UsageError."""
    if not sys.stdin.isatty():
        raise UsageError("nothing was changed: nobody is there to ask", "--yes answers for you")
    print("Go on? [y/N] ", end="", flush=True, file=sys.stderr)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was changed")


def _status(found: Audit) -> Exit:
    if found.having(Word.WRONGLY_OPEN) or found.having(Word.WRONGLY_CLOSED):
        return Exit.WRONG
    if found.having(Word.NO_VERDICT) or found.plan.gaps:
        return Exit.NO_VERDICT
    return Exit.OK
