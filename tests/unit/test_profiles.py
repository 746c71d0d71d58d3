"""CNI profiles: those that ship, and how a wrong one is refused."""

import hashlib

import pytest

from harness.cluster import Gap
from harness.cluster.kind import manifest, profiles
from harness.errors import ClusterError, UsageError

SMALLEST = """
version = "v1"
pod_subnet = "10.0.0.0/16"
wait = ["DaemonSet/kube-system/agent"]
[manifest]
file = "a.yaml"
url = "https://example.com/a.yaml"
sha256 = "{sha}"
""".replace("{sha}", "0" * 64)

EDIT = """
[[edit]]
why = "it names no version"
find = "image: agent\\n"
put = "image: agent:v1\\n"
"""


@pytest.mark.parametrize("name", profiles.profile_names())
def test_shipped_profile_is_read(name):
    found = profiles.profile(name)
    assert found.name == name
    assert found.file
    assert found.wait


def test_calico_is_the_default():
    assert profiles.profile_names()[0] == "calico"


def test_only_the_control_does_not_enforce():
    assert [n for n in profiles.profile_names() if not profiles.profile(n).enforces] == ["flannel"]


def test_unknown_profile_names_those_that_are():
    with pytest.raises(UsageError, match="no CNI profile 'calicoo'") as error:
        profiles.profile("calicoo")
    assert "calico, " in str(error.value.hint)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("version =", "verison ="), "verison"),
        (("0" * 64, "0" * 63), "manifest.sha256"),
        (("https://", "http://"), "manifest.url"),
        (("DaemonSet/kube-system/agent", "agent"), "wait.0"),
        (("DaemonSet/", "Job/"), "wait.0"),
        (("[manifest]", "[manifest"), "Expected"),
        (
            ('pod_subnet = "10.0.0.0/16"\n', 'pod_subnet = "10.0.0.0/16"\ndenies_by = "no"\n'),
            "deni",
        ),
    ],
)
def test_wrong_profile_is_refused_by_key(change, words):
    with pytest.raises(UsageError) as error:
        profiles.parse("mine", SMALLEST.replace(*change))
    assert "mine" in error.value.message
    assert words in error.value.message


def test_profile_without_a_manifest_is_refused():
    with pytest.raises(UsageError, match="either"):
        profiles.parse("mine", SMALLEST[: SMALLEST.index("[manifest]")])


def test_limitation_takes_known_features_away_and_says_why():
    text = SMALLEST + (
        '[[limitations]]\nsays = "no ranges"\nsource = "a/b#1"\nversions = "all"\n'
        'features = ["endport"]\n'
    )
    assert profiles.parse("mine", text).gaps == (Gap("endport", "no ranges (a/b#1; all)"),)
    with pytest.raises(UsageError, match="unknown feature endprot"):
        profiles.parse("mine", text.replace('"endport"', '"endprot"'))


@pytest.mark.parametrize("before", ["image: agent\n", "image: agent:v1\n"])
def test_edit_is_made_once(before):
    profile = profiles.parse("mine", SMALLEST + EDIT)
    assert manifest.edited(before, profile) == "image: agent:v1\n"


def test_edit_that_finds_nothing_is_an_error():
    profile = profiles.parse("mine", SMALLEST + EDIT)
    with pytest.raises(ClusterError, match="it names no version"):
        manifest.edited("image: other\n", profile)


def test_offline_manifest_is_read_from_its_place(tmp_path):
    profile = profiles.parse("mine", SMALLEST)
    with pytest.raises(UsageError, match=r"manifests/mine/v1/a\.yaml"):
        manifest.manifest(profile, tmp_path)
    place = tmp_path / "manifests" / "mine" / "v1" / "a.yaml"
    place.parent.mkdir(parents=True)
    place.write_text("kind: A\n")
    assert manifest.manifest(profile, tmp_path) == "kind: A\n"


def test_cached_manifest_is_used_only_with_its_checksum(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # Nothing listens there: a cached file that does not count ends in a failed download.
    text = SMALLEST.replace("https://example.com", "https://127.0.0.1:1")
    good = text.replace("0" * 64, hashlib.sha256(b"kind: A\n").hexdigest())
    kept = tmp_path / "netpol" / "manifests" / "mine" / "v1" / "a.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text("kind: A\n")
    assert manifest.manifest(profiles.parse("mine", good), None) == "kind: A\n"
    with pytest.raises(ClusterError, match="cannot download"):
        manifest.manifest(profiles.parse("mine", text), None)


def test_digest_of_a_rendered_manifest_ignores_layout_and_order():
    one = manifest.digest("kind: A\nspec: {a: 1, b: 2}\n---\nkind: B\n")
    assert one == manifest.digest(
        "---\nkind: B\n---\n# nothing\n---\nspec:\n  b: 2\n  a: 1\nkind: A\n"
    )
    assert one != manifest.digest("kind: A\nspec: {a: 1, b: 3}\n---\nkind: B\n")
