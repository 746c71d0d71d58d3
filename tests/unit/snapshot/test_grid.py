"""Tables that are written as people write them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness import oracle
from harness.model import (
    ContainerPort,
    Destination,
    Family,
    Labels,
    Manifest,
    Namespace,
    Pod,
    Protocol,
    State,
)
from harness.policy import parsed
from harness.scenario.candidates import Budget, candidates
from harness.snapshot.grid import Column, Words, columns, lines, rows_of_pods

PODS = ("a/x-1", "a/x-2", "a/y", "a/w", "b/x", "b/y", "b/z")


def words(admitted: str) -> Words:
    """Return the words in a state in which a/y admits the pods with a label."""
    json = (
        '{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p",'
        '"namespace":"a"},"spec":{"podSelector":{"matchLabels":{"y":"a"}},"ingress":[{"from":'
        f'[{{"namespaceSelector":{{}},"podSelector":{admitted}}}]}}]}}}}'
    )
    policy = Manifest("networking.k8s.io/v1", "NetworkPolicy", "a", "p", json)
    assert parsed([policy])
    state = State(
        "s",
        namespaces=(Namespace("a"), Namespace("b")),
        pods=tuple(_pod(name) for name in PODS),
        policies=(policy,),
    )
    (ends,) = candidates([state], (Family.V4,), Budget(sys.maxsize, sys.maxsize))
    return Words(ends, oracle.NO_FACTS)


def _pod(name: str) -> Pod:
    namespace, _, pod = name.partition("/")
    labels = Labels({pod.partition("-")[0]: namespace, "pod": pod})
    return Pod(namespace, pod, labels, (ContainerPort(80),))


def column(found: Words, *names: str) -> Column:
    pods = {str(pod.ref): pod.ref for pod in found.candidates.state.pods}
    return Column(f"{names[0]}:80", tuple(Destination(pods[name], 80) for name in names))


def table(admitted: str, *names: Sequence[str]) -> list[str]:
    found = words(admitted)
    ends = [column(found, *name) for name in names]
    return [line.strip() for line in lines(ends, rows_of_pods(found, ends))]


def test_one_row_is_enough_where_all_pods_are_alike() -> None:
    assert table("{}", ["a/y"]) == ["a/y:80", "*/*   allowed"]


def test_nobody_except() -> None:
    admits = '{"matchLabels":{"z":"b"}}'
    assert table(admits, ["a/y"]) == ["a/y:80", "*/*   TIMEOUT", "b/z   allowed"]


def test_the_pods_of_a_workload_are_one_row() -> None:
    admits = '{"matchLabels":{"x":"a"}}'
    assert table(admits, ["a/y"]) == ["a/y:80", "*/*     TIMEOUT", "a/x-*   allowed"]


def test_the_pods_of_a_namespace_are_one_row() -> None:
    admits = '{"matchExpressions":[{"key":"pod","operator":"In","values":["x","y","z"]}]}'
    assert table(admits, ["a/y"]) == ["a/y:80", "*/*   TIMEOUT", "b/*   allowed"]


def test_a_row_of_one_pod_has_a_dash_for_itself() -> None:
    admits = '{"matchLabels":{"z":"b"}}'
    assert table(admits, ["a/y"], ["b/z"])[1:] == ["*/*   TIMEOUT   allowed", "b/z   allowed   -"]


def test_pods_with_the_same_words_are_one_column() -> None:
    found = words("{}")
    pods = [pod.ref for pod in found.candidates.state.pods[:2]]
    made = [*columns([found], "a/x-*", pods, [(80, Protocol.TCP)])]
    assert [item.text for item in made] == ["a/x-*:80"]


def test_a_pattern_that_means_more_pods_is_no_column() -> None:
    found = words("{}")
    pods = [pod.ref for pod in found.candidates.state.pods[:2]]
    made = [*columns([found], "a/*", pods, [(80, Protocol.TCP)])]
    assert [item.text for item in made] == ["a/x-1:80", "a/x-2:80"]
