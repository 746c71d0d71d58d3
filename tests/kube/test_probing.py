"""From the names of a probe to a pod and an address, or to no verdict."""

from __future__ import annotations

import pytest

from harness.model import (
    Destination,
    ExternalRef,
    NodeRef,
    PodRef,
    Probe,
    ProbeError,
    Source,
)

from .rounds import A, B, allowed, probed


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (PodRef("app", "none"), "pod app/none does not exist"),
        (NodeRef(1), "node/1 does not start: no image"),
        (
            ExternalRef("office"),
            "external/office does not exist: this cluster has no outside hosts",
        ),
    ],
)
def test_a_source_that_is_not_there_is_no_denial(source: Source, words: str) -> None:
    probe = Probe(source, Destination(B, 80))
    found, _ = probed(lambda pod, script: allowed(script), probes=(probe,))
    assert found[probe].outcome == ProbeError(words)


def test_a_destination_without_an_address_is_no_denial() -> None:
    probe = Probe(A, Destination(PodRef("app", "none"), 80))
    found, api = probed(lambda pod, script: allowed(script), probes=(probe,))
    assert found[probe].outcome == ProbeError(
        "app/none has no IPv4 address that a probe can choose"
    )
    assert api.execs == []
