"""Does a cluster do what its policies say? Probes between the workloads that run on it.

``planning`` chooses the pods and the connections, ``probing`` makes them from ephemeral
containers, ``judging`` compares what they gave with the oracle's judgement of the live policies,
and ``formats`` prints it. Nothing here makes a control step, so a denial is never proven: it is
denied, as the policies say.
"""

from harness.audit.judging import Judging
from harness.audit.planning import planned
from harness.audit.probing import Pace, Prober
from harness.audit.values import Audit, Plan, Word

__all__ = ["Audit", "Judging", "Pace", "Plan", "Prober", "Word", "planned"]
