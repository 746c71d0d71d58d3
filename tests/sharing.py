"""Scenarios of one fixture, each of which leaves it in another condition."""

from __future__ import annotations

from pathlib import Path

from harness import scenario
from harness.model import Scenario

FIXTURE = """\
fixture: Two namespaces
topology:
  app:
    labels: {team: blue}
    pods:
      server: {labels: {app: server}, ports: [80], node: 1}
      client: {labels: {app: client}, node: 2}
    services:
      server: {selector: {app: server}, ports: [80]}
  other:
    pods:
      client: {node: 1}
"""

_DENY = """\
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: server, namespace: app}
        spec:
          podSelector: {matchLabels: {app: server}}
          ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}]}]
"""
_TABLE = """\
    expect: |2
                      app/server:80  svc/app/server:80
        app/client    allowed        allowed
        other/client  TIMEOUT        TIMEOUT
"""
_OPEN = "    expect: allowed\n"

STEPS = {
    "deny": f"  - step: only one namespace\n{_DENY}{_TABLE}",
    "relabel": (
        f"  - step: only one namespace\n{_DENY}{_TABLE}"
        "  - step: the server is no longer selected\n"
        "    label: {ns/app: {team: red}, other/client: {app: x}, app/client: {app: null}}\n"
        "    delete: [NetworkPolicy/app/server]\n"
        f"{_OPEN}"
    ),
    "restart": (
        f"  - step: only one namespace\n{_DENY}{_TABLE}"
        f"  - step: the pods restart\n    restart: [app/server, other/client]\n{_TABLE}"
    ),
    "recreate-pod": (
        f"  - step: only one namespace\n{_DENY}{_TABLE}"
        "  - step: the client is created again\n"
        "    delete: [Pod/app/client]\n"
        "    create: {app: {pods: {client: {labels: {app: client}, node: 2}}}}\n"
        f"{_TABLE}"
    ),
    "recreate-namespace": (
        f"  - step: only one namespace\n{_DENY}{_TABLE}"
        "  - step: the other namespace is created again\n"
        "    delete: [Namespace/other]\n"
        "    create: {other: {pods: {client: {node: 1}}}}\n"
        f"{_TABLE}"
    ),
    "delete": (
        f"  - step: only one namespace\n{_DENY}{_TABLE}"
        "  - step: the other namespace and a Service are gone\n"
        "    delete: [Namespace/other, Service/app/server]\n"
        "    expect: |2\n"
        "                    app/server:80\n"
        "        app/client  allowed\n"
    ),
    "add": (
        "  - step: more pods and a namespace\n"
        "    create: {app: {pods: {late: {}}}, more: {pods: {client: {}}}}\n"
        f"{_DENY}"
        "    expect: |2\n"
        "                      app/server:80\n"
        "        app/late      allowed\n"
        "        more/client   TIMEOUT\n"
        "        other/client  TIMEOUT\n"
    ),
}


def written(folder: Path) -> dict[str, Scenario]:
    """Write the scenarios and their fixture, and read them."""
    (folder / "fixtures").mkdir()
    (folder / "fixtures" / "shared.yaml").write_text(FIXTURE)
    found = {}
    for name, steps in STEPS.items():
        path = folder / f"{name}.yaml"
        path.write_text(
            f"scenario: The fixture and {name}\n"
            "why: It leaves the fixture in another condition.\n"
            f"fixture: fixtures/shared.yaml\nsteps:\n{steps}"
        )
        found[name] = scenario.load(path)
    return found
