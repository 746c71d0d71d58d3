"""Files of results that are read: compressed or not, and what is said if they cannot be."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from harness import files, results_file
from harness.errors import UsageError
from harness.report import Results, Run

FOUND = Results(Run("np1", "2030-01-01T00:00:00+00:00", 1.0, "0.1.0", "netns", 0), ())
WROTE = "hint: use a file that `netpol run --results=FILE` wrote"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_file_is_read_compressed_or_not() -> None:
    content = FOUND.to_json().encode()
    Path("a.json").write_bytes(content)
    Path("b.json.gz").write_bytes(gzip.compress(content))
    assert results_file.read(Path("a.json")) == FOUND
    assert results_file.read(Path("b.json.gz")) == FOUND


def test_results_may_be_larger_than_scenario_files() -> None:
    text = FOUND.to_json() + " " * files.MOST_BYTES
    Path("a.json").write_text(text, encoding="utf-8")
    assert results_file.read(Path("a.json")) == FOUND


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{}", f"a.json: not a results file: it has no schema version\n{WROTE}"),
        ("a.json", b"\n {", "a.json:2:3: not JSON: Expecting property name enclosed in double "
         f"quotes\n{WROTE}"),
        ("a.json", b"{\xff", f"a.json: not a results file: byte 2 is no UTF-8\n{WROTE}"),
        ("a.json", gzip.compress(b"{}"), "a.json: not a results file: byte 2 is no UTF-8\n"
         "hint: it is compressed with gzip: its name must end in .gz"),
        ("a.json.gz", b"{}", "a.json.gz: its name ends in .gz, and it is not compressed with "
         "gzip\nhint: rename it, or compress it with gzip"),
        ("a.json.gz", gzip.compress(b"{}")[:-9], "a.json.gz: its end is missing\n"
         "hint: compress it again"),
    ],
    ids=["no version", "no JSON", "no UTF-8", "compressed", "not compressed", "cut off"],
)  # fmt: skip
def test_what_cannot_be_read_is_named(name: str, content: bytes, message: str) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        results_file.read(Path(name))
    assert str(caught.value) == message


def test_a_file_that_is_not_there_or_is_no_file() -> None:
    Path("results.json").touch()
    os.mkfifo("fifo.json")
    for name, message in (
        ("result.json", "there is no file result.json\nhint: did you mean 'results.json'?"),
        ("fifo.json", "fifo.json is a FIFO\nhint: name a regular file"),
    ):
        with pytest.raises(UsageError) as caught:
            results_file.read(Path(name))
        assert str(caught.value) == message


def test_a_compressed_file_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_file, "MOST_BYTES", 1024 * 1024)
    Path("a.json.gz").write_bytes(gzip.compress(b" " * (1024 * 1024 + 1)))
    with pytest.raises(UsageError) as caught:
        results_file.read(Path("a.json.gz"))
    assert str(caught.value) == "a.json.gz has more than 1 MiB\nhint: name a smaller file"
