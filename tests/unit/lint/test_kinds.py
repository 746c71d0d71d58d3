"""The kinds of findings, and the examples of the page."""

from __future__ import annotations

import io

import pytest

from harness import catalogue
from harness.application import read
from harness.lint import Choice, Finding, kinds, linted


def found(text: str) -> list[Finding]:
    application = read(["-"], "shop", io.BytesIO(text.encode()))
    return list(linted(application, Choice()).findings)


@pytest.mark.parametrize("name", kinds())
def test_the_example_has_the_finding(name: str) -> None:
    (first, *_) = [item for item in found(kinds()[name].example) if item.id == name]
    assert first.level is kinds()[name].level


@pytest.mark.parametrize("name", kinds())
def test_the_mended_example_has_it_no_more(name: str) -> None:
    assert [item for item in found(kinds()[name].mended) if item.id == name] == []


def test_requirements_are_in_the_catalogue() -> None:
    named = {name for item in kinds().values() for name in item.requirements}
    assert named <= catalogue.requirements().keys()


@pytest.mark.parametrize("name", kinds())
def test_an_id_is_in_kebab_case(name: str) -> None:
    assert name.replace("-", "").isalpha()
    assert name == name.lower()
