"""What differs between two versions of an application."""

from __future__ import annotations

import io

import pytest

from harness.application import read
from harness.difference import Difference, Versions, compare
from harness.errors import UsageError
from harness.matrix import Cut


def workload(name: str, *ports: str, kind: str = "Deployment", namespace: str = "shop") -> str:
    listed = ", ".join(f"{{{port}}}" for port in ports)
    return f"""\
---
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: c, ports: [{listed}]}}]}}
"""


def service(name: str, spec: str) -> str:
    return f"""\
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {spec}
"""


def policy(name: str, spec: str, namespace: str = "shop") -> str:
    return f"""\
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"""


WEB = workload("web", "containerPort: 8080, name: http")
DB = workload("db", "containerPort: 5432")
SHOP = WEB + DB
DENY_DB = policy("db", "{podSelector: {matchLabels: {app: db}}}")
FROM_WEB = policy(
    "db",
    "{podSelector: {matchLabels: {app: db}}, "
    "ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
)


def difference(old: str, new: str, cut: Cut | None = None) -> Difference:
    before, after = (read(["-"], stdin=io.BytesIO(text.encode())) for text in (old, new))
    return compare(Versions(before, after), cut or Cut())


def changes(found: Difference) -> set[tuple[str, str, str]]:
    """The kinds of the changed connections; exposures have an exclamation mark."""
    return {
        (f"{change.kind}{'!' * change.is_exposure}", change.source, change.destination)
        for change in found.changes
    }


def ends(found: Difference) -> set[tuple[str, str, str | None]]:
    return {(f"{end.what} {end.how}", end.name, end.was) for end in found.ends}


# ------------------------------------------------------------------ connections


def test_a_version_and_itself() -> None:
    found = difference(SHOP + DENY_DB, SHOP + DENY_DB)
    assert (found.same, found.changes, found.ends, found.policies) == (True, (), (), ())
    # Of three sources to two ports, and of two workloads to DNS and outside.
    assert (found.unchanged.allowed, found.unchanged.denied) == (2 + 2 * 3, 2)


def test_a_policy_that_closes_and_one_that_opens() -> None:
    closed = difference(SHOP, SHOP + DENY_DB)
    ports = ("shop/db:5432", "shop/db:other", "shop/db:other/UDP")
    assert changes(closed) == {
        ("closed", source, port) for source in ("shop/web", "outside") for port in ports
    }
    opened = difference(SHOP + DENY_DB, SHOP)
    assert changes(opened) == {("opened", "shop/web", port) for port in ports} | {
        ("opened!", "outside", port) for port in ports
    }
    assert not closed.same


def test_exposures_are_first() -> None:
    found = difference(SHOP + DENY_DB, SHOP)
    flags = [change.is_exposure for change in found.changes]
    assert flags == sorted(flags, reverse=True) == [True] * 3 + [False] * 3


def said(old: str, new: str, source: str, destination: str) -> tuple[str, str]:
    (change,) = (
        item
        for item in difference(old, new).changes
        if (item.source, item.destination) == (source, destination)
    )
    return str(change.before), str(change.after)


def test_the_policies_that_decide() -> None:
    assert said(SHOP, SHOP + DENY_DB, "shop/web", "shop/db:5432") == (
        "allowed: no policy for ingress",
        "denied: isolated for ingress by NetworkPolicy shop/db",
    )
    assert said(SHOP + DENY_DB, SHOP + FROM_WEB, "shop/web", "shop/db:5432") == (
        "denied: isolated for ingress by NetworkPolicy shop/db",
        "allowed: NetworkPolicy shop/db, ingress rule 1",
    )
    leave = policy("leave", "{podSelector: {}, policyTypes: [Egress], egress: [{}]}")
    closed = policy("leave", "{podSelector: {}, policyTypes: [Egress]}")
    # What both versions say about ingress is left out.
    assert said(SHOP + FROM_WEB + leave, SHOP + FROM_WEB + closed, "shop/web", "shop/db:5432") == (
        "allowed: NetworkPolicy shop/leave, egress rule 1",
        "denied: isolated for egress by NetworkPolicy shop/leave",
    )


def test_of_a_denial_only_the_policies_that_deny() -> None:
    leave = policy(
        "leave", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}"
    )
    assert said(SHOP, SHOP + leave + DENY_DB, "shop/web", "shop/db:5432") == (
        "allowed: no policy for ingress",
        "denied: isolated for ingress by NetworkPolicy shop/db",
    )


def test_the_places_of_the_policies() -> None:
    (change,) = difference(SHOP, SHOP + DENY_DB, Cut(("shop/web",), ("shop/db:5432",))).changes
    (by,) = change.after.by
    assert [(p.name, str(p.location)) for p in by.policies] == [
        ("NetworkPolicy shop/db", "stdin:18:1")
    ]
    assert change.before.by == ()


def test_a_rule_may_open_ports_that_nobody_declares() -> None:
    one = FROM_WEB.replace("ingress: [{", "ingress: [{ports: [{port: 5432}], ")
    named = FROM_WEB.replace("ingress: [{", "ingress: [{ports: [{port: 9187}], ")
    assert changes(difference(SHOP + one, SHOP + FROM_WEB)) == {
        ("opened", "shop/web", "shop/db:other"),
        ("opened", "shop/web", "shop/db:other/UDP"),
    }
    assert changes(difference(SHOP + one, SHOP + named)) == {
        ("closed", "shop/web", "shop/db:5432"),
        ("opened", "shop/web", "shop/db:9187"),
    }


def test_a_port_that_only_a_rule_of_the_source_names() -> None:
    leave = policy(
        "web",
        "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], "
        "egress: [{ports: [{port: 53, protocol: UDP}]}]}",
    )
    one = FROM_WEB.replace("ingress: [{", "ingress: [{ports: [{port: 5432}], ")
    assert changes(difference(SHOP + leave + one, SHOP + leave + FROM_WEB)) == {
        ("opened", "shop/web", "shop/db:53/UDP")
    }
    # All ports change in the same way, so those that nobody declares are not told apart.
    old = SHOP + leave + one
    closed = difference(old, old + policy("all", "{podSelector: {}}"), Cut(("shop/db", "outside")))
    assert changes(closed) == {
        ("closed", source, f"shop/web:{port}")
        for source in ("shop/db", "outside")
        for port in ("8080", "other", "other/UDP")
    }


def test_both_sides_of_the_ends_of_a_range() -> None:
    whole = FROM_WEB.replace("ingress: [{", "ingress: [{ports: [{port: 70, endPort: 90}], ")
    hole = whole.replace("endPort: 90}", "endPort: 75}, {port: 80, endPort: 90}")
    assert changes(difference(SHOP + whole, SHOP + hole)) == {
        ("closed", "shop/web", "shop/db:76"),
        ("closed", "shop/web", "shop/db:79"),
    }


def test_a_block_of_one_version_is_asked_in_both() -> None:
    office = policy(
        "db",
        "{podSelector: {matchLabels: {app: db}}, "
        "ingress: [{from: [{ipBlock: {cidr: 198.51.100.0/24}}]}]}",
    )
    part = office.replace("100.0/24", "100.0/24, except: [198.51.100.128/25]")
    cut = Cut(destinations=("shop/db:5432",))
    assert changes(difference(SHOP + DENY_DB, SHOP + office, cut)) == {
        ("opened!", "outside in 198.51.100.0/24", "shop/db:5432"),
    }
    assert changes(difference(SHOP + office, SHOP + part, cut)) == {
        ("closed", "outside in 198.51.100.128/25", "shop/db:5432"),
    }


def test_egress_to_ports_that_no_rule_names() -> None:
    https = policy(
        "web", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 443}]}]}"
    )
    every = policy("web", "{podSelector: {}, policyTypes: [Egress], egress: [{}]}")
    cut = Cut(("shop/web",), ("outside",))
    assert changes(difference(SHOP + every, SHOP + https, cut)) == {
        ("closed", "shop/web", "outside:other"),
        ("closed", "shop/web", "outside:other/UDP"),
    }


def test_a_change_to_undefined() -> None:
    everybody = policy(
        "db",
        "{podSelector: {matchLabels: {app: db}}, "
        "ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}",
    )
    cut = Cut(("shop/web",), ("shop/db:5432",))
    assert changes(difference(SHOP + DENY_DB, SHOP + everybody, cut)) == {
        ("uncertain", "shop/web", "shop/db:5432")
    }
    (change,) = difference(SHOP + everybody, SHOP, cut).changes
    assert str(change.before).startswith("undefined: NetworkPolicy shop/db, ingress rule 1: ")
    assert (change.kind, str(change.after)) == ("uncertain", "allowed: no policy")


def test_replicas_that_differ_in_another_way() -> None:
    db = workload("db", "containerPort: 5432", kind="StatefulSet").replace(
        "spec:\n", "spec:\n  replicas: 2\n", 1
    )
    first = policy("db", "{podSelector: {matchLabels: {apps.kubernetes.io/pod-index: '0'}}}")
    last = first.replace("'0'", "'1'")
    cut = Cut(("shop/web",), ("shop/db:5432",))
    found = difference(WEB + db + first, WEB + db + last, cut)
    assert changes(found) == {("uncertain", "shop/web", "shop/db:5432")}
    assert [str(found.changes[0].before), str(found.changes[0].after)] == [
        "differs: shop/web -> shop/db-0:5432: denied; shop/web -> shop/db-1:5432: allowed",
        "differs: shop/web -> shop/db-0:5432: allowed; shop/web -> shop/db-1:5432: denied",
    ]


def test_a_service_loses_its_pods() -> None:
    old = SHOP + service("web", "{selector: {app: web}, ports: [{port: 80, targetPort: http}]}")
    found = difference(old, old.replace("selector: {app: web}", "selector: {app: wbe}"))
    assert changes(found) == {
        ("closed", "shop/db", "svc/shop/web:80"),
        ("closed", "shop/web", "svc/shop/web:80"),
    }
    assert {str(change.after) for change in found.changes} == {
        "no endpoint: Service shop/web has no endpoint for TCP 80"
    }


def test_a_service_becomes_a_load_balancer() -> None:
    old = SHOP + service("web", "{selector: {app: web}, ports: [{port: 80, targetPort: http}]}")
    new = old.replace("{selector: {app: web}", "{type: LoadBalancer, selector: {app: web}")
    found = difference(old, new)
    assert changes(found) == {("opened!", "outside", "svc/shop/web:80")}
    (change,) = found.changes
    assert (str(change.before), str(change.after)) == (
        "none: a host outside does not reach a Service of type ClusterIP",
        "allowed: no policy",
    )
    assert changes(difference(new, old)) == {("closed", "outside", "svc/shop/web:80")}


def test_more_replicas_change_no_connection() -> None:
    assert difference(SHOP, SHOP.replace("spec:\n", "spec:\n  replicas: 2\n")).same


# ------------------------------------------------------------------ workloads, Services and ports


def test_a_new_workload_is_shown_with_its_connections() -> None:
    new = SHOP + workload("cache", "containerPort: 6379") + DENY_DB
    found = difference(SHOP + DENY_DB, new)
    assert ends(found) == {("workload added", "shop/cache", None)}
    assert changes(found) == {("opened!", "outside", "shop/cache:6379")}
    (end,) = found.ends
    assert [(item.destination, item.sources) for item in end.reached] == [
        ("shop/cache:6379", ("shop/web", "shop/db", "outside"))
    ]
    assert end.reaches == ("shop/web:8080", "DNS:53/UDP", "DNS:53", "outside:443")
    gone = difference(new, SHOP + DENY_DB)
    assert (ends(gone), changes(gone)) == ({("workload removed", "shop/cache", None)}, set())
    assert gone.ends[0].reached == end.reached


def test_a_renamed_workload_keeps_its_connections() -> None:
    old, new = SHOP + FROM_WEB, SHOP.replace("app: web", "app: webs") + FROM_WEB
    new = new.replace("{name: web, ", "{name: webs, ")
    found = difference(old, new)
    assert ends(found) == {("workload renamed", "shop/webs", "shop/web")}
    # The policy asks for the old label.
    ports = ("shop/db:5432", "shop/db:other", "shop/db:other/UDP")
    assert changes(found) == {("closed", "shop/webs", port) for port in ports}


def test_a_workload_of_another_namespace_or_kind() -> None:
    moved = difference(SHOP, SHOP.replace("namespace: shop", "namespace: store"))
    assert ends(moved) == {
        ("workload renamed", "store/web", "shop/web"),
        ("workload renamed", "store/db", "shop/db"),
    }
    assert moved.changes == ()
    kind = difference(SHOP, WEB + workload("db", "containerPort: 5432", kind="StatefulSet"))
    assert (kind.same, kind.ends) == (True, ())


def test_workloads_that_are_not_alike_are_not_the_same() -> None:
    found = difference(SHOP, DB + workload("agent", "containerPort: 8080"))
    assert ends(found) == {
        ("workload removed", "shop/web", None),
        ("workload added", "shop/agent", None),
    }
    two = workload("web-1") + workload("web-2")
    found = difference(workload("web-3") + DB, DB + two)  # Which of both it is, nobody knows.
    assert {how for how, _, _ in ends(found)} == {"workload removed", "workload added"}


def test_of_several_that_are_alike_none_is_the_same() -> None:
    cache = "containerPort: 6379"
    old = [workload(name, cache).replace("app: " + name, "app: x") for name in ("red", "blue")]
    new = workload("green", cache).replace("app: green", "app: x")
    found = difference(SHOP + "".join(old), SHOP + new)
    assert ends(found) == {
        ("workload removed", "shop/red", None),
        ("workload removed", "shop/blue", None),
        ("workload added", "shop/green", None),
    }


def test_a_workload_without_pods() -> None:
    found = difference(SHOP, WEB + DB.replace("spec:\n", "spec:\n  replicas: 0\n", 1))
    assert [(end.how, end.name, end.why) for end in found.ends] == [
        ("removed", "shop/db", "it asks for no pods")
    ]


def test_a_port_with_another_number() -> None:
    moved = difference(
        SHOP + FROM_WEB.replace("{from", "{ports: [{port: 5432}], from"),
        SHOP.replace("5432", "5433") + FROM_WEB.replace("{from", "{ports: [{port: 5433}], from"),
    )
    assert ends(moved) == {("port renamed", "shop/db:5433", "shop/db:5432")}
    assert moved.changes == ()


def test_ports_with_names_and_other_numbers() -> None:
    old = workload("web", "containerPort: 80, name: http", "containerPort: 81, name: admin")
    new = old.replace("80,", "8080,").replace("81,", "8081,")
    assert ends(difference(old, new)) == {
        ("port renamed", "shop/web:8080", "shop/web:80"),
        ("port renamed", "shop/web:8081", "shop/web:81"),
    }


def test_a_new_port_and_one_that_is_gone() -> None:
    more = SHOP.replace("containerPort: 5432", "containerPort: 5432}, {containerPort: 9187")
    found = difference(SHOP, more)
    assert ends(found) == {("port added", "shop/db:9187", None)}
    assert changes(found) == {("opened!", "outside", "shop/db:9187")}
    assert found.ends[0].reached[0].sources == ("shop/web", "outside")
    assert str(found.ends[0].location) == "stdin:16:66"
    gone = difference(more, SHOP)
    assert (ends(gone), changes(gone)) == ({("port removed", "shop/db:9187", None)}, set())


def test_a_renamed_service() -> None:
    old = SHOP + service("web", "{selector: {app: web}, ports: [{port: 80, targetPort: http}]}")
    found = difference(
        old,
        old.replace(
            "kind: Service\nmetadata: {name: web", "kind: Service\nmetadata: {name: front"
        ),
    )
    assert ends(found) == {("Service renamed", "svc/shop/front", "svc/shop/web")}
    assert found.changes == ()
    gone = difference(old, SHOP)
    assert ends(gone) == {("Service removed", "svc/shop/web", None)}
    assert gone.ends[0].reached[0].destination == "svc/shop/web:80"


# ------------------------------------------------------------------ policies and cuts


def test_policies_with_another_text() -> None:
    spec = "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}"
    labelled = DENY_DB.replace("namespace: shop}", "namespace: shop, labels: {release: b}}")
    assert difference(SHOP + DENY_DB, SHOP + labelled).policies == ()
    found = difference(SHOP + DENY_DB, SHOP + policy("db", spec) + policy("more", spec))
    assert [(str(item.name), item.how) for item in found.policies] == [
        ("NetworkPolicy shop/db", None),
        ("NetworkPolicy shop/more", "added"),
    ]
    assert found.same


def test_a_policy_that_is_not_judged() -> None:
    other = (
        "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
        "metadata: {name: l7, namespace: shop}\n"
    )
    found = difference(SHOP + other, SHOP + DENY_DB + other)
    cut = {change.destination for change in found.changes}
    assert "shop/db:5432" in cut  # What NetworkPolicies change is seen beside it.
    changed = difference(SHOP + other, SHOP + other + "spec: {}\n")
    assert (changed.same, changed.changes) == (False, ())
    assert [(item.name, item.is_judged) for item in changed.policies] == [
        ("CiliumNetworkPolicy shop/l7", False)
    ]


def test_cuts() -> None:
    new = SHOP + DENY_DB + workload("cache", "containerPort: 6379")
    found = difference(SHOP, new, Cut(("shop/web",), ("shop/db", "shop/cache")))
    assert {change.source for change in found.changes} == {"shop/web"}
    assert ends(found) == {("workload added", "shop/cache", None)}
    assert ends(difference(SHOP, new, Cut(("shop/web",), ("shop/db",)))) == set()
    other = SHOP + workload("agent", namespace="ops")
    found = difference(other, other + DENY_DB, Cut(namespaces=("ops",)))
    assert {change.source for change in found.changes} == {"ops/agent"}
    # A title of the version before counts, too.
    assert ends(difference(new, SHOP, Cut(destinations=("shop/cache",)))) == {
        ("workload removed", "shop/cache", None)
    }


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (Cut(("shop/wbe",)), "no source is called 'shop/wbe'\nhint: did you mean 'shop/web'?"),
        (
            Cut(namespaces=("sop",)),
            "there is no namespace 'sop' in the manifests\nhint: did you mean 'shop'?",
        ),
    ],
)
def test_a_cut_that_names_nothing(cut: Cut, message: str) -> None:
    with pytest.raises(UsageError) as error:
        difference(SHOP, SHOP, cut)
    assert str(error.value) == message


def test_too_many_pairs() -> None:
    many = "".join(workload(f"web-{number}", "containerPort: 80") for number in range(420))
    with pytest.raises(UsageError) as error:
        difference(many, many)
    # A port and all others, for each workload; DNS has two ports, hosts outside three.
    assert str(error.value) == (
        "there are 532,565 pairs, and at most 500,000 can be compared at once\n"
        "hint: keep fewer: --from NAME, --to NAME"
    )


# ------------------------------------------------------------------ tiers


def tier(name: str, spec: str, tier: str = "Admin") -> str:
    return f"""\
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: {name}}}
spec: {{tier: {tier}, priority: 5, subject: {{namespaces: {{}}}}, {spec}}}
"""


EVERY_POD = "namespaces: {}"


def test_a_policy_in_a_tier_closes_and_opens() -> None:
    deny = tier("apart", f"ingress: [{{action: Deny, from: [{{{EVERY_POD}}}]}}]", "Baseline")
    found = difference(SHOP, SHOP + deny)
    assert ("closed", "shop/web", "shop/db:5432") in changes(found)
    assert ("closed", "shop/db", "shop/web:other") in changes(found)
    change = next(item for item in found.changes if item.destination == "shop/db:5432")
    assert (str(change.before), str(change.after)) == (
        "allowed: no policy for ingress",
        "denied: ClusterNetworkPolicy apart, ingress rule 1",
    )
    assert {item.kind for item in difference(SHOP + deny, SHOP).changes} == {"opened"}


def test_the_action_of_a_tier_changes() -> None:
    accept = tier("apart", f"ingress: [{{action: Accept, from: [{{{EVERY_POD}}}]}}]")
    found = difference(SHOP + DENY_DB + accept, SHOP + DENY_DB + accept.replace("Accept", "Pass"))
    assert changes(found) == {
        ("closed", "shop/web", "shop/db:5432"),
        ("closed", "shop/web", "shop/db:other"),
        ("closed", "shop/web", "shop/db:other/UDP"),
    }
    assert {(str(item.before), str(item.after)) for item in found.changes} == {
        (
            "allowed: ClusterNetworkPolicy apart, ingress rule 1",
            "denied: isolated for ingress by NetworkPolicy shop/db",
        )
    }
    assert [(item.name, item.how) for item in found.policies] == [
        ("ClusterNetworkPolicy apart", None)
    ]


def test_a_tier_that_decides_no_more() -> None:
    deny = tier("apart", f"ingress: [{{action: Deny, from: [{{{EVERY_POD}}}]}}]")
    found = difference(SHOP + deny, SHOP + deny.replace("Deny", "Pass"))
    assert {str(item.after) for item in found.changes} == {
        "allowed: no policy decides for ingress"
    }


def test_ports_that_only_rules_of_tiers_name() -> None:
    """Both ends of a range for ingress, and a number for egress to pods by their addresses."""
    ports = "protocols: [{tcp: {destinationPort: {range: {start: 7000, end: 7100}}}}]"
    deny = tier("apart", f"ingress: [{{action: Deny, from: [{{{EVERY_POD}}}], {ports}}}]")
    assert changes(difference(SHOP, SHOP + deny)) == {
        ("closed", source, f"{target}:{port}")
        for source, target in (("shop/web", "shop/db"), ("shop/db", "shop/web"))
        for port in (7000, 7100)
    }
    number = "protocols: [{udp: {destinationPort: {number: 7000}}}]"
    leave = tier("apart", f"egress: [{{action: Deny, to: [networks: [0.0.0.0/0]], {number}}}]")
    assert changes(difference(SHOP, SHOP + leave)) == {
        ("closed", "shop/web", "shop/db:7000/UDP"),
        ("closed", "shop/web", "outside:7000/UDP"),
        ("closed", "shop/db", "shop/web:7000/UDP"),
        ("closed", "shop/db", "outside:7000/UDP"),
    }


def test_a_network_that_a_tier_names() -> None:
    leave = tier("apart", "egress: [{action: Deny, to: [networks: [198.51.100.0/24]]}]")
    found = difference(SHOP, SHOP + leave)
    assert {item.destination.rpartition(":")[0] for item in found.changes} == {
        "outside in 198.51.100.0/24"
    }


def test_equal_priorities_are_undefined() -> None:
    deny = tier("apart", f"ingress: [{{action: Deny, from: [{{{EVERY_POD}}}]}}]")
    accept = tier("together", f"ingress: [{{action: Accept, from: [{{{EVERY_POD}}}]}}]")
    found = difference(SHOP + deny, SHOP + deny + accept)
    assert {item.kind for item in found.changes} == {"uncertain"}
    assert {str(item.after) for item in found.changes} == {
        "undefined: ClusterNetworkPolicy apart and ClusterNetworkPolicy together have the same "
        "priority 5, so either may decide (T23)"
    }
