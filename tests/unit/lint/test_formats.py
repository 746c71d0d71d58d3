"""What lint prints, in each format, and its exit status."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.lint import kinds

CART = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: cart, namespace: shop}
spec:
  podSelector: {matchLabels: {name: cart}}
  policyTypes: [Ingress]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: carts, namespace: shop}
spec:
  podSelector: {matchLabels: {name: carts}}
  policyTypes: [Ingress]
"""
CARTS = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: carts, namespace: shop}
spec:
  selector: {matchLabels: {name: carts}}
  template:
    metadata: {labels: {name: carts}}
    spec: {containers: [{name: carts, ports: [{containerPort: 80}]}]}
"""
CARTS_ARE_SHOWN = """\
cart.yaml:5:3: warning: NetworkPolicy shop/cart selects name=cart: no pod [selects-no-pod]
    5 |   podSelector: {matchLabels: {name: cart}}
      carts.yaml:1:1: Deployment shop/carts
hint: name=carts has 1: Deployment shop/carts
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("cart.yaml").write_text(CART, encoding="utf-8")
    Path("carts.yaml").write_text(CARTS, encoding="utf-8")
    return tmp_path


def test_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "."]) == 1
    note = "note: without a manifest, and so without labels of their own: namespaces shop\n"
    summary = "1 warning in 2 policies, 1 workload; 1 note with --level=note\n"
    assert capsys.readouterr().out == CARTS_ARE_SHOWN + note + summary


@pytest.mark.parametrize(("level", "status"), [("error", 0), ("warning", 1), ("note", 1)])
def test_the_level_decides_on_the_status(level: str, status: int) -> None:
    assert main(["lint", ".", f"--level={level}"]) == status


def test_nothing_of_that_level(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", ".", "--level=error"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "nothing found in 2 policies, 1 workload; 1 warning with --level=warning; "
        "1 note with --level=note"
    )


def test_findings_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", ".", "--ignore=selects-no-pod,bad-silence"]) == 0
    assert main(["lint", ".", "--select=selects-no-pod"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 warning in 2 policies, 1 workload"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--select=selects-nopod",
            "--select: there is no finding 'selects-nopod'\n"
            "hint: did you mean 'selects-no-pod'?\n",
        ),
        (
            "--pod-range=10.0.0.0/99",
            "--pod-range: '10.0.0.0/99' does not appear to be an IPv4 or IPv6 network\n"
            "hint: write it like 10.244.0.0/16\n",
        ),
    ],
)
def test_a_wrong_option(option: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", ".", option]) == 2
    assert capsys.readouterr().err == message


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", ".", "--format=json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    (found,) = printed["findings"]
    assert len(found.pop("fingerprint")) == 32
    assert found == {
        "id": "selects-no-pod",
        "level": "warning",
        "requirements": ["R01"],
        "object": "NetworkPolicy shop/cart",
        "location": {"file": "cart.yaml", "line": 5, "column": 3},
        "message": "NetworkPolicy shop/cart selects name=cart: no pod",
        "hint": "name=carts has 1: Deployment shop/carts",
        "related": [
            {
                "text": "Deployment shop/carts",
                "location": {"file": "carts.yaml", "line": 1, "column": 1},
            }
        ],
    }
    assert printed["silenced"] == 0
    assert len(printed["notes"]) == 1


def test_as_annotations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", ".", "--format=github", "--level=note"]) == 1
    assert capsys.readouterr().out == (
        "::warning file=cart.yaml,line=5,col=3,title=selects-no-pod::NetworkPolicy shop/cart "
        "selects name=cart: no pod%0Ahint: name=carts has 1: Deployment shop/carts\n"
        "::notice file=carts.yaml,line=1,col=1,title=egress-not-isolated::no policy isolates "
        "Deployment shop/carts for egress: it reaches everything%0A"
        "hint: a policy for egress has Egress in its policyTypes\n"
    )


def sarif(capsys: pytest.CaptureFixture[str]) -> Any:
    main(["lint", ".", "--format=sarif"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["version"] == "2.1.0"
    (run,) = printed["runs"]
    return run


def test_as_sarif(capsys: pytest.CaptureFixture[str]) -> None:
    run = sarif(capsys)
    driver = run["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == list(kinds())
    (result,) = run["results"]
    assert len(result.pop("partialFingerprints")["primaryLocationLineHash"]) == 34
    uri = {"uri": "carts.yaml"}
    assert result == {
        "ruleId": "selects-no-pod",
        "ruleIndex": 0,
        "level": "warning",
        "message": {
            "text": "NetworkPolicy shop/cart selects name=cart: no pod\n"
            "hint: name=carts has 1: Deployment shop/carts"
        },
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "cart.yaml"},
                    "region": {"startLine": 5, "startColumn": 3},
                }
            }
        ],
        "relatedLocations": [
            {
                "id": 1,
                "message": {"text": "Deployment shop/carts"},
                "physicalLocation": {
                    "artifactLocation": uri,
                    "region": {"startLine": 1, "startColumn": 1},
                },
            }
        ],
    }


def test_a_rule_leads_to_its_section_of_the_site(capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parents[3]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = f"{project['urls']['Documentation']}docs/lint.html"
    driver = sarif(capsys)["tool"]["driver"]
    assert {rule["helpUri"] for rule in driver["rules"]} == {f"{page}#{name}" for name in kinds()}
    assert "docs/lint\n" in (root / "docs/site/conf.py").read_text(encoding="utf-8")


def fingerprints(run: Any) -> list[str]:
    return [item["partialFingerprints"]["primaryLocationLineHash"] for item in run["results"]]


def test_a_fingerprint_does_not_depend_on_lines(capsys: pytest.CaptureFixture[str]) -> None:
    before = fingerprints(sarif(capsys))
    Path("cart.yaml").write_text(f"# new\n\n{CART}", encoding="utf-8")
    assert fingerprints(sarif(capsys)) == before
    Path("cart.yaml").write_text(CART.replace("name: cart,", "name: c,"), encoding="utf-8")
    assert fingerprints(sarif(capsys)) != before


def test_a_path_is_a_uri(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cart.yaml").rename("a cart%.yaml")
    (result,) = sarif(capsys)["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20cart%25.yaml"}


def test_what_it_says_on_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("cart.yaml").open(encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert main(["lint", "-"]) == 0
    assert capsys.readouterr().out == (
        "note: without a manifest, and so without labels of their own: namespaces shop\n"
        "note: the manifests have no workload of namespaces shop: what their policies select "
        "is not known\n"
        "nothing found in 2 policies, 0 workloads\n"
    )
