"""The SARIF of lint has the structure that code scanning asks for."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.lint import kinds
from tests.sarif import faults

HERE = Path("my k8s", "ü%.yaml")


def printed(text: str, capsys: pytest.CaptureFixture[str], level: str = "note") -> Any:
    HERE.parent.mkdir(exist_ok=True)
    HERE.write_text(text, encoding="utf-8")
    main(["lint", str(HERE.parent), f"--level={level}", "--format=sarif"])
    return json.loads(capsys.readouterr().out)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", kinds())
def test_every_kind_of_finding(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    log = printed(kinds()[name].example, capsys)
    assert faults(log) == []
    (run,) = log["runs"]
    assert name in {result["ruleId"] for result in run["results"]}
    places = [item for result in run["results"] for item in result["locations"]]
    uris = {item["physicalLocation"]["artifactLocation"]["uri"] for item in places}
    assert uris == {"my%20k8s/%C3%BC%25.yaml"}


def test_no_finding(capsys: pytest.CaptureFixture[str]) -> None:
    log = printed(kinds()["selects-no-pod"].mended, capsys, "error")
    assert (faults(log), log["runs"][0]["results"]) == ([], [])


def _first(log: Any) -> Any:
    return log["runs"][0]["results"][0]


def _artifact(log: Any) -> Any:
    return _first(log)["locations"][0]["physicalLocation"]["artifactLocation"]


def _region(log: Any) -> Any:
    return _first(log)["locations"][0]["physicalLocation"]["region"]


_PLACE = "log.runs[0].results[0]"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda log: log.pop("version"), "log.version is missing"),
        (lambda log: log.update(version="2.0.0"), "log.version is not the version: '2.0.0'"),
        (lambda log: log["runs"][0].pop("tool"), "log.runs[0].tool is missing"),
        (lambda log: _first(log).pop("message"), f"{_PLACE}.message is missing"),
        (lambda log: _first(log).update(rule="x"), f"{_PLACE}.rule is not known"),
        (
            lambda log: _first(log).update(level="bad"),
            f"{_PLACE}.level is not a level: 'bad'",
        ),
        (
            lambda log: _first(log).update(ruleIndex=1),
            "ruleIndex 1 of selects-no-pod is that of impossible-selector",
        ),
        (
            lambda log: _first(log).update(ruleIndex=99),
            f"ruleIndex 99 of selects-no-pod is beyond the {len(kinds())} rules",
        ),
        (
            lambda log: _region(log).update(startLine=0),
            f"{_PLACE}.locations[0].physicalLocation.region.startLine is no number of at least "
            "1: 0",
        ),
        *(
            (
                lambda log, uri=uri: _artifact(log).update(uri=uri),
                f"{_PLACE}.locations[0].physicalLocation.artifactLocation.uri is not a relative "
                f"URI: {uri!r}",
            )
            for uri in ("/k8s/a.yaml", "file:///k8s/a.yaml", "a b.yaml", "100%.yaml", "", 1)
        ),
    ],
)
def test_the_check_sees_what_is_wrong(
    change: Callable[[Any], object], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = printed(kinds()["selects-no-pod"].example, capsys)
    changed = copy.deepcopy(log)
    change(changed)
    assert (faults(log), faults(changed)) == ([], [fault])
