"""The embedded cluster with real packets: what the contract of all clusters cannot ask for."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cluster.netns import NetnsCluster, kernel, protocol
from harness.errors import ClusterError, UsageError
from harness.model import (
    AbsoluteName,
    Address,
    ContainerPort,
    Destination,
    External,
    ExternalRef,
    ExternalTrafficPolicy,
    Family,
    Host,
    Labels,
    Manifest,
    Namespace,
    Needs,
    Networks,
    NodePortRef,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    ProbeError,
    Protocol,
    Service,
    ServiceName,
    ServicePort,
    ServiceRef,
    ServiceType,
    Source,
    State,
    Verdict,
)

ALLOWED, TIMEOUT, REFUSED, DNS = Verdict.ALLOWED, Verdict.TIMEOUT, Verdict.REFUSED, Verdict.DNS
BOTH = pytest.mark.parametrize("family", list(Family))

WEB, FAR, CLIENT = PodRef("x", "web"), PodRef("x", "far"), PodRef("x", "client")
AGENT = PodRef("x", "agent")
OFFICE = ExternalRef("office")
UDP = Protocol.UDP


def service(name: str, port: int = 80, **fields: object) -> Service:
    plain = Service("x", name, Labels({"app": name}), (ServicePort(port, "web"),))
    return replace(plain, **fields)  # type: ignore[arg-type]


STATE = State(
    "netns",
    (Namespace("x"),),
    (
        Pod(
            *("x", "web", Labels({"app": "web"})),
            (ContainerPort(80, name="web"), ContainerPort(80, UDP), ContainerPort(8080)),
            node=1,
        ),
        Pod("x", "far", Labels({"app": "far"}), (ContainerPort(81, name="web"),), node=2),
        Pod("x", "client", node=1),
        Pod("x", "agent", Labels({"app": "agent"}), (ContainerPort(9100),), 2, host_network=True),
    ),
    (
        service("web", type=ServiceType.NODE_PORT),
        service("far"),
        service("nobody"),
        service("bare", selector=Labels({"app": "web"}), type=ServiceType.HEADLESS),
        service("both", selector=Labels(), ports=(ServicePort(80, "web"),)),
        service(
            "local",
            selector=Labels({"app": "web"}),
            type=ServiceType.NODE_PORT,
            external_traffic_policy=ExternalTrafficPolicy.LOCAL,
        ),
        service("agent", ports=(ServicePort(80, 9100),)),
    ),
    (
        External(
            "office",
            ("10.10.0.5", "2001:db8::5"),
            (ContainerPort(443), ContainerPort(443, UDP)),
            ("api.example.com",),
        ),
        External("branch", ("10.60.0.5", "2001:db8:60::5")),
    ),
)


def policy(**spec: object) -> Manifest:
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "x"},
        "spec": {"podSelector": {}, **spec},
    }
    return Manifest("networking.k8s.io/v1", "NetworkPolicy", "x", "p", json.dumps(document))


Asked = tuple[Source, Host, int] | tuple[Source, Host, int, Protocol]
"""A probe: its ends, the port, and the protocol unless it is TCP."""


def words(
    cluster: NetnsCluster, family: Family, asked: Iterable[tuple[Source, Host, int, Protocol]]
) -> dict[str, str]:
    probes = [Probe(s, Destination(h, port, protocol), family) for s, h, port, protocol in asked]
    seen = cluster.probe(probes)
    return {f"{o.probe.source} -> {o.probe.destination}": str(o.outcome) for o in seen}


def expect(
    cluster: NetnsCluster,
    family: Family,
    table: Mapping[Asked, Verdict],
) -> None:
    full = {
        (key if len(key) == 4 else (*key, Protocol.TCP)): verdict for key, verdict in table.items()
    }
    expected = {f"{s} -> {Destination(h, n, p)}": str(v) for (s, h, n, p), v in full.items()}
    assert words(cluster, family, full) == expected


@BOTH
def test_every_source_reaches_every_kind_of_destination(
    cluster: NetnsCluster, family: Family
) -> None:
    cluster.sync(STATE)
    sources = (CLIENT, FAR, AGENT, NodeRef(1), NodeRef(2), OFFICE)
    table: dict[Asked, Verdict] = {}
    for source in sources:
        table |= {
            (source, WEB, 80, Protocol.TCP): ALLOWED,
            (source, WEB, 80, UDP): ALLOWED,
            (source, WEB, 82, Protocol.TCP): REFUSED,
            (source, WEB, 82, UDP): REFUSED,
            (source, FAR, 81, Protocol.TCP): ALLOWED,
            (source, AGENT, 9100, Protocol.TCP): ALLOWED,
            (source, NodeRef(2), 9100, Protocol.TCP): ALLOWED,
            (source, NodeRef(1), 9100, Protocol.TCP): REFUSED,
            (source, OFFICE, 443, Protocol.TCP): ALLOWED,
            (source, OFFICE, 443, UDP): ALLOWED,
            (source, OFFICE, 444, Protocol.TCP): REFUSED,
        }
    expect(cluster, family, table)


@BOTH
def test_a_trace_names_the_rule_that_dropped_a_packet(
    cluster: NetnsCluster, family: Family
) -> None:
    cluster.sync(replace(STATE, policies=(policy(podSelector={"matchLabels": {"app": "far"}}),)))
    denied = Probe(CLIENT, Destination(FAR, 81), family)
    allowed = Probe(CLIENT, Destination(WEB, 80), family)
    traces = cluster.trace([denied, allowed])
    assert [trace.probe for trace in traces] == [denied, allowed]
    assert traces[0].says.startswith("node/2: chain ingress_")
    assert traces[0].says.endswith("1 packet: isolated by x/p")
    assert traces[1].says == "no rule of a policy dropped a packet"


@BOTH
def test_services_lead_to_their_pods(cluster: NetnsCluster, family: Family) -> None:
    cluster.sync(STATE)
    table: dict[Asked, Verdict] = {}
    for source in (WEB, FAR, CLIENT, AGENT, NodeRef(1), NodeRef(2)):
        table |= {
            (source, ServiceRef("x", "web"), 80): ALLOWED,
            (source, ServiceRef("x", "far"), 80): ALLOWED,
            (source, ServiceRef("x", "both"), 80): ALLOWED,
            (source, ServiceRef("x", "agent"), 80): ALLOWED,
            (source, ServiceRef("x", "nobody"), 80): REFUSED,
            (source, ServiceRef("x", "web"), 81): TIMEOUT,
            (source, ServiceName("x", "web"), 80): ALLOWED,
            (source, ServiceName("x", "bare"), 80): ALLOWED,
            (source, ServiceName("x", "bare"), 8080): ALLOWED,
            (source, ServiceName("x", "missing"), 80): DNS,
            (source, AbsoluteName("api.example.com"), 443): ALLOWED,
            (source, AbsoluteName("api.example.org"), 443): DNS,
        }
    table[OFFICE, ServiceRef("x", "web"), 80] = TIMEOUT
    expect(cluster, family, table)


@BOTH
def test_node_ports(cluster: NetnsCluster, family: Family) -> None:
    cluster.sync(STATE)
    table: dict[Asked, Verdict] = {}
    for source in (WEB, CLIENT, FAR, NodeRef(1), NodeRef(2), OFFICE):
        table |= {
            (source, NodePortRef("x", "web", 1), 80): ALLOWED,
            (source, NodePortRef("x", "web", 2), 80): ALLOWED,
            (source, NodePortRef("x", "local", 1), 80): ALLOWED,
        }
    table[OFFICE, NodePortRef("x", "local", 2), 80] = TIMEOUT
    expect(cluster, family, table)


@BOTH
def test_a_local_node_port_shows_the_clients_address_to_policy(
    cluster: NetnsCluster, family: Family
) -> None:
    blocks = [{"ipBlock": {"cidr": "10.10.0.0/16"}}, {"ipBlock": {"cidr": "2001:db8::/48"}}]
    cluster.sync(replace(STATE, policies=(policy(ingress=[{"from": blocks}]),)))
    branch = ExternalRef("branch")
    expect(
        cluster,
        family,
        {
            (OFFICE, NodePortRef("x", "local", 1), 80): ALLOWED,
            (branch, NodePortRef("x", "local", 1), 80): TIMEOUT,
            (OFFICE, WEB, 80): ALLOWED,
            (branch, WEB, 80): TIMEOUT,
            (FAR, WEB, 80): TIMEOUT,
        },
    )


@BOTH
def test_nobody_answers_at_an_address_that_nobody_has(
    cluster: NetnsCluster, family: Family
) -> None:
    cluster.sync(STATE)
    nowhere = {
        Family.V4: ("203.0.113.5", "100.64.77.77", "100.64.200.7", "100.66.0.77"),
        Family.V6: ("2001:db8:ffff::5", "fd64::ffff", "fd64:0:0:1::ffff", "fd64:0:2::ffff"),
    }
    expect(
        cluster,
        family,
        {
            (source, Address(ip), 80): TIMEOUT
            for source in (CLIENT, FAR, NodeRef(1), OFFICE)
            for ip in nowhere[family]
        },
    )


def test_a_scenario_with_other_ranges_gets_them(cluster: NetnsCluster) -> None:
    first_pod, first_node = Address("100.64.0.16"), Address("100.66.0.2")
    own = Networks(pods=("10.244.0.0/16",), nodes=("10.0.0.0/24",))
    states = (STATE, replace(STATE, scope="own-ranges", networks=own), STATE)
    for state in states:
        cluster.sync(state)
        own_pod, own_node = Address("10.244.0.16"), Address("10.0.0.2")
        served = state.networks == own
        for source in (FAR, NodeRef(2), OFFICE):
            expect(
                cluster,
                Family.V4,
                {
                    (source, WEB, 80): ALLOWED,
                    (source, own_pod if served else first_pod, 80): ALLOWED,
                    (source, first_pod if served else own_pod, 80): TIMEOUT,
                    (source, own_node if served else first_node, 81): REFUSED,
                    (source, first_node if served else own_node, 81): TIMEOUT,
                },
            )
        expect(cluster, Family.V4, {(CLIENT, ServiceName("x", "web"), 80): ALLOWED})


@BOTH
def test_a_default_deny_of_egress_breaks_names(cluster: NetnsCluster, family: Family) -> None:
    cluster.sync(replace(STATE, policies=(policy(policyTypes=["Egress"]),)))
    expect(
        cluster,
        family,
        {
            (CLIENT, ServiceName("x", "web"), 80): DNS,
            (CLIENT, AbsoluteName("api.example.com"), 443): DNS,
            (CLIENT, WEB, 80): TIMEOUT,
            (WEB, WEB, 80): ALLOWED,
            (NodeRef(1), WEB, 80): ALLOWED,
        },
    )


def test_a_denial_takes_the_probe_timeout_and_no_more(cluster: NetnsCluster) -> None:
    cluster.sync(replace(STATE, policies=(policy(),)))
    (seen,) = cluster.probe([Probe(CLIENT, Destination(WEB, 80))])
    assert seen.outcome is TIMEOUT
    assert seen.ended - seen.started >= cluster.capabilities.probe_timeout_s


def test_new_probes_are_not_let_through_as_old_connections(cluster: NetnsCluster) -> None:
    """UDP flows outlive their probe in conntrack; a fresh source port is a fresh flow."""
    cluster.sync(STATE)
    udp = [Probe(CLIENT, Destination(WEB, 80, UDP))] * 50
    assert {seen.outcome for seen in cluster.probe(udp)} == {ALLOWED}
    cluster.sync(replace(STATE, policies=(policy(),)))
    assert {seen.outcome for seen in cluster.probe(udp)} == {TIMEOUT}


@BOTH
def test_the_dns_pods_can_be_probed(cluster: NetnsCluster, family: Family) -> None:
    cluster.sync(STATE)
    for host in (PodRef("kube-system", "coredns"), ServiceRef("kube-system", "kube-dns")):
        expect(cluster, family, {(CLIENT, host, 53): ALLOWED, (CLIENT, host, 53, UDP): ALLOWED})


def test_an_end_that_does_not_exist_gives_no_verdict(own_cluster: NetnsCluster) -> None:
    probe = Probe(CLIENT, Destination(WEB, 80))
    (seen,) = own_cluster.probe([probe])
    assert seen.outcome == ProbeError("the cluster holds nothing yet")
    own_cluster.sync(STATE)
    missing: list[Host] = [
        PodRef("x", "y"),
        ExternalRef("y"),
        ServiceRef("x", "y"),
        ServiceRef("x", "bare"),
        NodePortRef("x", "far", 1),
    ]
    seen_at = own_cluster.probe([Probe(CLIENT, Destination(host, 80)) for host in missing])
    assert [type(seen.outcome) for seen in seen_at] == [ProbeError] * len(missing)


def test_pods_with_host_network_cannot_share_a_port(cluster: NetnsCluster) -> None:
    rival = Pod("x", "rival", ports=(ContainerPort(9100),), node=2, host_network=True)
    with pytest.raises(ClusterError, match="x/rival cannot serve its ports"):
        cluster.sync(replace(STATE, pods=(*STATE.pods, rival)))
    cluster.sync(STATE)
    expect(cluster, Family.V4, {(CLIENT, AGENT, 9100): ALLOWED, (CLIENT, WEB, 80): ALLOWED})


def test_a_kind_that_it_does_not_know_is_refused_with_a_hint(cluster: NetnsCluster) -> None:
    strange = Manifest("cilium.io/v2", "CiliumNetworkPolicy", "x", "p", "{}")
    with pytest.raises(ClusterError) as caught:
        cluster.sync(replace(STATE, policies=(strange,)))
    assert str(caught.value) == (
        "the embedded cluster does not know cilium.io/v2 CiliumNetworkPolicy "
        "(CiliumNetworkPolicy x/p)\n"
        "hint: it enforces networking.k8s.io/v1 NetworkPolicy; use a cluster with that CRD"
    )


def test_built_in_kinds_other_than_networkpolicy_have_no_effect(cluster: NetnsCluster) -> None:
    settings = Manifest("v1", "ConfigMap", "x", "settings", "{}")
    cluster.sync(replace(STATE, policies=(settings,)))
    expect(cluster, Family.V4, {(CLIENT, WEB, 80): ALLOWED})
    assert {"v1/ConfigMap", "networking.k8s.io/v1/NetworkPolicy"} <= cluster.capabilities.kinds
    needs = Needs(kinds=frozenset({"v1/ConfigMap", "networking.k8s.io/v1/NetworkPolicy"}))
    assert cluster.capabilities.ignores(needs) == ("v1/ConfigMap",)


@pytest.mark.parametrize("api_version", ["cilium.io/v2", "cert-manager.io/v1"])
def test_a_custom_kind_is_lacking(cluster: NetnsCluster, api_version: str) -> None:
    needs = Needs(kinds=frozenset({f"{api_version}/Thing"}))
    assert cluster.capabilities.lacks(needs) == (
        f"cluster netns lacks the API {api_version}/Thing"
    )


def test_it_has_no_api_server_that_could_reject_an_object(cluster: NetnsCluster) -> None:
    with pytest.raises(ClusterError) as caught:
        cluster.sync(replace(STATE, refused=(policy(),)))
    assert str(caught.value) == (
        "NetworkPolicy x/p must be rejected by an API server; the embedded cluster has none\n"
        "hint: such a step `needs: [admission]`"
    )


def test_many_services_are_more_than_one_message_to_the_kernel(cluster: NetnsCluster) -> None:
    cluster.sync(with_services(60))
    ends = [(CLIENT, ServiceRef("x", f"many-{number}"), 80) for number in (0, 30, 59)]
    for family in Family:
        expect(cluster, family, dict.fromkeys(ends, ALLOWED))


def with_services(count: int) -> State:
    """The State with more Services, of three endpoints each."""
    web, *others = STATE.pods
    pods = (*(replace(web, name=name) for name in ("web", "web-2", "web-3")), *others)
    many = (service(f"many-{n}", selector=Labels({"app": "web"})) for n in range(count))
    return replace(STATE, pods=pods, services=(*STATE.services, *many))


def test_many_addresses_are_more_than_one_message_to_the_kernel(cluster: NetnsCluster) -> None:
    """The office is the last of 7,000 blocks of which no two touch, and the branch is in none."""
    blocks = [f"10.{100 + n // 100}.{n % 100 * 2}.5/32" for n in range(7000)]
    office, branch = STATE.externals
    allowed = [{"ipBlock": {"cidr": block}} for block in blocks]
    cluster.sync(
        replace(
            STATE,
            externals=(replace(office, addresses=("10.169.198.5",)), branch),
            policies=(policy(ingress=[{"from": allowed}]),),
        )
    )
    expect(
        cluster, Family.V4, {(OFFICE, WEB, 80): ALLOWED, (ExternalRef("branch"), WEB, 80): TIMEOUT}
    )


@pytest.mark.parametrize(("services", "times"), [(0, 80), (60, 8)], ids=["short", "long"])
def test_replacing_rules_never_changes_what_both_states_decide(
    cluster: NetnsCluster, services: int, times: int
) -> None:
    """Packets pass while the rules are replaced; sets and maps change each time."""
    web, denied = Destination(WEB, 80, UDP), PodRef("x", "denied")
    whole = with_services(services)
    state = replace(whole, pods=(*whole.pods, Pod("x", "denied", node=2)), externals=())
    allowing = [{"podSelector": {"matchLabels": {"role": "client"}}}]
    states = [
        replace(
            state,
            pods=tuple(
                replace(pod, labels=Labels({"role": "client"})) if pod.ref == CLIENT else pod
                for pod in state.pods
            ),
            policies=(policy(ingress=[{"from": [*allowing, {"ipBlock": {"cidr": block}}]}]),),
        )
        for block in ("203.0.113.0/24", "198.51.100.0/24")
    ]
    cluster.sync(states[0])
    rounds = {Probe(CLIENT, web): 1, Probe(denied, web): 20}
    seen: dict[Probe, Counter[Verdict | ProbeError]] = {probe: Counter() for probe in rounds}
    stop = threading.Event()

    def watch(probe: Probe) -> None:
        while not stop.is_set():
            seen[probe].update(s.outcome for s in cluster.probe([probe] * rounds[probe]))

    watchers = [threading.Thread(target=watch, args=(probe,)) for probe in rounds]
    for watcher in watchers:
        watcher.start()
    for number in range(times):
        cluster.sync(states[number % 2])
    stop.set()
    for watcher in watchers:
        watcher.join()
    assert [set(counted) for counted in seen.values()] == [{ALLOWED}, {TIMEOUT}]


def test_without_enforcement_policies_do_nothing(available: None) -> None:
    with NetnsCluster(defect="no-enforcement") as cluster:
        cluster.sync(replace(STATE, policies=(policy(),)))
        expect(cluster, Family.V4, {(CLIENT, WEB, 80): ALLOWED})


def test_an_unknown_defect_is_refused() -> None:
    with pytest.raises(UsageError, match="no-enforcment"):
        NetnsCluster(defect="no-enforcment")


def test_a_child_that_cannot_be_started_leaves_no_socket(
    available: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    before = open_files()
    with pytest.raises(ClusterError) as raised:  # its traceback keeps the cluster alive
        NetnsCluster()
    assert open_files() == before
    assert str(raised.value) == (
        "the embedded cluster cannot start: /nonexistent/python: No such file or directory "
        "(ENOENT)\nhint: make sure that it exists, and start netpol again"
    )


def open_files() -> set[str]:
    """Return the files and sockets that this process has open."""
    # The descriptor that listed the folder is closed by now, and has no link.
    links = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return {str(path.readlink()) for path in links}


def test_describe_shows_ends_policies_and_rules(cluster: NetnsCluster) -> None:
    cluster.sync(replace(STATE, policies=(policy(),)))
    text = cluster.describe([Probe(CLIENT, Destination(ServiceRef("x", "web"), 80))])
    for words_ in (
        "x/client: ",
        "svc/x/web: NodePort",
        "; 1 policy\n  NetworkPolicy x/p: {",
        "table inet netpol",
    ):
        assert words_ in text


# ------------------------------------------------------------------ processes


def child_of(cluster: NetnsCluster) -> int:
    return cluster._child.pid


def gone(pid: int) -> bool:
    """Whether a process is no more than an entry that somebody has yet to read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_when_the_child_dies_nothing_has_a_verdict(own_cluster: NetnsCluster) -> None:
    own_cluster.sync(STATE)
    os.kill(child_of(own_cluster), signal.SIGKILL)
    probes = [Probe(CLIENT, Destination(WEB, 80)), Probe(CLIENT, Destination(WEB, 81))]
    seen = own_cluster.probe(probes)
    assert [o.probe for o in seen] == probes
    assert [type(o.outcome) for o in seen] == [ProbeError, ProbeError]
    with pytest.raises(ClusterError):
        own_cluster.sync(STATE)
    assert "cannot be described" in own_cluster.describe(probes)
    assert own_cluster.close() == ()


PARENT = """
import sys, time
from harness.cluster.netns import NetnsCluster
from harness.model import Namespace, Pod, State
cluster = NetnsCluster()
cluster.sync(State("s", (Namespace("x"),), (Pod("x", "a"),)))
print(cluster._child.pid, flush=True)
time.sleep(60)
"""


def test_a_killed_parent_leaves_nothing(available: None) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.kill()
        parent.wait()
        assert eventually(lambda: gone(child))


HEIR = "import subprocess; subprocess.Popen(['sleep', '20'], pass_fds=[cluster._shared.fileno()])"


def test_it_dies_with_its_parent_though_another_holds_the_socket(available: None) -> None:
    """Then no end of file tells of the death, and only the kernel's signal is left."""
    script = PARENT.replace("print(", f"{HEIR}\nprint(")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        assert eventually(lambda: gone(child))


def test_it_leaves_of_its_own_accord_when_closed(own_cluster: NetnsCluster) -> None:
    own_cluster.sync(STATE)
    assert own_cluster.close() == ()
    assert own_cluster._child.returncode == 0


def test_a_parent_that_was_interrupted_gets_no_traceback(available: None) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here, there = socket.socketpair()
    with ours, theirs, here, there:
        code = "from harness.cluster.netns.child import main; main()"
        words = [sys.executable, "-c", code, str(theirs.fileno()), str(os.getpid())]
        with subprocess.Popen(words, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE) as child:
            protocol.send(here, protocol.Hello(None))
            socket.send_fds(ours, [b"x"], [there.fileno()])
            there.close()
            here.close()
            assert child.stderr is not None
            assert child.stderr.read() == b""
            assert child.wait(10) == 0


def test_ctrl_c_in_a_terminal_does_not_reach_it(cluster: NetnsCluster) -> None:
    """It goes to the processes of a group, and would end the child with a traceback."""
    assert os.getpgid(child_of(cluster)) != os.getpgrp()


def test_it_lives_in_a_network_of_its_own(cluster: NetnsCluster) -> None:
    cluster.sync(STATE)
    theirs = Path(f"/proc/{child_of(cluster)}/ns/net").readlink()
    assert theirs != Path("/proc/self/ns/net").readlink()
    links = {path.name for path in Path("/sys/class/net").iterdir()}
    assert not {"node1", "node2", "uplink", "void"} & links


# ------------------------------------------------------------------ what the kernel refuses

STARVED = """
import os, resource
from pathlib import Path
from harness.cluster.netns import NetnsCluster, kernel
from harness.errors import ClusterError
from harness.model import Destination, Namespace, Pod, PodRef, Probe, State

state = State("s", (Namespace("x"),), tuple(Pod("x", f"p{number}") for number in range(40)))
probe = Probe(PodRef("x", "p0"), Destination(PodRef("x", "p1"), 80))
held = []

def starve(spare):
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        for _ in range(spare):
            os.close(held.pop())

def feed():
    while held:
        os.close(held.pop())

def attempt(call):
    try:
        call()
    except ClusterError as error:
        print(error)
"""

WITHOUT_FILES = """
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
for spare in (0, 3):  # none for the socket; none for the process
    starve(spare)
    attempt(NetnsCluster)
    feed()
with NetnsCluster() as cluster:
    starve(0)
    attempt(lambda: cluster.sync(state))
    print(cluster.probe([probe])[0].outcome)
    feed()
    attempt(lambda: cluster.sync(state))  # in the child
"""

WITHOUT_NAMESPACES = """
kernel.unshare_namespaces()
Path("/proc/sys/user/max_net_namespaces").write_text("0")
attempt(NetnsCluster)
"""

FILES = "\nhint: raise the limit of open files of this process: ulimit -n\n"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            WITHOUT_FILES,
            f"the embedded cluster cannot start: Too many open files (EMFILE){FILES}"
            f"the embedded cluster cannot start: Too many open files (EMFILE){FILES}"
            f"the embedded cluster cannot be asked: Too many open files (EMFILE){FILES}"
            "no verdict: the embedded cluster cannot be asked: Too many open files (EMFILE)\n"
            f"the embedded cluster cannot change the network: Too many open files (EMFILE){FILES}",
        ),
        (
            WITHOUT_NAMESPACES,
            "the embedded cluster cannot start: unshare: No space left on device (ENOSPC)\n"
            "hint: raise the limits sysctl user.max_net_namespaces and "
            "user.max_user_namespaces\n",
        ),
    ],
    ids=["files", "namespaces"],
)
def test_what_the_kernel_refuses_says_what_helps(available: None, script: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARVED + script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (told, "")


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (
            errno.EAGAIN,
            "raise the limit of processes: ulimit -u, or the pids limit of the container",
        ),
        (errno.EIO, "run as root, or use --cluster=kind or current"),
    ],
)
def test_every_refusal_says_what_helps(number: int, hint: str) -> None:
    reason = f"{os.strerror(number)} ({errno.errorcode[number]})"
    refusal = kernel.refusal("start", OSError(number, os.strerror(number)))
    assert str(refusal) == f"the embedded cluster cannot start: {reason}\nhint: {hint}"
