"""An application as its manifests describe it: workloads, Services and policies with positions.

``read`` takes files, folders and texts as they are, and returns an Application. Objects that
change no connection are counted and ignored. ``read_objects`` takes objects of a cluster, and
``standing`` finds out which of them belong to another. ``files`` finds the files, also those of
a git revision (``revisions``), ``part`` takes typed values out of objects, ``workloads`` and
``services`` read their kinds, ``remarks`` finds what authors tell netpol, ``reading`` puts all
together. ``state`` gives each workload its pods, and the application as a State.
"""

from harness.application.files import exists
from harness.application.reading import INTO_FILE, read, read_objects
from harness.application.values import (
    Application,
    AppNamespace,
    AppService,
    Container,
    CustomObject,
    DeclaredPort,
    Ignored,
    Note,
    Reach,
    Remark,
    Role,
    Workload,
    WorkloadKind,
)

__all__ = [
    "INTO_FILE",
    "AppNamespace",
    "AppService",
    "Application",
    "Container",
    "CustomObject",
    "DeclaredPort",
    "Ignored",
    "Note",
    "Reach",
    "Remark",
    "Role",
    "Workload",
    "WorkloadKind",
    "exists",
    "read",
    "read_objects",
]
