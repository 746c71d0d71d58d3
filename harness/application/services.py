"""Services of all types."""

from __future__ import annotations

from collections.abc import Iterator

from harness.application.part import Part
from harness.application.values import AppService, Reach
from harness.model import ExternalTrafficPolicy, ServicePort
from harness.policy import selectors


def service(namespace: str, name: str, body: Part) -> AppService:
    """Return the Service that an object describes."""
    body.check_scalars("spec")
    spec = body.part("spec")
    reach = spec.word("type", Reach.CLUSTER_IP, _type)
    if reach is Reach.CLUSTER_IP and spec.value.get("clusterIP") == "None":
        reach = Reach.HEADLESS
    ports = tuple(_ports(spec))
    if not ports and reach not in {Reach.HEADLESS, Reach.EXTERNAL_NAME}:
        spec.add("ports", "no ports", "only a headless Service can have none")
    cluster = ExternalTrafficPolicy.CLUSTER
    return AppService(
        namespace=namespace,
        name=name,
        reach=reach,
        selector=spec.labels("selector") if spec.value.get("selector") else None,
        ports=ports,
        location=body.location,
        external_traffic_policy=spec.word("externalTrafficPolicy", cluster, ExternalTrafficPolicy),
        external_name=spec.text("externalName") if reach is Reach.EXTERNAL_NAME else None,
    )


def _type(word: str) -> Reach:
    if word == Reach.HEADLESS:  # our word, and no type of the API
        raise ValueError(word)
    return Reach(word)


def _ports(spec: Part) -> Iterator[ServicePort]:
    for part in spec.parts("ports"):
        number, protocol, name = part.port("port"), part.protocol(), part.text("name")
        target = part.value.get("targetPort")
        if isinstance(target, str):
            part.bad("targetPort", selectors.port_name(target))
        elif target is not None and target != 0:
            target = part.port("targetPort")
        if number is not None:
            yield ServicePort(number, target or number, protocol, name)
