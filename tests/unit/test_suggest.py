"""Every "did you mean"."""

from __future__ import annotations

import pytest

from harness.suggest import closest, nearest, nearest_or_all


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("podselector", ["podSelector", "ingress"], "podSelector"),
        ("ingres", ["podSelector", "ingress"], "ingress"),
        ("tpc", ["TCP", "UDP"], "TCP"),
        ("podSelector", ["namespaceSelector"], None),
        ("x", ["TCP"], None),
        ("TCP", [], None),
        ("Netwo", ["Ingress", "NetworkPolicy"], "NetworkPolicy"),
        ("pod", ["podSelector", "podAffinity"], None),
        ("po", ["podSelector"], None),
    ],
)
def test_the_word_that_was_meant(word: str, known: list[str], meant: str | None) -> None:
    assert closest(word, known) == meant
    assert nearest(word, known) == (meant and f"did you mean {meant!r}?")


def test_where_no_word_is_near_the_known_ones_are_listed() -> None:
    assert nearest_or_all("clint", ["client", "server"], "pods") == "did you mean 'client'?"
    assert nearest_or_all("web", ["client", "server"], "pods") == "pods are client, server"
    assert nearest_or_all("web", [], "pods") == "there are no pods"
    many = [f"client-{number}" for number in range(10)]
    shown = ", ".join(many[:9])
    assert nearest_or_all("web", many, "pods") == f"pods are {shown}, ..."
