"""What of the kind cluster can be seen without Docker; its programs are replaced on the PATH."""

import functools
import http.server
import json
import os
import platform
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli import Exit, main
from harness.cluster import kind
from harness.cluster.kind import (
    binary,
    lifecycle,
    manifest,
    mark,
    outside,
    readiness,
    requirements,
    resolver,
)
from harness.cluster.kind.installation import installation
from harness.cluster.kube.heartbeat import Heartbeats
from harness.cluster.kube.identity import Machine
from harness.cluster.kube.leftovers import Runs
from harness.cluster.profiles import Profile, profile
from harness.errors import ClusterError, UsageError
from harness.model import ContainerPort, External, Protocol

CALICO = profile("calico")
INSTALL = installation(CALICO)
CONFIG = Path(__file__).parents[4] / "kind-config.yaml"

Programs = Callable[..., None]
"""Puts scripts on the PATH: ``programs(docker="exit 1")``."""
Downloads = tuple[Path, str]
"""A folder that a web server of this machine serves, and its address."""
Object = dict[str, Any]

COREFILE = """.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       ttl 30
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
}
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A PATH that has nothing but what a test puts there: ``programs(docker="exit 1")``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NETPOL_PULL", raising=False)

    def put(**scripts: str) -> None:
        for name, body in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / name).chmod(stat.S_IRWXU)

    return put


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    """An offline folder with everything for Calico."""
    folder = tmp_path / "offline"
    place = folder / "manifests" / "calico" / INSTALL.version / INSTALL.file
    place.parent.mkdir(parents=True)
    edited = "".join(edit.find for edit in INSTALL.edit)
    place.write_text(f"kind: A\ntext: |\n{edited}")
    (folder / "images").mkdir()
    (folder / "images" / f"calico-{INSTALL.version}.tar").touch()
    (folder / "images" / "agnhost-any.tar").touch()
    (folder / "node-image").write_text("kindest/node:v1\n")
    return folder


def test_kind_config_gets_the_profiles_pod_subnet() -> None:
    found = yaml.safe_load(requirements.kind_config(CONFIG, installation(profile("kube-router"))))
    assert found["networking"] == {
        "disableDefaultCNI": True,
        "podSubnet": "100.64.0.0/16",
        "serviceSubnet": "100.65.0.0/16",
    }
    assert [node["role"] for node in found["nodes"]] == ["control-plane", "worker", "worker"]


def test_the_kind_config_of_the_checkout_is_the_one_that_netpol_up_reads() -> None:
    read = CONFIG.parent / "harness" / "data" / CONFIG.name
    assert CONFIG.read_text(encoding="utf-8") == read.read_text(encoding="utf-8")


def test_shipped_kind_config_is_calicos_as_it_stands() -> None:
    assert yaml.safe_load(CONFIG.read_text()) == yaml.safe_load(
        requirements.kind_config(CONFIG, INSTALL)
    )


@pytest.mark.parametrize("text", ["", "networking: {}", "networking: {disableDefaultCNI: false}"])
def test_kind_config_with_a_default_cni_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kind.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="disableDefaultCNI must be true"):
        requirements.kind_config(path, INSTALL)


def test_auto_is_kind_with_an_offline_folder(programs: Programs, offline: Path) -> None:
    programs(docker="exit 0", kind="exit 0")
    cluster, why = kind.choose(offline)
    assert cluster == "kind"
    assert str(offline) in why


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("node-image", "there is no file"),
        ("images/agnhost-any.tar", "no image archive"),
        ("images/calico-v3.31.0.tar", "no image archive"),
        ("manifests/calico/v3.31.0/calico-vxlan.yaml", "no manifest for calico"),
    ],
)
def test_auto_is_netns_and_says_what_the_offline_folder_lacks(
    programs: Programs, offline: Path, gone: str, words: str
) -> None:
    programs(docker="exit 0", kind="exit 0")
    (offline / gone).unlink()
    cluster, why = kind.choose(offline)
    assert cluster == "netns"
    assert words in why


def test_auto_is_netns_without_kind_or_docker(programs: Programs, offline: Path) -> None:
    cluster, why = kind.choose(offline)
    assert (cluster, "kind is not on the PATH" in why) == ("netns", True)
    programs(kind="exit 0")
    cluster, why = kind.choose(offline)
    assert (cluster, "'docker' is not on the PATH" in why) == ("netns", True)
    programs(docker="echo Cannot connect to the daemon >&2; exit 1")
    cluster, why = kind.choose(offline)
    assert (cluster, "Cannot connect to the daemon" in why) == ("netns", True)


def test_auto_is_netns_when_docker_lacks_the_node_image(programs: Programs, offline: Path) -> None:
    programs(docker='[ "$1" = version ]', kind="exit 0")
    cluster, why = kind.choose(offline)
    assert cluster == "netns"
    assert "kindest/node:v1" in why


def test_auto_pulls_only_with_leave(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(docker="exit 0", kind="exit 0")
    assert kind.choose(None)[0] == "netns"
    assert "NETPOL_PULL=yes" in kind.choose(None)[1]
    monkeypatch.setenv("NETPOL_PULL", "yes")
    assert kind.choose(None)[0] == "kind"


def test_auto_needs_kind_only_where_it_may_not_be_installed(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(docker="exit 0")
    assert kind.choose(None)[0] == "netns"
    monkeypatch.setenv("NETPOL_PULL", "yes")
    assert kind.choose(None)[0] == "kind"


@pytest.fixture
def downloads(tmp_path: Path) -> Iterator[Downloads]:
    """A folder on a web server of this machine, and its address."""
    folder = tmp_path / "downloads"
    (folder / binary.VERSION).mkdir(parents=True)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield folder / binary.VERSION, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_kind_is_built_by_go_where_go_is(programs: Programs, tmp_path: Path) -> None:
    for tool in ("env", "touch"):
        programs(**{tool: f'exec {shutil.which(tool, path=os.defpath)} "$@"'})
    programs(go=f'echo "$@" > {tmp_path}/said; touch "$GOBIN/kind"')
    found = binary.install(None, downloads="http://127.0.0.1:1")
    assert (tmp_path / "said").read_text() == f"install sigs.k8s.io/kind@{binary.VERSION}\n"
    assert found == binary.find()


def test_release_of_kind_is_downloaded_where_go_is_not(
    programs: Programs, downloads: Downloads
) -> None:
    folder, address = downloads
    released = folder / f"kind-linux-{'amd64' if platform.machine() == 'x86_64' else 'arm64'}"
    released.write_bytes(b"#!/bin/sh\n")
    with pytest.raises(
        ClusterError, match=f"cannot download the checksum of kind {binary.VERSION}"
    ):
        binary.install(None, address)
    published = folder / f"{released.name}.sha256sum"
    published.write_text(f"{'0' * 64}  {released.name}\n")
    with pytest.raises(ClusterError, match="nothing was installed"):
        binary.install(None, address)
    with pytest.raises(UsageError):
        binary.find()
    published.write_text(f"{manifest.checksum(released.read_bytes())}  {released.name}\n")
    found = binary.install(None, address)
    assert found.read_bytes() == released.read_bytes()
    assert os.access(found, os.X_OK)
    assert binary.find() == found


def test_offline_kind_is_never_installed(
    programs: Programs, offline: Path, downloads: Downloads
) -> None:
    programs(go="exit 0", docker="exit 0")
    with pytest.raises(UsageError, match="--offline forbids downloading it"):
        kind.up("netpol", CALICO, offline, CONFIG)


def test_cluster_that_is_not_ours_is_not_deleted(programs: Programs) -> None:
    programs(docker="exit 0", kind='[ "$1" = get ] && echo netpol; [ "$1" = get ]')
    with pytest.raises(UsageError, match="not made by this harness"):
        kind.down("netpol")


def test_cluster_of_another_checkout_is_not_deleted(programs: Programs, tmp_path: Path) -> None:
    log = tmp_path / "log"
    programs(docker="exit 0", kind=f'echo "$@" >> {log}; [ "$1" != get ] || echo netpol')
    folder = kind.kubeconfig("netpol").parent
    folder.mkdir(parents=True)
    (folder / "made-from").write_text(str(tmp_path))
    with pytest.raises(UsageError) as error:
        kind.down("netpol")
    assert str(error.value) == (
        f"the kind cluster netpol was made from {tmp_path}, not from {CONFIG.parent}\n"
        "hint: run `netpol down` there; "
        "`kind delete cluster --name netpol` deletes it from anywhere"
    )
    assert folder.is_dir()
    (folder / "made-from").write_text(str(tmp_path / "deleted"))
    kind.down("netpol")
    assert "delete cluster --name netpol" in log.read_text()
    assert not folder.exists()


def test_cluster_that_is_not_there_is_no_error_to_delete_and_one_to_connect(
    programs: Programs,
) -> None:
    programs(docker="exit 0", kind="exit 0")
    kind.down("netpol")
    assert "there is no kind cluster" in kind.status("netpol")
    with pytest.raises(UsageError) as error:
        lifecycle.require("netpol", CALICO)
    assert "netpol up" in str(error.value.hint)


def test_failed_creation_is_told_in_kinds_words_and_deleted(
    programs: Programs, offline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    programs(
        docker='[ "$1" != exec ]',  # in no node does anything answer
        kind=f'echo "$@" >> {log}; [ "$1" != create ] || {{ echo no space left >&2; exit 1; }}',
    )
    with pytest.raises(ClusterError, match="no space left"):
        kind.up("netpol", CALICO, offline, CONFIG)
    assert "delete cluster --name netpol" in log.read_text()
    assert not kind.kubeconfig("netpol").parent.exists()


OWN = """
title = "My network plugin"
sources = ["https://example.com"]
versions = "all"
"""
OWN_INSTALL = f"""
[install]
version = "v1"
pod_subnet = "10.0.0.0/16"
wait = ["DaemonSet/kube-system/agent"]
manifest = {{file = "a.yaml", url = "https://example.com/a.yaml", sha256 = "{"0" * 64}"}}
"""
MANAGED = (
    "CNI profile aks-cilium has no [install]:"
    " kind cannot install AKS with Azure CNI powered by Cilium\n"
    "hint: run on a cluster that has it already:"
    " --cluster=current --context=NAME --cni=aks-cilium"
)


@pytest.mark.parametrize(
    "command",
    [
        ["up", "--cni=aks-cilium"],
        ["choose", "auto", "--cni=aks-cilium"],
        ["probe", "s.yaml", "1", "a/a", "a/b:80", "--cluster=kind", "--cni=aks-cilium"],
    ],
)
def test_what_kind_cannot_install_is_refused_with_a_hint(
    programs: Programs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    programs(docker="exit 0", kind="exit 0")
    monkeypatch.chdir(tmp_path)
    shutil.copy(CONFIG.parent / "harness" / "data" / "first-scenario.yaml", "s.yaml")
    (tmp_path / "policies").mkdir()
    policy = CONFIG.parent / "harness" / "data" / "first-policy.yaml"
    shutil.copy(policy, "policies/database-from-frontend.yaml")
    if command[0] == "probe":
        command = [*command[:3], "shop/frontend", "shop/database:5432", *command[5:]]
    assert main(command) == Exit.USAGE
    assert capsys.readouterr().err == f"{MANAGED}\n"


def test_a_file_without_install_is_refused_by_its_path(
    programs: Programs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    programs(docker="exit 0", kind="exit 0")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.toml").write_text(OWN)
    assert main(["up", "--cni=./my.toml"]) == Exit.USAGE
    assert capsys.readouterr().err == (
        "my.toml has no [install]: kind cannot install My network plugin\n"
        "hint: run on a cluster that has it already:"
        " --cluster=current --context=NAME --cni=my.toml\n"
    )


@pytest.fixture
def marked(programs: Programs, tmp_path: Path) -> Callable[..., None]:
    """A kind cluster with a mark: ``marked(cni="calico", ...)``."""

    def put(**data: str) -> None:
        folder = kind.kubeconfig("netpol").parent
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "kubeconfig").touch()
        text = json.dumps({"data": {"waits": "", **data}})
        (tmp_path / "mark").write_text(f"{text}\n")
        shown = f"while read -r line; do printf '%s\\n' \"$line\"; done < {tmp_path}/mark"
        programs(kind='[ "$1" != get ] || echo netpol', docker=shown)

    return put


def own(folder: Path, text: str) -> Profile:
    (folder / "calico.toml").write_text(text)
    return profile(str(folder / "calico.toml"))


def test_a_cluster_remembers_the_profile_that_it_was_made_with(
    marked: Callable[..., None], tmp_path: Path
) -> None:
    marked(cni="calico", version=INSTALL.version)
    assert lifecycle.require("netpol", None) == CALICO
    assert lifecycle.require("netpol", CALICO) == CALICO
    wanted = own(tmp_path, OWN + OWN_INSTALL)
    marked(cni="calico", version="v1", profile=OWN + OWN_INSTALL)
    assert lifecycle.require("netpol", None).title == "My network plugin"
    assert lifecycle.require("netpol", wanted) == wanted
    other_knowledge = own(tmp_path, OWN.replace("My", "Our") + OWN_INSTALL)
    assert lifecycle.require("netpol", other_knowledge).title == "Our network plugin"


def test_the_text_of_a_profile_that_does_not_ship_is_in_the_mark(
    programs: Programs, tmp_path: Path
) -> None:
    programs(docker=f"read -r line; printf '%s' \"$line\" > {tmp_path}/applied")
    mine = own(tmp_path, OWN + OWN_INSTALL)
    data = []
    for made_with in (CALICO, mine):
        mark.write("netpol", made_with, installation(made_with))
        data.append(json.loads((tmp_path / "applied").read_text())["data"])
    waits = "DaemonSet/kube-system/calico-node Deployment/kube-system/calico-kube-controllers"
    assert data == [
        {"cni": "calico", "version": INSTALL.version, "waits": waits},
        {
            "cni": "calico",
            "version": "v1",
            "waits": "DaemonSet/kube-system/agent",
            "profile": OWN + OWN_INSTALL,
        },
    ]


def test_a_cluster_that_was_made_with_another_profile_is_refused(
    marked: Callable[..., None], tmp_path: Path
) -> None:
    marked(cni="calico", version="v1", profile=OWN + OWN_INSTALL)
    other = own(tmp_path, (OWN + OWN_INSTALL).replace("10.0.0.0", "10.1.0.0"))
    hint = "hint: `netpol down` deletes it; `netpol up` makes another"
    for wanted, has in (
        (CALICO, f"calico v1, not calico {INSTALL.version}"),
        (other, "calico v1 of another profile file, not calico v1"),
    ):
        with pytest.raises(UsageError) as error:
            lifecycle.require("netpol", wanted)
        assert str(error.value) == f"the kind cluster netpol has {has}\n{hint}"


def workload(kind_: str, name: str, *, have: int, want: int = 3, seen: int = 1) -> Object:
    status = {"observedGeneration": seen, "numberReady": have, "desiredNumberScheduled": want}
    if kind_ == "Deployment":
        status = {"observedGeneration": seen, "readyReplicas": have}
    return {
        "kind": kind_,
        "metadata": {"name": name, "namespace": "kube-system", "generation": 1},
        "spec": {"replicas": want},
        "status": status,
    }


def node(name: str, ready: str) -> Object:
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return {"kind": "Node", "metadata": {"name": name}, "status": status}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (
            [],
            ["DaemonSet kube-system/agent is not there", "coredns is not"],
        ),
        ([node("a", "False")], ["Node a", "agent is not there", "coredns is not there"]),
        ([workload("DaemonSet", "agent", have=1)], ["agent: 1 of 3 ready", "coredns"]),
        ([workload("DaemonSet", "agent", have=0, want=0)], ["agent: 0 of 0 ready", "coredns"]),
        ([workload("DaemonSet", "agent", have=3, seen=0)], ["has not seen it", "coredns"]),
        (
            [
                node("a", "True"),
                workload("DaemonSet", "agent", have=3),
                workload("Deployment", "coredns", have=2, want=2),
                workload("Deployment", "other", have=0),
            ],
            [],
        ),
    ],
)
def test_what_is_not_ready_is_named(
    programs: Programs, tmp_path: Path, items: list[Object], expected: list[str]
) -> None:
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps({"items": items}))
    programs(docker=f'while read -r line; do echo "$line"; done < {answer}; echo')
    answer.write_text(answer.read_text() + "\n")
    found = readiness.not_ready("netpol", readiness.waited_for(("DaemonSet/kube-system/agent",)))
    assert len(found) == len(expected)
    assert all(words in text for words, text in zip(expected, found, strict=True))


def test_no_answer_is_not_ready(programs: Programs) -> None:
    programs(docker="echo connection refused >&2; exit 1")
    assert readiness.not_ready("netpol", ()) == (
        "the API server does not answer: connection refused",
    )


def test_corefile_asks_for_outside_names_first_and_forgets_failures() -> None:
    found = resolver.corefile(COREFILE)
    assert found.index("hosts /etc/netpol/hosts") < found.index("kubernetes cluster.local")
    assert "disable denial\n" in found
    assert "servfail 0\n" in found
    assert "disable success cluster.local" in found
    with pytest.raises(ClusterError, match="plugin kubernetes"):
        resolver.corefile(".:53 {\n}\n")


@pytest.mark.parametrize(("mounted", "kinds"), [(False, ["Deployment"]), (True, [])])
def test_coredns_that_was_changed_by_half_is_changed_wholly(
    programs: Programs, tmp_path: Path, mounted: bool, kinds: list[str]
) -> None:
    volumes = [{"name": "netpol"}] if mounted else []
    pod = {"volumes": volumes, "containers": [{"name": "coredns"}]}
    config = {"kind": "ConfigMap", "data": {"Corefile": resolver.corefile(COREFILE)}}
    deployment = {"kind": "Deployment", "spec": {"template": {"spec": pod}}}
    (tmp_path / "found").write_text(json.dumps({"items": [config, deployment]}) + "\n")
    programs(
        docker=f"""case "$*" in
        *get*) while read -r line; do printf '%s\\n' "$line"; done < {tmp_path}/found ;;
        *replace*) read -r line; printf '%s' "$line" > {tmp_path}/put ;;
        esac"""
    )
    assert resolver.prepare("netpol")
    put = tmp_path / "put"
    written = json.loads(put.read_text())["items"] if put.exists() else []
    assert [item["kind"] for item in written] == kinds


def test_outside_host_serves_each_protocol() -> None:
    ports = [ContainerPort(443), ContainerPort(53, Protocol.UDP), ContainerPort(9, Protocol.SCTP)]
    assert outside.serving(ports).splitlines() == [
        "/agnhost netexec --http-port=443 --udp-port=-1 &",
        "/agnhost netexec --http-port=0 --udp-port=53 &",
        "SERVE_SCTP_PORT_9=9 /agnhost porter &",
        "exec /agnhost pause",
    ]


def test_outside_host_uses_its_address_to_nodes_and_pods() -> None:
    node, pods = "172.18.0.2", "10.0.0.0/16"
    lines = outside.host_network(["10.10.0.5", "2001:db8::5"], [node], pods, node)
    assert lines.splitlines() == [
        "ip link add netpol0 type vxlan id 7788 dstport 4799 dev eth0 nolearning",
        "ip link set netpol0 up",
        "ip address add 10.10.0.5/32 dev netpol0",
        "bridge fdb append 00:00:00:00:00:00 dev netpol0 dst 172.18.0.2 via eth0",
        "ip route replace 172.18.0.2/32 dev netpol0 src 10.10.0.5",
        "ip route replace 10.0.0.0/16 via 172.18.0.2 dev netpol0 onlink src 10.10.0.5",
    ]
    with pytest.raises(ClusterError, match="IPv4 only"):
        outside.host_network(["2001:db8::5"], [node], pods, node)


def test_node_has_a_way_to_an_outside_host() -> None:
    lines = outside.node_network(["10.10.0.5", "2001:db8::5"], "172.18.0.9").splitlines()
    assert lines[-1] == "ip route replace 10.10.0.5/32 dev netpol0"
    assert "bridge fdb append 00:00:00:00:00:00 dev netpol0 dst 172.18.0.9 via eth0" in lines
    assert "2001:db8::5" not in "".join(lines)


def test_runs_that_need_the_same_addresses_take_them_in_the_same_order(tmp_path: Path) -> None:
    """Else two runs would wait for each other."""
    site = outside.KindSite("netpol", tmp_path, "10.0.0.0/16", "agnhost")
    words = [f"192.0.2.{number}" for number in range(8)]
    held = []
    for order in (words, words[::-1]):
        externals = [External(f"h{index}", (word,)) for index, word in enumerate(order)]
        hosts = outside.Outside(site, "r1", "main")
        hosts._claim(externals)
        held.append([Path(lock.name).name for lock in hosts._locks])
        assert hosts.close() == ()
    assert held == [words, words]


def test_outside_hosts_go_only_when_their_run_is_over(programs: Programs, tmp_path: Path) -> None:
    me = Machine().this_process()
    hosts = {"alive": me, "dead": replace(me, started="1"), "away": replace(me, place="x")}
    items = [
        {
            "Id": f"id-{name}",
            "Name": f"/netpol-r1-main-{name}",
            "Config": {
                "Labels": {
                    "netpol.harness/run": "r1",
                    "netpol.harness/worker": "main",
                    "netpol.harness/process": str(owner),
                    "netpol.harness/addresses": "192.0.2.1",
                }
            },
        }
        for name, owner in hosts.items()
    ]
    (tmp_path / "items").write_text(json.dumps(items) + "\n")
    (tmp_path / "removed").touch()
    programs(
        docker=f"""case "$*" in
        "ps -aq "*) echo id-alive id-dead id-away ;;
        "inspect id-alive"*)
            while read -r line; do printf '%s\\n' "$line"; done < {tmp_path}/items ;;
        "rm -f "*) echo "$*" >> {tmp_path}/removed ;;
        esac"""
    )
    found = outside.clean("netpol", tmp_path, Runs(Heartbeats()))
    assert [str(item) for item in found.removed] == [
        f"container netpol-r1-main-dead: process {me.pid} on this machine has ended"
    ]
    assert [item.name for item in found.kept] == [
        "container netpol-r1-main-alive",
        "container netpol-r1-main-away",
    ]
    assert found.failed == ()
    assert (tmp_path / "removed").read_text() == "rm -f id-dead\n"
