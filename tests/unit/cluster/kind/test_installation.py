"""How kind installs a network plugin: ``[install]`` of a profile, and the manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from harness.cluster.kind import manifest
from harness.cluster.kind.installation import Installation, installation
from harness.cluster.profiles import ProfileFile, parse, profile, profile_names
from harness.errors import ClusterError, UsageError

KNOWN = """
title = "My network plugin"
sources = ["https://example.com/policies"]
versions = [">=v1, <v2"]
"""

INSTALL = """
[install]
version = "v1.0"
pod_subnet = "10.0.0.0/16"
wait = ["DaemonSet/kube-system/agent"]
"""

MANIFEST = f"""
[install.manifest]
file = "a.yaml"
url = "https://example.com/a.yaml"
sha256 = "{"0" * 64}"
"""

CHART = f"""
[install.chart]
file = "a.yaml"
repository = "https://example.com"
chart = "agent"
version = "1.0"
values = ""
sha256 = "{"0" * 64}"
"""

EDIT = """
[[install.edit]]
why = "it names no version"
find = "image: agent\\n"
put = "image: agent:v1\\n"
"""

SMALLEST = KNOWN + INSTALL + MANIFEST


def mine(text: str) -> Installation:
    return installation(parse(ProfileFile("mine", "mine.toml", text, shipped=False)))


@pytest.mark.parametrize("name", profile_names())
def test_install_of_a_shipped_profile_is_read(name: str) -> None:
    found = profile(name)
    if "[install]" in found.file.text:
        assert (installation(found).name, bool(installation(found).file)) == (name, True)


def test_what_kind_installs_is_what_a_profile_describes() -> None:
    installable = [name for name in profile_names() if "[install]" in profile(name).file.text]
    assert installable == ["calico", "cilium", "cilium-1.20", "flannel", "kube-router"]


def test_a_profile_with_a_chart_is_read() -> None:
    found = mine(KNOWN + INSTALL + CHART)
    assert (str(found), found.file, found.manifest) == ("mine v1.0", "a.yaml", None)


@pytest.mark.parametrize(
    ("shipped", "shown", "named"),
    [
        (False, "mine.toml", "mine.toml"),
        (False, "mine", "./mine"),
        (False, "/a/mine", "/a/mine"),
        (True, "CNI profile mine", "mine"),
    ],
)
def test_a_profile_without_install_is_for_clusters_that_exist(
    shipped: bool, shown: str, named: str
) -> None:
    found = parse(ProfileFile("mine", shown, KNOWN, shipped))
    with pytest.raises(UsageError) as error:
        installation(found)
    assert str(error.value) == (
        f"{shown} has no [install]: kind cannot install My network plugin\n"
        "hint: run on a cluster that has it already:"
        f" --cluster=current --context=NAME --cni={named}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            SMALLEST.replace("pod_subnet =", "podSubnet ="),
            "mine.toml: the key 'pod_subnet' is missing in install\n"
            "mine.toml: unknown key 'podSubnet' in install\nhint: did you mean 'pod_subnet'?",
        ),
        (
            SMALLEST.replace("0" * 64, "0" * 63),
            f"mine.toml: install.manifest.sha256: '{'0' * 63}' is not a SHA-256:"
            " 64 digits 0-9, a-f",
        ),
        (
            SMALLEST.replace("https://example.com/a", "http://example.com/a"),
            "mine.toml: install.manifest.url: 'http://example.com/a.yaml'"
            " is not an https:// address",
        ),
        (
            SMALLEST.replace('"a.yaml"', '"../a.yaml"'),
            "mine.toml: install.manifest.file: '../a.yaml' is not the name of a file,"
            " without a folder",
        ),
        (
            SMALLEST.replace("10.0.0.0/16", "10.0.0.1/16"),
            "mine.toml: install.pod_subnet: 10.0.0.1/16 has host bits set;"
            " write a range like 100.64.0.0/16",
        ),
        (
            SMALLEST.replace('["DaemonSet/kube-system/agent"]', "[]"),
            "mine.toml: install.wait: must not be empty",
        ),
        (
            SMALLEST.replace("DaemonSet/", "Job/"),
            "mine.toml: install.wait[0]: 'Job/kube-system/agent' is not a workload;"
            " write DaemonSet/NAMESPACE/NAME or Deployment/NAMESPACE/NAME",
        ),
        (
            SMALLEST.replace('version = "v1.0"', 'version = "v1.0"\nname = "x"'),
            "mine.toml: unknown key 'name' in install\nhint: keys are version, pod_subnet, wait,"
            " project, definitions, manifest, chart, edit",
        ),
        (
            SMALLEST.replace('"v1.0"', '"v2.1"'),
            "mine.toml: install.version is v2.1, and the profile describes >=v1, <v2\n"
            "hint: change `versions` at the top, or install a version that is in it",
        ),
        (
            SMALLEST.replace('"v1.0"', '"one"'),
            "mine.toml: install.version: 'one' is not a version like v1.2.3",
        ),
        (
            KNOWN + INSTALL,
            "mine.toml: install needs either a manifest or a chart\n"
            "hint: write one of [install.manifest] and [install.chart]",
        ),
        (
            SMALLEST + CHART,
            "mine.toml: install needs either a manifest or a chart\n"
            "hint: write one of [install.manifest] and [install.chart]",
        ),
        (f"install = 3\n{KNOWN}", "mine.toml: install must be a table, not a number"),
        (
            SMALLEST + EDIT.replace("find =", "fnid ="),
            "mine.toml: the key 'find' is missing in install.edit[0]\n"
            "mine.toml: unknown key 'fnid' in install.edit[0]\nhint: did you mean 'find'?",
        ),
    ],
)
def test_a_wrong_install_is_refused_with_the_key(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        mine(text)
    assert str(error.value) == message


# ------------------------------------------------------------------ the manifest


@pytest.mark.parametrize("before", ["image: agent\n", "image: agent:v1\n"])
def test_an_edit_is_made_once(before: str) -> None:
    assert manifest.edited(before, mine(SMALLEST + EDIT)) == "image: agent:v1\n"


def test_an_edit_that_finds_nothing_is_an_error() -> None:
    with pytest.raises(ClusterError) as error:
        manifest.edited("image: other\n", mine(SMALLEST + EDIT))
    assert str(error.value) == (
        "an edit of profile mine v1.0 no longer matches its manifest: it names no version\n"
        "hint: looked for 'image: agent\\n'"
    )


def test_an_offline_manifest_is_read_from_its_place(tmp_path: Path) -> None:
    install = mine(SMALLEST)
    place = tmp_path / "manifests" / "mine" / "v1.0" / "a.yaml"
    with pytest.raises(UsageError) as error:
        manifest.manifest(install, tmp_path)
    assert str(error.value) == (
        f"no manifest for mine v1.0 at {place}\n"
        "hint: an offline folder holds manifests/CNI/VERSION/FILE"
    )
    place.parent.mkdir(parents=True)
    place.write_text("kind: A\n", encoding="utf-8")
    assert manifest.manifest(install, tmp_path) == "kind: A\n"


def test_a_cached_manifest_is_used_only_with_its_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # Nothing listens there: a cached file that does not count ends in a failed download.
    text = SMALLEST.replace("https://example.com/a", "https://127.0.0.1:1/a")
    good = text.replace("0" * 64, hashlib.sha256(b"kind: A\n").hexdigest())
    kept = tmp_path / "netpol" / "manifests" / "mine" / "v1.0" / "a.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text("kind: A\n", encoding="utf-8")
    assert manifest.manifest(mine(good), None) == "kind: A\n"
    with pytest.raises(ClusterError, match=r"^cannot download the manifest of mine v1\.0: https"):
        manifest.manifest(mine(text), None)


DEFINITIONS = f"""
[[install.definitions]]
project = "policy-api"
version = "v0.3.0"
file = "kinds.yaml"
url = "https://127.0.0.1:1/kinds.yaml"
sha256 = "{hashlib.sha256(b"kind: A").hexdigest()}"
"""


def test_definitions_of_kinds_are_read_from_the_folder_of_their_project(tmp_path: Path) -> None:
    place = tmp_path / "manifests" / "policy-api" / "v0.3.0" / "kinds.yaml"
    install = mine(SMALLEST + DEFINITIONS)
    with pytest.raises(UsageError) as error:
        manifest.definitions(install, tmp_path)
    assert str(error.value) == (
        f"no definitions of policy-api v0.3.0 at {place}\n"
        "hint: an offline folder holds manifests/CNI/VERSION/FILE"
    )
    place.parent.mkdir(parents=True)
    place.write_text("kind: A", encoding="utf-8")
    assert manifest.definitions(install, tmp_path) == ("kind: A",)
    assert manifest.definitions(mine(SMALLEST), tmp_path) == ()


def test_definitions_are_downloaded_once_and_compared_with_their_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = tmp_path / "netpol" / "manifests" / "policy-api" / "v0.3.0" / "kinds.yaml"
    install = mine(SMALLEST + DEFINITIONS)
    with pytest.raises(ClusterError, match=r"^cannot download the manifest of policy-api v0\.3"):
        manifest.definitions(install, None)
    kept.parent.mkdir(parents=True)
    kept.write_text("kind: A", encoding="utf-8")
    assert manifest.definitions(install, None) == ("kind: A",)


def test_a_plugin_may_have_another_name_in_an_offline_folder(tmp_path: Path) -> None:
    install = mine(SMALLEST.replace("[install]", '[install]\nproject = "agent"'))
    place = tmp_path / "manifests" / "agent" / "v1.0" / "a.yaml"
    place.parent.mkdir(parents=True)
    place.write_text("kind: A\n", encoding="utf-8")
    assert manifest.manifest(install, tmp_path) == "kind: A\n"


def test_the_digest_of_a_rendered_manifest_ignores_layout_and_order() -> None:
    one = manifest.digest("kind: A\nspec: {a: 1, b: 2}\n---\nkind: B\n")
    assert one == manifest.digest(
        "---\nkind: B\n---\n# nothing\n---\nspec:\n  b: 2\n  a: 1\nkind: A\n"
    )
    assert one != manifest.digest("kind: A\nspec: {a: 1, b: 3}\n---\nkind: B\n")
