"""What every Cluster promises to the runner, whichever it is."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import fmean

import pytest

from harness.cluster import Cluster
from harness.model import (
    CompletedPod,
    ContainerPort,
    Destination,
    Labels,
    Manifest,
    Namespace,
    Observation,
    Pod,
    PodRef,
    Probe,
    ProbeError,
    Protocol,
    Service,
    ServiceName,
    ServicePort,
    ServiceRef,
    State,
    Verdict,
)

ALLOWED, TIMEOUT, REFUSED, DNS = Verdict.ALLOWED, Verdict.TIMEOUT, Verdict.REFUSED, Verdict.DNS

SERVER, CLIENT, OTHER = PodRef("a", "server"), PodRef("a", "client"), PodRef("b", "other")
TCP, UDP = ContainerPort(80), ContainerPort(80, Protocol.UDP)
STATE = State(
    "contract",
    (Namespace("a"), Namespace("b", Labels({"team": "b"}))),
    (
        Pod("a", "server", Labels({"app": "server"}), (TCP, UDP), node=1),
        Pod("a", "client", Labels({"app": "client"}), node=1),
        Pod("b", "other", Labels({"app": "other"}), (TCP,), node=2),
    ),
    (Service("a", "web", Labels({"app": "server"}), (ServicePort(8080, 80),)),),
)
CLIENT_TCP = Probe(CLIENT, Destination(SERVER, 80))
OTHER_TCP = Probe(OTHER, Destination(SERVER, 80))
CLIENT_UDP = Probe(CLIENT, Destination(SERVER, 80, Protocol.UDP))


def policy(name: str, **spec: object) -> Manifest:
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "a"},
        "spec": {"podSelector": {}, **spec},
    }
    return Manifest("networking.k8s.io/v1", "NetworkPolicy", "a", name, json.dumps(document))


DENY_ALL = policy("deny-all", policyTypes=["Ingress", "Egress"])
FROM_CLIENT = policy(
    "from-client",
    podSelector={"matchLabels": {"app": "server"}},
    ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}],
)


def test_a_cluster_is_checked_against_the_seam_where_it_is_defined(cluster: Cluster) -> None:
    assert Cluster in type(cluster).__mro__


def test_a_cluster_tells_where_pods_are_and_which_addresses_things_have(
    cluster: Cluster,
) -> None:
    assert [item for item in cluster.placements() if item.of == SERVER] == []
    cluster.sync(STATE)
    placed = {item.of: item for item in cluster.placements()}
    assert all(placed[ref].node and placed[ref].addresses for ref in (SERVER, CLIENT, OTHER))
    assert placed[SERVER].node == placed[CLIENT].node
    assert placed[ServiceRef("a", "web")].addresses
    addresses = [address for item in placed.values() for address in item.addresses]
    assert len(addresses) == len(set(addresses))


def test_a_trace_says_something_about_each_probe(cluster: Cluster) -> None:
    cluster.sync(STATE)
    traces = cluster.trace([CLIENT_TCP, OTHER_TCP])
    assert [trace.probe for trace in traces] == [CLIENT_TCP, OTHER_TCP]
    assert all(trace.says for trace in traces)


def outcomes(cluster: Cluster, probes: Sequence[Probe]) -> dict[Probe, Verdict | ProbeError]:
    return {seen.probe: seen.outcome for seen in cluster.probe(probes)}


def settles(cluster: Cluster, expected: dict[Probe, Verdict]) -> None:
    """Probe until all is as expected, or the cluster's own time to settle is over."""
    deadline = time.monotonic() + cluster.capabilities.settle_s
    while True:
        seen = outcomes(cluster, tuple(expected))
        if seen == expected:
            return
        if time.monotonic() > deadline:
            assert seen == expected


def with_policies(*policies: Manifest) -> State:
    return replace(STATE, policies=policies)


def relabelled(ref: PodRef, labels: dict[str, str], state: State) -> State:
    pods = (replace(p, labels=Labels(labels)) if p.ref == ref else p for p in state.pods)
    return replace(state, pods=tuple(pods))


def test_what_was_synced_is_reachable(cluster: Cluster) -> None:
    cluster.sync(STATE)
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: ALLOWED, CLIENT_UDP: ALLOWED})


def test_an_undeclared_port_does_not_listen(cluster: Cluster) -> None:
    cluster.sync(STATE)
    settles(
        cluster,
        {
            CLIENT_TCP: ALLOWED,
            Probe(CLIENT, Destination(SERVER, 81)): REFUSED,
            Probe(OTHER, Destination(SERVER, 81)): REFUSED,
        },
    )


def test_policies_deny_and_their_deletion_allows(cluster: Cluster) -> None:
    cluster.sync(STATE)
    settles(cluster, {CLIENT_TCP: ALLOWED, CLIENT_UDP: ALLOWED})
    cluster.sync(with_policies(DENY_ALL))
    settles(cluster, {CLIENT_TCP: TIMEOUT, OTHER_TCP: TIMEOUT, CLIENT_UDP: TIMEOUT})
    cluster.sync(with_policies(DENY_ALL, replace(FROM_CLIENT)))
    settles(cluster, {CLIENT_TCP: TIMEOUT, OTHER_TCP: TIMEOUT})
    cluster.sync(with_policies(FROM_CLIENT))
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: TIMEOUT, CLIENT_UDP: ALLOWED})
    cluster.sync(STATE)
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: ALLOWED})


def from_block(cidr: str) -> Manifest:
    """Return a policy that allows the server's sources in a block."""
    rule = {"from": [{"ipBlock": {"cidr": cidr}}]}
    return policy("block", podSelector={"matchLabels": {"app": "server"}}, ingress=[rule])


def test_a_policy_names_the_address_of_a_pod(cluster: Cluster) -> None:
    if "ipblock-pod-ip" not in cluster.capabilities.features:
        pytest.skip("its ipBlocks do not match pods")
    cluster.sync(STATE)
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: ALLOWED})
    cluster.sync(with_policies(from_block("$(ip:b/other)/32")))
    settles(cluster, {CLIENT_TCP: TIMEOUT, OTHER_TCP: ALLOWED})
    cluster.sync(with_policies(from_block("$(ip:a/client)/32")))
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: TIMEOUT})
    cluster.sync(with_policies(from_block("$(cidr:pods)")))
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: ALLOWED})


def test_a_policy_follows_the_address_of_a_pod_that_is_created_again(cluster: Cluster) -> None:
    if "ipblock-pod-ip" not in cluster.capabilities.features:
        pytest.skip("its ipBlocks do not match pods")
    state = with_policies(from_block("$(ip:b/other)/32"))
    cluster.sync(state)
    settles(cluster, {CLIENT_TCP: TIMEOUT, OTHER_TCP: ALLOWED})
    pods = (replace(p, incarnation=1) if p.ref == OTHER else p for p in state.pods)
    cluster.sync(replace(state, pods=tuple(pods)))
    settles(cluster, {CLIENT_TCP: TIMEOUT, OTHER_TCP: ALLOWED})


def test_a_label_opens_the_door_and_shuts_it(cluster: Cluster) -> None:
    state = relabelled(CLIENT, {}, with_policies(FROM_CLIENT))
    cluster.sync(state)
    settles(cluster, {CLIENT_TCP: TIMEOUT})
    cluster.sync(relabelled(CLIENT, {"app": "client"}, state))
    settles(cluster, {CLIENT_TCP: ALLOWED})
    cluster.sync(state)
    settles(cluster, {CLIENT_TCP: TIMEOUT})


def test_a_completed_pod_is_neither_subject_nor_peer_nor_endpoint(cluster: Cluster) -> None:
    job = CompletedPod("a", "job", Labels({"app": "client"}), node=1)
    serving = CompletedPod("a", "was-server", Labels({"app": "server"}), node=2)
    ended = replace(with_policies(FROM_CLIENT), completed=(job, serving))
    cluster.sync(ended)
    service = Probe(CLIENT, Destination(ServiceRef("a", "web"), 8080))
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: TIMEOUT, service: ALLOWED})
    # A cluster may give it the address of one that completed; on netns it does.
    new = Pod("a", "new", Labels({"app": "new"}), (TCP,), node=1)
    cluster.sync(replace(ended, pods=(*ended.pods, new)))
    reached, reaching = (
        Probe(OTHER, Destination(new.ref, 80)),
        Probe(new.ref, CLIENT_TCP.destination),
    )
    settles(cluster, {CLIENT_TCP: ALLOWED, reached: ALLOWED, reaching: TIMEOUT})
    cluster.sync(replace(with_policies(FROM_CLIENT), pods=(*ended.pods, new)))
    settles(cluster, {CLIENT_TCP: ALLOWED, reached: ALLOWED, reaching: TIMEOUT})


def test_namespace_labels_are_followed(cluster: Cluster) -> None:
    team = {"namespaceSelector": {"matchLabels": {"team": "b"}}}
    state = with_policies(policy("from-team-b", ingress=[{"from": [team]}]))
    cluster.sync(state)
    settles(cluster, {OTHER_TCP: ALLOWED, CLIENT_TCP: TIMEOUT})
    cluster.sync(replace(state, namespaces=(Namespace("a"), Namespace("b"))))
    settles(cluster, {OTHER_TCP: TIMEOUT, CLIENT_TCP: TIMEOUT})


def test_every_probe_has_exactly_one_observation(cluster: Cluster) -> None:
    cluster.sync(with_policies(FROM_CLIENT))
    probes = [
        CLIENT_TCP,
        OTHER_TCP,
        CLIENT_UDP,
        Probe(CLIENT, Destination(SERVER, 81)),
        Probe(PodRef("a", "nobody"), Destination(SERVER, 80)),
        Probe(CLIENT, Destination(ServiceRef("a", "web"), 8080)),
    ]
    observed = list(cluster.probe(probes))
    assert sorted(str(seen.probe) for seen in observed) == sorted(map(str, probes))
    assert all(seen.started <= seen.ended for seen in observed)
    assert list(cluster.probe([])) == []


def test_probes_start_in_the_order_given(cluster: Cluster) -> None:
    """Those of the first half: processes that start together may run in another order."""
    cluster.sync(STATE)
    ports = range(80, 100)
    other = [Probe(OTHER, Destination(SERVER, port)) for port in ports]
    own = [Probe(OTHER, Destination(OTHER, port)) for port in ports]
    for first, second in ((other, own), (own, other)):
        started = {seen.probe: seen.started for seen in cluster.probe(first + second)}
        assert fmean(started[probe] for probe in first) < fmean(started[probe] for probe in second)


def test_a_source_that_does_not_exist_gives_no_verdict(cluster: Cluster) -> None:
    cluster.sync(STATE)
    nobody = Probe(PodRef("a", "nobody"), Destination(SERVER, 80))
    seen = outcomes(cluster, [nobody, CLIENT_TCP])
    assert isinstance(seen[nobody], ProbeError)


def test_a_deleted_pod_is_gone_and_comes_back(cluster: Cluster) -> None:
    cluster.sync(STATE)
    settles(cluster, {CLIENT_TCP: ALLOWED})
    without = replace(STATE, pods=tuple(p for p in STATE.pods if p.ref != CLIENT))
    cluster.sync(without)
    assert isinstance(outcomes(cluster, [CLIENT_TCP])[CLIENT_TCP], ProbeError)
    cluster.sync(STATE)
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: ALLOWED})


def test_a_restarted_pod_is_policed_as_before(cluster: Cluster) -> None:
    state = with_policies(FROM_CLIENT)
    cluster.sync(state)
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: TIMEOUT})
    for incarnation in (1, 2):
        pods = tuple(
            replace(p, incarnation=incarnation) if p.ref in {SERVER, CLIENT} else p
            for p in state.pods
        )
        cluster.sync(replace(state, pods=pods))
        settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: TIMEOUT, CLIENT_UDP: ALLOWED})


def test_a_namespace_goes_and_comes_back_empty_of_policies(cluster: Cluster) -> None:
    cluster.sync(with_policies(DENY_ALL))
    settles(cluster, {CLIENT_TCP: TIMEOUT})
    cluster.sync(
        replace(
            STATE,
            namespaces=tuple(n for n in STATE.namespaces if n.name != "a"),
            pods=tuple(p for p in STATE.pods if p.namespace != "a"),
            services=(),
        )
    )
    assert isinstance(outcomes(cluster, [CLIENT_TCP])[CLIENT_TCP], ProbeError)
    again = tuple(replace(n, incarnation=1) if n.name == "a" else n for n in STATE.namespaces)
    cluster.sync(replace(STATE, namespaces=again))
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: ALLOWED})


def test_a_policy_made_again_at_once_still_denies(cluster: Cluster) -> None:
    cluster.sync(with_policies(DENY_ALL))
    settles(cluster, {CLIENT_TCP: TIMEOUT})
    cluster.sync(with_policies(replace(DENY_ALL, incarnation=1)))
    settles(cluster, {CLIENT_TCP: TIMEOUT})


def test_services_come_change_and_go(cluster: Cluster) -> None:
    by_ip = Probe(CLIENT, Destination(ServiceRef("a", "web"), 8080))
    by_name = Probe(CLIENT, Destination(ServiceName("a", "web"), 8080))
    cluster.sync(STATE)
    settles(cluster, {by_ip: ALLOWED, by_name: ALLOWED})
    (web,) = STATE.services
    to_nothing = replace(web, ports=(ServicePort(8080, 81),))
    cluster.sync(replace(STATE, services=(to_nothing,)))
    settles(cluster, {by_ip: REFUSED, by_name: REFUSED})
    cluster.sync(replace(STATE, services=()))
    settles(cluster, {by_name: DNS})
    cluster.sync(STATE)
    settles(cluster, {by_ip: ALLOWED, by_name: ALLOWED})


def test_a_service_is_policed_as_its_pods(cluster: Cluster) -> None:
    by_client = Probe(CLIENT, Destination(ServiceRef("a", "web"), 8080))
    by_other = Probe(OTHER, Destination(ServiceRef("a", "web"), 8080))
    cluster.sync(with_policies(FROM_CLIENT))
    settles(cluster, {by_client: ALLOWED, by_other: TIMEOUT})


def test_without_egress_to_the_dns_pods_no_name_resolves(cluster: Cluster) -> None:
    by_name = Probe(CLIENT, Destination(ServiceName("a", "web"), 8080))
    egress = policy("no-egress", policyTypes=["Egress"], egress=[{"to": [{"podSelector": {}}]}])
    cluster.sync(with_policies(egress))
    settles(cluster, {by_name: DNS, CLIENT_TCP: ALLOWED})


def test_scopes_replace_each_other(cluster: Cluster) -> None:
    cluster.sync(with_policies(DENY_ALL))
    settles(cluster, {CLIENT_TCP: TIMEOUT})
    lonely = Pod("c", "lonely", ports=(TCP,))
    cluster.sync(State("another", (Namespace("c"),), (lonely,)))
    settles(cluster, {Probe(lonely.ref, Destination(lonely.ref, 80)): ALLOWED})
    assert isinstance(outcomes(cluster, [CLIENT_TCP])[CLIENT_TCP], ProbeError)
    cluster.sync(STATE)
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: ALLOWED})


def test_it_probes_while_it_syncs(cluster: Cluster) -> None:
    """One probe runs over and over; nothing but its two possible words is ever seen."""
    cluster.sync(STATE)
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: ALLOWED})
    seen: list[Observation] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.extend(cluster.probe([OTHER_TCP, CLIENT_TCP]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for state in (with_policies(FROM_CLIENT), STATE, with_policies(FROM_CLIENT)):
            cluster.sync(state)
            settles(cluster, {CLIENT_TCP: ALLOWED})
        settles(cluster, {OTHER_TCP: TIMEOUT})
    finally:
        stop.set()
        watcher.join()
    assert {s.outcome for s in seen if s.probe == CLIENT_TCP} == {ALLOWED}
    assert {s.outcome for s in seen if s.probe == OTHER_TCP} <= {ALLOWED, TIMEOUT}


def test_it_probes_in_several_threads_at_once(cluster: Cluster) -> None:
    cluster.sync(with_policies(FROM_CLIENT))
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: TIMEOUT})
    with ThreadPoolExecutor(4) as threads:
        rounds = threads.map(lambda _: list(cluster.probe([OTHER_TCP, CLIENT_TCP])), range(8))
        found = [{item.probe: item.outcome for item in items} for items in rounds]
    assert found == [{OTHER_TCP: TIMEOUT, CLIENT_TCP: ALLOWED}] * 8


def test_a_watch_probes_its_pairs_while_the_cluster_syncs_and_probes(cluster: Cluster) -> None:
    other = policy("other", podSelector={"matchLabels": {"app": "other"}})
    cluster.sync(with_policies(FROM_CLIENT))
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: TIMEOUT})
    with cluster.watch([CLIENT_TCP, OTHER_TCP]) as seen:
        began = time.monotonic()
        cluster.sync(with_policies(FROM_CLIENT, other))
        settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: TIMEOUT})
        time.sleep(5 * cluster.capabilities.watch_interval_s)
        assert seen == []
    for probe, verdict in ((CLIENT_TCP, ALLOWED), (OTHER_TCP, TIMEOUT)):
        observed = [item for item in seen if item.probe == probe]
        assert min(item.started for item in observed) < began
        during = {item.outcome for item in observed if item.started > began}
        assert {outcome for outcome in during if isinstance(outcome, Verdict)} == {verdict}


def test_a_watch_keeps_its_pace(cluster: Cluster) -> None:
    cluster.sync(STATE)
    settles(cluster, {CLIENT_TCP: ALLOWED})
    turns = 10
    with cluster.watch([CLIENT_TCP]) as seen:
        time.sleep(turns * cluster.capabilities.watch_interval_s)
    assert len(seen) > turns / 4


def test_a_watch_of_a_source_that_does_not_exist_gives_no_verdict(cluster: Cluster) -> None:
    cluster.sync(STATE)
    settles(cluster, {CLIENT_TCP: ALLOWED})
    nobody = Probe(PodRef("a", "nobody"), Destination(SERVER, 80))
    with cluster.watch([nobody, CLIENT_TCP]) as seen:
        pass
    assert {item.outcome for item in seen if item.probe == CLIENT_TCP} == {ALLOWED}
    found = {type(item.outcome) for item in seen if item.probe == nobody}
    assert found == {ProbeError}


def test_an_error_during_a_watch_ends_it(cluster: Cluster) -> None:
    cluster.sync(STATE)

    def go_wrong() -> None:
        with cluster.watch([CLIENT_TCP]):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        go_wrong()
    settles(cluster, {CLIENT_TCP: ALLOWED})


def test_a_new_pod_probes_from_its_first_moment(cluster: Cluster) -> None:
    if "from-start" not in cluster.capabilities.features:
        pytest.skip("its pods do not probe from their first moment")
    closed = with_policies(FROM_CLIENT)
    cluster.sync(closed)
    settles(cluster, {CLIENT_TCP: ALLOWED, OTHER_TCP: TIMEOUT})
    new = Pod("a", "new", node=2)
    probe = Probe(new.ref, Destination(SERVER, 80))
    with cluster.watch_starts([probe]) as moments:
        cluster.sync(replace(closed, pods=(*closed.pods, new)))
        settles(cluster, {probe: TIMEOUT})
    for phase in (moments.init, moments.main):
        assert {item.probe for item in phase} == {probe}
        found = {item.outcome for item in phase if isinstance(item.outcome, Verdict)}
        assert found == {TIMEOUT}


def test_a_pod_that_was_there_has_no_first_moment(cluster: Cluster) -> None:
    cluster.sync(STATE)
    settles(cluster, {CLIENT_TCP: ALLOWED})
    if cluster.capabilities.name == "fake":
        pytest.skip("the pods of the fake cluster tell what is asked")
    with cluster.watch_starts([CLIENT_TCP]) as moments:
        cluster.sync(STATE)
    outcomes = [item.outcome for item in (*moments.init, *moments.main)]
    assert not any(isinstance(outcome, Verdict) for outcome in outcomes)


def test_describe_never_raises(cluster: Cluster) -> None:
    unknown = Probe(PodRef("x", "y"), Destination(ServiceRef("x", "z"), 1))
    assert isinstance(cluster.describe([unknown]), str)
    cluster.sync(with_policies(FROM_CLIENT))
    assert isinstance(cluster.describe([unknown, CLIENT_TCP]), str)
    cluster.close()
    assert isinstance(cluster.describe([CLIENT_TCP]), str)


def test_closing_twice_is_closing_once(make_cluster: Callable[[], Cluster]) -> None:
    with make_cluster() as cluster:
        cluster.sync(STATE)
        assert cluster.close() == ()
        assert cluster.close() == ()


def test_leaving_it_closes_it_even_after_an_error(make_cluster: Callable[[], Cluster]) -> None:
    cluster = make_cluster()

    def go_wrong() -> None:
        with cluster:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        go_wrong()
    assert cluster.close() == ()
