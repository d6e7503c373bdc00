"""Studies that the page has no section for."""

from pathlib import Path

from coemerge.files import write_json
from coemerge.report.page import write_report
from tests.report.parsed import Page

ROW = {"id": "own", "name": "breadth/A0_full", "quantity": "share of <formats>", "value": 0.5,
       "low": 0.25, "high": 0.75, "n": 8, "n_total": 10, "seeds": [0, 1]}  # fmt: skip


def page_of(directory: Path) -> Page:
    return Page(write_report(directory, directory / "report").read_text("utf-8"))


def test_a_study_that_the_page_does_not_know_is_shown_by_its_summary(tmp_path):
    write_json(tmp_path / "results" / "breadth" / "summary.json", [ROW])

    text = page_of(tmp_path).text

    for part in ("Other studies", "breadth", "share of <formats>", "50.0 % [25.0, 75.0]"):
        assert part in text
    assert "8 of 10" in text


def test_what_has_a_unit_is_no_share(tmp_path):
    write_json(tmp_path / "results" / "breadth" / "summary.json", [{**ROW, "unit": "index"}])

    assert "0.5 [0.25, 0.75]" in page_of(tmp_path).text


def test_without_such_a_study_there_is_no_section(tmp_path):
    write_json(tmp_path / "results" / "co_emergence" / "summary.json", [])

    assert "Other studies" not in page_of(tmp_path).text
