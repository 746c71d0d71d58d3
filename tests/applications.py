"""Small manifests of applications, as texts."""

from __future__ import annotations


def workload(name: str, port: int | None = None, replicas: int = 1) -> str:
    """Return a Deployment in the namespace shop, with the label app."""
    ports = "" if port is None else f", ports: [{{containerPort: {port}}}]"
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: c{ports}}}]}}
"""


def service(name: str, port: int) -> str:
    """Return a Service for a workload."""
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{selector: {{app: {name}}}, ports: [{{port: {port}}}]}}
"""


def admit(name: str, *sources: str) -> str:
    """Return a policy that admits only these workloads to one."""
    rules = ", ".join(f"{{podSelector: {{matchLabels: {{app: {item}}}}}}}" for item in sources)
    return f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: {name}}}}}
  policyTypes: [Ingress]
  ingress: [{f"{{from: [{rules}]}}" if rules else ""}]
"""


def deny(name: str) -> str:
    """Return a policy that admits nobody to a workload."""
    return admit(name)


POLICY = admit("db", "web")
