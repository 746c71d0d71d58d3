"""How a difference is printed, and the verb."""

from __future__ import annotations

import io
import json
import re
import subprocess
from pathlib import Path

import pytest

from harness.application import read
from harness.cli import main
from harness.difference import Change, Difference, Kind, Versions, compare
from harness.difference.formats import json_text, markdown, summary, text
from harness.difference.values import Said
from harness.matrix import Word

ROOT = Path(__file__).parents[3]
DATA = Path(__file__).parent / "data"
SHOP = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, ports: [{containerPort: 8080, name: http}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, ports: [{containerPort: 5432}]}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: report, namespace: shop}
spec:
  jobTemplate:
    spec: {template: {metadata: {labels: {app: report}}, spec: {containers: [{name: c}]}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
"""
NEW = (
    SHOP.replace("{app: report}", "{app: reports}")
    .replace("name: report", "name: reports")
    .replace("name: web, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: web}}",
             "name: db, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: db}}\n"
             "  ingress: [{from: [{podSelector: {matchLabels: {app: reports}}}]}]")
    + """\
---
apiVersion: v1
kind: Pod
metadata: {name: cache, namespace: shop, labels: {app: cache}}
spec: {containers: [{name: c, ports: [{containerPort: 6379}]}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: l7, namespace: shop}
"""
)  # fmt: skip


def found() -> Difference:
    old, new = (read(["-"], stdin=io.BytesIO(version.encode())) for version in (SHOP, NEW))
    return compare(Versions(old, new, "old", "new"))


@pytest.mark.parametrize(("form", "name"), [(text, "shop.txt"), (markdown, "shop.md")])
def test_what_people_read(form: object, name: str) -> None:
    assert callable(form)
    assert form(found()) == (DATA / name).read_text(encoding="utf-8")


def test_nothing_differs() -> None:
    assert text(Difference("old", "new")) == "no connection changed; 0 unchanged (0 allowed)\n"


def keys(value: object, place: str = "") -> set[str]:
    match value:
        case dict():
            own = {f"{place}.{key}".lstrip(".") for key in value}
            return own.union(*(keys(value[key], f"{place}.{key}".lstrip(".")) for key in value))
        case list():
            return set().union(*(keys(item, f"{place}[]") for item in value))
        case _:
            return set()


def test_the_document_has_every_key_of_the_json() -> None:
    document = (ROOT / "docs" / "difference.md").read_text(encoding="utf-8")
    table = document.split("\n## JSON\n")[1].split("\n## ")[0]
    listed: set[str] = set()
    for first, second in re.findall(
        r"^\| `([\w.\[\]]+)`(?:, `\.?(\w+)`)? \|", table, re.MULTILINE
    ):
        listed |= {
            first,
            *([f"{first.rpartition('.')[0]}.{second}".lstrip(".")] if second else []),
        }
    made = {key.replace(".after.", ".before.") for key in keys(json.loads(json_text(found())))}
    below = {  # named in the line of the list around them
        "changes[].before.by[].policies[].name",
        "changes[].before.by[].policies[].location",
        "ends[].reached[].to",
        "ends[].reached[].from",
        *(f"policies[].{key}" for key in ("name", "change", "location", "judged")),
        *(f"unchanged.{key}" for key in ("allowed", "denied", "other")),
    }
    assert made - below == listed
    assert below <= made


def test_a_change_as_json() -> None:
    ends = ("shop/web", "shop/db:5432")
    changes = json.loads(json_text(found()))["changes"]
    assert [item for item in changes if (item["from"], item["to"]) == ends] == [
        {
            "kind": "closed",
            "exposure": False,
            "from": "shop/web",
            "to": "shop/db:5432",
            "before": {
                "word": "allowed",
                "by": [],
                "why": ["no policy for ingress"],
                "packets": None,
            },
            "after": {
                "word": "denied",
                "by": [
                    {
                        "direction": "ingress",
                        "ruling": "denied",
                        "policies": [
                            {"name": "NetworkPolicy shop/db", "location": "stdin:28:1"}
                        ],
                        "rule": None,
                    }
                ],
                "why": [],
                "packets": None,
            },
        }
    ]  # fmt: skip


def many(count: int) -> Difference:
    before, after = (Said(word, why=("because",)) for word in (Word.DENIED, Word.ALLOWED))
    changes = tuple(
        Change(Kind.OPENED, f"x/{number}-{'a' * 200}", f"x/{number}:80", before, after)
        for number in range(count)
    )
    return Difference("old", "new", changes)


def test_a_comment_has_a_bounded_length() -> None:
    made = markdown(many(200))
    assert "\nand 100 rows more\n" in made
    assert len(markdown(many(100))) < 60_000
    long = Difference("old", "new", notes=tuple("n" * 10_000 for _ in range(9)))
    assert markdown(long).endswith("\n\nThis is not all: the text is too long for a comment.\n")
    assert len(markdown(long)) < 65_536


def test_a_long_list_of_names_is_short_and_has_the_hosts_outside() -> None:
    sources = [*(f"x/{number}" for number in range(20)), "outside"]
    before, after = Said(Word.DENIED), Said(Word.ALLOWED)
    changes = tuple(Change(Kind.OPENED, source, "x/web:80", before, after) for source in sources)
    (line,) = (
        line for line in markdown(Difference("a", "b", changes)).splitlines() if "web" in line
    )
    shown = "outside, x/0, x/1, x/2, x/3, x/4, x/5, x/6 and 13 more"
    assert line == f"| {shown} | x/web:80 | denied | allowed |"


# ------------------------------------------------------------------ the verb


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders old and new, each with a file in k8s/."""
    for name, content in (("old", SHOP), ("new", NEW)):
        (tmp_path / name / "k8s").mkdir(parents=True)
        (tmp_path / name / "k8s" / "shop.yaml").write_text(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_verb(versions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "old", "new", "--from=shop/web", "--to=shop/db:5432"]) == 1
    assert capsys.readouterr().out.splitlines()[:6] == [
        "1 closed, 0 unchanged (0 allowed)",
        "",
        "closed",
        "  shop/web -> shop/db:5432",
        "    before  allowed: no policy for ingress",
        "    after   denied: isolated for ingress by NetworkPolicy shop/db  "
        "(new/k8s/shop.yaml:28:1)",
    ]
    assert main(["diff", "old", "old"]) == 0
    assert capsys.readouterr().out == "no connection changed; 15 unchanged (12 allowed)\n"


def test_the_same_path_in_two_versions(versions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    (versions / "k8s").symlink_to("old/k8s")
    (versions / "old").rename(versions / "k8s.old")
    (versions / "k8s").unlink()
    (versions / "k8s.old" / "k8s").rename(versions / "k8s")
    for words in (["add", "k8s"], ["commit", "--quiet", "--message=a"]):
        subprocess.run([*git, *words], check=True)
    arguments = ["diff", "HEAD", "new", "--path=k8s", "--to=shop/db:5432", "--format=json"]
    assert main(arguments) == 1
    made = json.loads(capsys.readouterr().out)
    assert (made["old"], made["new"]) == ("HEAD", "new")
    assert [change["from"] for change in made["changes"]] == ["shop/web", "outside"]
    assert main([*arguments[:1], "HEAD:", ".", *arguments[3:]]) == 0


def test_a_path_that_only_one_version_has(
    versions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (versions / "old" / "k8s").rename(versions / "old" / "manifests")
    words = ["--path=k8s", "--path=manifests", "--to=shop/db:5432"]
    assert main(["diff", "old", "new", *words]) == 1
    out = capsys.readouterr().out
    assert out.startswith("2 closed, ")
    assert "\nnote: there is no new/manifests\nnote: there is no old/k8s\n" in out
    assert main(["diff", "old", "new", "--path=k8s"]) == 1
    out = capsys.readouterr().out
    assert "\nadded: workload shop/web  (new/k8s/shop.yaml:5:1)\n" in out
    assert main(["diff", "old", "new", "--path=k9s"]) == 4
    assert capsys.readouterr().err == "".join(
        f"{name}/k9s:1:1: there is no file {name}/k9s\nhint: {hint}\n"
        for name, hint in (
            ("old", "paths are relative to the current folder"),
            ("new", "did you mean 'k8s'?"),
        )
    )


def test_problems_of_both_versions(versions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("old", "new"):
        (versions / name / "k8s" / "shop.yaml").write_text("kind: Pod\n")
    assert main(["diff", "old", "new"]) == 4
    assert capsys.readouterr().err == "".join(
        f"{name}/k8s/shop.yaml:1:1: apiVersion is missing\n    1 | kind: Pod\n"
        "hint: apiVersion: ...\n"
        for name in ("old", "new")
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-", "-"], "standard input cannot be both versions\nhint: name one of them\n"),
        (
            ["-", ".", "--path=k8s"],
            "--path leads nowhere in standard input\nhint: name a folder or a revision\n",
        ),
        (
            [".", ".", "--defect=tcp-only"],
            "--defect needs --packets\nhint: only the embedded cluster has defects\n",
        ),
    ],
)
def test_what_cannot_be_asked(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *words]) == 2
    assert capsys.readouterr().err == message


def test_a_version_that_is_not_there(versions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "old", "nwe"]) == 4
    assert capsys.readouterr().err == (
        "nwe:1:1: there is no file nwe\nhint: did you mean 'new'?\n"
    )


def test_the_summary_counts_what_changed() -> None:
    assert summary(found()) == (
        "4 newly exposed to outside, 6 opened, 6 closed, 1 workload added, 1 workload renamed, "
        "10 unchanged (10 allowed)"
    )
