"""The section on what models answer by themselves."""

import pandas as pd

from coemerge.report.answers import answers
from coemerge.report.page import write_report
from coemerge.report.results import Results
from tests.report.made_up import tables, write_study

COLUMNS = ["seed", "step", "fact_id", "task", "n_prompts", "first_token", "full_answer", "tolerant"]


def results(*rows: tuple) -> Results:
    return Results({"answers": pd.DataFrame(list(rows), columns=COLUMNS)}, [], [], [])


def test_shares_are_of_prompts_at_each_seeds_last_step():
    text = answers(
        results(
            (0, 10, "a", "mcqa", 3, 0.0, 0.0, 0.0),
            (0, 20, "a", "mcqa", 3, 1.0, 0.5, 1.0),
            (1, 20, "a", "mcqa", 1, 0.0, 0.0, 1.0),
            (0, 20, "a", "completion", 2, 0.25, 0.25, 0.5),
        )
    )

    assert text.index("completion") < text.index("mcqa")
    row = text[text.index(">mcqa<") :].replace("\u00a0", " ")
    assert ["75.0 %" in row, "37.5 %" in row, "100.0 %" in row] == [True] * 3
    assert ">4<" in row


def test_without_answers_there_is_no_section(tmp_path):
    assert answers(Results({}, [], [], [])) == ""
    page = write_report(write_study(tmp_path / "run", tables(1)), tmp_path / "out")
    assert "What the models answer" not in page.read_text("utf-8")


def test_models_from_elsewhere_are_not_said_to_be_randomised(tmp_path):
    made = tables(1)
    made["pairs"]["arm"] = "unknown"
    page = write_report(write_study(tmp_path / "run", made), tmp_path / "out").read_text("utf-8")

    assert "trained elsewhere" in page
    assert "Chance decided" not in page
