"""CNI profiles: those that ship, and how a wrong one is refused."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from harness.cluster import Gap, KnownCell
from harness.cluster.kind import manifest, profiles
from harness.errors import ClusterError, UsageError
from harness.model import Verdict
from harness.scenario import find, load

EXAMPLES = Path(__file__).parents[2] / "scenarios" / "examples"

SMALLEST = """
version = "v1"
pod_subnet = "10.0.0.0/16"
wait = ["DaemonSet/kube-system/agent"]
[manifest]
file = "a.yaml"
url = "https://example.com/a.yaml"
sha256 = "{sha}"
""".replace("{sha}", "0" * 64)

LEAK = """
[[limitations]]
says = "the tiers leak"
source = "a/b#1"
versions = ["v1", "v2"]
features = ["endport"]
cells = [{scenario = "three-tier", step = "each tier has its policy, and nobody thought of DNS", \
probe = "shop/web -> shop/db:3306", gives = "allowed"}]
"""

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


def test_limitation_moves_cells_of_its_versions_only():
    known = profiles.parse("mine", SMALLEST + LEAK)
    reason = "the tiers leak (a/b#1; v1, v2)"
    assert known.known_cells == (
        KnownCell(
            "three-tier",
            "each tier has its policy, and nobody thought of DNS",
            "shop/web -> shop/db:3306",
            Verdict.ALLOWED,
            reason,
        ),
    )
    assert known.gaps == (Gap("endport", reason),)
    other = profiles.parse("mine", SMALLEST.replace('"v1"', '"v3"') + LEAK)
    assert (other.known_cells, other.gaps) == ((), ())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ('gives = "allowed"', 'gives = "open"'),
            "limitations.0.cells.0.gives: "
            "Input should be 'allowed', 'TIMEOUT', 'REFUSED', 'DNS' or 'OTHER'",
        ),
        (("probe =", "prob ="), "limitations.0.cells.0.probe: "),
        (('["v1", "v2"]', "[]"), "limitations.0.versions."),
        (('["v1", "v2"]', '"v1"'), "limitations.0.versions."),
        (('["endport"]', '["endprot"]'), "unknown feature endprot"),
    ],
)
@pytest.mark.parametrize("version", ['"v1"', '"v3"'])
def test_wrong_limitation_is_refused_by_key_whether_it_applies_or_not(change, words, version):
    text = SMALLEST.replace('"v1"', version) + LEAK.replace(*change)
    with pytest.raises(UsageError) as error:
        profiles.parse("mine", text)
    assert error.value.message.startswith(f"CNI profile mine: {words}")


def stale(profile):
    """What the profile's limitations say, at any version, of cells that they do not fit."""
    files = {path.stem: path for path in find(EXAMPLES)}
    known = Counter((cell.scenario, cell.step, cell.probe) for cell in profile.known_cells)
    yield from (f"{' / '.join(cell)} is known twice" for cell in known if known[cell] > 1)
    for cell in (cell for item in profile.limitations for cell in item.cells):
        steps = load(files[cell.scenario]).steps if cell.scenario in files else ()
        written = {
            str(stated.probe): stated.expected
            for step in steps
            if step.name == cell.step
            for stated in step.table.cells
        }
        if cell.probe not in written:
            yield f"{cell.scenario}: {cell.step}: no {cell.probe}"
        elif written[cell.probe] is cell.gives:
            yield f"{cell.scenario}: {cell.step}: {cell.probe} is written {cell.gives}"


@pytest.mark.parametrize("name", profiles.profile_names())
def test_limitations_of_a_shipped_profile_fit_the_examples(name):
    assert list(stale(profiles.profile(name))) == []


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        (("", ""), []),
        (
            ("[[limitations]]", f"{LEAK}[[limitations]]"),
            ["three-tier / STEP / shop/web -> shop/db:3306 is known twice"],
        ),
        (("three-tier", "four-tier"), ["four-tier: STEP: no shop/web -> shop/db:3306"]),
        (
            ("nobody thought", "somebody thought"),
            ["three-tier: STEP: no shop/web -> shop/db:3306"],
        ),
        (("db:3306", "db:1"), ["three-tier: STEP: no shop/web -> shop/db:1"]),
        (
            ('"allowed"', '"TIMEOUT"'),
            ["three-tier: STEP: shop/web -> shop/db:3306 is written TIMEOUT"],
        ),
    ],
)
def test_limitation_that_fits_no_cell_is_found(change, problems):
    text = (SMALLEST + LEAK).replace(*change)
    profile = profiles.parse("mine", text)
    step = profile.limitations[0].cells[0].step
    assert list(stale(profile)) == [problem.replace("STEP", step) for problem in problems]


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
