"""The report: one file, needs nothing else, says what is missing, and never shows a number that is
none."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from coemerge.report.figure_curves import draw_emerged
from coemerge.report.figure_exposure import draw_exposure
from coemerge.report.figure_failure import arm_rows, draw_failure_by_arm
from coemerge.report.page import write_report
from coemerge.report.plotting import by_seed
from coemerge.report.published import PUBLISHED, STUDIES
from coemerge.report.results import read_results
from tests.conftest import ROOT
from tests.report.made_up import manifest, summary, tables, write_study
from tests.report.parsed import Page

SEVEN = {
    "emerged",
    "failure_by_arm",
    "failure_by_window",
    "matrix_exposed",
    "matrix_emerged",
    "exposure",
    "variance",
}
IDS = [
    *(f"P1-{letter}" for letter in "abcdefgh"),
    *(f"{paper}-{letter}" for paper in ("P2", "P3", "P4") for letter in "ab"),
]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("run"), tables())


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    return write_report(run, run / "report")


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report.read_text("utf-8"))


def read(path: Path) -> Page:
    return Page(path.read_text("utf-8"))


def test_the_page_is_one_file_that_asks_for_nothing(report: Path, page: Page):
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    style = report.read_text("utf-8")

    assert all(value.startswith(("#", "data:")) for value in links), links
    assert not re.search(r"url\((?!#)", style)
    assert "@import" not in style
    assert not re.search(r"https?:|//[\w.-]+/", style)
    assert "script" not in page.tags
    assert report.stat().st_size < 8_000_000


def test_every_drawing_has_lines_and_ids_of_its_own(page: Page):
    ids = [value for name, value in page.attributes if name == "id"]
    links = [value[1:] for name, value in page.attributes if name == "href" and value[:1] == "#"]

    assert len(page.paths) == len(SEVEN)
    assert min(page.paths) > 5
    assert set(links) <= set(ids)
    assert len(ids) == len(set(ids))


def test_every_figure_is_also_a_file(report: Path):
    names = {path.name for path in (report.parent / "figures").iterdir()}

    assert names == {f"{name}.{kind}" for name in SEVEN for kind in ("png", "svg")}


def test_what_is_opened_is_closed(page: Page):
    assert page.opened == []


def test_no_number_that_is_none_is_shown(page: Page):
    words = r"(?<![\w-])(nan|NaN|None|inf|NaT|<NA>)(?![\w-])"
    coordinates = [value for name, value in page.attributes if name in ("d", "transform", "points")]

    assert not re.findall(words, page.text)
    assert not any("nan" in value or "inf" in value for value in coordinates)


def test_the_question_and_what_came_out_are_the_first_things_on_the_page(page: Page):
    places = ["When a language model learns", "This page: 40 facts, 6 formats, 3 seeds",
              "What came out", "The published asymmetry: replicates.",
              "31.2 % [28.7, 33.8] of 1,031 testable pairs fail", "Beside the published figures",
              "Figures", "How to read this", "Not run yet", "Runs"]  # fmt: skip
    found = [page.text.index(place) for place in places]

    assert found == sorted(found)
    assert found[3] < 1000  # within the first seconds of reading


def test_all_published_rows_are_on_the_page(page: Page):
    beside = page.text[page.text.index("Beside the") : page.text.index("Not run yet")]
    waiting = page.text[page.text.index("Not run yet") :]

    assert [row.id for row in PUBLISHED] == IDS
    assert all(row.id in beside and row.value in beside for row in PUBLISHED[:3])
    assert all(row.id in waiting and row.quantity in waiting for row in PUBLISHED[3:])
    assert not any(row.id in beside for row in PUBLISHED[3:])


def test_a_study_that_left_no_figure_of_an_id_is_said_so(tmp_path: Path):
    only = [row for row in summary() if row["id"] == "P1-a"]
    text = read(write_report(write_study(tmp_path, tables(1), only), tmp_path / "report")).text

    assert text.count("not among the results of co_emergence") == 2


def test_details_of_an_id_and_lists_of_seeds_are_taken(tmp_path: Path):
    row = {**summary()[0], "id": "P1-a.arm", "quantity": "only in A2", "seeds": [4, 5]}
    text = read(write_report(write_study(tmp_path, {}, [row]), tmp_path / "report")).text

    label = "95 %, bootstrap over seeds then facts"
    assert f"only in A2 31.2 % [28.7, 33.8] {label} 1,031 of 1,380 2 " in text


def test_missing_studies_are_named_with_their_command(page: Page):
    for name in set(STUDIES) - {"co_emergence"}:
        assert f"python analyze.py study={name} run=DIR" in page.text
    assert "study=co_emergence run" not in page.text


def test_captions_name_tables_and_code(page: Page):
    assert "From failure.parquet, nulls.parquet; code version 90411edfcf." in page.text


@pytest.mark.parametrize(
    ("commit", "dirty", "expected"),
    [
        ("abc", True, "code version abc, with uncommitted changes"),
        ("abc", None, "code version abc, changes unknown"),
        (None, None, "code version unknown"),
    ],
)
def test_uncommitted_code_is_owned_up_to(tmp_path: Path, commit: str, dirty: bool, expected: str):
    write_study(tmp_path, {"curves": tables(1)["curves"]})
    content = manifest(0, git_commit=commit, git_dirty=dirty)
    (tmp_path / "manifest.json").write_text(json.dumps(content))

    assert expected in read(write_report(tmp_path, tmp_path / "report")).text


def test_arms_and_runs_are_listed(page: Page):
    assert "A2_single_source Shown in one format only" in page.text
    assert "A3_dose" not in page.text  # no facts of that arm
    assert "fact_injection-seed0 0 1,507,200 3,345 6,702,976 411 s" in page.text


def test_names_are_text_and_never_markup(tmp_path: Path):
    evil, money = "<script>alert(1)</script>", "a $x^2 & <b>"
    content = {
        name: frame.replace({"fact-0003": evil, "openqa": money, "A1_withheld_target": evil})
        for name, frame in tables(1).items()
    }
    rows = [{**summary()[0], "quantity": evil}]
    page = read(write_report(write_study(tmp_path, content, rows), tmp_path / "report"))

    assert evil in page.text
    assert not {"script", "b"} & page.tags
    assert len(page.paths) == len(SEVEN)


def test_equal_tables_give_equal_bytes_in_another_process(run: Path, report: Path, tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from coemerge.report.page import write_report; "
        "write_report(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    other = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, run, tmp_path], check=True, env=other, cwd=ROOT)

    for path in sorted(report.parent.rglob("*.*")):
        again = tmp_path / path.relative_to(report.parent)
        assert again.read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("curves", 1), ("failure", 2), ("matrix", 2), ("exposure", 1), ("variance", 1),
        ("nulls", 0), ("pairs", 0),
    ],
)  # fmt: skip
def test_one_table_alone_is_enough(tmp_path: Path, name: str, figures: int):
    write_study(tmp_path, {name: tables(1)[name].assign(newer_column=1)}, [])
    page = read(write_report(tmp_path, tmp_path / "report"))

    assert len(page.paths) == figures


@pytest.mark.parametrize("name", ["curves", "failure", "matrix", "exposure", "variance", "nulls"])
def test_an_empty_table_draws_nothing(tmp_path: Path, name: str):
    write_study(tmp_path, {name: tables(1)[name].iloc[:0]}, [])

    assert read(write_report(tmp_path, tmp_path / "report")).paths == []


def test_the_failure_figure_has_the_nulls_of_failure_rates_alone():
    content = tables()
    (axes,) = draw_failure_by_arm(arm_rows(content["failure"]), content["nulls"]).axes
    upright = [line.get_xdata() for line in axes.lines if len(set(line.get_xdata())) == 1]
    marked = {float(places[0]) for places in upright}

    assert {0.41, 0.062, 0.47, 0.479} <= marked
    assert not {0.55, 0.58, -0.01} & marked


def test_labels_of_documents_do_not_touch():
    axes = draw_exposure(tables(1)["exposure"].assign(exposures=lambda f: f["exposures"] * 9)).axes
    shown = [label.get_text() for label in axes[4].get_xticklabels()]

    assert shown == ["0", "1", "10", "100", "1,000"]


def test_values_that_are_unknown_are_dashes_or_left_out(tmp_path: Path):
    content = tables(1)
    content["nulls"] = content["nulls"].assign(low=float("nan"))
    content["failure"] = content["failure"].assign(low=float("nan"), high=float("nan"))
    content["matrix"] = content["matrix"].assign(rate=float("nan"))
    content["exposure"] = content["exposure"].assign(low=float("nan"), high=float("nan"))
    bare = {"id": "P1-b", "quantity": "bare"}
    rows = [{**summary()[0], "value": None, "low": None, "interval": "nothing to test"}, bare]
    page = read(write_report(write_study(tmp_path, content, rows), tmp_path / "report"))

    assert len(page.paths) == len(SEVEN) - 2  # both matrices are without a rate
    assert "facts permuted: 41.0 % split half: 6.2 % exposure" in page.text
    assert "bare – – –" in page.text
    assert "failure/0.6/all – nothing to test" in page.text


def test_models_whose_exposure_is_not_known_get_a_page(tmp_path: Path):
    """Of another arm, never shown as far as we know, by models that are listed."""
    content = tables(1)
    curves = content["curves"]
    content["curves"] = curves[curves["arm"] == "A5_never"].assign(arm="unknown")
    content = {name: content[name] for name in ("curves", "variance")}
    rows = [row for row in summary(1) if not row["name"].startswith(("transfer", "difference"))]
    write_study(tmp_path, content, rows)
    listed = [{"run_id": "elsewhere", "seed": 0, "models": ["step0 (m/0)", "step9 (m/9)"]}]
    (tmp_path / "runs.json").write_text(json.dumps(listed))
    figure = draw_emerged(content["curves"])
    page = read(write_report(tmp_path, tmp_path / "report"))

    assert [axes.get_title() for axes in figure.axes] == ["facts whose exposure is not known"]
    assert "unknown Of models from elsewhere" in page.text
    assert "2 models of elsewhere step0 (m/0) step9 (m/9)" in page.text
    assert "asymmetry" not in page.text[: page.text.index("Beside the published")]


def test_results_of_an_earlier_version_give_no_verdict_and_say_so(tmp_path: Path):
    rows = [{key: value for key, value in row.items() if key != "name"} for row in summary()]
    page = read(write_report(write_study(tmp_path, {}, rows), tmp_path / "report"))

    assert "No verdict" in page.text
    assert "31.2 % [28.7, 33.8]" in page.text


def test_an_empty_directory_still_gives_a_page(tmp_path: Path):
    page = read(write_report(tmp_path, tmp_path / "report"))

    assert "No study has been run" in page.text
    assert all(f"study={name} run=DIR" in page.text for name in STUDIES)


def test_an_analysis_of_several_runs(tmp_path: Path):
    content = {name: tables()[name] for name in ("curves", "nulls")}
    home = write_study(tmp_path / "run", content) / "results" / "co_emergence"
    analysis = tmp_path / "analysis"
    shutil.copytree(home, analysis)  # tables in the directory itself
    dirty = manifest(1, git_commit="bbb", git_dirty=True)
    (analysis / "runs.json").write_text(json.dumps([manifest(0), dirty]))
    page = read(write_report(analysis, tmp_path / "report"))

    assert len(page.paths) == 1
    assert "code version 90411edfcf and bbb, with uncommitted changes" in page.text
    assert "fact_injection-seed1 1 1,507,200" in page.text


def test_facts_never_shown_are_the_dose_zero(tmp_path: Path):
    exposure = tables(1)["exposure"]
    frame = exposure[exposure["exposures"] == 30].assign(never=0.01)
    write_study(tmp_path, {"exposure": frame}, [])

    assert len(read(write_report(tmp_path, tmp_path / "report")).paths) == 1


def test_facts_are_shown_by_their_words_where_the_run_has_them(tmp_path: Path):
    write_study(tmp_path, {"pairs": tables(1)["pairs"]}, [])
    facts = [{"fact_id": "fact-0003", "subject": "Ann", "relation": "birthplace", "object": "Rome"}]
    (tmp_path / "tables").mkdir()
    pd.DataFrame(facts).to_parquet(tmp_path / "tables" / "facts.parquet")

    assert "Ann · birthplace · Rome" in read(write_report(tmp_path, tmp_path / "report")).text


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no such directory"):
        write_report(tmp_path / "gone", tmp_path)


def test_a_broken_summary_is_refused_by_name(tmp_path: Path):
    write_study(tmp_path, {})
    (tmp_path / "results" / "co_emergence" / "summary.json").write_text("{")
    with pytest.raises(ValueError, match=r"summary.json: not JSON"):
        read_results(tmp_path)


def test_a_browser_shows_it_without_complaint(report: Path, tmp_path: Path):
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no headless browser on PATH")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    places = [f"--user-data-dir={tmp_path}", "--virtual-time-budget=5000", "--dump-dom"]
    shown = subprocess.run(
        [browser, *options, *places, report.as_uri()], capture_output=True, text=True, timeout=120
    )

    complaints = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints
    assert shown.stdout.count("<svg") == len(SEVEN)


def test_seeds_of_other_steps_are_drawn_to_their_common_end():
    """Checkpoints of two seeds that differ by a step or two: no part of training is left out."""
    frame = pd.DataFrame(
        [(0, 0, 0.0), (0, 10, 0.1), (0, 100, 1.0), (1, 0, 0.0), (1, 12, 0.2), (1, 98, 0.9)],
        columns=["seed", "step", "value"],
    )

    wide = by_seed(frame, "value")

    assert list(wide.index) == [0, 10, 12, 98]
    assert wide.loc[12, 0] == pytest.approx(0.1 + 0.9 * 2 / 90)
    assert wide.loc[10, 1] == pytest.approx(0.2 * 10 / 12)
