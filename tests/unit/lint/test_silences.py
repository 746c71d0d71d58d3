"""Comments and annotations that silence findings."""

from __future__ import annotations

import io

import pytest

from harness.application import read
from harness.lint import Choice, Result, linted

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress: [{from: [{ipBlock: {cidr: 10.244.0.0/24}}]}]
  egress: []
"""


def lint(text: str, *select: str) -> Result:
    application = read(["-"], "shop", io.BytesIO(text.encode()))
    return linted(application, Choice(select=frozenset(select)))


def shown(result: Result) -> list[str]:
    return [f"{item.place.location}: {item.said.message} [{item.id}]" for item in result.findings]


def test_without_a_silence() -> None:
    result = lint(POLICY)
    assert [item.id for item in result.findings] == ["block-holds-pods", "section-without-type"]
    assert result.silenced == 0


@pytest.mark.parametrize(
    "text",
    [
        POLICY.replace("egress: []", "egress: []  # netpol: ignore[section-without-type] why not"),
        POLICY.replace("  egress:", "  # netpol: ignore[section-without-type]\n  egress:"),
        f"# netpol: ignore[section-without-type, section-without-type]\n{POLICY}",
        POLICY.replace(
            "shop}",
            "shop, annotations: {lint.netpol.harness/comment: 'ignore[section-without-type] x'}}",
        ),
    ],
    ids=["on the line", "above the line", "above the object", "annotation"],
)
def test_one_finding_is_silenced(text: str) -> None:
    result = lint(text)
    assert [item.id for item in result.findings] == ["block-holds-pods"]
    assert result.silenced == 1


def test_a_comment_names_several_findings() -> None:
    result = lint(f"# netpol: ignore[section-without-type block-holds-pods] both\n{POLICY}")
    assert (result.findings, result.silenced) == ((), 2)


def test_a_comment_at_another_line_silences_nothing() -> None:
    text = POLICY.replace("spec:", "spec:  # netpol: ignore[section-without-type]")
    result = lint(text, "section-without-type", "unused-silence")
    assert shown(result) == [
        "stdin:4:8: there is no finding 'section-without-type' here to silence [unused-silence]",
        "stdin:8:3: NetworkPolicy shop/web has a section egress, and its policyTypes are "
        "[Ingress] [section-without-type]",
    ]


def test_a_silence_of_a_finding_that_is_not_asked_for_is_not_unused() -> None:
    text = f"# netpol: ignore[selects-no-pod]\n{POLICY}"
    assert lint(text, "redundant-rule", "unused-silence").findings == ()
    assert len(lint(text, "selects-no-pod", "unused-silence").findings) == 1


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            "ignore[selects-no-pods]",
            "there is no finding 'selects-no-pods'",
            "did you mean 'selects-no-pod'?",
        ),
        (
            "ignroe[selects-no-pod]",
            "'netpol: ignroe[selects-no-pod]' is not known",
            "write # netpol: ignore[ID] and the reason, with ids like selects-no-pod",
        ),
    ],
)
def test_a_misspelled_silence(words: str, message: str, hint: str) -> None:
    result = lint(f"# netpol: {words}\n{POLICY}", "bad-silence")
    (found,) = result.findings
    assert (found.said.message, found.said.hint) == (message, hint)
