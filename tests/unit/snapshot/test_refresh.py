"""Snapshots against the policies as they are now."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness import scenario
from harness.cli import Exit, main
from harness.errors import ScenarioError
from harness.snapshot import Homeless, Refreshed, read_snapshot, refreshed
from tests.applications import POLICY, admit, service, workload

DAY = "2026-02-01"
HEAD = """\
scenario: S   # a comment
why: W.
snapshot: 2026-01-31
manifests: [app.yaml]
steps:
  - step: one
    policies: all
"""
TABLE = """\
    expect: |2   # who
             shop/db:5432   shop/web:80
      # nobody, except
      */*         TIMEOUT   allowed   # all
      shop/web    allowed   allowed

"""
TAIL = """\
  - step: two   # no more
    expect: |2
               shop/web:80
      shop/job   allowed
"""


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def pods(*names: str) -> list[str]:
    return [workload(name, {"web": 80, "db": 5432}.get(name)) for name in names]


def found(manifests: list[str], table: str = TABLE, tail: str = TAIL) -> Refreshed:
    Path("app.yaml").write_text("---\n".join(manifests), "utf-8")
    Path("s.yaml").write_text(HEAD + table + tail, "utf-8")
    return brought_up_to_date("s.yaml")[0][0]


def brought_up_to_date(*names: str) -> tuple[tuple[Refreshed, ...], tuple[Homeless, ...]]:
    return refreshed([item for name in names if (item := read_snapshot(Path(name)))], DAY)


def changes(item: Refreshed) -> list[str]:
    return [
        *(f"{gone.location} {gone.text}" for gone in item.gone),
        *(f"{word.location} {word.probe} {word.old} {word.new}" for word in item.words),
    ]


def now(table: str, tail: str = TAIL) -> str:
    return HEAD.replace("2026-01-31", DAY) + table + tail


def test_what_is_right_stays_as_it_is() -> None:
    item = found([*pods("web", "db", "job"), POLICY])
    assert not item.differs
    assert item.text == HEAD + TABLE + TAIL


SCENARIOS = Path(__file__).parents[3] / "scenarios"
EXAMPLES = sorted(path.name for path in (SCENARIOS / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("project") / "scenarios"
    return shutil.copytree(SCENARIOS, copy, ignore=shutil.ignore_patterns("conformance", "tiers"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_right_file_only_gets_rows_and_columns(
    name: str, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have all kinds of tables; their authors left out rows and columns."""
    monkeypatch.chdir(examples.parent)
    path = examples / "examples" / name
    text = path.read_text("utf-8").replace("\nwhy:", "\nsnapshot: 2026-01-31\nwhy:", 1)
    path.write_text(text, "utf-8")
    ((item,), homeless) = brought_up_to_date(str(path))
    assert (item.day, item.words, item.gone) == ("2026-01-31", (), ())
    scenario.check_text(path, item.text)
    path.write_text(item.text, "utf-8")
    ((again,), still) = brought_up_to_date(str(path))
    assert (again.differs, still) == (False, homeless)


def test_a_word_is_replaced_where_it_stands() -> None:
    item = found([*pods("web", "db", "job"), admit("db", "job")])
    assert changes(item) == [
        "s.yaml:11:19 shop/job -> shop/db:5432 TIMEOUT allowed",
        "s.yaml:12:19 shop/web -> shop/db:5432 allowed TIMEOUT",
    ]
    table = TABLE.replace("*/*         TIMEOUT", "*/*         allowed")
    assert item.text == now(table.replace("web    allowed   allowed", "web    TIMEOUT   allowed"))


def test_a_word_says_why() -> None:
    (word,) = found([*pods("web", "db", "job"), admit("db", "web", "job")]).words
    assert word.reasons == (
        "egress of shop/job: not isolated (no policy selects it for Egress)",
        "ingress of shop/db: isolated by NetworkPolicy shop/db; allowed by NetworkPolicy "
        "shop/db, ingress rule 1: pods app=job of the same namespace; every port",
    )


def test_a_source_that_differs_from_its_row_has_one_of_its_own() -> None:
    item = found([*pods("web", "db", "job", "more", "most"), admit("db", "web", "job")])
    assert changes(item) == ["s.yaml:11:19 shop/job -> shop/db:5432 TIMEOUT allowed"]
    assert item.text == now("""\
    expect: |2   # who
                 shop/db:5432   shop/web:80
      # nobody, except
      */*        TIMEOUT        allowed   # all
      shop/web   allowed        allowed
      shop/job   allowed        allowed

""")


def test_rows_and_columns_of_ends_that_are_gone_are_removed() -> None:
    tail = TAIL.replace("shop/job", "shop/x  ")
    item = found([*pods("db", "x"), POLICY], tail="")
    assert changes(item) == [
        "s.yaml:9:29 there is no pod 'shop/web' in this step",
        "s.yaml:12:7 there is no pod 'shop/web' in this step",
    ]
    assert item.text == now(
        """\
    expect: |2   # who
            shop/db:5432
      # nobody, except
      */*   TIMEOUT   # all

""",
        "",
    )
    with pytest.raises(ScenarioError) as error:
        found([*pods("db", "x"), POLICY], tail=tail)
    assert str(error.value) == (
        "s.yaml:16:16: no destination of step 'two' exists any more\n"
        "   16 |                shop/web:80\n"
        "hint: write the table again, or remove the step"
    )


def test_one_word_becomes_a_table_if_it_is_not_enough() -> None:
    item = found([*pods("web", "db", "job"), POLICY], "    expect: allowed   # all\n", "")
    assert changes(item) == ["s.yaml:8:13 shop/job -> shop/db:5432 allowed TIMEOUT"]
    assert item.text == now(
        """\
    expect: |2   # all
                 shop/web:80   shop/db:5432
      */*        allowed       allowed
      shop/job   allowed       TIMEOUT
""",
        "",
    )


def test_one_word_stays_one_if_it_is_enough() -> None:
    policies = [admit("db", "job"), admit("web", "db", "job")]
    item = found([*pods("web", "db", "job"), *policies], "    expect: TIMEOUT\n", "")
    assert [word.new for word in item.words] == ["allowed"] * 3
    assert "expect: |2" in item.text


def test_a_new_port_is_a_column() -> None:
    item = found([*pods("web", "db", "job"), workload("new", 81), admit("new", "job"), POLICY])
    assert [str(added.location) + " " + added.text for added in item.added] == [
        "s.yaml:8:13 no column shop/new:81"
    ]
    assert item.text == now(
        """\
    expect: |2   # who
                 shop/db:5432   shop/web:80   shop/new:81
      # nobody, except
      */*        TIMEOUT        allowed       TIMEOUT   # all
      shop/web   allowed        allowed       TIMEOUT
      shop/job   TIMEOUT        allowed       allowed

"""
    )
    scenario.check_text(Path("s.yaml"), item.text)


def test_pods_of_a_new_workload_are_one_column_if_they_can_be() -> None:
    more = [workload("new", 81, replicas=2), service("new", 81)]
    item = found([*pods("web", "db", "job"), *more, POLICY])
    assert [added.text for added in item.added] == [
        "no column shop/new-*:81",
        "no column svc/shop/new:81",
    ]
    assert "shop/new-*:81   svc/shop/new:81\n" in item.text


ROWS = """\
    expect: |2
                 shop/db:5432
      shop/web   allowed
      shop/job   TIMEOUT   # none
"""


def test_a_pod_without_a_row_gets_one() -> None:
    """A row for all pods has those of new workloads too."""
    item = found([*pods("web", "db", "job"), workload("new"), POLICY], ROWS, TAIL)
    assert [str(added.location) + " " + added.text for added in item.added] == [
        "s.yaml:8:13 no row shop/new",
        "s.yaml:13:13 no row shop/db",
        "s.yaml:13:13 no row shop/new",
    ]
    assert item.text == now(
        """\
    expect: |2
                 shop/db:5432
      shop/web   allowed
      shop/job   TIMEOUT   # none
      shop/new   TIMEOUT
""",
        TAIL.replace(" " * 15, " " * 17) + "      shop/db    allowed\n      shop/new   allowed\n",
    )


ABOUT_DB = TABLE.replace("   shop/web:80", "").replace("   allowed   #", "   #")
ABOUT_DB = ABOUT_DB.replace("    allowed   allowed", "    allowed")


def two_files(*new: str) -> tuple[tuple[Refreshed, ...], tuple[Homeless, ...]]:
    """Return what becomes of a file about the database and one of ends that nobody protects."""
    found([*pods("web", "db", "job"), *new, POLICY], ABOUT_DB, "")
    rest = HEAD.replace("why: W.", "why: W.\nproves: nothing-changes")
    table = "    expect: |2\n            shop/web:80\n      */*   allowed\n"
    Path("unchanged.yaml").write_text(rest + table, "utf-8")
    return brought_up_to_date("s.yaml", "unchanged.yaml")


def test_a_new_end_goes_to_the_file_of_its_kind() -> None:
    (first, second), homeless = two_files(workload("new", 81))
    assert (first.differs, homeless) == (False, ())
    assert second.text.endswith(
        "            shop/web:80   shop/new:81\n      */*   allowed       allowed\n"
    )


STEP = """\
  - step: who reaches shop/new
    expect: |2
            shop/new:81
      */*   TIMEOUT
"""


def test_a_new_end_that_no_file_can_take_has_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    (first, second), (left,) = two_files(workload("new", 81), admit("new"))
    assert not first.differs
    assert not second.differs
    assert left == Homeless(("shop/new:81",), Path("s.yaml"), tuple(STEP.splitlines()))
    for more in ([], ["--update"]):
        assert main(["snapshot", *more, "s.yaml", "unchanged.yaml"]) == Exit.WRONG
        assert capsys.readouterr().out == (
            "in no table: shop/new:81; add this step at the end of s.yaml:\n" + STEP
        )
    with Path("s.yaml").open("a", encoding="utf-8") as file:
        file.write(STEP)
    assert main(["snapshot", "s.yaml", "unchanged.yaml"]) == Exit.OK
    assert main(["check", "s.yaml"]) == Exit.OK


def test_a_table_of_two_steps_gets_no_column() -> None:
    """Its words are right in both steps; those of a new column need not be."""
    table = TABLE.replace("expect: |2", "expect: &both |2")
    tail = "  - step: two\n    expect: *both\n"
    item = found([*pods("web", "db", "job"), workload("new", 81), POLICY], table, tail)
    assert (item.added, item.text) == ((), HEAD + table + tail)
    (left,) = brought_up_to_date("s.yaml")[1]
    assert left.ends == ("shop/new:81",)


def test_an_end_that_another_file_has_is_not_new() -> None:
    Path("app.yaml").write_text("---\n".join([*pods("web", "db"), POLICY]), "utf-8")
    table = "    expect: |2\n            shop/web:80\n      */*   allowed\n"
    Path("a.yaml").write_text(HEAD + table, "utf-8")
    Path("b.yaml").write_text(HEAD + ABOUT_DB, "utf-8")
    assert [item.differs for item in brought_up_to_date("a.yaml", "b.yaml")[0]] == [False] * 2
    assert [item.differs for item in brought_up_to_date("b.yaml")[0]] == [True]


def test_windows_line_endings_are_kept() -> None:
    Path("app.yaml").write_text("---\n".join([*pods("web", "db", "job"), admit("db")]), "utf-8")
    Path("s.yaml").write_text(HEAD + TABLE + TAIL, "utf-8", newline="\r\n")
    text = brought_up_to_date("s.yaml")[0][0].text
    assert text.count("\r\n") == text.count("\n") == (HEAD + TABLE + TAIL).count("\n")


def test_a_table_with_too_many_pairs_is_refused() -> None:
    rows = "      */*        allowed allowed\n" * 20_000
    table = f"    expect: |2\n           shop/*:5432 shop/*:80\n{rows}"
    with pytest.raises(ScenarioError) as error:
        found([*pods("web", "db", "job"), POLICY], table, "")
    assert str(error.value) == (
        "s.yaml:3:11: the tables of this file name too many pairs\nhint: split the file"
    )


# ------------------------------------------------------------------ the verb


def test_the_verb_shows_what_changed_and_then_writes_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found([*pods("web", "db", "job"), admit("db", "web", "job")])
    told = (
        "s.yaml:11:19: shop/job -> shop/db:5432: allowed, was TIMEOUT, in step 'one'\n"
        "    egress of shop/job: not isolated (no policy selects it for Egress)\n"
        "    ingress of shop/db: isolated by NetworkPolicy shop/db; allowed by NetworkPolicy "
        "shop/db, ingress rule 1: pods app=job of the same namespace; every port\n"
    )
    before = Path("s.yaml").read_text("utf-8")
    assert main(["snapshot", "s.yaml"]) == Exit.WRONG
    assert capsys.readouterr().out == (
        told + "1 cell in 1 of 1 snapshot changed; `netpol snapshot --update` writes them\n"
    )
    assert Path("s.yaml").read_text("utf-8") == before
    assert main(["snapshot", "--update", "s.yaml"]) == Exit.INVALID
    captured = capsys.readouterr()
    assert captured.out == told + (
        "nothing was written: 1 cell in 1 of 1 snapshot changed, and not all files would be "
        "valid\n"
    )
    assert captured.err == (
        "s.yaml:5:1: no step changes any cell, so the scenario passes where nothing is enforced\n"
        "    5 | steps:\n"
        "hint: deny something, or declare it: `proves: nothing-changes`\n"
    )
    assert Path("s.yaml").read_text("utf-8") == before
    found([*pods("web", "db", "job"), admit("db", "job")])
    assert main(["snapshot", "--update", "s.yaml"]) == Exit.OK
    assert capsys.readouterr().out.endswith("updated: 2 cells in 1 of 1 snapshot\n")
    assert main(["snapshot", "s.yaml"]) == Exit.OK
    assert capsys.readouterr().out == "1 snapshot: the policies give these tables\n"


def test_if_one_file_cannot_be_written_none_is(capsys: pytest.CaptureFixture[str]) -> None:
    found([*pods("web", "db", "job"), admit("db", "job")])
    good = Path("s.yaml").read_text("utf-8")
    Path("a.yaml").write_text(good, "utf-8")
    bad = good.replace("policies: all", "policies: [shop/none]")
    Path("z.yaml").write_text(bad, "utf-8")
    assert main(["snapshot", "--update", "a.yaml", "z.yaml"]) == Exit.INVALID
    captured = capsys.readouterr()
    assert "no policy of the manifests is called 'shop/none'" in captured.err
    assert captured.out.splitlines()[-1] == (
        "nothing was written: 2 cells in 1 of 1 snapshot changed, and not all files would be valid"
    )
    assert Path("a.yaml").read_text("utf-8") == good


def test_check_says_how_a_snapshot_is_refreshed(capsys: pytest.CaptureFixture[str]) -> None:
    found([*pods("web", "db", "job"), admit("db", "job")])
    assert main(["check", "s.yaml"]) == Exit.INVALID
    hints = {line for line in capsys.readouterr().err.splitlines() if line.startswith("hint")}
    assert hints == {
        "hint: the table is a snapshot: `netpol snapshot` shows what changed, and --update "
        "writes it; or correct the policy"
    }


def test_a_table_of_an_author_is_not_touched(capsys: pytest.CaptureFixture[str]) -> None:
    found([*pods("web", "db", "job"), admit("db", "job")])
    text = Path("s.yaml").read_text("utf-8").replace("snapshot: 2026-01-31\n", "")
    Path("s.yaml").write_text(text, "utf-8")
    assert main(["snapshot", "--update", "s.yaml"]) == Exit.USAGE
    assert capsys.readouterr().err == (
        "s.yaml: no snapshot, so the tables are their author's\n"
        "hint: a snapshot has the key `snapshot: YEAR-MONTH-DAY`\n"
    )
    assert Path("s.yaml").read_text("utf-8") == text
