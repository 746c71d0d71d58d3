"""What lint finds in policies in tiers, and what tiers change in other findings."""

from __future__ import annotations

import pytest

from harness.lint.tier_rules import includes, may_meet
from harness.model import Protocol
from harness.policy.tiers import Networks, PortName, PortNumbers, RuleAction, TierRule
from tests.unit.lint.test_findings import DB, WEB, find, notes, pod, policy, shown

EVERY_POD = "{namespaces: {}}"
DENY = f"{{action: Deny, from: [{EVERY_POD}]}}"


def tier(name: str, spec: str, **keys: str) -> str:
    """Return a ClusterNetworkPolicy for every pod, of the Admin tier and priority 10."""
    head = {"tier": "Admin", "priority": "10", "subject": EVERY_POD} | keys
    written = ", ".join(f"{key}: {value}" for key, value in head.items())
    return (
        "---\napiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n"
        f"metadata: {{name: {name}}}\nspec: {{{written}, {spec}}}\n"
    )


def admin(kind: str, name: str, spec: str) -> str:
    return (
        f"---\napiVersion: policy.networking.k8s.io/v1alpha1\nkind: {kind}\n"
        f"metadata: {{name: {name}}}\nspec: {{subject: {EVERY_POD}, {spec}}}\n"
    )


# ------------------------------------------------------------------ subjects


def test_a_subject_with_nearly_the_labels_of_a_pod() -> None:
    subject = "{pods: {podSelector: {matchLabels: {app: wbe}}}}"
    assert shown(WEB + tier("p", f"ingress: [{DENY}]", subject=subject), SUBJECT) == [
        "warning: ClusterNetworkPolicy p selects pods app=wbe in namespaces <all>: no pod | "
        "app=web has 1: Pod shop/web"
    ]


SUBJECT = "subject-selects-no-pod"
NAME = "kubernetes.io/metadata.name"


def test_a_subject_without_near_labels_is_found_where_the_pods_are_known() -> None:
    other = "podSelector: {matchLabels: {role: cache}}"
    shop = f"namespaceSelector: {{matchLabels: {{{NAME}: shop}}}}"
    assert shown(WEB + tier("p", "", subject=f"{{pods: {{{other}}}}}"), SUBJECT) == []
    assert shown(WEB + tier("p", "", subject=f"{{pods: {{{shop}, {other}}}}}"), SUBJECT) == [
        f"warning: ClusterNetworkPolicy p selects pods role=cache in namespaces {NAME}=shop: no "
        "pod | pods of these namespaces are those of Pod shop/web"
    ]


def test_a_subject_of_a_namespace_with_another_label() -> None:
    space = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: shop}}\n"
    subject = "{namespaces: {matchLabels: {team: shpo}}}"
    assert shown(WEB + space + tier("p", "", subject=subject), SUBJECT) == [
        "warning: ClusterNetworkPolicy p selects namespaces team=shpo: no namespace | "
        "namespace shop has team=shop"
    ]


def test_pods_on_the_network_of_their_node_are_no_subjects() -> None:
    agent = pod("agent", "app: agent", spec="hostNetwork: true, ")
    subject = "{pods: {podSelector: {matchLabels: {app: agent}}}}"
    assert shown(agent + tier("p", "", subject=subject), SUBJECT) == [
        "warning: ClusterNetworkPolicy p selects pods app=agent in namespaces <all>: no pod | "
        "Pod shop/agent is on the network of its node; such pods are no subjects (T11)"
    ]


def test_a_subject_that_no_labels_can_meet() -> None:
    terms = "matchLabels: {app: web}, matchExpressions: [{key: app, operator: DoesNotExist}]"
    text = WEB + tier("p", "", subject=f"{{namespaces: {{{terms}}}}}")
    assert shown(text, "impossible-selector", SUBJECT) == [
        "error: ClusterNetworkPolicy p selects namespaces app=web,!app, which no "
        "labels can meet | two requirements exclude each other: no namespace"
    ]


# ------------------------------------------------------------------ rules that decide nothing


def test_a_rule_that_an_earlier_one_hides() -> None:
    rules = f"{DENY}, {{action: Pass, from: [{EVERY_POD}], protocols: [{{tcp: {PORT}}}]}}"
    assert shown(tier("p", f"ingress: [{rules}]"), "hidden-rule", "pass-skips-nothing") == [
        "warning: ClusterNetworkPolicy p, ingress rule 2: decides nothing, since rule 1 matches "
        "all that it does | the first matching rule decides, here Deny; write the one with Pass "
        "before it"
    ]


PORT = "{destinationPort: {number: 80}}"


def test_a_hidden_rule_with_the_same_action_is_a_note() -> None:
    rules = "[{action: Allow, from: [namespaces: {}]}, {action: Allow, from: [namespaces: {}]}]"
    text = admin("AdminNetworkPolicy", "p", f"priority: 1, ingress: {rules}")
    assert shown(text, "hidden-rule") == [
        "note: AdminNetworkPolicy p, ingress rule 2: decides nothing, since rule 1 matches all "
        "that it does | rule 1 has Allow as well; remove one of them"
    ]


def rule(*peers: str, ports: tuple[PortNumbers | PortName, ...] = ()) -> TierRule:
    return TierRule(RuleAction.DENY, (Networks(peers),), ports)


TCP = PortNumbers(Protocol.TCP, 80, 90)


@pytest.mark.parametrize(
    ("one", "other", "is_within", "meets"),
    [
        (rule("10.0.0.0/8"), rule("10.1.0.0/16"), True, True),
        (rule("10.1.0.0/16"), rule("10.0.0.0/8"), False, True),
        (rule("10.1.0.0/16"), rule("10.2.0.0/16"), False, False),
        (rule("0.0.0.0/0"), rule("::/0"), False, False),
        (rule("$(cidr:pods)"), rule("10.0.0.0/8"), False, True),
        (rule("10.0.0.0/8", "11.0.0.0/8"), rule("11.0.0.0/9"), True, True),
        (rule("10.0.0.0/8", ports=(TCP,)), rule("10.0.0.0/8"), False, True),
        (
            rule("10.0.0.0/8", ports=(TCP,)),
            rule("10.0.0.0/8", ports=(PortNumbers(Protocol.TCP, 85, 90),)),
            True,
            True,
        ),
        (
            rule("10.0.0.0/8", ports=(TCP,)),
            rule("10.0.0.0/8", ports=(PortNumbers(Protocol.UDP, 85, 90),)),
            False,
            False,
        ),
        (
            rule("10.0.0.0/8", ports=(TCP,)),
            rule("10.0.0.0/8", ports=(PortNumbers(Protocol.TCP, 91, 91),)),
            False,
            False,
        ),
        (
            rule("10.0.0.0/8", ports=(TCP,)),
            rule("10.0.0.0/8", ports=(PortName("http"),)),
            False,
            True,
        ),
    ],
)
def test_rules_that_include_and_meet_others(
    one: TierRule, other: TierRule, is_within: bool, meets: bool
) -> None:
    assert includes(one, other) is is_within
    assert (may_meet(one, other), may_meet(other, one)) == (meets, meets)


def test_every_address_is_every_peer_of_egress() -> None:
    accept = "{action: Accept, to: [networks: [0.0.0.0/0, '::/0']]}"
    rules = f"{accept}, {{action: Deny, to: [{EVERY_POD}]}}"
    (found,) = find(tier("p", f"egress: [{rules}]"), "hidden-rule")
    assert found.place.key == "spec.egress.1"
    one_family = rules.replace(", '::/0'", "")
    assert find(tier("p", f"egress: [{one_family}]"), "hidden-rule") == []


PASS = f"{{action: Pass, from: [{EVERY_POD}]}}"


def test_a_pass_that_skips_nothing() -> None:
    text = tier("p", f"ingress: [{PASS}]") + tier("q", f"ingress: [{DENY}]", priority="9")
    assert shown(text, "pass-skips-nothing") == [
        "warning: ClusterNetworkPolicy p, ingress rule 1: Pass, and no later rule of the Admin "
        "tier accepts or denies anything that it matches | it skips nothing; write it before the "
        "rule from which it is an exception"
    ]


@pytest.mark.parametrize(
    ("later", "is_found"),
    [
        (tier("q", f"ingress: [{DENY}]", priority="11"), False),
        (tier("q", f"ingress: [{DENY}]"), False),
        (tier("q", f"ingress: [{PASS}]", priority="11"), True),
        (tier("q", f"ingress: [{DENY}]", priority="11", tier="Baseline"), True),
        (tier("q", f"egress: [{DENY.replace('from', 'to')}]", priority="11"), True),
    ],
)
def test_what_comes_after_a_pass(later: str, is_found: bool) -> None:
    found = find(tier("p", f"ingress: [{PASS}]") + later, "pass-skips-nothing")
    assert ("ClusterNetworkPolicy p" in {item.place.subject for item in found}) is is_found


def test_a_pass_for_other_pods_than_the_later_rule() -> None:
    here, there = (f"{{namespaces: {{matchLabels: {{team: {name}}}}}}}" for name in ("a", "b"))
    text = tier("p", f"ingress: [{PASS}]", subject=here) + tier(
        "q", f"ingress: [{DENY}]", subject=there, priority="11"
    )
    assert len(find(text, "pass-skips-nothing")) == 1


# ------------------------------------------------------------------ equal priorities

ACCEPT = "{action: Accept, from: [{namespaces: {matchLabels: {team: ops}}}]}"


def test_equal_priorities_that_may_decide_differently() -> None:
    text = tier("p", f"ingress: [{DENY}]") + tier("q", f"ingress: [{ACCEPT}]")
    fact = (
        "ClusterNetworkPolicy p and ClusterNetworkPolicy q have the same priority 10 in the Admin "
        "tier, so either may decide{}: ingress rule 1 (Deny) or rule 1 (Accept) | give each its "
        "own priority; the lower one is evaluated first"
    )
    assert shown(WEB + text, "equal-priorities") == [
        f"warning: {fact.format(' for Pod shop/web')}"
    ]
    assert shown(text, "equal-priorities") == [f"note: {fact.format('')}"]


@pytest.mark.parametrize(
    "other",
    [
        tier("q", f"ingress: [{ACCEPT}]", priority="11"),
        tier("q", f"ingress: [{ACCEPT}]", tier="Baseline"),
        tier("q", f"ingress: [{DENY}]"),
        tier("q", f"egress: [{ACCEPT.replace('from', 'to')}]"),
        tier("q", f"ingress: [{DENY}, {ACCEPT}]"),
        tier("q", f"ingress: [{ACCEPT}]", subject="{namespaces: {matchLabels: {team: b}}}"),
    ],
)
def test_policies_that_never_decide_differently(other: str) -> None:
    subject = "{namespaces: {matchLabels: {team: a}}}"
    text = tier("p", f"ingress: [{DENY}]", subject=subject) + other
    assert shown(WEB + text, "equal-priorities") == []


def test_the_one_baseline_policy_has_no_priority() -> None:
    text = admin("BaselineAdminNetworkPolicy", "default", f"ingress: [{DENY}]")
    text += tier("q", f"ingress: [{ACCEPT}]", tier="Baseline", priority="0")
    assert find(text, "equal-priorities") == []


# ------------------------------------------------------------------ what has no effect


def test_names_without_accept() -> None:
    text = tier("p", "egress: [{action: Deny, to: [domainNames: [example.org]]}]")
    (found,) = find(text, "not-supported-by-the-api")
    assert (found.said.message, found.said.hint, found.place.key) == (
        "ClusterNetworkPolicy p: domainNames in a rule with the action Deny",
        "the API supports them only with Accept; plugins ignore this rule (T16)",
        "spec.egress.0.to.0.domainNames",
    )


ALL = policy("podSelector: {}, policyTypes: [Ingress]")
IN_SHOP = f"{{namespaces: {{matchLabels: {{{NAME}: shop}}}}}}"


def test_a_baseline_that_no_pod_reaches() -> None:
    rules = f"ingress: [{DENY}], egress: [{DENY.replace('from', 'to')}]"
    text = ALL + WEB + tier("p", rules, tier="Baseline", subject=IN_SHOP)
    assert shown(text, "baseline-not-reached") == [
        "note: ClusterNetworkPolicy p: its rules for ingress are never evaluated for Pod "
        "shop/web, all pods of the manifests that it selects | NetworkPolicies isolate them, and "
        "make the final decision (T21)"
    ]


@pytest.mark.parametrize(
    "text",
    [
        ALL
        + WEB
        + tier("p", f"ingress: [{DENY}]", tier="Baseline"),  # also the DNS of the cluster
        ALL + WEB + tier("p", f"ingress: [{DENY}]", subject=IN_SHOP),
        ALL + tier("p", f"ingress: [{DENY}]", subject=IN_SHOP, tier="Baseline"),
        policy("podSelector: {matchLabels: {app: web}}")
        + WEB
        + DB
        + tier("p", f"ingress: [{DENY}]", subject=IN_SHOP, tier="Baseline"),
    ],
)
def test_a_baseline_that_some_pod_reaches(text: str) -> None:
    assert shown(text, "baseline-not-reached") == []


def test_large_policies_are_not_compared() -> None:
    peers = ", ".join(f"{{namespaces: {{matchLabels: {{team: t{n}}}}}}}" for n in range(25))
    rules = ", ".join([f"{{action: Deny, from: [{peers}]}}"] * 25)
    text = tier("p", f"ingress: [{rules}]")
    assert find(text, "hidden-rule") == []
    assert notes(text) == ["the policies in tiers are too large for their rules to be compared"]


# ------------------------------------------------------------------ other findings


OPEN = ("not-isolated", "egress-not-isolated", "namespace-without-policy")


def test_what_a_tier_denies_is_not_called_open() -> None:
    deny = tier("p", f"ingress: [{DENY}], egress: [{DENY.replace('from', 'to')}]")
    assert shown(WEB + deny, *OPEN) == []
    other = policy("podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress]")
    assert shown(other + DB + WEB + deny, *OPEN) == []


def test_a_tier_that_denies_some_is_named() -> None:
    deny = DENY.replace("namespaces: {}", "namespaces: {matchLabels: {team: ops}}")
    text = WEB + tier("p", f"ingress: [{deny}]", tier="Baseline")
    assert [item.partition(" | ")[0] for item in shown(text, *OPEN)] == [
        "warning: namespace shop has no NetworkPolicy: every pod reaches Pod shop/web, but for "
        "what a tier denies"
    ]
    other = policy("podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress]")
    assert [item.partition(" | ")[0] for item in shown(other + DB + text, *OPEN)] == [
        "warning: no policy isolates Pod shop/web for ingress: every pod reaches it, and it "
        "reaches everything, but for what a tier denies"
    ]


def test_what_a_tier_accepts_is_reached_in_spite_of_an_accident() -> None:
    text = policy("podSelector: {}, egress: [{}]") + WEB + tier("p", f"ingress: [{ACCEPT}]")
    assert shown(text, "isolated-by-accident")[0].partition(" | ")[0] == (
        "warning: NetworkPolicy shop/p has egress rules and no policyTypes, so it also isolates "
        "for ingress: only what a tier accepts reaches Pod shop/web"
    )


def test_a_finding_in_a_tier_is_silenced() -> None:
    text = "---\n# netpol: ignore[pass-skips-nothing] for later\n" + tier(
        "p", f"ingress: [{PASS}]"
    ).removeprefix("---\n")
    assert find(text, "pass-skips-nothing", "unused-silence") == []
