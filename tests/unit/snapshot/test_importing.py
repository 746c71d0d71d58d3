"""The scenario files that are written for an application."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import scenario
from harness.cli import Exit, main
from harness.errors import UsageError
from harness.snapshot import imported, plans
from tests.applications import POLICY, admit, deny, service, workload

DAY = "2026-01-31"


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def manifests(*objects: str) -> None:
    Path("k8s").mkdir(exist_ok=True)
    Path("k8s/app.yaml").write_text("---\n".join(objects), "utf-8")


def made(*objects: str, namespace: str | None = None) -> dict[str, str]:
    manifests(*objects)
    files = imported(["k8s"], Path("tests"), namespace, DAY)
    return {str(item.path): item.text for item in files}


SMALL = (workload("web", 80, replicas=2), workload("db", 5432), workload("job"), POLICY)


def test_a_small_application_is_one_table() -> None:
    found = made(*SMALL)
    assert [*found] == ["tests/fixtures/app.yaml", "tests/app.yaml", "tests/outside.yaml"]
    assert found["tests/fixtures/app.yaml"] == (
        'fixture: The application as its manifests describe it\nmanifests: ["../../k8s"]\n'
    )
    assert (
        found["tests/app.yaml"]
        == """\
# The tables are what the policies gave on the day of the snapshot; check that you want that.
# After a wanted change: netpol snapshot --update app.yaml
scenario: Who reaches whom
why: The policies decide who reaches the workloads.
snapshot: "2026-01-31"
fixture: fixtures/app.yaml
steps:
  - step: without policies
    expect: |2
            shop/web-*:80   shop/db:5432
      */*   allowed         allowed

  - step: with the policies of the manifests
    policies: all
    expect: |2
                 shop/web-*:80   shop/db:5432
      */*        allowed         allowed
      shop/job   allowed         TIMEOUT
"""
    )


def test_hosts_outside_have_a_file_of_their_own() -> None:
    """A cluster without such hosts skips only this one."""
    assert (
        made(*SMALL)["tests/outside.yaml"]
        == """\
# The tables are what the policies gave on the day of the snapshot; check that you want that.
# After a wanted change: netpol snapshot --update outside.yaml
scenario: Hosts outside the cluster
why: external/outside is in no block that the policies name.
snapshot: "2026-01-31"
externals:
  outside: {ip: 203.0.113.77, ports: [443]}
fixture: fixtures/app.yaml
steps:
  - step: without policies
    expect: |2
            external/outside:443
      */*   allowed

  - step: "with the policies: from outside"
    policies: all
    expect: |2
                         shop/db:5432
      external/outside   TIMEOUT
"""
    )


def large() -> dict[str, str]:
    others = [text for n in "abcd" for text in (workload(n, 80), service(n, 80))]
    return made(*SMALL[:2], *others, POLICY, deny("a"))


def test_a_large_application_has_a_file_for_each_workload_that_policies_protect() -> None:
    found = large()
    assert [*found] == [
        "tests/fixtures/app.yaml",
        "tests/db.yaml",
        "tests/a.yaml",
        "tests/unchanged.yaml",
        "tests/outside.yaml",
    ]
    assert (
        found["tests/a.yaml"].partition("steps:")[0]
        == """\
# The tables are what the policies gave on the day of the snapshot; check that you want that.
# After a wanted change: netpol snapshot --update a.yaml
scenario: Who reaches shop/a
why: NetworkPolicy shop/a isolates its ingress.
snapshot: "2026-01-31"
fixture: fixtures/app.yaml
"""
    )


def test_what_no_policy_changes_says_so() -> None:
    text = large()["tests/unchanged.yaml"]
    assert "why: No policy changes who reaches shop/web, shop/b, shop/c, shop/d.\n" in text
    assert "proves: nothing-changes\n" in text
    assert text.count("- step:") == 3  # 7 columns are two tables


def test_what_is_written_is_right(tmp_path: Path) -> None:
    for path, text in large().items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, "utf-8")
    found = [scenario.load(path) for path in scenario.find(tmp_path / "tests")]
    assert [item.snapshot for item in found] == [DAY] * 4


def test_the_namespace_of_objects_that_name_none_is_kept() -> None:
    found = made(*(text.replace(", namespace: shop", "") for text in SMALL), namespace="prod")
    assert found["tests/fixtures/app.yaml"].splitlines()[1:] == [
        'manifests: {paths: ["../../k8s"], namespace: prod}'
    ]
    assert "prod/db:5432" in found["tests/app.yaml"]


def test_ends_that_no_pod_reaches_are_named() -> None:
    """The policy of the database selects a label that no pod has."""
    manifests(workload("web", 80), workload("db", 5432), admit("db", "wbe"), admit("web", "db"))
    files = imported(["k8s"], Path("tests"), None, DAY)
    assert [item.notes for item in files] == [
        (),
        ("the policies let no pod reach shop/db",),
        (),
    ]


def test_a_table_is_not_too_wide() -> None:
    names = ["a" * 40, "b" * 40, "c" * 40]
    found = made(*(workload(name, 80) for name in names), *(deny(name) for name in names))
    assert [*found][1:] == [*(f"tests/{name}.yaml" for name in names), "tests/outside.yaml"]
    widest = max(len(line) for line in found["tests/outside.yaml"].splitlines())
    assert widest < 130


def test_what_is_too_large_is_refused() -> None:
    ports = ", ".join(f"{{containerPort: {number}}}" for number in range(1, 5001))
    many = [workload(f"w{number}", 80) for number in range(200)]
    manifests(workload("web", 1).replace("{containerPort: 1}", ports), *many, POLICY)
    assert refused(["k8s"]) == (
        "201 pods and 5,200 ports are too many to be judged\n"
        "hint: import the parts of the application on their own"
    )


def test_the_limit_is_on_pairs_of_a_pod_and_a_port(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifests(*SMALL)  # 4 pods; the web has two with a port each, the database one
    monkeypatch.setattr(plans, "_MOST_PAIRS", 11)
    assert main(["import", "k8s", "-o", "tests"]) == Exit.USAGE
    assert capsys.readouterr() == (
        "",
        "4 pods and 3 ports are too many to be judged\n"
        "hint: import the parts of the application on their own\n",
    )
    assert not Path("tests").exists()
    monkeypatch.setattr(plans, "_MOST_PAIRS", 12)
    assert main(["import", "k8s", "-o", "tests"]) == Exit.OK


def refused(paths: list[str]) -> str:
    with pytest.raises(UsageError) as error:
        imported(paths, Path("tests"), None, DAY)
    return str(error.value)


def test_what_cannot_be_imported() -> None:
    manifests(workload("web", 80))
    assert refused(["k8s"]) == (
        "the manifests have no policy, so there is nothing to test\n"
        "hint: `netpol matrix` shows who reaches whom"
    )
    manifests(workload("web"), deny("web"))
    assert refused(["k8s"]) == (
        "the manifests have no port to probe, so there is nothing to test\n"
        "hint: pods declare ports with containerPort; Services lead to them"
    )
    assert refused(["-"]) == (
        "scenarios name the manifests, so they must be files\n"
        "hint: save the manifests in a file, like `helm template CHART > rendered.yaml`"
    )
    assert refused(["k9s"]) == "k9s: no such file or folder\nhint: name files or folders"
    assert refused(["/"]) == (
        "/ is not below the current folder, and a scenario names no other files\n"
        "hint: run netpol in a folder that has both, like that of the project"
    )


def test_the_verb_writes_and_never_overwrites(capsys: pytest.CaptureFixture[str]) -> None:
    manifests(*SMALL)
    assert main(["import", "k8s", "-o", "tests"]) == Exit.OK
    assert capsys.readouterr().out == (
        "written: tests/fixtures/app.yaml\nwritten: tests/app.yaml\n"
        "written: tests/outside.yaml\n"
        "note: tests/fixtures/app.yaml:2:1: without a manifest, and so without labels of their "
        "own: namespaces shop\n"
        "next: read the tables, then netpol run tests\n"
    )
    assert main(["check", "tests"]) == Exit.OK
    Path("tests/app.yaml").write_text("mine", "utf-8")
    assert main(["import", "k8s", "-o", "tests"]) == Exit.USAGE
    assert capsys.readouterr().err == (
        "already there: tests/fixtures/app.yaml, tests/app.yaml, tests/outside.yaml\n"
        "hint: `netpol snapshot --update` refreshes tables; or name another folder\n"
    )
    assert Path("tests/app.yaml").read_text("utf-8") == "mine"


TIER = """\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: apart}
spec:
  tier: Baseline
  priority: 3
  subject: {pods: {podSelector: {matchLabels: {app: db}}}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
"""


def test_policies_in_tiers_alone_are_something_to_test() -> None:
    table = made(workload("web", 80), workload("db", 5432), TIER)["tests/app.yaml"]
    assert table.endswith("""\
    expect: |2
            shop/web:80   shop/db:5432
      */*   allowed       TIMEOUT
""")


def test_policies_in_tiers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_MOST_COLUMNS", 1)
    found = made(workload("web", 80), workload("db", 5432), TIER)
    (why,) = (x for x in found["tests/db.yaml"].splitlines() if x.startswith("why: "))
    assert why == (
        "why: No NetworkPolicy isolates its ingress; ClusterNetworkPolicy apart has rules for it."
    )
