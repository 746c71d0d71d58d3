"""Results as a run could give them, for the tests and the benchmark of reports."""

from __future__ import annotations

from dataclasses import replace

from harness.model import CellStatus
from harness.report import (
    CellRecord,
    ExternalRecord,
    FlapRecord,
    GapRecord,
    NamespaceRecord,
    ObjectRecord,
    Outcome,
    PhaseRecord,
    PodKind,
    PodRecord,
    PortRecord,
    Results,
    Run,
    ServicePortRecord,
    ServiceRecord,
    StartRecord,
    StepRecord,
    TopologyRecord,
    TraceRecord,
    WatchRecord,
)
from harness.report.compare import Compared, compare

HOSTILE = "</script><script>alert(1)</script> \"'`${x}&amp;<!-- <b>bold</b> {{ 7*7 }}"
"""A name that would end an element, an attribute or a template, if it were not escaped."""

RUN = Run("np1", "2030-01-01T00:00:00+00:00", 61.5, "0.1.0", "netns", 2)

_SHOP = "scenarios/shop.yaml"


def cell(
    source: str, destination: str, expected: str, observed: str, **more: object
) -> CellRecord:
    """Return a proven cell, or a wrong one if the verdicts differ."""
    status = CellStatus.PROVEN if expected == observed else CellStatus.WRONG
    made = CellRecord(
        source=source,
        destination=destination,
        family=4,
        expected=expected,
        stated=expected,
        observed=observed,
        status=status,
        location=f"{_SHOP}:14:7",
    )
    return replace(made, **more)  # type: ignore[arg-type]


WRONG = cell(
    "shop/web",
    "shop/db:5432",
    "TIMEOUT",
    "allowed",
    location=f"{_SHOP}:15:19",
    control="allowed",
    wrong_from_s=0.25,
    wrong_until_s=5.25,
    path=(0, 2),
    cni=TraceRecord("no rule of the chain dropped it", "iptables-save -c"),
    reasons="egress of shop/web: not isolated\ningress of shop/db: isolated by shop/db",
    command="kubectl -n shop exec web -- /agnhost connect 10.0.0.2:5432",
    raw="connected to <10.0.0.2>",
)

POD = PodRecord(
    namespace="shop",
    name="db",
    labels={"app": "db"},
    kind=PodKind.USUAL,
    node=1,
    placed_on="worker-1",
    addresses=("10.0.0.2", "fd00::2"),
    ports=(PortRecord(5432, "TCP"),),
)
SERVICE = ServiceRecord(
    namespace="shop",
    name="db",
    type="ClusterIP",
    selector={"app": "db"},
    ports=(ServicePortRecord(5432, "TCP", "5432"),),
    endpoints=("shop/db",),
    addresses=("10.96.0.9",),
)
TOPOLOGY = TopologyRecord(
    namespaces=(NamespaceRecord("shop", {"kubernetes.io/metadata.name": "shop"}),),
    pods=(
        POD,
        *(replace(POD, name=name, labels={}, addresses=()) for name in ("api", "web", "job")),
    ),
    services=(SERVICE,),
    externals=(ExternalRecord("office", ("192.0.2.7",), dns_names=("office.test",)),),
)
POLICY = ObjectRecord(
    api_version="networking.k8s.io/v1",
    kind="NetworkPolicy",
    namespace="shop",
    name="db",
    yaml="apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n",
    location="scenarios/policies/db.yaml:1:1",
    selects=("shop/db",),
    policy_types=("Ingress",),
)

_SEEN = StepRecord(
    file=_SHOP,
    scenario="The database of the shop",
    step="nobody has a policy",
    index=0,
    line=9,
    outcome=Outcome.PASSED,
    cluster="netns",
    columns=("shop/db:5432", "shop/web:80"),
    topology=TOPOLOGY,
    path_lines=(
        "egress of shop/web: not isolated",
        "egress of shop/api: not isolated",
        "ingress of shop/db: isolated by shop/db",
    ),
    cells=(
        cell("shop/api", "shop/db:5432", "allowed", "allowed"),
        cell("shop/api", "shop/web:80", "allowed", "allowed"),
        cell("shop/web", "shop/db:5432", "allowed", "allowed"),
    ),
    covers=("R01", "R07"),
    snapshot="2026-01-31",
    full_rounds=2,
    probe_s=0.4,
    time_to_allow_s=0.0,
)
_SHUT = replace(
    _SEEN,
    step="the database admits only the API",
    index=1,
    line=12,
    outcome=Outcome.WRONG,
    topology=replace(TOPOLOGY, objects=(POLICY,)),
    actions=("apply NetworkPolicy shop/db",),
    change="NetworkPolicy created",
    cells=(
        cell("shop/api", "shop/db:5432", "allowed", "allowed", path=(1, 2), wrong_until_s=0.8),
        cell("shop/api", "shop/web:80", "allowed", "allowed"),
        WRONG,
        cell(
            "shop/job",
            "shop/db:5432",
            "TIMEOUT",
            "",
            status=CellStatus.NO_VERDICT,
            reason="the pod is gone",
        ),
        cell("shop/job", "shop/web:80", "TIMEOUT", "TIMEOUT", status=CellStatus.UNPROVEN),
    ),
    full_rounds=1,
    probe_s=5.3,
    time_to_deny_s=5.25,
    time_to_allow_s=0.8,
    turned_denied=3,
    watched=(
        WatchRecord(
            pair="shop/api -> shop/db:5432",
            expected="allowed",
            location=f"{_SHOP}:14:19",
            tolerate_s=0.1,
            probes=50,
            without_verdict=0,
            interval_s=0.1,
            silent_s=0.2,
            silent=False,
            gaps=(GapRecord("TIMEOUT", 1.5, 2.5, tolerated=False),),
        ),
    ),
    started=(
        StartRecord(
            pair="shop/web -> shop/db:5432",
            expected="TIMEOUT",
            location=f"{_SHOP}:15:19",
            init=PhaseRecord(10, 0, 1, 0.0, 1.0),
            main=PhaseRecord(30, 0, 0, 1.1, 4.0),
            connected_s=0.2,
            lost=(),
            failed=True,
            silent=False,
        ),
    ),
)
FLAPS = tuple(FlapRecord("allowed", 1.0 + at, 1.5 + at) for at in range(12))
_OTHERS = replace(
    _SEEN,
    file="scenarios/others.yaml",
    scenario="Cells that prove nothing",
    step="some are limited, others undefined",
    outcome=Outcome.LIMITED,
    columns=("x/b:80", "x/b:80 (IPv6)", "x/c:80"),
    topology=TopologyRecord(),
    path_lines=(),
    covers=("R07",),
    snapshot="",
    cells=(
        cell("x/a", "x/b:80", "allowed", "allowed", status=CellStatus.UNDEFINED, reason="R40"),
        cell("x/a", "x/b:80", "allowed", "allowed", family=6),
        cell("x/a", "x/c:80", "TIMEOUT", "TIMEOUT", flapped=FLAPS),
        cell(
            "x/d",
            "x/b:80",
            "allowed",
            "allowed",
            stated="TIMEOUT",
            status=CellStatus.LIMITED,
            limitation="it leaks (a/b#1; v1)",
        ),
        cell("x/d", "x/c:80", "TIMEOUT", "TIMEOUT", status=CellStatus.EXEMPT, reason="no server"),
    ),
)
_SKIPPED = replace(
    _SEEN,
    file="scenarios/skipped.yaml",
    scenario="A scenario that is skipped",
    step="nothing ran",
    outcome=Outcome.SKIPPED,
    message="the cluster has no IPv6",
    topology=TopologyRecord(),
    path_lines=(),
    columns=(),
    cells=(),
    covers=("R12",),
)
_BROKEN = replace(
    _SKIPPED,
    file=f"scenarios/{HOSTILE}.yaml",
    scenario=HOSTILE,
    step=f"a step of {HOSTILE}",
    outcome=Outcome.CLUSTER_ERROR,
    message=f"the agent did not start: {HOSTILE}",
    covers=(),
)
_HOSTILE = replace(
    _BROKEN,
    step=f"another step of {HOSTILE}",
    index=1,
    outcome=Outcome.WRONG,
    message="",
    actions=(HOSTILE, f"apply NetworkPolicy x/{'q' * 250}"),
    columns=(HOSTILE,),
    cells=(
        cell(
            HOSTILE, HOSTILE, "TIMEOUT", "allowed", reasons=HOSTILE, command=HOSTILE, raw=HOSTILE
        ),
    ),
)

FAILED = Results(RUN, (_SEEN, _SHUT, _OTHERS, _SKIPPED, _BROKEN, _HOSTILE))
"""A run with every status that the report distinguishes, and with hostile names."""

GOOD = Results(RUN, (_SEEN,))

_EARLIER = (
    replace(
        _SEEN,
        cells=(
            replace(_SEEN.cells[0], observed="TIMEOUT", status=CellStatus.WRONG),
            *_SEEN.cells[1:],
        ),
    ),
    replace(
        _SHUT,
        cells=tuple(
            replace(one, observed=one.expected, status=CellStatus.PROVEN)
            if one.status in {CellStatus.WRONG, CellStatus.NO_VERDICT}
            else one
            for one in _SHUT.cells
        ),
    ),
    replace(_OTHERS, cells=tuple(replace(one, flapped=()) for one in _OTHERS.cells)),
    replace(_SKIPPED, outcome=Outcome.PASSED, message=""),
    replace(
        _HOSTILE,
        outcome=Outcome.PASSED,
        cells=(cell(HOSTILE, HOSTILE, "TIMEOUT", "TIMEOUT"),),
    ),
)
COMPARED = compare(
    [Compared("before", RUN, _EARLIER), Compared(f"now {HOSTILE}", RUN, FAILED.steps)]
)
"""Two runs of one CNI with every kind of difference, and with hostile names."""


def large(cells: int) -> Results:
    """Return results with at least so many cells, 400 in each step and two steps a scenario."""
    per_step, steps = 400, []
    pods = [f"ns-{number % 4}/pod-{number}" for number in range(20)]
    ends = [f"{pod}:80" for pod in pods]
    plain = tuple(
        cell(source, end, "allowed", "allowed", path=(0, 1)) for source in pods for end in ends
    )
    topology = TopologyRecord(
        namespaces=tuple(NamespaceRecord(f"ns-{number}", {}) for number in range(4)),
        pods=tuple(
            replace(POD, namespace=pod.partition("/")[0], name=pod.partition("/")[2])
            for pod in pods
        ),
        objects=(POLICY,),
    )
    for number in range(-(-cells // per_step)):
        file = f"scenarios/generated/case-{number // 2:04}.yaml"
        wrong = replace(WRONG, source=pods[0], destination=ends[1], location=f"{file}:9:1")
        is_wrong = number % 20 == 0
        steps.append(
            replace(
                _SHUT if is_wrong else _SEEN,
                file=file,
                scenario=f"Generated case {number // 2}",
                step=f"step {number % 2}",
                index=number % 2,
                columns=tuple(ends),
                topology=topology,
                cells=(plain[0], wrong, *plain[2:]) if is_wrong else plain,
            )
        )
    return Results(RUN, tuple(steps))
