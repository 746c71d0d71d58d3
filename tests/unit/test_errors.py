"""Places in files, as messages write them."""

from __future__ import annotations

import pytest

from harness.errors import Location


@pytest.mark.parametrize("path", ["s.yaml", "a:b/s.yaml", "C:/s.yaml"])
def test_a_location_is_read_as_it_is_written(path: str) -> None:
    written = Location(path, 14, 7)
    assert Location.parse(str(written)) == written


@pytest.mark.parametrize("text", ["", "s.yaml", "s.yaml:7", "s.yaml:x:7", "s.yaml:7:"])
def test_a_text_that_names_no_place(text: str) -> None:
    assert Location.parse(text) is None


def test_an_object_in_no_file_is_written_without_a_line() -> None:
    assert str(Location("Pod shop/web in context x", 0, 0)) == "Pod shop/web in context x"
