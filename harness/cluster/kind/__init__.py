"""A ``kube`` cluster that the harness makes itself: kind, with a CNI from a profile.

Owns the cluster's life (``up``, ``down``), the CNI profiles, and the hosts outside it.
pytest never makes or deletes a cluster: the command line and ``make`` do.
"""

from harness.cluster.kind.connection import clean, connect, knowing
from harness.cluster.kind.lifecycle import (
    choose,
    down,
    export_logs,
    kubeconfig,
    status,
    up,
)
from harness.cluster.kind.profiles import Limitation, Profile, profile, profile_names

__all__ = [
    "Limitation",
    "Profile",
    "choose",
    "clean",
    "connect",
    "down",
    "export_logs",
    "knowing",
    "kubeconfig",
    "profile",
    "profile_names",
    "status",
    "up",
]
