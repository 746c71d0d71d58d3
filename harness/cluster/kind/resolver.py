"""Publish the names of outside hosts in the CoreDNS of a kind cluster.

CoreDNS reads them from a file on its node, and looks for changes every second. A ConfigMap
would take a minute to arrive. The file has one part for each owner, so that runs and workers
do not remove the names of each other.
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.cluster.kind import command
from harness.cluster.waiting import TimedOut, Wait
from harness.errors import ClusterError

_FOLDER = "/etc/netpol"
_FILE = f"{_FOLDER}/hosts"
_VOLUME = "netpol"
_BLOCK = f"""    hosts {_FILE} {{
       ttl 1
       reload 1s
       fallthrough
    }}
"""
_ANSWER_S = 20.0


def prepare(cluster: str) -> bool:
    """Make CoreDNS read the names of outside hosts; False while CoreDNS does not exist yet.

    This costs no time if it is done before the CNI lets the pods of CoreDNS start.
    """
    done = command.kubectl(
        cluster,
        "get",
        "configmap/coredns",
        "deployment/coredns",
        "-n",
        "kube-system",
        "-o",
        "json",
    )
    if done.status:
        return False
    config, deployment = json.loads(done.stdout)["items"]
    pod = deployment["spec"]["template"]["spec"]
    changed = []
    if _FILE not in config["data"]["Corefile"]:
        config["data"]["Corefile"] = corefile(config["data"]["Corefile"])
        changed.append(config)
    if all(volume["name"] != _VOLUME for volume in pod.get("volumes", [])):
        _mount(pod)
        changed.append(deployment)
    if not changed:
        return True
    for node in command.nodes(cluster):
        command.check(["docker", "exec", node, "sh", "-c", f"mkdir -p {_FOLDER} && : > {_FILE}"])
    # Refused if someone else changed an object in between. The next call sees it and tries again.
    both = {"apiVersion": "v1", "kind": "List", "items": changed}
    return command.kubectl(cluster, "replace", "-f", "-", stdin=json.dumps(both)).status == 0


def _mount(pod: dict[str, Any]) -> None:
    host_path = {"path": _FOLDER, "type": "DirectoryOrCreate"}
    pod.setdefault("volumes", []).append({"name": _VOLUME, "hostPath": host_path})
    pod["containers"][0].setdefault("volumeMounts", []).append(
        {"name": _VOLUME, "mountPath": _FOLDER, "readOnly": True}
    )


def corefile(text: str) -> str:
    """Add the `hosts` plugin before `kubernetes`, and disable negative caching."""
    if not re.search(r"^ *kubernetes ", text, re.MULTILINE):
        raise ClusterError("CoreDNS has a Corefile without the plugin kubernetes")
    text = re.sub(r"^(?= *kubernetes )", lambda _: _BLOCK, text, count=1, flags=re.MULTILINE)
    # A name that was looked up before its host existed must not stay unknown for 30 s.
    return re.sub(
        r"^( *)disable denial .*$",
        r"\1disable denial" + "\n" + r"\1servfail 0",
        text,
        count=1,
        flags=re.MULTILINE,
    )


def publish(cluster: str, folder: Path, owner: str, names: Mapping[str, tuple[str, ...]]) -> None:
    """Make every CoreDNS pod answer with ``names`` (a name and its addresses) for this owner.

    ``folder`` is the folder of the cluster on this machine. Without names, those of the owner
    are removed. Raises ClusterError if CoreDNS does not read them in time.
    """
    folder = folder / "names"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = [f"{ip} {name}" for name, addresses in names.items() for ip in addresses]
        part = folder / owner
        if lines:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        else:
            part.unlink(missing_ok=True)
        text = "".join(
            item.read_text(encoding="utf-8")
            for item in sorted(folder.iterdir())
            if not item.name.startswith(".")
        )
        stamps = {node: _written(node, text) for node in command.nodes(cluster)}
    if lines:
        _await_read(cluster, stamps)


def _written(node: str, text: str) -> float:
    """Write the file on a node and return its time of modification."""
    # In place: a pod does not see a file that replaces the mounted one.
    script = f"cat > {_FILE} && stat -c %.Y {_FILE}"
    return float(command.check(["docker", "exec", "-i", node, "sh", "-c", script], stdin=text))


def _await_read(cluster: str, stamps: Mapping[str, float]) -> None:
    def late() -> tuple[str, ...]:
        done = command.kubectl(
            cluster, *("get", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "-o", "json")
        )
        pods = json.loads(done.stdout)["items"] if done.status == 0 else []
        found = [
            pod["metadata"]["name"]
            for pod in pods
            if _read(pod["spec"]["nodeName"], pod["status"].get("podIP", ""))
            < stamps[pod["spec"]["nodeName"]] - 0.001
        ]
        return tuple(found) if pods else ("no pod of CoreDNS",)

    def missing() -> str | None:
        return ", ".join(late()) or None

    try:
        Wait(_ANSWER_S).until(missing, "CoreDNS to read the names of the outside hosts")
    except TimedOut as error:
        raise ClusterError(
            error.message, f"was the cluster {cluster} made by `netpol up`?"
        ) from None


def _read(node: str, pod_ip: str) -> float:
    """Return the time of modification of the file that a CoreDNS pod has read, or 0."""
    done = command.run(
        ["docker", "exec", node, "curl", "-gsm1", f"http://{pod_ip}:9153/metrics"], deadline_s=10
    )
    found = re.search(r"^coredns_hosts_reload_timestamp_seconds (\S+)", done.stdout, re.MULTILINE)
    return float(found[1]) if found else 0.0
