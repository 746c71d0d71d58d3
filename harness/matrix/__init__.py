"""Who reaches whom in an application, as the oracle judges it.

``judged`` gives a Matrix: sources are workloads and hosts outside the cluster; destinations are
the ports of workloads and Services, the cluster's DNS, and hosts outside. ``outside`` chooses
those hosts, ``ends`` has rows and columns, ``formats`` prints a Matrix. ``proof`` sends packets
for its cells.
"""

from harness.matrix.judging import judged
from harness.matrix.values import Cell, Cut, Matrix, Packets, Seen, Word

__all__ = ["Cell", "Cut", "Matrix", "Packets", "Seen", "Word", "judged"]
