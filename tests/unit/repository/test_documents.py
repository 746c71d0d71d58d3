"""The parts of the documents that are made from data, and the example of a CNI profile."""

from __future__ import annotations

import dataclasses
import re

import pytest

from harness.cluster.kind.installation import (
    Chart,
    Definitions,
    Edit,
    Installation,
    PublishedManifest,
    installation,
)
from harness.cluster.profiles import (
    AddressPool,
    KnownLimitation,
    LimitedCell,
    Profile,
    ProfileFile,
    parse,
    profile,
    profile_names,
)
from harness.scenario import load
from tools import documents

REAL_CLUSTERS = (documents.ROOT / "docs" / "real-clusters.md").read_text(encoding="utf-8")
WRITE_A_PROFILE = REAL_CLUSTERS.split("### Write a profile")[1].split("\n### ")[0]


@pytest.mark.parametrize("name", documents.PARTS)
def test_a_part_that_is_made_is_up_to_date(name: str) -> None:
    document, made = documents.PARTS[name]
    text = (documents.ROOT / document).read_text(encoding="utf-8")
    assert documents.with_part(text, name, made()) == text, "run `make documents`"


def test_a_document_without_the_part_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^the document has no part 'other'$"):
        documents.with_part(REAL_CLUSTERS, "other", "")


def test_the_table_has_every_profile_that_ships() -> None:
    rows = re.findall(r"^\| `([\w.-]+)`", documents.profiles(), re.MULTILINE)
    assert sorted(rows) == sorted(profile_names())
    assert rows[:5] == ["calico", "cilium", "cilium-1.20", "flannel", "kube-router"]


def test_a_profile_is_said_to_have_been_seen_only_if_kind_installs_it() -> None:
    """A feature that no API shows must have been seen; the others are known from documents."""
    vouching = {name for name in profile_names() if profile(name).features}
    assert vouching == {"calico", "kube-router"}


# ------------------------------------------------------------------ how to write a profile


def fields(*kinds: type, without: tuple[str, ...] = ()) -> set[str]:
    names = {item.name for kind in kinds for item in dataclasses.fields(kind)}
    return names - set(without)


def test_every_key_of_a_profile_is_explained() -> None:
    known, install = WRITE_A_PROFILE.split("`[install]` says how kind installs it.")
    assert keys(known) == fields(Profile, without=("file",))
    assert keys(install) == fields(Installation, without=("name",))
    nested = fields(AddressPool, KnownLimitation, LimitedCell)
    assert [key for key in sorted(nested) if f"`{key}`" not in known] == []
    nested = fields(PublishedManifest, Chart, Edit, Definitions)
    assert [key for key in sorted(nested) if f"`{key}`" not in install] == []


def keys(text: str) -> set[str]:
    """Return the first column of a table of keys, without brackets and ``install.``."""
    found = re.findall(r"^\| `\[*(?:install\.)?(\w+)\]*` \|", text, re.MULTILINE)
    return set(found)


def example() -> Profile:
    (text,) = re.findall(r"```toml\n(.*?)```", WRITE_A_PROFILE, re.DOTALL)
    return parse(ProfileFile("my-cni", "my-cni.toml", text, shipped=False))


def test_the_example_of_a_profile_is_right_and_whole() -> None:
    found, install = example(), installation(example())
    assert all(getattr(found, item.name) not in {(), ""} for item in dataclasses.fields(Profile))
    assert (install.version, install.file) == ("v2.1.1", "my-cni.yaml")
    assert install.edit


def test_the_cell_of_the_example_is_in_its_scenario() -> None:
    (cell,) = example().known_cells("v2.1.1")
    path = documents.ROOT / "scenarios" / f"{cell.scenario}.yaml"
    tables = {step.name: step.table for step in load(path).steps}
    written = {str(item.probe): item.expected for item in tables[cell.step].cells}
    assert cell.gives is not written[cell.probe]


def test_the_picture_shows_the_failure_in_the_documents() -> None:
    shown = (documents.ROOT / documents.PICTURE).read_text(encoding="utf-8")
    assert shown == documents.picture(), "run `make documents`"
