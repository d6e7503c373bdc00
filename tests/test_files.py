"""What is written beside its target and renamed, and what is told when that fails."""

import os
from pathlib import Path

import pytest

from coemerge import files
from coemerge.files import (
    WriteError,
    code_sha256,
    read_object,
    remove_unfinished,
    replacing,
    write_json,
    write_text,
    writing,
)


def test_a_text_replaces_the_older_one_and_leaves_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "new" / "a.txt"

    for text in ("first", "second"):
        write_text(path, text)

    assert path.read_text() == "second"
    assert os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_is_not_written_to_its_end_changes_nothing(tmp_path: Path, error: type[BaseException]):
    write_text(tmp_path / "a", "old")

    def fails() -> None:
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(error):
        fails()

    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_full_disk_names_the_file_in_the_words_of_the_system(tmp_path: Path):
    def fails() -> None:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_text("text")

    with pytest.raises(WriteError, match=r"a\.txt could not be written: No space left on device"):
        fails()

    assert os.listdir(tmp_path) == []


def test_of_a_librarys_error_the_words_of_the_system_are_told(tmp_path: Path):
    def fails() -> None:
        with writing(tmp_path / "state", RuntimeError):
            raise RuntimeError("unexpected pos 704 vs 598") from OSError(28, "No space left")

    with pytest.raises(WriteError, match=r"state could not be written: No space left"):
        fails()


def test_other_errors_pass(tmp_path: Path):
    with pytest.raises(RuntimeError, match="a mistake"), writing(tmp_path / "state"):
        raise RuntimeError("a mistake")


def test_a_file_that_was_to_be_read_is_not_told_as_one_to_be_written(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"texts/b\.txt"), writing(tmp_path / "out" / "a"):
        (tmp_path / "texts" / "b.txt").read_text()


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with replacing(tmp_path / "a") as first:
        monkeypatch.setattr("coemerge.files.os.getpid", lambda: 12345)
        with replacing(tmp_path / "a") as second:
            monkeypatch.undo()
            first.write_text("first")
            second.write_text("second")
        assert (tmp_path / "a").read_text() == "second"

    assert (tmp_path / "a").read_text() == "first"


def test_what_a_kill_left_is_removed(tmp_path: Path):
    (tmp_path / "tables").mkdir()
    for name in (".a.json.77.tmp", "tables/.t.parquet.78.tmp", "tables/kept.tmp", ".lock"):
        (tmp_path / name).touch()

    remove_unfinished(tmp_path)

    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [".lock", "kept.tmp"]


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_a_file_that_holds_no_object_is_named(tmp_path: Path, text: str):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))

    with pytest.raises(ValueError, match=r"a\.json (is not valid JSON|does not hold)"):
        read_object(tmp_path / "a.json")


def test_an_object_comes_back(tmp_path: Path):
    write_json(tmp_path / "a.json", {"b": [1, None]})

    assert read_object(tmp_path / "a.json") == {"b": [1, None]}


def test_code_is_another_with_any_name_or_line_of_the_packages_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "__file__", str(tmp_path / "files.py"))
    for name in ("files.py", "a/one.py", "b/two.py"):
        write_text(tmp_path / name, "x = 1\n")

    def hashes() -> tuple[str, ...]:
        return tuple(code_sha256.__wrapped__(*of) for of in ((), ("a",), ("b",), ("a", "b")))

    first = hashes()
    assert len(set(first)) == 4
    assert hashes() == first
    write_text(tmp_path / "b" / "two.py", "x = 2\n")
    changed = hashes()
    assert [now == before for now, before in zip(changed, first, strict=True)] == [
        False, True, False, False,
    ]  # fmt: skip
    (tmp_path / "a" / "one.py").rename(tmp_path / "a" / "other.py")
    assert [now == before for now, before in zip(hashes(), changed, strict=True)] == [
        False, False, True, False,
    ]  # fmt: skip
