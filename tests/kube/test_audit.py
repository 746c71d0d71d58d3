"""An audit: which pods it asks, what it changes, and what it says about what it saw."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.audit import Audit, Judging, Pace, Prober, Word, planned
from harness.audit.formats import json_text, plan_text, text
from harness.cli import main
from harness.cluster.kube import Rights, rights
from harness.cluster.kube.api import Container, Heard, Output, say_nothing
from harness.cluster.kube.applications import survey
from harness.cluster.kube.batch import ProbeSettings
from harness.errors import ClusterError
from harness.model import DeniesBy

from .apiserver import ApiServer, Call, DirectApi, Fault
from .cluster_state import Key, Object
from .serving import kubeconfig, serving
from .test_applications import NP, World, thing

SETTINGS = ProbeSettings()
RBAC = Path(__file__).parents[2] / "docs" / "rbac-audit.yaml"

Answer = Callable[[str, str, int], str]
"""Pod, address and port of a probe to the status and words of ``agnhost connect``."""

OPEN, SILENT, SHUT = "0", "1 TIMEOUT", "1 REFUSED"


class Network(DirectApi):
    """Pods whose probes give what a test says."""

    def __init__(self, server: ApiServer, answer: Answer, open_s: float = 0.1) -> None:
        super().__init__(server)
        self.open_s = open_s
        self.server = server
        self.answer = answer
        self.ended: list[str] = []
        self.probes: list[tuple[str, str, int]] = []

    def execute(
        self,
        container: Container,
        command: Sequence[str],
        stdin: str,
        idle_s: float,
        heard: Heard = say_nothing,
    ) -> Output:
        if "touch" in command:
            self.ended.append(container.pod)
            return Output("", 1.0)
        lines = ["= begin 5.00"]
        for number, address, port in re.findall(r"\bp (\d+) ([\d.]+):(\d+) ", stdin):
            self.probes.append((container.pod, address, int(port)))
            status, _, words = self.answer(container.pod, address, int(port)).partition(" ")
            took_s = 1.0 if words == "TIMEOUT" else self.open_s
            lines.append(f"= {number} {status} 5.00 {5 + took_s:.2f} {words}")
        return Output("\n".join([*lines, "= end 7.00", ""]), 1.0)


class Shop(World):
    """Pods with addresses on two nodes; web may reach db, and nobody else may."""

    def __init__(self) -> None:
        super().__init__()
        self.put(thing("v1", "ServiceAccount", "default", "shop"))
        self.addresses: dict[str, str] = {}
        for name in ("web", "db", "cache"):
            self.deployment(name, replicas=2)
        db = {"matchLabels": {"app": "db"}}
        peers = [{"podSelector": {"matchLabels": {"app": "web"}}}]
        self.policy("db", podSelector=db, ingress=[{"from": peers}])

    def pod(self, name: str, labels: dict[str, str], phase: str = "Running") -> Object:
        made = super().pod(name, labels, phase)
        number = len(self.addresses) + 1
        self.addresses[name] = f"10.0.0.{number}"
        made["spec"]["nodeName"] = f"n{1 + number % 2}"
        made["status"] |= {
            "podIPs": [{"ip": self.addresses[name]}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        return made

    def as_the_policies_say(self, pod: str, address: str, port: int) -> str:
        to_db = address in {self.addresses[name] for name in self.addresses if "db" in name}
        return SILENT if to_db and not pod.startswith("web") else OPEN

    def on(self, node: str) -> set[str]:
        """Return the addresses of the pods on a node."""
        return {
            item["status"]["podIPs"][0]["ip"]
            for item in self.server.state.objects.values()
            if item["kind"] == "Pod" and item["spec"]["nodeName"] == node
        }


class Trial:
    """One audit of a shop."""

    def __init__(
        self, shop: Shop, answer: Answer, denies_by: DeniesBy | None = None, open_s: float = 0.1
    ) -> None:
        self.network = Network(shop.server, answer, open_s)
        clock = shop.server.clock
        self.survey = survey(self.network, ("shop",), clock)
        plan = planned(self.survey)
        pace = Pace(20, clock)
        prober = Prober(self.network, plan, "agnhost", SETTINGS, pace)
        self.plan = plan.without(prober.refusals())
        prober = Prober(self.network, self.plan, "agnhost", SETTINGS, pace)
        self.audit: Audit = prober.audited(Judging(denies_by, SETTINGS.limit_s))

    @property
    def words(self) -> dict[str, int]:
        return {word.value: n for word in Word if (n := len(self.audit.having(word)))}

    def said(self, word: Word) -> list[str]:
        return [f"{cell.pair}: {cell.seen}" for cell in self.audit.having(word)]


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_cluster_that_does_what_its_policies_say(shop: Shop) -> None:
    trial = Trial(shop, shop.as_the_policies_say)
    assert text(trial.audit) == (
        "0 wrongly open, 0 wrongly closed, 0 without a verdict; "
        "12 allowed and 3 denied, as the policies say\n"
    )


def test_a_node_that_enforces_nothing_is_named(shop: Shop) -> None:
    shop.deployment("jobs", replicas=2)
    broken = shop.on("n1")

    def answer(pod: str, address: str, port: int) -> str:
        return OPEN if address in broken else shop.as_the_policies_say(pod, address, port)

    assert text(Trial(shop, answer).audit) == WRONG


WRONG = """\
wrongly open: the policies deny it
  by the node of the destination, so many of the denied connect: 2 of 2 on n1, 0 of 3 on n2
  by the node of the source, so many of the denied connect: 0 of 1 on n1, 2 of 4 on n2
  shop/cache -> shop/db:80  it connects
      from cache-f00-0 on n2 to db-f00-1 (10.0.0.4) on n1
      egress of shop/cache-f00-0: not isolated (no policy selects it for Egress)
      ingress of shop/db-f00-1: isolated by NetworkPolicy shop/db; no rule allows \
shop/cache-f00-0 -> shop/db-f00-1 on TCP 80
  shop/jobs -> shop/db:80  it connects
      from jobs-f00-0 on n2 to db-f00-1 (10.0.0.4) on n1
      egress of shop/jobs-f00-0: not isolated (no policy selects it for Egress)
      ingress of shop/db-f00-1: isolated by NetworkPolicy shop/db; no rule allows \
shop/jobs-f00-0 -> shop/db-f00-1 on TCP 80

2 wrongly open, 0 wrongly closed, 0 without a verdict; 23 allowed and 3 denied, as the policies say
"""


def test_a_connection_once_in_three_attempts_is_wrongly_open(shop: Shop) -> None:
    tried: list[str] = []

    def answer(pod: str, address: str, port: int) -> str:
        if address != shop.addresses["db-f00-0"] or not pod.startswith("cache"):
            return shop.as_the_policies_say(pod, address, port)
        tried.append(pod)
        return OPEN if len(tried) == 1 else SILENT

    trial = Trial(shop, answer)
    assert trial.said(Word.WRONGLY_OPEN) == [
        "shop/cache -> shop/db:80: it connects in 1 of 3 attempts"
    ]
    assert len(tried) == 3


def test_an_allowed_pair_without_an_answer_is_wrongly_closed(shop: Shop) -> None:
    trial = Trial(shop, lambda pod, address, port: SILENT)
    assert trial.words["wrongly closed"] == 12
    assert trial.said(Word.WRONGLY_CLOSED)[0] == (
        "shop/cache -> shop/cache:80: no answer in 3 attempts"
    )


def test_an_answer_at_a_later_attempt_is_one(shop: Shop) -> None:
    seen: set[tuple[str, str]] = set()

    def answer(pod: str, address: str, port: int) -> str:
        if (pod, address) not in seen:
            seen.add((pod, address))
            return SILENT
        return shop.as_the_policies_say(pod, address, port)

    trial = Trial(shop, answer)
    assert "wrongly closed" not in trial.words
    assert trial.said(Word.ALLOWED)[0] == (
        "shop/cache -> shop/cache:80: it connects in 2 of 3 attempts"
    )


@pytest.mark.parametrize(
    ("denies_by", "words"),
    [
        (None, {"no verdict": 15}),
        ("drop", {"wrongly open": 3, "allowed, as the policies say": 12}),
        ("reject", {"no verdict": 12, "denied, as the policies say": 3}),
    ],
)
def test_what_refused_shows_depends_on_how_the_plugin_denies(
    shop: Shop, denies_by: DeniesBy | None, words: dict[str, int]
) -> None:
    assert Trial(shop, lambda pod, address, port: SHUT, denies_by).words == words


def test_pods_get_one_container_each_and_nothing_else_changes(shop: Shop) -> None:
    before = dict(shop.server.state.objects)
    trial = Trial(shop, shop.as_the_policies_say)
    chosen = {source.ref.name for source in trial.plan.sources}
    assert len(chosen) == 3
    assert sorted(trial.network.ended) == sorted(chosen)
    changes = [call for call in shop.server.calls if call.is_change]
    assert {(call.verb, call.kind, call.name) for call in changes} == {
        ("patch", "Pod/ephemeralcontainers", name) for name in chosen
    }
    for key, item in before.items():
        now = shop.server.state.objects[key]
        if key.name not in chosen:
            assert now == item
            continue
        (added,) = now["spec"].pop("ephemeralContainers")
        assert now["spec"] == item["spec"]
        assert re.fullmatch("netpol-audit-[0-9a-f]{8}", added["name"])
        assert added["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_sources_are_spread_over_the_nodes(shop: Shop) -> None:
    trial = Trial(shop, shop.as_the_policies_say)
    assert sorted({source.live.node for source in trial.plan.sources}) == ["n1", "n2"]
    ends = {pair.destination.node for pair in trial.plan.pairs}
    assert ends == {"n1", "n2"}


def test_the_rate_is_bounded(shop: Shop) -> None:
    trial = Trial(shop, shop.as_the_policies_say)
    clock = shop.server.clock
    pace = Pace(2, clock)
    began = clock.now()
    prober = Prober(trial.network, trial.plan, "agnhost", SETTINGS, pace)
    prober.audited(Judging(None, SETTINGS.limit_s))
    assert clock.now() - began >= (len(trial.plan.pairs) - 2) / 2


# ------------------------------------------------------------------ what changes meanwhile


def meanwhile(shop: Shop, change: Callable[[], None]) -> Trial:
    """Return the audit of a shop that changes once its first probes ran."""
    changed: list[bool] = []

    def answer(pod: str, address: str, port: int) -> str:
        if not changed:
            changed.append(True)
            change()
        return shop.as_the_policies_say(pod, address, port)

    return Trial(shop, answer)


def replace(shop: Shop, pod: Object) -> None:
    """Put another pod of the same name in the place of a pod."""
    shop.put(pod)


def test_a_pod_that_was_replaced_gives_no_verdict(shop: Shop) -> None:
    pod = shop.server.state.found("v1", "Pod", "shop", "db-f00-0")
    assert pod
    trial = meanwhile(shop, lambda: replace(shop, pod))
    said = trial.said(Word.NO_VERDICT)
    assert "shop/cache -> shop/db:80: no answer, but shop/db-f00-0 was deleted meanwhile" in said
    assert all("shop/db-f00-0 was deleted meanwhile" in line for line in said)


def test_a_pod_that_changed_its_address_gives_no_verdict(shop: Shop) -> None:
    def move() -> None:
        key = Key("v1", "Pod", "shop", "db-f00-0")
        pod = shop.server.state.found(*key)
        assert pod
        pod["status"]["podIPs"] = [{"ip": "10.0.9.9"}]
        shop.server.state.store(key, pod)

    said = meanwhile(shop, move).said(Word.NO_VERDICT)
    assert len(said) == 3
    assert all(line.endswith(", but shop/db-f00-0 changed its address meanwhile") for line in said)


def test_no_answer_on_a_starved_cluster_is_no_verdict(shop: Shop) -> None:
    trial = Trial(shop, shop.as_the_policies_say, open_s=3.0)
    assert trial.said(Word.NO_VERDICT)[0] == (
        "shop/cache -> shop/db:80: no answer, but the cluster is starved of CPU: a connection "
        "took 3.0 s"
    )
    assert trial.words == {"no verdict": 3, "allowed, as the policies say": 12}


def test_a_policy_that_was_removed_gives_no_verdict(shop: Shop) -> None:
    drop = shop.server.state.drop
    trial = meanwhile(shop, lambda: drop(NP, "NetworkPolicy", "shop", "db"))
    assert trial.said(Word.NO_VERDICT)[0] == (
        "shop/cache -> shop/db:80: no answer, but policies or labels that decide it changed "
        "meanwhile"
    )
    assert trial.words["no verdict"] == 3


def test_a_pod_that_is_replaced_before_its_container_is_added_gets_none(shop: Shop) -> None:
    pod = shop.server.state.found("v1", "Pod", "shop", "web-f00-0")
    assert pod
    network = Network(shop.server, shop.as_the_policies_say)
    plan = planned(survey(network, ("shop",), shop.server.clock))
    shop.put(pod)
    prober = Prober(network, plan, "agnhost", SETTINGS, Pace(20, shop.server.clock))
    found = prober.audited(Judging(None, SETTINGS.limit_s))
    assert found.plan.gaps == (
        "no probe starts in pod shop/web-f00-0: shop/web-f00-0 was deleted meanwhile",
    )
    assert (
        "ephemeralContainers"
        not in shop.server.state.objects[
            next(key for key in shop.server.state.objects if key.name == "web-f00-0")
        ]["spec"]
    )


@pytest.mark.parametrize("fault", [Fault.CONFLICT, Fault.LOST_500, Fault.BROKEN])
def test_a_request_that_fails_once_adds_one_container(shop: Shop, fault: Fault) -> None:
    failed: list[Call] = []

    def faults(call: Call) -> Fault | None:
        if call.kind != "Pod/ephemeralcontainers" or call.nth != 1:
            return None
        failed.append(call)
        return fault

    shop.server.faults = faults
    trial = Trial(shop, shop.as_the_policies_say)
    assert len(failed) == 3
    assert trial.words == {"allowed, as the policies say": 12, "denied, as the policies say": 3}
    for source in trial.plan.sources:
        pod = shop.server.state.found("v1", "Pod", "shop", source.ref.name)
        assert pod
        assert len(pod["spec"]["ephemeralContainers"]) == 1


def before_the_change(shop: Shop, act: Callable[[str], object]) -> None:
    """Let somebody act between the audit's last look at a pod and its change."""

    def before(call: Call) -> None:
        if call.kind == "Pod/ephemeralcontainers" and call.nth == 1:  # the first is a dry run
            act(call.name)

    shop.server.before = before


def test_a_container_that_somebody_else_adds_meanwhile_stays(shop: Shop) -> None:
    def debug(name: str) -> None:
        changes = {"spec": {"ephemeralContainers": [{"name": "debugger"}]}}
        shop.server.state.add_containers(Key("v1", "Pod", "shop", name), changes)

    before_the_change(shop, debug)
    trial = Trial(shop, shop.as_the_policies_say)
    assert trial.words == {"allowed, as the policies say": 12, "denied, as the policies say": 3}
    for source in trial.plan.sources:
        pod = shop.server.state.found("v1", "Pod", "shop", source.ref.name)
        assert pod
        first, second = pod["spec"]["ephemeralContainers"]
        assert first == {"name": "debugger"}
        assert second["name"].startswith("netpol-audit-")


def test_a_pod_that_takes_the_place_of_another_meanwhile_gets_no_container(shop: Shop) -> None:
    def again(name: str) -> None:
        pod = shop.server.state.found("v1", "Pod", "shop", name)
        assert pod
        shop.put(pod)

    before_the_change(shop, again)
    trial = Trial(shop, shop.as_the_policies_say)
    assert trial.audit.plan.gaps == tuple(
        f"no probe starts in pod {source.ref}: {source.ref} was deleted meanwhile"
        for source in trial.plan.sources
    )
    assert not [item for item in shop.server.state.objects.values()
                if "ephemeralContainers" in item.get("spec", {})]  # fmt: skip


# ------------------------------------------------------------------ what is not tried


def test_pods_that_take_no_container_are_said_before_anything_changes(shop: Shop) -> None:
    words = 'pods "x" is forbidden: violates PodSecurity "restricted:latest"'
    shop.server.refusals = [("patch", "Pod/ephemeralcontainers", 403, words)]
    trial = Trial(shop, shop.as_the_policies_say)
    assert trial.plan.sources == ()
    assert trial.plan.gaps == tuple(
        f"no probe starts in pod shop/{name}: {words}"
        for name in ("cache-f00-0", "db-f00-1", "web-f00-0")
    )
    assert not [item for item in shop.server.state.objects.values()
                if "ephemeralContainers" in item.get("spec", {})]  # fmt: skip


def test_a_container_that_does_not_start(shop: Shop) -> None:
    waiting = {"reason": "ErrImagePull", "message": "no such host"}
    shop.server.state.containers = {"waiting": waiting}
    trial = Trial(shop, shop.as_the_policies_say)
    assert trial.audit.plan.gaps[0] == (
        "no probe starts in pod shop/cache-f00-0: the container that was added to "
        "shop/cache-f00-0 does not run: ErrImagePull: no such host"
    )
    assert trial.words == {}


def bare(shop: Shop, name: str, **changes: Any) -> None:
    made = shop.pod(name, {"app": name})
    made["spec"] |= changes.get("spec", {})
    made["status"] |= changes.get("status", {})
    shop.put(made)


def test_pods_that_are_no_source_or_no_end_are_said(shop: Shop) -> None:
    udp = [{"name": "dns", "ports": [{"containerPort": 53, "protocol": "UDP"}]}]
    proxied = [{"name": "c"}, {"name": "istio-proxy"}]
    bare(shop, "agent", spec={"hostNetwork": True})
    bare(shop, "dns", spec={"containers": udp})
    bare(shop, "mesh", spec={"containers": proxied})
    bare(shop, "starting", status={"conditions": [{"type": "Ready", "status": "False"}]})
    bare(shop, "windows", spec={"os": {"name": "windows"}})
    plan = Trial(shop, shop.as_the_policies_say).plan
    assert plan.notes == (
        "no probe starts in shop/agent: it is on the network of its node, so no policy applies "
        "to it as to a pod",
        "no verdict for shop/dns:53/UDP: a real server answers no probe over UDP",
        "no probe starts in shop/mesh: its sidecar istio-proxy answers its connections itself, "
        "so a probe would show nothing",
        "shop/mesh declares no ports, so only ports that Services name are tried",
        "no probe starts in shop/windows: it runs on Windows, and agnhost needs Linux",
    )
    assert plan.gaps == (
        "shop/starting has no pod that is ready: starting: it is not ready: phase Running",
    )
    titles = {pair.source.title for pair in plan.pairs}
    assert titles == {"shop/cache", "shop/db", "shop/web", "shop/dns"}


def test_pods_that_other_policies_may_select_are_not_tried(shop: Shop) -> None:
    shop.put(thing("cilium.io/v2", "CiliumNetworkPolicy", "l7", "shop"))
    plan = planned(survey(Network(shop.server, shop.as_the_policies_say), ("shop",)))
    assert plan.pairs == ()
    assert plan.notes == tuple(
        f"shop/{name} -> shop/cache:80 and 4 more pairs are not tried: CiliumNetworkPolicy "
        f"shop/l7 may affect shop/{pod}, and its meaning is not known"
        for name, pod in (("cache", "cache-f00-0"), ("db", "db-f00-1"), ("web", "web-f00-0"))
    )


def test_cluster_wide_policies_that_may_not_be_listed_are_said(shop: Shop) -> None:
    def faults(call: Call) -> Fault | None:
        return Fault.FORBIDDEN if call.kind == "GlobalNetworkPolicy" else None

    shop.server.faults = faults
    trial = Trial(shop, shop.as_the_policies_say)
    assert text(trial.audit) == (
        "note: GlobalNetworkPolicy may not be listed, so none is in the answer: "
        'GlobalNetworkPolicy "" is forbidden: exceeded quota: all\n\n'
        "0 wrongly open, 0 wrongly closed, 0 without a verdict; "
        "12 allowed and 3 denied, as the policies say\n"
    )


def test_a_service_is_tried_through_its_address(shop: Shop) -> None:
    ports = [{"port": 5432, "targetPort": 80, "protocol": "TCP"}]
    spec = {"selector": {"app": "db"}, "ports": ports, "clusterIPs": ["10.96.0.7"]}
    shop.put(thing("v1", "Service", "db", "shop") | {"spec": spec})

    def answer(pod: str, address: str, port: int) -> str:
        if (address, port) == ("10.96.0.7", 5432):
            return OPEN if pod.startswith("web") else SILENT
        return shop.as_the_policies_say(pod, address, port)

    trial = Trial(shop, answer)
    found = {str(cell.pair): cell.word for cell in trial.audit.cells}
    assert found["shop/web -> svc/shop/db:5432"] is Word.ALLOWED
    assert found["shop/cache -> svc/shop/db:5432"] is Word.DENIED


# ------------------------------------------------------------------ the verb


def test_json_has_every_pair(shop: Shop) -> None:
    trial = Trial(shop, shop.as_the_policies_say)
    read = json.loads(json_text(trial.audit))
    assert read["counts"] == {
        "wrongly open": 0, "wrongly closed": 0, "no verdict": 0,
        "allowed, as the policies say": 12, "denied, as the policies say": 3,
    }  # fmt: skip
    assert len(read["pairs"]) == 15
    assert read["pairs"][-1].keys() == {
        "from", "to", "word", "seen", "source", "destination", "reasons"
    }  # fmt: skip


def test_the_plan_says_what_will_be_done(shop: Shop) -> None:
    plan = planned(survey(Network(shop.server, shop.as_the_policies_say), ("shop",)))
    assert (
        plan_text(plan, "agnhost", 5)
        == """\
in context double, an ephemeral container of agnhost is added to 3 pods:
  shop/cache-f00-0  (Deployment shop/cache, on n2)
  shop/db-f00-1  (Deployment shop/db, on n1)
  shop/web-f00-0  (Deployment shop/web, on n2)
It stays in the spec of its pod until the pod is deleted. It runs as user 1000 without \
privileges, and ends after the audit.
From there, 15 TCP connections to pods and Services are opened and closed, at most 5 in a second \
(about 3 s); one that is not as the policies say is tried three times.
Nothing else is changed: no label, no policy, no Service.
"""
    )


def test_missing_rights_are_named_before_anything_changes(shop: Shop) -> None:
    shop.server.denied = {("patch", "pods"), ("create", "pods")}
    with pytest.raises(ClusterError) as error:
        rights.require(DirectApi(shop.server), Rights.AUDIT, ("shop",))
    assert str(error.value) == (
        "context 'double' lacks the rights to patch pods/ephemeralcontainers in namespace shop, "
        "create pods/exec in namespace shop\n"
        "hint: docs/rbac-audit.yaml has a role with all rights that are needed"
    )


def test_nothing_is_changed_without_consent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = Shop()
    with serving() as http:
        http.api = shop.server
        named = ["--kubeconfig", kubeconfig(http, tmp_path)]
        assert main(["audit", "--context=kind-netpol", *named, "-n", "shop"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(
        "Nothing else is changed: no label, no policy, no Service.\n"
        "nothing was changed: nobody is there to ask\nhint: --yes answers for you\n"
    )
    assert not [item for item in shop.server.state.objects.values()
                if "ephemeralContainers" in item.get("spec", {})]  # fmt: skip


def test_the_documented_rights_are_those_that_are_required() -> None:
    role = yaml.safe_load(RBAC.read_text())
    assert [(rule["resources"], rule["verbs"]) for rule in role["rules"]] == [
        (["pods/ephemeralcontainers"], ["patch"]),
        (["pods/exec"], ["get", "create"]),
    ]
