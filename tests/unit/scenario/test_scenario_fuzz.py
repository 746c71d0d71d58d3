"""However a file is broken, its author reads problems and never a traceback."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import scenario
from harness.errors import Location, Problem, ScenarioError, UsageError

DATA = Path(__file__).parent / "data"
VALID = (DATA / "valid" / "everything.yaml").read_text("utf-8")
LINES = VALID.splitlines()
TOKENS = [
    *(token for token in re.findall(r"[\w./:*@-]+|[\[\]{}|,:]", VALID)),
    *("~", "null", "yes", "-", "*", "&a", "*a", "<<", "!x", "'", '"', "\t", "%", "|", ">", "0x1f"),
    *(
        "1e9",
        ".inf",
        "-1",
        "12:30",
        "\x00",
        "\ud7ff",
        "é",
        "#",
        "---",
        "...",
        "?",
        "? [a]: b",
        "{}",
    ),
    *("[]", "ip/[::1]:80", "dns/a.b.c:1", "9" * 50, "a" * 300, "2024-02-31", "!!int x", "\u2028"),
]

patient = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def broken(draw: st.DrawFn) -> str:
    """The valid file with a few lines or words dropped, doubled, swapped or replaced."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "word", "indent", "cut"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "indent":
                lines[at] = " " * draw(st.integers(0, 8)) + lines[at].lstrip()
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case _:
                words = re.split(r"(\s+|[\[\]{},:])", lines[at])
                words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(TOKENS))
                lines[at] = "".join(words)
    return "\n".join(lines)


def read(tmp_path: Path, text: str) -> None:
    (tmp_path / "policies").mkdir(exist_ok=True)
    two = (DATA / "valid" / "policies" / "two.yaml").read_text("utf-8")
    (tmp_path / "policies" / "two.yaml").write_text(two)
    path = tmp_path / "broken.yaml"
    path.write_text(text, encoding="utf-8")
    problems: Sequence[Problem] = ()
    try:
        scenario.load(path)
    except ScenarioError as error:
        problems = error.problems or [Problem(Location("", 0, 0), "")]
    for problem in problems:
        assert problem.message
        assert problem.location.line >= 1
        assert problem.location.column >= 1
        assert "pydantic" not in str(problem)
        assert "Input should" not in str(problem)


@patient
@given(text=broken())
def test_a_broken_scenario_is_problems(tmp_path: Path, text: str) -> None:
    read(tmp_path, text)


@patient
@given(text=st.text(alphabet=st.sampled_from(" \n-:[]{}|>&*!%@'\"#,?abc01\t"), max_size=60))
def test_any_text_is_problems(tmp_path: Path, text: str) -> None:
    read(tmp_path, text)


@patient
@given(text=broken())
def test_a_broken_manifest_is_problems(tmp_path: Path, text: str) -> None:
    (tmp_path / "policies").mkdir(exist_ok=True)
    (tmp_path / "policies" / "other.yaml").write_text(text, encoding="utf-8")
    start = VALID.replace("policies/two.yaml", "policies/other.yaml")
    read(tmp_path, start)


@patient
@given(text=st.text(alphabet=st.sampled_from("ab*/:@.[]019-\n UDPnodeexipsvcr"), max_size=24))
def test_any_end_is_an_end_or_a_usage_error(text: str) -> None:
    for parse in (scenario.parse_source, scenario.parse_destination):
        hint: str | None = ""
        try:
            end = parse(text)
            assert parse(str(end)) == end
        except UsageError as error:
            hint = error.hint
        assert hint is not None
