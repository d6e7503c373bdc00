"""Several directories beside each other on one page."""

import json
from pathlib import Path

import pytest

from coemerge.report.page import write_report
from coemerge.report.results import read_results
from tests.report.made_up import manifest, summary, tables, write_study
from tests.report.made_up_sides import side_tables, write_sides
from tests.report.parsed import Page

TITLE = "Other models and settings"


@pytest.fixture
def main(tmp_path: Path) -> Path:
    return write_study(tmp_path / "runs" / "small", {"nulls": tables(1)["nulls"]})


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    rows = [
        {**row, "value": 0.123, "low": 0.1, "high": 0.15, "seeds": [7]}
        for row in summary()
        if row["name"] in ("failure/0.6/all", "difference/exposed/fresh")
    ]
    directory = write_study(tmp_path / "runs" / "wide", {}, rows)
    made = manifest(7, n_parameters=9000000, architecture="llama")
    (directory / "manifest.json").write_text(json.dumps(made))
    return directory


def section(page: Path) -> str:
    text = Page(page.read_text("utf-8")).text
    return text[text.index(TITLE) : text.index("How to read this")]


def test_every_directory_has_its_row_with_its_own_numbers(main: Path, wide: Path, tmp_path: Path):
    text = section(write_report(main, tmp_path / "out", [wide]))
    first, other = text[text.index("small ") :].split("wide llama")

    assert first.startswith("small 1,507,200 parameters 3 31.2 % [28.7, 33.8] n = 1,031 of 1,380 ")
    assert "71.0 % [66.0, 75.0] n = 135 22.0 % [18.0, 27.0] n = 135" in first
    assert "+49.0 points [+41.0, +56.0]" in first
    assert "18.4 % [17.1, 19.9] n = 690" in first
    numbers = "9,000,000 parameters 1 12.3 % [10.0, 15.0] n = 1,031 of 1,380 – – – – – "
    assert other.startswith(f", {numbers}+12.3 points [+10.0, +15.0] n = 270 – ")


def test_what_was_not_analysed_is_named_with_what_to_run(main: Path, tmp_path: Path):
    bare = tmp_path / "runs" / "bare"
    bare.mkdir()
    (bare / "manifest.json").write_text(json.dumps(manifest(3)))
    text = section(write_report(main, tmp_path / "out", [bare]))

    assert "bare has no results yet: python analyze.py study=co_emergence run=DIR" in text
    assert "small has no results" not in text


def test_directories_of_one_name_are_told_apart(main: Path, tmp_path: Path):
    same = write_study(tmp_path / "elsewhere" / "small", {})
    text = section(write_report(main, tmp_path / "out", [same]))

    assert "runs/small 1,507,200" in text
    assert "elsewhere/small 1,507,200" in text


def test_the_main_directory_alone_feeds_the_rest_of_the_page(
    main: Path, wide: Path, tmp_path: Path
):
    alone = write_report(main, tmp_path / "alone").read_text("utf-8")
    beside = write_report(main, tmp_path / "beside", [wide]).read_text("utf-8")

    assert TITLE not in alone
    start, end = (beside.index(f"<section><h2>{name}") for name in (TITLE, "How to read this"))
    assert beside[:start] + beside[end:] == alone


@pytest.fixture
def sides(tmp_path: Path) -> Path:
    """Of another study, of another run."""
    directory = write_sides(
        tmp_path / "runs" / "sides", {"edit_choice": side_tables()["edit_choice"]}
    )
    (directory / "manifest.json").write_text(json.dumps(manifest(5, run_id="two-sides")))
    return directory


def test_studies_that_the_main_directory_lacks_are_those_of_the_first_that_has_them(
    main: Path, wide: Path, sides: Path
):
    alone, found = read_results(main), read_results(main, [wide, sides])

    assert found.borrowed == {"entity_relation": sides}
    assert set(found.tables) == {*alone.tables, "edit_choice"}
    assert set(alone.missing) - set(found.missing) == {"entity_relation"}
    assert found.summary == [*alone.summary, *read_results(sides).summary]
    assert [row["run_id"] for row in found.manifests][-1] == "two-sides"
    assert len(found.manifests) == len(alone.manifests) + 1
    assert read_results(main, [main]).borrowed == {}


def test_a_page_of_several_experiments_says_whose_results_a_section_has(
    main: Path, sides: Path, tmp_path: Path
):
    text = Page(write_report(main, tmp_path / "out", [sides]).read_text("utf-8")).text

    assert "Does an edit of one side show on the other? Measured on sides ." in text
    assert text.count("Measured on") == 1
    assert "two-sides" in text
    assert "Measured on" not in Page(write_report(sides, tmp_path / "own").read_text("utf-8")).text


def test_a_directory_that_is_not_there_is_refused_before_anything_is_written(
    main: Path, tmp_path: Path
):
    with pytest.raises(FileNotFoundError, match="gone: no such directory"):
        write_report(main, tmp_path / "out", [tmp_path / "gone"])
    assert not (tmp_path / "out").exists()
