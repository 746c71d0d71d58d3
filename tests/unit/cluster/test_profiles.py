"""CNI profiles: those that ship, those named by a path, and how a wrong one is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.cluster import Gap, KnownCell, KnownTrait
from harness.cluster.kube import AgentCommand, KubeSettings, Pool
from harness.cluster.kube.live import LivePod, View
from harness.cluster.kube.profiled import with_profile
from harness.cluster.kube.tracing import by_hand
from harness.cluster.profiles import Profile, ProfileFile, parse, profile, profile_names
from harness.cluster.profiles.knowledge import PLACEHOLDERS
from harness.cluster.profiles.versions import parse_versions
from harness.errors import UsageError
from harness.model import Destination, Pod, PodRef, Probe, Protocol, State, Verdict
from harness.policy.traits import Trait
from harness.scenario import find, load

SCENARIOS = Path(__file__).parents[3] / "scenarios"

SMALLEST = """
title = "My network plugin"
sources = ["https://example.com/policies"]
versions = ["v1"]
"""

LEAK = """
[[limitations]]
says = "the tiers leak"
source = "a/b#1"
versions = ["v1", "v2"]
features = ["endport"]
cells = [{scenario = "examples/three-tier", \
step = "each tier has its policy, but no rule allows DNS", \
probe = "shop/web -> shop/db:3306", gives = "allowed"}]
"""


def mine(text: str) -> Profile:
    return parse(ProfileFile("mine", "mine.toml", text, shipped=False))


@pytest.mark.parametrize("name", profile_names())
def test_a_shipped_profile_is_read(name: str) -> None:
    found = profile(name)
    assert (found.name, found.file.shipped) == (name, True)
    assert found.title
    assert found.sources


def test_calico_is_the_default() -> None:
    assert profile_names()[0] == "calico"


def test_only_the_control_does_not_enforce() -> None:
    assert [name for name in profile_names() if not profile(name).enforces] == ["flannel"]


def test_a_profile_needs_little() -> None:
    found = mine(SMALLEST)
    assert (found.name, found.title, found.denies_by, found.enforces) == (
        "mine",
        "My network plugin",
        "drop",
        True,
    )
    assert (found.features, found.agents, found.pools, found.limitations) == ((), (), (), ())


# ------------------------------------------------------------------ wrong ones


@pytest.mark.parametrize(
    ("cni", "message"),
    [
        (
            "calicoo",
            "no CNI profile 'calicoo'; a file is named by its path, like ./my.toml\n"
            "hint: did you mean 'calico'?",
        ),
        (
            "",
            "no CNI profile ''; a file is named by its path, like ./my.toml\n"
            "hint: profiles are NAMES",
        ),
    ],
)
def test_an_unknown_profile_names_those_that_are(cni: str, message: str) -> None:
    names = profile_names()
    shown = ", ".join(names[:9]) + (", ..." if len(names) > 9 else "")
    with pytest.raises(UsageError) as error:
        profile(cni)
    assert str(error.value) == message.replace("NAMES", shown)


FORM = 'must be "all", or a list of "v1.2.3", ">=v1.2", "<v1.4", ">=v1.2, <v1.4"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = \n", "mine.toml:1:9: Invalid value\n    1 | title = "),
        (
            'title = "a"\n\x1b = 1\n',
            "mine.toml:2:1: Invalid statement\n    2 | \N{REPLACEMENT CHARACTER} = 1",
        ),
        ("versions = [", "mine.toml:1:13: Invalid value\n    1 | versions = ["),
        (f"a = {'[' * 5000}", "mine.toml: values are nested too deeply"),
        (f"a = {'9' * 5000}", "mine.toml: a number has thousands of digits"),
        (
            SMALLEST.replace("title", "titel"),
            "mine.toml: the key 'title' is missing\n"
            "mine.toml: unknown key 'titel'\nhint: did you mean 'title'?",
        ),
        (f"{SMALLEST}file = 1\n", "mine.toml: unknown key 'file'\nhint: did you mean 'title'?"),
        (
            f"{SMALLEST}pod_subnet = '10.0.0.0/16'\n",
            "mine.toml: unknown key 'pod_subnet'\nhint: keys are title, sources, versions, "
            "denies_by, enforces, features, agents, pools, limitations, ...",
        ),
        (
            f"{SMALLEST}denies_by = 'no'\n",
            "mine.toml: denies_by: must be 'drop' or 'reject', not 'no'",
        ),
        (
            f"{SMALLEST}enforces = 'no'\n",
            "mine.toml: enforces: must be true or false, not a string",
        ),
        (SMALLEST.replace('"v1"', ""), f"mine.toml: versions: {FORM}"),
        (SMALLEST.replace('["v1"]', "1"), f"mine.toml: versions: {FORM}"),
        (SMALLEST.replace('"v1"', "1"), f"mine.toml: versions: {FORM}"),
        (
            SMALLEST.replace('"v1"', '"~1"'),
            f"mine.toml: versions: '~1' is not a range of versions, which {FORM}",
        ),
        (
            SMALLEST.replace('"v1"', '">=v2, <v1.9"'),
            "mine.toml: versions: no version is in the range '>=v2, <v1.9'",
        ),
        (
            SMALLEST.replace("https", "http"),
            "mine.toml: sources[0]: 'http://example.com/policies' is not an https:// address",
        ),
        (
            SMALLEST.replace('"My network plugin"', '""'),
            "mine.toml: title: must not be empty",
        ),
        (f"{SMALLEST}agents = 'x'\n", "mine.toml: agents: must be a list, not a string"),
        (
            f"{SMALLEST}agents = ['agent']\n",
            "mine.toml: agents[0]: 'agent' is not a workload; write DaemonSet/NAMESPACE/NAME or"
            " Deployment/NAMESPACE/NAME, with * for a namespace that differs between clusters",
        ),
        (
            f"{SMALLEST}features = ['endport']\n",
            "mine.toml: features[0]: 'endport' is not one of the features that nothing shows:"
            " ipblock-pod-ip, ipblock-node-ip",
        ),
        (f"{SMALLEST}pools = [3]\n", "mine.toml: pools[0]: must be a table, not a number"),
        (
            SMALLEST + LEAK.replace("probe =", "prob ="),
            "mine.toml: the key 'probe' is missing in limitations[0].cells[0]\n"
            "mine.toml: unknown key 'prob' in limitations[0].cells[0]\n"
            "hint: did you mean 'probe'?",
        ),
        (
            SMALLEST + LEAK.replace('"allowed"', '"open"'),
            "mine.toml: limitations[0].cells[0].gives: must be"
            " 'allowed', 'TIMEOUT', 'REFUSED', 'DNS' or 'OTHER', not 'open'",
        ),
        (
            SMALLEST + LEAK.replace("endport", "endprot"),
            "mine.toml: limitations[0].features[0]: unknown feature 'endprot';"
            " did you mean 'endport'?",
        ),
        (
            SMALLEST + LEAK.replace("says =", "say ="),
            "mine.toml: the key 'says' is missing in limitations[0]\n"
            "mine.toml: unknown key 'say' in limitations[0]\nhint: did you mean 'says'?",
        ),
    ],
)
def test_a_wrong_profile_is_refused_with_the_key(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        mine(text)
    assert str(error.value) == message


# ------------------------------------------------------------------ by path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("cni", ["my.toml", "./my.toml", "FOLDER/my.toml"])
def test_a_profile_is_read_by_its_path(folder: Path, cni: str) -> None:
    (folder / "my.toml").write_text(SMALLEST, encoding="utf-8")
    found = profile(cni.replace("FOLDER", str(folder)))
    assert found.file == ProfileFile("my", "my.toml", SMALLEST, shipped=False)


def test_a_profile_of_the_name_of_one_that_ships_is_another_one(folder: Path) -> None:
    (folder / "calico.toml").write_text(SMALLEST, encoding="utf-8")
    assert profile("./calico.toml").title == "My network plugin"
    assert profile("calico").title == "Calico"


@pytest.mark.parametrize(
    ("cni", "message"),
    [
        ("./m.toml", "--cni=m.toml: there is no file m.toml\nhint: did you mean 'my.toml'?"),
        (
            "./x/my.toml",
            "--cni=x/my.toml: there is no file x/my.toml\nhint: nor is there a folder x",
        ),
        (
            "./other",
            "--cni=other: there is no file other\nhint: paths are relative to the current folder",
        ),
        ("./fifo.toml", "--cni=fifo.toml: fifo.toml is a FIFO\nhint: name a regular file"),
        ("./sub.toml", "--cni=sub.toml: sub.toml is a folder\nhint: name a regular file"),
        (
            "./big.toml",
            "--cni=big.toml: big.toml has more than 8 MiB\nhint: split it, or name a smaller file",
        ),
        (
            "./My_CNI.toml",
            "--cni=My_CNI.toml: 'My_CNI' cannot be the name of a profile\n"
            "hint: name the file with lower case letters, digits, '-' and '.', like my-cni.toml",
        ),
        (
            "./latin.toml",
            "latin.toml:2:11: byte 0xe9 is not UTF-8\nhint: save the file in the encoding UTF-8",
        ),
        ("./wrong.toml", "wrong.toml:2:9: Invalid value\n    2 | title = "),
    ],
)
def test_a_file_that_is_no_profile_is_refused(folder: Path, cni: str, message: str) -> None:
    (folder / "my.toml").write_text(SMALLEST, encoding="utf-8")
    (folder / "My_CNI.toml").write_text(SMALLEST, encoding="utf-8")
    (folder / "latin.toml").write_bytes(b'# a\ntitle = "\xc3\xa9\xe9"\n')
    (folder / "wrong.toml").write_text("# a\ntitle = \n", encoding="utf-8")
    (folder / "sub.toml").mkdir()
    os.mkfifo(folder / "fifo.toml")
    with (folder / "big.toml").open("wb") as big:
        big.truncate(9 * 1024 * 1024)
    with pytest.raises(UsageError) as error:
        profile(cni)
    assert str(error.value) == message


# ------------------------------------------------------------------ versions


@pytest.mark.parametrize(
    ("written", "within", "without"),
    [
        ("all", ["v0.1", "9"], []),
        (["v1.2"], ["v1.2", "1.2.0", "v1.2.0-eksbuild.1", "v1.2+k3s1"], ["v1.2.1", "v1.1"]),
        ([">=v1.2"], ["v1.2", "v1.10"], ["v1.1.9"]),
        (["<v1.4"], ["v1.3.9", "v0"], ["v1.4", "v1.4.0"]),
        ([">=v1.2, <v1.4"], ["v1.2", "v1.3.7"], ["v1.1.9", "v1.4.0"]),
        (["v1", ">=v3"], ["v1.0", "v3", "v4"], ["v2"]),
    ],
)
def test_a_version_is_in_its_range(written: object, within: list[str], without: list[str]) -> None:
    versions = parse_versions(written)
    assert [item for item in [*within, *without] if versions.includes(item)] == within


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("all", ["v1"], True),
        (["v1"], ["v1.0"], True),
        (["v1"], ["v1.1"], False),
        ([">=v1.2"], ["<v1.2"], False),
        ([">=v1.2"], ["<v1.2.1"], True),
        ([">=v1, <v2"], [">=v2, <v3"], False),
        ([">=v1, <v2"], [">=v0.9, <v9"], True),
        ([">=v1, <v2"], ["v2"], False),
        ([">=v1, <v2"], ["v0", "v1.5"], True),
    ],
)
def test_ranges_of_versions_overlap(one: object, other: object, common: bool) -> None:
    first, second = parse_versions(one), parse_versions(other)
    assert (first.overlaps(second), second.overlaps(first)) == (common, common)


# ------------------------------------------------------------------ limitations

REASON = "the tiers leak (a/b#1; v1, v2)"
KNOWN = KnownCell(
    "examples/three-tier",
    "each tier has its policy, but no rule allows DNS",
    "shop/web -> shop/db:3306",
    Verdict.ALLOWED,
    REASON,
)


@pytest.mark.parametrize(("version", "applies"), [("v1", True), ("v2.0", True), ("v3", False)])
def test_a_limitation_applies_to_its_versions_only(version: str, applies: bool) -> None:
    known = mine(SMALLEST + LEAK)
    assert known.gaps(version) == ((Gap("endport", REASON),) if applies else ())
    assert known.known_cells(version) == ((KNOWN,) if applies else ())


@pytest.mark.parametrize(
    ("described", "applies"),
    [('["v1"]', True), ('[">=v1.5"]', True), ('"all"', True), ('[">=v3"]', False)],
)
def test_where_the_version_is_unknown_a_limitation_applies_if_it_may(
    described: str, applies: bool
) -> None:
    known = mine(SMALLEST.replace('["v1"]', described) + LEAK)
    assert known.gaps() == ((Gap("endport", REASON),) if applies else ())
    assert known.known_cells() == ((KNOWN,) if applies else ())


def test_the_settings_of_a_cluster_take_all_that_its_profile_says() -> None:
    text = SMALLEST + (
        "denies_by = 'reject'\nfeatures = ['ipblock-node-ip', 'ipblock-pod-ip']\n"
        "agents = ['DaemonSet/*/agent']\n"
        "pools = [{api_version = 'a/v1', kind = 'Pool', path = 'spec.cidr'}]\n"
        "trace = {agent = 'DaemonSet/*/agent', container = 'c', command = ['iptables-save']}\n"
        "trace_by_hand = ['antctl', '{port}']\n"
        "[[limitations]]\nsays = 'no ranges'\nsource = 'a/b#2'\nversions = 'all'\n"
        "features = ['ipblock-pod-ip']\ntraits = ['named-port-in-egress']\n"
    )
    before = KubeSettings(run="r1", features=frozenset({"external"}))
    found = with_profile(before, mine(text + LEAK))
    assert found.denies_by == "reject"
    assert found.features == {"external", "ipblock-node-ip"}
    assert found.gaps == (
        Gap("ipblock-pod-ip", "no ranges (a/b#2; all)"),
        Gap("endport", REASON),
    )
    assert found.known_cells == (KNOWN,)
    assert found.known_traits == (
        KnownTrait(Trait.NAMED_PORT_IN_EGRESS, "no ranges (a/b#2; all)"),
    )
    assert found.agents == ("DaemonSet/*/agent",)
    assert (found.cni, found.cni_version) == ("mine", "")
    assert with_profile(before, mine(text), "v1").cni_version == "v1"
    assert found.pools == (Pool("a/v1", "Pool", "spec.cidr"),)
    assert found.trace == AgentCommand("DaemonSet/*/agent", "c", ("iptables-save",))
    assert found.trace_by_hand == ("antctl", "{port}")


def test_a_trace_names_an_agent_and_a_command() -> None:
    bad = "trace = {agent = 'agent', container = 'c', command = []}\n"
    with pytest.raises(UsageError) as caught:
        mine(SMALLEST + bad)
    assert str(caught.value) == (
        "mine.toml: trace.agent: 'agent' is not a workload; write DaemonSet/NAMESPACE/NAME or "
        "Deployment/NAMESPACE/NAME, with * for a namespace that differs between clusters\n"
        "mine.toml: trace.command: must not be empty"
    )


def test_a_command_for_people_has_known_placeholders_which_are_all_filled_in() -> None:
    with pytest.raises(UsageError) as caught:
        mine(SMALLEST + "trace_by_hand = ['ask', '{source_name}', '']\n")
    assert str(caught.value) == (
        "mine.toml: trace_by_hand[1]: unknown placeholder 'source_name' in '{source_name}'; "
        "did you mean 'source_namespace'?\n"
        "mine.toml: trace_by_hand[2]: must not be empty"
    )
    words = [f"{{{name}}}" for name in PLACEHOLDERS]
    assert asked_by_hand(words) == "x a y b udp 53"


def asked_by_hand(words: Sequence[str]) -> str:
    """The command about a probe of pod a in namespace x, of UDP port 53 of pod b in y."""
    a, b = PodRef("x", "a"), PodRef("y", "b")
    view = View(
        State("s", pods=(Pod("x", "a"), Pod("y", "b"))),
        {ref: LivePod(ref, ref.namespace, ref.name, "1", (), "n1", "serve") for ref in (a, b)},
    )
    return by_hand(words, view, Probe(a, Destination(b, 53, Protocol.UDP))).command


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("antrea", "antctl traceflow -S x/a -D y/b -f udp,udp_dst=53"),
        (
            "ovn-kubernetes",
            "ovnkube-trace -src-namespace x -src a -dst-namespace y -dst b -udp -dst-port 53",
        ),
    ],
)
def test_the_commands_with_which_people_ask(name: str, command: str) -> None:
    assert asked_by_hand(profile(name).trace_by_hand) == command


WITHOUT_KIND = """
import sys
from harness.cluster.kube import KubeSettings
from harness.cluster.kube.profiled import with_profile
from harness.cluster.profiles import profile
with_profile(KubeSettings(run="r1"), profile("kube-router"))
print([name for name in sys.modules if name.startswith("harness.cluster.kind")])
"""


def test_a_profile_of_a_cluster_that_exists_needs_nothing_of_kind() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_KIND], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


# ------------------------------------------------------------------ limited cells and scenarios


def stale(found: Profile) -> Iterator[str]:
    """What the profile's limitations say, at any version, of cells that they do not fit."""
    files = {str(path.relative_to(SCENARIOS).with_suffix("")): path for path in find(SCENARIOS)}
    cells = [cell for item in found.limitations for cell in item.cells]
    known = Counter((cell.scenario, cell.step, cell.probe) for cell in cells)
    yield from (f"{' / '.join(cell)} is known twice" for cell in known if known[cell] > 1)
    for cell in cells:
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


@pytest.mark.parametrize("name", profile_names())
def test_limitations_of_a_shipped_profile_fit_the_scenarios(name: str) -> None:
    assert list(stale(profile(name))) == []


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        (("", ""), []),
        (
            ("[[limitations]]", f"{LEAK}[[limitations]]"),
            ["examples/three-tier / STEP / shop/web -> shop/db:3306 is known twice"],
        ),
        (("three-tier", "four-tier"), ["examples/four-tier: STEP: no shop/web -> shop/db:3306"]),
        (
            ("no rule allows", "every rule allows"),
            ["examples/three-tier: STEP: no shop/web -> shop/db:3306"],
        ),
        (("db:3306", "db:1"), ["examples/three-tier: STEP: no shop/web -> shop/db:1"]),
        (
            ('"allowed"', '"TIMEOUT"'),
            ["examples/three-tier: STEP: shop/web -> shop/db:3306 is written TIMEOUT"],
        ),
    ],
)
def test_a_limitation_that_fits_no_cell_is_found(
    change: tuple[str, str], problems: list[str]
) -> None:
    found = mine((SMALLEST + LEAK).replace(*change))
    step = found.limitations[0].cells[0].step
    assert list(stale(found)) == [problem.replace("STEP", step) for problem in problems]
