"""A pytest inside the test, with the scripted cluster of tests/fakes.py."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.plugin.warm import warm_python

SCENARIO = """\
scenario: Only the frontend reaches the database
why: It is the smallest scenario that allows and denies.
topology:
  shop:
    pods:
      database: {labels: {app: database}, ports: [5432]}
      frontend: {labels: {app: frontend}}
      stranger: {labels: {app: stranger}}
steps:
  - step: nothing is restricted yet
    expect: allowed
  - step: the database takes the frontend
    namespace: shop
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: from-frontend}
        spec:
          podSelector: {matchLabels: {app: database}}
          ingress: [{from: [{podSelector: {matchLabels: {app: frontend}}}]}]
    expect: |2
                       shop/database:5432
        shop/frontend  allowed
        shop/stranger  TIMEOUT
  - step: nobody is left
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: from-frontend, namespace: shop}
        spec: {podSelector: {matchLabels: {app: database}}, ingress: []}
    expect: TIMEOUT
"""

CONFTEST = """\
import pytest
from tests import fakes

def _answer(state, probe):
    if state.scope == "canary":
        return fakes.by_the_book(state, probe)
    return fakes.{answer}(state, probe)

@pytest.hookimpl
def pytest_netpol_make_cluster(config, worker):
    return fakes.FakeCluster(_answer)
"""

LACKING = CONFTEST.replace(
    "fakes.FakeCluster(_answer)",
    "fakes.FakeCluster(_answer, replace(fakes.EVERYTHING, nodes=0))",
).replace("import pytest\n", "import pytest\nfrom dataclasses import replace\n")
"""A cluster that has no node to place a pod on, so that every step is skipped."""

LEAKING = """
from dataclasses import replace
from harness.cluster import KnownCell
from harness.model import Verdict

KNOWN = KnownCell(
    "shop",
    "nobody is left",
    "shop/frontend -> shop/database:5432",
    Verdict.ALLOWED,
    "the frontend stays (a/b#1; v1)",
)
LEAKING = replace(fakes.EVERYTHING, known_cells=(KNOWN,))

def leaks(state, probe):
    word = fakes.by_the_book(state, probe)
    left = word is Verdict.TIMEOUT and probe.source.name == "frontend"
    return Verdict.{word} if left else word
"""


def leaking(word: str) -> str:
    """A cluster that is known to allow the denied frontend, and gives it ``word``."""
    conftest = CONFTEST.replace("fakes.{answer}", "leaks")
    conftest = conftest.replace(
        "fakes.FakeCluster(_answer)", "fakes.FakeCluster(_answer, LEAKING)"
    )
    return conftest + LEAKING.replace("{word}", word)


RunScenarios = Callable[..., pytest.RunResult]

PLUGINS = ("--disable-plugin-autoload", "-p", "harness.plugin", "--assert=plain")


@pytest.fixture(scope="session")
def worker_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the program that xdist starts its workers with."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ:  # a fork would not be measured
        yield sys.executable
        return
    with warm_python(tmp_path_factory.mktemp("warm")) as program:
        yield str(program)


@pytest.fixture
def run_scenarios(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> RunScenarios:
    """Run pytest on a folder with one scenario, on a cluster that gives ``answer``."""

    monkeypatch.setenv("COLUMNS", "160")  # else pytest shortens the lines of its summary

    def run(
        *words: str, answer: str = "by_the_book", conftest: str = CONFTEST
    ) -> pytest.RunResult:
        pytester.makeconftest(conftest.replace("{answer}", answer))
        if not (pytester.path / "scenarios").exists():
            write(pytester, "scenarios/shop.yaml", SCENARIO)
        plugins = list(PLUGINS)
        if "-n" in words:
            plugins += ["-p", "xdist"]
            monkeypatch.setattr(sys, "executable", request.getfixturevalue("worker_python"))
        return pytester.runpytest_inprocess(*plugins, *(words or ("scenarios",)))

    return run


def write(pytester: pytest.Pytester, name: str, text: str) -> None:
    path = pytester.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def section(result: pytest.RunResult, title: str) -> str:
    """Give the text below a heading of pytest's, without times, up to the next one."""
    lines = iter(result.outlines)
    for line in lines:
        if line.strip("= ") == title:
            break
    found = []
    for line in lines:
        if re.fullmatch(r"=+ .* =+", line):
            break
        words = re.sub(r"^[_-]{2,} (.*) [_-]{2,}$", r"[\1]", line)
        found.append(re.sub(r"\d+\.\d+ s\b", "N s", words))
    return "\n".join(found).strip()
