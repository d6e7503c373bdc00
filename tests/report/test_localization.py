"""The page's part on where facts live and on reasoning: figures only with their tables, caveats
beside results, and numbers that are those of the tables."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from coemerge.report.figure_mask_training import draw_training, kinds_of
from coemerge.report.figure_mask_units import draw_layers, draw_overlap
from coemerge.report.figure_masks import draw_controls, draw_drops
from coemerge.report.figure_reasoning import draw_reasoning, reasoning_rows
from coemerge.report.mask_rows import drop_rows, layer_rows, measure_rows, size_rows
from coemerge.report.plotting import drawing
from coemerge.report.published import PUBLISHED
from coemerge.report.results import Results, pick
from tests.report.made_up import Tables
from tests.report.made_up_masks import (
    SEVEN,
    SIX,
    mask_tables,
    reasoning_tables,
    training_tables,
    write_masks,
)
from tests.report.parsed import Page, drawn, page_of

OF_MASKS = {"mask_drops", "mask_controls", "mask_by_format", "mask_layers", "mask_overlap"}
SECTION, REASONING = "Where each fact lives", "Does reasoning reach other formats?"


def results(tables: Tables) -> Results:
    return Results(tables=tables, summary=[], manifests=[], missing=[])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    return write_masks(directory, mask_tables(), reasoning_tables(), training_tables(), n_seeds=3)


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return page_of(run)


def test_every_table_has_its_figure_in_its_section(run: Path, page: Page):
    assert drawn(run) == {*OF_MASKS, "mask_training", "reasoning"}
    assert min(page.paths) > 5
    assert page.opened == []
    first, second = page.text.index(SECTION), page.text.index(REASONING)
    assert first < page.text.index("From mask_overlap.parquet") < second
    assert second < page.text.index("From cot_drops.parquet")


def test_the_caveats_stand_before_the_figures_with_what_was_measured(page: Page):
    section = page.text[page.text.index(SECTION) :]
    caveats = section[section.index("What masks do not show") : section.index("Mean relative drop")]

    assert "disjoint because training forbids them to share units" in caveats
    assert "costs 41.0 % [36.9, 45.1] and recovers 66.0 % [59.4, 72.6], so that" in caveats
    assert "random units would share 0.02" in caveats
    assert "Spearman's ρ −0.18 [−0.31, −0.04]; first masks 61.0 %, last ones 47.0 %." in caveats
    assert "across facts, not seeds" in caveats
    assert "45.0 % [40.5, 49.5] are valid" in caveats
    assert "one enriched representation of the subject" in caveats


def test_reasoning_has_its_caveats(page: Page):
    section = page.text[page.text.index(REASONING) :]

    assert "no free chain of thought" in section
    assert "Its floor is the worst of as many sets of random units" in section


def test_published_rows_stand_beside_ours_with_floors(page: Page):
    beside = page.text[page.text.index("Beside the published") : page.text.index(SECTION)]
    rows = [row for row in PUBLISHED if row.id in {f"P1-{letter}" for letter in "defgh"}]

    assert [row.value for row in rows] == [
        "29–89 % / ≤ 8 %", "69–102 %", "0.21 / 0.11", "−20…−72 / −12…−30 %", "≤ 8 / −11…−31 %"
    ]  # fmt: skip
    assert all(row.id in beside and row.value in beside and row.differs in beside for row in rows)
    assert "floor 6.0 %, 97.5 % of draws below 9.6 %" in beside
    assert "random units in place of free masks: 0.02" in beside
    fold = beside.index("Direct answers and chain of thought, format by format")
    assert beside.index("worst mask of the fact's other formats, mcqa") > fold
    assert beside.index("worst mask of the fact's other formats, all formats") < fold


def test_entanglement_and_order_are_tables(page: Page):
    assert "generative 0.11 [0.08, 0.14], n = 24" in page.text
    assert "neurons in the mask 0.33 [0.2, 0.45] 31 44.5 24" in page.text


@pytest.mark.parametrize(
    ("table", "figures"),
    [
        ("drop_matrix", {"mask_drops"}),
        ("mask_measures", {"mask_controls", "mask_by_format"}),
        ("mask_layers", {"mask_layers"}),
        ("mask_overlap", {"mask_overlap"}),
        ("entanglement", set()),
    ],
)
def test_one_table_alone_is_enough(tmp_path: Path, table: str, figures: set[str]):
    only = {table: mask_tables()[table].assign(newer_column=1)}
    text = page_of(write_masks(tmp_path, only, {}, {})).text

    assert drawn(tmp_path) == figures
    assert (SECTION in text) == bool(figures)
    assert REASONING not in text


def test_masks_of_training_stand_alone_too(tmp_path: Path):
    only = {"localization": training_tables()["localization"]}
    text = page_of(write_masks(tmp_path, {}, {}, only)).text

    assert drawn(tmp_path) == {"mask_training"}
    assert "same fact and format without the first's units: not measured" in text
    assert "study=task_localization run=DIR" in text  # the study itself was not run


@pytest.mark.parametrize("tables", [{}, "empty"], ids=["none", "empty"])
def test_without_results_there_is_no_section(tmp_path: Path, tables: Tables | str):
    empty = {name: frame.iloc[:0] for name, frame in mask_tables().items()}
    nothing = {name: frame.iloc[:0] for name, frame in reasoning_tables().items()}
    masks, reasoning = (empty, nothing) if tables == "empty" else ({}, {})
    page = page_of(write_masks(tmp_path, masks, reasoning, {}))

    assert SECTION not in page.text
    assert REASONING not in page.text
    assert page.paths == []


def test_names_are_text_and_never_markup(tmp_path: Path):
    evil = "<script>alert(1)</script> $x^2"
    tables = {name: frame.replace({"openqa": evil}) for name, frame in mask_tables().items()}
    page = page_of(write_masks(tmp_path, tables, {}, {}))

    assert evil in page.text
    assert "script" not in page.tags
    assert len(page.paths) == len(OF_MASKS)


def texts(figure: Figure, panel: int = 0) -> list[str]:
    return [text.get_text() for text in figure.axes[panel].texts]


def test_the_heat_map_has_a_row_per_mask_and_one_of_other_facts():
    frame = mask_tables(SEVEN)["drop_matrix"].assign(drop=0.04, sd=0.1)
    target = (frame["mask_task"] == frame["eval_task"]) & (frame["eval_facts"] == "own")
    frame.loc[target, "drop"] = 0.5
    frame.loc[frame["eval_facts"] == "other", "drop"] = -0.02
    figure = draw_drops(drop_rows(results({"drop_matrix": frame})))
    cells = texts(figure)

    assert [axes.get_title().split("\n")[0] for axes in figure.axes[:2]] == [
        "masks of a fact may share no unit", "masks of a fact may overlap"
    ]  # fmt: skip
    assert len(cells) == 8 * 7
    assert cells[:2] == ["50 %\n± 10", "4 %\n± 10"]
    assert cells[-7:] == ["−2 %\n± 10"] * 7
    assert figure.axes[0].get_ylim() == (7.5, -0.5)  # masks above, other facts below


def test_bars_are_those_of_masks_and_controls_with_intervals():
    rows = pick(measure_rows(results(mask_tables()), "target_drop"), task="all")
    figure = draw_controls(rows)
    bars = [bar.get_height() for bar in figure.axes[0].patches]

    assert bars == pytest.approx([0.53, 0.58, 0.41, 0.09, 0.04])
    assert texts(figure) == ["53", "58", "41", "9", "4"]
    assert [axes.get_title() for axes in figure.axes] == [
        "all masks (24 facts)", "valid masks alone (12 facts)"
    ]  # fmt: skip


def test_sizes_stand_in_the_legend_of_the_layers():
    found = results(mask_tables())
    sizes = size_rows(found).assign(value=2.5)
    labels = draw_layers(layer_rows(found), sizes).axes[0].get_legend_handles_labels()[1]

    assert labels[0] == "completion: 2.5 heads, 2.5 neurons"
    assert draw_layers(layer_rows(found), pd.DataFrame()).axes[0].get_ylim()[0] == 0


def test_overlap_is_drawn_once_per_pair_with_what_chance_gives():
    frame = mask_tables()["mask_overlap"].assign(jaccard=0.25)
    cells = texts(draw_overlap(frame))

    assert cells == ["0.25\n(0.02)"] * 21  # lower triangle and diagonal
    lonely = texts(draw_overlap(frame[frame["between"] == "tasks"]))
    assert lonely.count("–") == 6


def test_overlap_while_training_is_averaged_by_kinds_of_formats():
    frame = training_tables()["localization_overlaps"].assign(jaccard=0.1)
    frame.loc[(frame["task"] == "completion") & (frame["other_task"] == "mcqa"), "jaccard"] = 1.0
    lines = draw_training(training_tables()["localization"], frame).axes[-1].lines
    ends = {line.get_label(): line.get_ydata()[-1] for line in lines}

    assert ends == pytest.approx(
        {
            "generative, generative": 0.1,
            "generative, discriminative": 0.2,
            "discriminative, discriminative": 0.1,
        }
    )
    assert kinds_of("mcqa", "multihop") == "generative, discriminative"


def test_masks_of_training_are_means_over_facts():
    frame = training_tables(SIX)["localization"].assign(necessity=0.4, sufficiency=float("nan"))
    frame.loc[frame["fact_id"] == "fact-0", "necessity"] = 0.8
    figure = draw_training(frame, pd.DataFrame())

    assert len(figure.axes) == 6  # necessity, two of specificity, size; two hidden
    assert [axes.get_visible() for axes in figure.axes].count(True) == 4
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([0.5] * 5)


def test_each_bar_of_reasoning_has_its_floor():
    rows = reasoning_rows(results(reasoning_tables(("mcqa",))))
    with drawing():
        first = draw_reasoning(rows).axes[0]
    floors = [line.get_ydata()[0] for line in first.lines if line.get_linewidth() == 2.2]

    assert sorted(set(floors)) == [0.02, 0.06]
    assert len(floors) == 8
    assert texts(draw_reasoning(rows))[:4] == ["46", "3", "2", "7"]
    assert set(rows["route"]) == {"all"}
