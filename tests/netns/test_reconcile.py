"""Parts of the embedded cluster in a process of their own, where a test sees what it does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SETUP = """
import errno, json, os, resource, socket, threading
from dataclasses import replace
from harness.cluster.netns import kernel
from harness.cluster.netns.loop import Loop
from harness.cluster.netns.prober import Prober
from harness.cluster.netns.compiler.nft import policy_table
from harness.cluster.netns.parts import PARTS
from harness.cluster.netns.reconcile import Reconciler
from harness.cluster.netns.tables import Block, Table
from harness.errors import ClusterError
from harness.model import *

TIMEOUT_S = 0.3
kernel.unshare_namespaces()
loop = Loop()
rules = {}
def emit(node, found):
    return rules.get("table") or PARTS.emit(node, found)
reconciler = Reconciler(loop, (Family.V4,), replace(PARTS, emit=emit))
threading.Thread(target=loop.run, daemon=True).start()
client = Pod("x", "client")
server = Pod("x", "server", node=2, ports=(ContainerPort(80),))
state = State("test", (Namespace("x"),), (client, server))

def probe(*probes):
    found, done = [], threading.Event()
    def report(outcome):
        found.append(outcome)
        if len(found) == len(probes):
            done.set()
    prober = Prober(loop, 64)
    loop.call_soon(lambda: prober.start(probes, TIMEOUT_S, lambda: reconciler.view, report))
    done.wait()
    return [item.outcome for item in sorted(found, key=lambda item: item.index)]
"""

NEW_PODS_AND_BROKEN_RULES = """
reconciler.sync(state)
def namespaces():
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(link) and os.readlink(link).startswith("net:") for link in links)
before = namespaces()
rules["table"] = policy_table([Block("chain", "broken", ("no rule at all",))])
try:
    reconciler.sync(replace(state, pods=(*state.pods, Pod("x", "late"))))
except ClusterError:
    print("refused, and", namespaces() - before, "new namespaces")
rules.clear()
reconciler.sync(replace(state, pods=(*state.pods, Pod("x", "late"))))
print("accepted, and", namespaces() - before, "new namespace")
"""

SOURCE_PORTS = """
reconciler.sync(state)
kernel.enter(reconciler.view.hosts[server.ref].netns)
listening = socket.create_server((reconciler.view.addresses.pods[server.ref][0], 81), backlog=64)
one = Probe(client.ref, Destination(server.ref, 81))
assert probe(*[one] * 40) == [Verdict.ALLOWED] * 40
peers = sorted(listening.accept()[1][1] for _ in range(40))
print(peers == list(range(33000, 33040)))
"""

NO_DESCRIPTORS = """
reconciler.sync(state)
to_pod = Probe(client.ref, Destination(server.ref, 80))
to_name = Probe(client.ref, Destination(AbsoluteName("web.x.svc.cluster.local"), 80))
print(*probe(to_pod, to_name))
held = [os.dup(0) for _ in range(8)]
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, hard))
try:
    while True:
        held.append(os.dup(0))
except OSError as error:
    assert error.errno == errno.EMFILE
print(*probe(to_pod, to_name), sep="\\n")
"""

LAYERS = """
from harness.cluster.netns.compiler.layers import network_policy
from harness.cluster.netns.compiler.values import Action, AddressSet, Clause
from harness.policy import Direction

policy = json.dumps({"spec": {
    "podSelector": {"matchLabels": {"isolated": "yes"}},
    "ingress": [{"from": [{"podSelector": {"matchLabels": {"friend": "yes"}}}]}],
}})
pods = (
    Pod("x", "friend", Labels({"friend": "yes"})),
    Pod("x", "stranger"),
    Pod("x", "enemy", Labels({"friend": "yes"})),
    Pod("x", "guest", node=2),
    Pod("x", "passer"),
    Pod("x", "isolated", Labels({"isolated": "yes"}), (ContainerPort(80),), 2),
    Pod("x", "open", Labels(), (ContainerPort(80),), 1),
)
manifest = Manifest("networking.k8s.io/v1", "NetworkPolicy", "x", "friends", policy)

def tier(*rules):
    def layers_of(stages, policies, direction, ends):
        at = {pod.ref.name: pod.at for pod in ends.pods}
        clauses = tuple(Clause(action, "test", at[name]) for action, name in rules)
        return {pod.ref: clauses for pod in ends.pods if direction is Direction.INGRESS}
    return layers_of

before = tier(
    (Action.PASS, "friend"),
    (Action.DENY, "friend"),
    (Action.DENY, "enemy"),
    (Action.ALLOW, "guest"),
    (Action.PASS, "passer"),
    (Action.ALLOW, "passer"),
)
after = tier((Action.DENY, "guest"), (Action.DENY, "stranger"), (Action.PASS, "friend"))
reconciler = Reconciler(loop, (Family.V4,), replace(PARTS, layers=(before, network_policy, after)))
reconciler.sync(State("test", (Namespace("x"),), pods, policies=(manifest,)))
def to(server):
    end = Destination(PodRef("x", server), 80)
    names = ("friend", "stranger", "enemy", "guest", "passer")
    return tuple(Probe(PodRef("x", name), end) for name in names)
outcomes = probe(*to("isolated"), *to("open"))
for index, one in enumerate(to("open")):
    print(one.source, outcomes[index], outcomes[index + 5])
"""

STALE_LABELS = """
policy = json.dumps({"spec": {
    "podSelector": {},
    "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}],
}})
manifest = Manifest("networking.k8s.io/v1", "NetworkPolicy", "x", "clients", policy)

def labels_of_before(believed, now):
    if believed is None:
        return now
    labels = {pod.ref: pod.labels for pod in believed.state.pods}
    pods = tuple(replace(pod, labels=labels.get(pod.ref, pod.labels)) for pod in now.state.pods)
    return replace(now, state=replace(now.state, pods=pods))

def synced(reconciler, app):
    changed = replace(client, labels=Labels({"app": app}))
    reconciler.sync(replace(state, pods=(changed, server), policies=(manifest,)))

for observe in (PARTS.observe, labels_of_before):
    reconciler = Reconciler(loop, (Family.V4,), replace(PARTS, observe=observe))
    found = []
    for app in ("client", "other", "another", "client"):
        synced(reconciler, app)
        found += probe(Probe(client.ref, Destination(server.ref, 80)))
    print(*found)
"""

BELIEFS = """
seen = []
def observe(believed, now):
    seen.append((believed, now))
    return now

def emit(node, found):
    return rules.get("table") or PARTS.emit(node, found)

reconciler = Reconciler(loop, (Family.V4,), replace(PARTS, observe=observe, emit=emit))
reconciler.sync(state)
rules["table"] = policy_table([Block("chain", "broken", ("no rule at all",))])
try:
    reconciler.sync(state)
except ClusterError:
    rules.clear()
reconciler.sync(state)
reconciler.sync(replace(state, networks=Networks(pods=("10.99.0.0/16",))))
def sync_of(believed):
    return [now is believed for _, now in seen].index(True) if believed else "none"
print(*(sync_of(believed) for believed, _ in seen))
"""

SERVICES_AND_LOAD = """
policy = json.dumps({"spec": {"podSelector": {"matchLabels": {"app": "server"}}}})
manifest = Manifest("networking.k8s.io/v1", "NetworkPolicy", "x", "deny", policy)
labels = Labels({"app": "server"})
service = Service("x", "web", labels, (ServicePort(80, 80),))
pods = (client, replace(server, labels=labels))
exposed = State("test", (Namespace("x"),), pods, services=(service,))
tables = set()

def without_policies(scripts):
    for text in scripts.values():
        tables.update(line for line in text.splitlines() if line.startswith("delete"))
    kernel.run_nft({netns: text.split("table inet netpol")[0] for netns, text in scripts.items()})

to_service = Probe(client.ref, Destination(ServiceRef("x", "web"), 80))
to_pod = Probe(client.ref, Destination(server.ref, 80))
no_services = replace(PARTS, services=lambda *_: Table("services", {}))
for parts in (PARTS, no_services, replace(PARTS, load=without_policies)):
    reconciler = Reconciler(loop, (Family.V4,), parts)
    reconciler.sync(exposed)
    open_ = probe(to_service)
    reconciler.sync(replace(exposed, policies=(manifest,)))
    print(*open_, *probe(to_pod))
print(*sorted(tables), sep=", ")
"""

FAILED_SWITCH = """
deny = Manifest("networking.k8s.io/v1", "NetworkPolicy", "x", "deny", json.dumps({"spec": {
    "podSelector": {}}}))
shut = replace(state, policies=(deny,))
to_pod = Probe(client.ref, Destination(server.ref, 80))
fail = None

def load(scripts):
    switch = any("delete chain" in text for text in scripts.values())
    if not (fail == "before" and switch):
        kernel.run_nft(scripts)
    if fail and switch:
        raise ClusterError("the switch failed")

for moment in ("before", "after"):
    reconciler = Reconciler(loop, (Family.V4,), replace(PARTS, load=load))
    reconciler.sync(state)
    fail = moment
    try:
        reconciler.sync(shut)
    except ClusterError as error:
        print(moment, error)
    fail = None
    found = []
    for wanted in (shut, state, shut):
        reconciler.sync(wanted)
        found += probe(to_pod)
    print(*found)
"""

RESTARTED_AGENTS = """
beliefs, loads = [], []
def observe(believed, now):
    beliefs.append("nothing" if believed is None else "something")
    return now

def load(scripts):
    loads.extend(["load"] if scripts else [])
    kernel.run_nft(scripts)

reconciler = Reconciler(loop, (Family.V4,), replace(PARTS, observe=observe, load=load))
for scope, restarts in (("test", 0), ("test", 0), ("test", 1), ("test", 1), ("test", 0),
                        ("other", 0), ("other", 1)):
    beliefs.clear(), loads.clear()
    reconciler.sync(replace(state, scope=scope, agent_restarts=restarts))
    [outcome] = probe(Probe(client.ref, Destination(server.ref, 80)))
    print(scope, restarts, *beliefs, *loads, outcome)
"""


LINKS = """
import struct

def links(netns):
    # Yields name, length of the queue, and how often the carrier was lost.
    with kernel.route_socket(netns) as route:
        route.send(struct.pack("=IHHII16x", 32, 18, 0x301, 1, 0))
        while True:
            answers = route.recv(1 << 16)
            while answers:
                length, kind = struct.unpack_from("=IH", answers)
                if kind == 3:
                    return
                one, answers = answers[32:length], answers[(length + 3) & ~3:]
                found = {}
                while one:
                    size, word = struct.unpack_from("=HH", one)
                    found[word], one = one[4:size], one[(size + 3) & ~3:]
                name = found[3].rstrip(b"\\0").decode().rstrip("0123456789")
                yield name, *(int.from_bytes(found[word], "little") for word in (13, 48))

reconciler.sync(state)
for end in (client.ref, server.ref, NodeRef(1), NodeRef(2)):
    for name in sorted(set(links(reconciler.view.hosts[end].netns))):
        if name[0] not in {"lo", "blackhole"}:
            print(end, *name)
"""


def run(script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SETUP + script + "\nos._exit(0)\n"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.usefixtures("available")
def test_a_pod_is_not_made_before_the_rules_about_it_are_loaded() -> None:
    assert run(NEW_PODS_AND_BROKEN_RULES) == [
        "refused, and 0 new namespaces",
        "accepted, and 1 new namespace",
    ]


@pytest.mark.usefixtures("available")
def test_a_new_link_sends_at_once() -> None:
    """The end that came up first was activated; no end lost its carrier after it was made."""
    assert run(LINKS) == [
        "x/client eth 999 1",
        "x/server eth 999 1",
        "node/1 pod 1000 1",
        "node/1 uplink 999 1",
        "node/2 pod 1000 1",
        "node/2 uplink 999 1",
    ]


@pytest.mark.usefixtures("available")
def test_every_probe_comes_from_the_next_source_port() -> None:
    assert run(SOURCE_PORTS) == ["True"]


@pytest.mark.usefixtures("available")
def test_a_process_without_descriptors_gives_no_verdict() -> None:
    error = "no verdict: the probe has no socket: EMFILE: Too many open files"
    assert run(NO_DESCRIPTORS) == ["allowed DNS", error, error]


@pytest.mark.usefixtures("available")
def test_packets_meet_the_layers_in_their_order() -> None:
    """A layer before NetworkPolicy and one after it, on an isolated pod and on one that is not."""
    assert run(LAYERS) == [
        "x/friend allowed allowed",
        "x/stranger TIMEOUT TIMEOUT",
        "x/enemy TIMEOUT TIMEOUT",
        "x/guest allowed allowed",
        "x/passer TIMEOUT allowed",
    ]


@pytest.mark.usefixtures("available")
def test_the_rules_follow_what_the_cni_believes() -> None:
    assert run(STALE_LABELS) == [
        "allowed TIMEOUT TIMEOUT allowed",
        "allowed allowed allowed allowed",
    ]


@pytest.mark.usefixtures("available")
def test_a_belief_is_kept_when_its_rules_are_loaded_and_not_beyond_the_nodes() -> None:
    """Of the syncs 0 to 3, the second fails, and the last makes the nodes anew."""
    assert run(BELIEFS) == ["none 0 0 none"]


@pytest.mark.usefixtures("available")
def test_services_and_the_loading_of_rules_can_be_replaced() -> None:
    """Right; without the rules of Services; with a loader that loses the rules of policies."""
    assert run(SERVICES_AND_LOAD) == [
        "allowed TIMEOUT",
        "TIMEOUT TIMEOUT",
        "allowed allowed",
        "delete chain inet netpol forward, delete table inet netpol, delete table inet netpol_2, "
        "delete table inet services, delete table inet services_2",
    ]


@pytest.mark.usefixtures("available")
def test_after_a_switch_that_failed_the_next_sync_is_right() -> None:
    """Whether or not the kernel carried it out before the error."""
    denied_open_denied = "TIMEOUT allowed TIMEOUT"
    assert run(FAILED_SWITCH) == [
        "before the switch failed",
        denied_open_denied,
        "after the switch failed",
        denied_open_denied,
    ]


@pytest.mark.usefixtures("available")
def test_restarted_agents_believe_nothing_and_load_all_rules_again() -> None:
    """A load takes two transactions: the tables are built, then packets enter them."""
    assert run(RESTARTED_AGENTS) == [
        "test 0 nothing load load allowed",
        "test 0 something allowed",
        "test 1 nothing load load allowed",
        "test 1 something allowed",
        "test 0 something allowed",
        "other 0 something allowed",
        "other 1 nothing load load allowed",
    ]
