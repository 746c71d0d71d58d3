"""How long the oracle takes for a table of 9,900 cells: ``python benchmarks/oracle_table.py``.

100 pods in ten namespaces, all to all, under five policies. Prints the best of some rounds; it is
no test, for it depends on the machine.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from harness.documents.problems import Problems
from harness.errors import Location
from harness.model import (
    Cell,
    ContainerPort,
    Destination,
    Labels,
    Manifest,
    Namespace,
    Pod,
    Probe,
    Scenario,
    State,
    Step,
    TruthTable,
    Verdict,
)
from harness.scenario import judge

NAMESPACES, PODS = 10, 10
WEB = {"podSelector": {"matchLabels": {"app": "app0"}}}
ISOLATED = 5
"""So many namespaces take connections from inside and from app0 only."""
HERE = Location("table.yaml", 1, 1)


def policy(namespace: str) -> Manifest:
    """Isolate the namespace; its own pods may come in, and app0 of all namespaces."""
    peers: list[dict[str, Any]] = [{"podSelector": {}}, {**WEB, "namespaceSelector": {}}]
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "inside", "namespace": namespace},
        "spec": {"podSelector": {}, "ingress": [{"from": peers, "ports": [{"port": 80}]}]},
    }
    text = json.dumps(document)
    return Manifest("networking.k8s.io/v1", "NetworkPolicy", namespace, "inside", text)


def state() -> State:
    names = [f"ns{number}" for number in range(NAMESPACES)]
    pods = tuple(
        Pod(name, f"pod{i}", Labels({"app": f"app{i}"}), (ContainerPort(80),), i % 2 + 1)
        for name in names
        for i in range(PODS)
    )
    policies = tuple(policy(name) for name in names[:ISOLATED])
    return State("table", tuple(map(Namespace, names)), pods, policies=policies)


def expected(source: Pod, target: Pod) -> Verdict:
    isolated = int(target.namespace.removeprefix("ns")) < ISOLATED
    admitted = source.namespace == target.namespace or source.labels["app"] == "app0"
    return Verdict.TIMEOUT if isolated and not admitted else Verdict.ALLOWED


def scenario() -> Scenario:
    made = state()
    cells = tuple(
        Cell(Probe(source.ref, Destination(target.ref, 80)), expected(source, target), HERE)
        for source in made.pods
        for target in made.pods
        if source is not target
    )
    step = Step("all to all", HERE, (), made, TruthTable(cells))
    return Scenario("table.yaml", "table", "table", "", (step,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    made = scenario()
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        problems = Problems()
        judge.compare(made, problems)
        seconds.append(time.process_time() - started)
        assert not problems.found, problems.found[0]
    cells = len(made.steps[0].table.cells)
    print(f"compared {cells} cells in {min(seconds):.2f} s of CPU (best of {rounds})")


if __name__ == "__main__":
    main()
