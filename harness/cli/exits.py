"""The exit statuses of all verbs."""

from __future__ import annotations

import enum

from harness.errors import ClusterError, HarnessError, ScenarioError


class Exit(enum.IntEnum):
    """The exit statuses of all verbs."""

    OK = 0
    WRONG = 1
    USAGE = 2
    NO_VERDICT = 3
    INVALID = 4
    NO_NETWORK = 5
    NO_RIGHTS = 6
    OVER_TIME = 7
    DENIES_OTHERWISE = 8
    BROKEN = 70
    INTERRUPTED = 130


STATUS_HELP = """\
exit status:
  0    everything is as expected
  1    a cell is wrong, a denial is unproven, or an object was accepted that
       should be refused; compare: the results differ; lint: findings;
       diff: connections differ; snapshot: tables changed; audit: a pair is
       not as the policies say; gate: policies are not enforced
  2    usage error: an invalid option, or a missing prerequisite
  3    no verdict: the cluster has a problem, does not enforce NetworkPolicy,
       or lacks what all scenarios need
  4    a scenario file or a manifest is invalid, or its tables contradict its
       policies
  5    gate: pods do not reach each other without policies
  6    gate: the credentials lack rights
  7    gate: the time limit is over
  8    gate: the cluster denies in another way than its CNI profile says
  70   a bug in netpol
  130  interrupted; 143: terminated
"""


def status_of(error: HarnessError) -> Exit:
    """Return the exit status of an error that a user can cause."""
    match error:
        case ScenarioError():
            return Exit.INVALID
        case ClusterError():
            return Exit.NO_VERDICT
        case _:
            return Exit.USAGE
