"""A ``kube`` cluster that the harness makes itself: kind, with a CNI from a profile.

Owns the cluster's life (``up``, ``down``), how a CNI is installed, and the hosts outside.
pytest never makes or deletes a cluster: the command line and ``make`` do.
"""

from harness.cluster.kind.connection import clean, connect
from harness.cluster.kind.lifecycle import (
    down,
    export_logs,
    kubeconfig,
    status,
    up,
)
from harness.cluster.kind.requirements import choose

__all__ = [
    "choose",
    "clean",
    "connect",
    "down",
    "export_logs",
    "kubeconfig",
    "status",
    "up",
]
