"""The frozen values that travel through the harness. Imports only ``errors``.

Ends are printed, in YAML, messages and reports alike, as

    ns/pod              a pod                    (source, destination)
    node/1              the first worker         (source, destination)
    external/office     an outside host          (source, destination)
    svc/ns/name         a Service's ClusterIP    (destination)
    nodeport/ns/name@1  a NodePort through node 1 (destination)
    dns/name.ns         a Service by its name    (destination)
    dns/api.example.com an absolute name         (destination)
    ip/203.0.113.5      an address               (destination)

A destination adds ``:port`` (before the ``@`` of a nodeport) and ``/UDP`` or ``/SCTP``.
"""

from harness.model.probes import (
    AbsoluteName,
    Address,
    Destination,
    ExternalRef,
    Host,
    NodePortRef,
    NodeRef,
    Observation,
    Probe,
    ServiceName,
    ServiceRef,
    Source,
)
from harness.model.results import (
    CellResult,
    CellStatus,
    Flap,
    Reachability,
    StepResult,
    WatchedPair,
    WatchGap,
    is_rejected,
    satisfies,
)
from harness.model.scenarios import (
    FEATURES,
    ON_REQUEST,
    AgentsRestarted,
    Applied,
    Cell,
    Change,
    Created,
    Deleted,
    Fixture,
    Labelled,
    Limitation,
    Needs,
    Refused,
    Restarted,
    Scenario,
    Step,
    TruthTable,
    Watch,
)
from harness.model.topology import (
    RESERVED_NAMESPACES,
    CompletedPod,
    ContainerPort,
    External,
    ExternalTrafficPolicy,
    Labels,
    Manifest,
    Namespace,
    NamespaceRef,
    Networks,
    Pod,
    PodRef,
    Service,
    ServicePort,
    ServiceType,
    State,
)
from harness.model.verdicts import DeniesBy, Family, ProbeError, Protocol, Verdict, denials

__all__ = [
    "FEATURES",
    "ON_REQUEST",
    "RESERVED_NAMESPACES",
    "AbsoluteName",
    "Address",
    "AgentsRestarted",
    "Applied",
    "Cell",
    "CellResult",
    "CellStatus",
    "Change",
    "CompletedPod",
    "ContainerPort",
    "Created",
    "Deleted",
    "DeniesBy",
    "Destination",
    "External",
    "ExternalRef",
    "ExternalTrafficPolicy",
    "Family",
    "Fixture",
    "Flap",
    "Host",
    "Labelled",
    "Labels",
    "Limitation",
    "Manifest",
    "Namespace",
    "NamespaceRef",
    "Needs",
    "Networks",
    "NodePortRef",
    "NodeRef",
    "Observation",
    "Pod",
    "PodRef",
    "Probe",
    "ProbeError",
    "Protocol",
    "Reachability",
    "Refused",
    "Restarted",
    "Scenario",
    "Service",
    "ServiceName",
    "ServicePort",
    "ServiceRef",
    "ServiceType",
    "Source",
    "State",
    "Step",
    "StepResult",
    "TruthTable",
    "Verdict",
    "Watch",
    "WatchGap",
    "WatchedPair",
    "denials",
    "is_rejected",
    "satisfies",
]
