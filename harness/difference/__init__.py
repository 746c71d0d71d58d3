"""What differs between two versions of an application: connections, ends and policies.

``compare`` judges every pair in both versions and gives a Difference. ``matching`` finds what is
the same under another name, ``scope`` chooses hosts outside and ports that both versions are asked
about, ``aligned`` puts rows and columns side by side, ``saying`` has what policies say.
``proof`` sends packets for the changed connections in both versions. ``formats`` prints a
Difference, ``grouping`` puts like changes together.
"""

from harness.difference.comparing import Versions, compare
from harness.difference.values import Change, Difference, EndChange, Kind, PolicyChange

__all__ = [
    "Change",
    "Difference",
    "EndChange",
    "Kind",
    "PolicyChange",
    "Versions",
    "compare",
]
