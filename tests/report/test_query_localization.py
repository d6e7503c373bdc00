"""The page's part on whose neurons they are: figures only with their tables, nulls beside results,
and numbers that are those of the tables."""

import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from coemerge.report.edit_tables import choice_says, edit_table, score_rows
from coemerge.report.figure_consistency import draw_consistency, draw_wordings
from coemerge.report.figure_neuron_maps import draw_changed_maps, draw_maps, grid_of
from coemerge.report.figure_query_effects import draw_edits, draw_mapping, draw_synapses
from coemerge.report.figures_query_localization import PICTURES
from coemerge.report.picture import pictures_of
from coemerge.report.published import PUBLISHED
from coemerge.report.query_rows import by_class, cuts, fact_rows, map_rows, wording_rows
from coemerge.report.results import TABLES, Results
from coemerge.report.side_by_side import side_by_side
from coemerge.tables.records import RECORDS
from tests.report.made_up import Tables
from tests.report.made_up_queries import RELATIONS, query_tables, summary, write_queries
from tests.report.parsed import Page, drawn, page_of

SECTION = "Are neurons of the fact or of the query?"
DRAWN = {picture.name for picture in PICTURES}
MADE_UP = query_tables()


def results(tables: Tables) -> Results:
    return Results(tables=tables, summary=[], manifests=[], missing=[])


def texts(figure: Figure, panel: int = 0) -> list[str]:
    return [text.get_text() for text in figure.axes[panel].texts]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_queries(tmp_path_factory.mktemp("run"), MADE_UP)


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return page_of(run)


@pytest.fixture(scope="module")
def section(page: Page) -> str:
    return page.text[page.text.index(SECTION) : page.text.index("How to read this")]


def test_tables_that_the_page_reads_are_tables_of_the_study():
    assert set(TABLES["query_localization"]) == set(MADE_UP) <= set(RECORDS)


def test_every_picture_is_drawn_and_kept_as_two_files(run: Path, page: Page):
    kept = {path.name for path in (run / "report" / "figures").iterdir()}

    assert kept == {f"{name}.{kind}" for name in DRAWN for kind in ("png", "svg")}
    assert len(page.paths) == len(DRAWN) == 7
    assert min(page.paths) > 20
    assert page.opened == []


def test_ids_are_of_one_element_each_also_of_equal_images(page: Page):
    ids = [value for name, value in page.attributes if name == "id"]

    assert len(ids) == len(set(ids))
    assert sum(value.startswith("data:image") for _, value in page.attributes) > 16


def test_the_caveats_stand_before_the_figures(section: str):
    caveats = section[: section.index("Neurons of two queries of a fact")]

    assert "here k = 5 queries, 11.4 neurons each" in caveats
    assert "a check of the arithmetic" in caveats
    assert "these neurons are those of the relation" in caveats


def test_each_figure_says_its_numbers_with_n_and_controls(section: str):
    assert "r = 1.00 for the consistent fact" in section
    assert "Mean CS2 of 60 facts by integrated gradients (k = 5 queries" in section
    assert "each of another fact of the relation: 0.12 [0.11, 0.13] (n = 60)" in section
    assert "texts that leave it right: 0.55 [0.54, 0.56] (n = 8)" in section
    assert (
        "−62.0 % [−68.0, −56.0] by own neurons (n = 12 of 18), random −1.0 % [−7.0, 5.0], own less "
        "the union of the other queries' −17.0 points [−23.0, −11.0], less those common to the "
        "other queries −42.0 points"
    ) in section
    assert "surely below unrelated synapses (−8.0 % [−13.0, −3.0], n = 42)" in section
    assert "consistent facts (n = 17 to 18) local 25.0 / 80.0 %, global 60.0 / 40.0 %" in section
    assert "+0.17 [+0.10, +0.24], 20 facts on the smaller side" in section
    assert "Change of the maps' sum: consistent fact −60.0 % suppressed, 60.0 %" in section
    assert "From mapping_effects.parquet" in section


def test_the_lead_counts_facts_and_says_why_some_are_left_out(section: str):
    lead = section[: section.index("CS2, the share of neurons")]

    assert (
        "Studied: 60 of 760 facts; left out: 500 not answered right in enough wordings, 200 more "
        "than the number asked for (study.n_facts)."
    ) in lead


def test_nothing_is_called_a_floor_nor_text_unrelated(section: str):
    assert "floor" not in section
    assert "held-out text" not in section


def test_shares_are_folded_away_with_every_null_and_threshold(section: str, page: Page):
    lines = section[section.index("Shares of inconsistent facts by localiser") :]

    assert "details" in page.tags
    assert (
        "coarse sets integrated gradients 0.36 (Otsu) 70.0 % [60.0, 80.0] 95.0 % [85.0, 100.0] "
        "80.0 % [70.0, 90.0] (n = 40) 15.0 % [5.0, 25.0] (n = 8) 100.0 % [90.0, 100.0] "
        "0.44 / 0.19 11.2, p = 1e-09 60"
    ) in lines
    assert "coarse sets under all of them otsu 63.0 %" in lines  # no one cut of three localisers
    assert lines.count(" 11.2, p = 1e-09 60") == 2 * 4 * 4


def test_edits_are_a_table_after_one_line_of_the_untouched_model(section: str):
    lines = section[section.index("Edits: what each choice") :]

    assert (
        "erase the fact consistent facts none: the untouched model – 0.0 % 2.0 % 2.0 % – – – – "
        "17 to 18"
    ) in lines
    assert (
        "give it another object inconsistent facts of any of the fact's queries (global) 37 "
        "[37, 37] 100.0 % [97.0, 103.0] 90.0 % [87.0, 93.0] 60.0 % [57.0, 63.0] 55.0 % "
        "[52.0, 58.0] 40.0 % [37.0, 43.0] 81.7 % [78.7, 84.7] 31.0 % [28.0, 34.0] 41 to 42"
    ) in lines
    assert (
        "To erase the fact (15 dev facts): local τ = 0.3 (mean 73.0 %, best of 2); global τ = 0.3 "
        "(mean 73.0 %, best of 2); consistency-aware β = 2 and τ = 0.3 (mean 75.0 %, best of 8)."
    ) in lines
    assert (
        "β = 0 and τ = 0.3 (mean 75.0 %, best of 8), which is the plain mean: the spread over "
        "queries is not used."
    ) in lines


def test_published_rows_stand_beside_ours_with_controls(page: Page):
    beside = page.text[page.text.index("Beside the published") : page.text.index(SECTION)]
    rows = {row.id: row for row in PUBLISHED if row.study == "query_localization"}

    assert {name: row.value for name, row in rows.items()} == {"P3-a": "77 %", "P3-b": "8 % / 9 %"}
    assert all(row.differs in beside and row.controls in beside for row in rows.values())
    assert "share, all localisers 61.0 % [50.0, 70.0] 60" in beside
    assert "single neurons alone: 70.0 % [60.0, 80.0]" in beside
    assert "each of another fact of the relation: 85.5 % [75.5, 95.5] (n = 60)" in beside
    assert "consistent - local +5.0 points [−1.0, +11.0]" in beside
    assert "erase, Avg of local 71.7 % [68.7, 74.7], global 81.7 %" in beside
    assert "n of P3-a and P3-b: facts." in beside


def test_a_published_value_stands_beside_what_it_is_of_alone():
    table = side_by_side(Results(tables=MADE_UP, summary=summary(), manifests=[], missing=[]))
    rows = [row for row in re.findall("<tr>.*?</tr>", table) if "made-up" in row]
    starts = [re.sub("<[^>]*>", " ", row.split("<small>")[0]) for row in rows]

    assert len(rows) == 5
    assert "77\u00a0%" in starts[0]
    assert rows[1].startswith('<tr><td rowspan="1">–</td><td>null: other facts')
    assert "8\u00a0% / 9\u00a0%" in starts[2]
    assert '<td rowspan="2">8\u00a0% / 9\u00a0%' in rows[2]
    assert rows[3].startswith("<tr><td>consistent - global")
    assert rows[4].startswith('<tr><td rowspan="1">–</td><td>consistent - equal')


@pytest.mark.parametrize(
    ("table", "figures"),
    [
        ("exclusions", set()),
        ("consistency", {"query_consistency"}),
        ("consistency_means", set()),
        ("class_shares", set()),
        ("mapping_effects", {"query_mapping"}),
        ("synapse_effects", {"query_synapses"}),
        ("edit_scores", {"query_edits"}),
        ("consistent_choice", set()),
        ("wording_effects", {"query_wordings"}),
        ("neuron_maps", {"query_maps", "query_changed_maps"}),
    ],
)
def test_one_table_alone_is_enough(table: str, figures: set[str]):
    only = results({table: MADE_UP[table].assign(newer_column=1)})
    found = pictures_of(only, PICTURES)

    assert {picture.name for picture in found} == figures
    assert [picture.says(only) == "" for picture in found if picture.says] == [
        table == "consistency"  # its sentence is about means
    ] * len(figures)


def test_a_table_of_shares_is_a_section_without_figures(tmp_path: Path):
    page = page_of(write_queries(tmp_path, {"class_shares": MADE_UP["class_shares"]}, []))

    assert SECTION in page.text
    assert drawn(tmp_path) == set()


@pytest.mark.parametrize("tables", [{}, "empty"], ids=["none", "empty"])
def test_without_results_there_is_no_section(tmp_path: Path, tables: Tables | str):
    empty = {name: frame.iloc[:0] for name, frame in MADE_UP.items()}
    page = page_of(write_queries(tmp_path, empty if tables == "empty" else {}, []))

    assert SECTION not in page.text
    assert page.paths == []


def test_what_is_undefined_is_left_out_and_never_told_as_a_number(tmp_path: Path):
    hollow = {}
    for name in set(MADE_UP) - {"neuron_maps"}:
        frame = MADE_UP[name]
        kept = {"factor", "n", "n_total", "k", "beta", "tau"}
        holes = [column for column in frame.select_dtypes("number") if column not in kept]
        hollow[name] = frame.assign(**dict.fromkeys(holes, float("nan")))
    page = page_of(write_queries(tmp_path, hollow, []))

    assert SECTION in page.text
    assert drawn(tmp_path) == set()
    assert "nan" not in page.text.split()


def test_names_are_text_and_never_markup(tmp_path: Path):
    evil = "<script>alert(1)</script> $x^2"
    tables = {
        "neuron_maps": MADE_UP["neuron_maps"].query("synapses == 'untouched'").assign(text=evil),
        "wording_effects": MADE_UP["wording_effects"].assign(localiser=evil),
    }
    page = page_of(write_queries(tmp_path, tables, []))

    assert "script" not in page.tags
    assert evil in page.text  # the name of the localiser
    assert drawn(tmp_path) == {"query_maps", "query_wordings"}


def test_maps_share_one_scale_and_show_the_values_of_their_query():
    rows = map_rows(results(MADE_UP), changed=False)
    panels = [axes for axes in draw_maps(rows).axes if axes.images]
    second = rows[(rows["cls"] == "consistent") & (rows["query"] == 1)]

    assert len(panels) == 4
    assert {axes.images[0].get_clim() for axes in panels} == {(0, rows["attribution"].max())}
    assert panels[1].images[0].get_array().tolist() == grid_of(second).tolist()
    assert "consistent fact, query 2" in panels[1].get_title()
    assert "“Cekkil Prunddask came" in panels[1].get_title()


def test_maps_before_and_after_are_drawn_only_where_attention_was_changed():
    rows = map_rows(results(MADE_UP), changed=True)
    panels = [axes for axes in draw_changed_maps(rows).axes if axes.images]
    untouched = MADE_UP["neuron_maps"].query("synapses == 'untouched'")

    assert len(panels) == 2 * 2 * 3
    assert {axes.images[0].get_clim() for axes in panels} == {(0, rows["attribution"].max())}
    first = [float(axes.images[0].get_array().sum()) for axes in panels[:3]]
    assert [value / first[1] for value in first] == pytest.approx([0.4, 1.0, 1.6])
    assert map_rows(results({"neuron_maps": untouched}), changed=True).empty


def test_violins_have_every_fact_the_means_and_the_cuts():
    found = results(MADE_UP)
    lines = {"threshold": cuts(found, "threshold")}
    coarse = fact_rows(found).query("sets == 'threshold'")
    means = MADE_UP["consistency_means"].query("localiser == 'joint'")
    relations, nulls = draw_consistency(coarse, means, lines).axes[:2]

    assert lines == {"threshold": {"0.3": 0.3, "otsu": 0.36}}
    points = [found for found in nulls.collections if len(found.get_offsets()) > 1]
    within = sorted(points[0].get_offsets()[:, 1])
    assert within == pytest.approx(sorted(coarse.query("control == 'none'")["cs2"]))
    assert [len(found.get_offsets()) for found in points] == [60, 60, 40, 8, 60]
    assert [line.get_ydata()[0] for line in nulls.lines if len(set(line.get_ydata())) == 1][
        -2:
    ] == [0.3, 0.36]
    dots = next(line for line in nulls.lines if line.get_marker() == "o")
    assert list(dots.get_ydata()) == pytest.approx([0.27, 0.12, 0.2, 0.55, 0.01])
    labels = [label.get_text() for label in relations.get_xticklabels()]
    assert labels == [f"{name}\nn = 12" for name in RELATIONS]


def test_a_relation_of_one_fact_and_equal_values_are_drawn():
    frame = MADE_UP["consistency"].query("localiser == 'joint'")
    few = frame[frame["fact_id"].isin(["fact-00", "fact-05", "fact-01"])].assign(cs2=0.5)
    axes = draw_consistency(few, pd.DataFrame(), {}).axes[0]

    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "birthplace\nn = 2", "employer\nn = 1"
    ]  # fmt: skip


def test_bars_of_changed_neurons_are_those_of_the_table():
    rows = by_class(MADE_UP["mapping_effects"], "delta_prob")
    figure = draw_mapping(rows)

    assert texts(figure) == ["−62", "−45", "−20", "−10", "−1", "−62", "−22", "−10", "−5", "0"]
    assert figure.axes[0].get_title().endswith("n = 12 of 18 consistent, 28 of 42 inconsistent")
    assert len([axes for axes in figure.axes if axes.patches]) == 4


def test_sets_that_are_sometimes_empty_tell_their_range_of_n():
    rows = by_class(MADE_UP["mapping_effects"], "delta_prob")
    rows.loc[(rows["neurons"] == "intersection") & (rows["cls"] == "consistent"), "n"] = 7
    full = draw_mapping(rows).axes[1]

    assert full.get_title().endswith("n = 7 to 18 of 18 consistent, 42 inconsistent")


def test_where_no_class_is_told_all_facts_are_drawn():
    rows = by_class(MADE_UP["mapping_effects"].query("cls == 'all'"), "delta_prob")

    assert draw_mapping(rows).axes[0].get_legend_handles_labels()[1] == ["all facts"]


def test_bars_of_synapses_stand_beside_their_control():
    figure = draw_synapses(by_class(MADE_UP["synapse_effects"], "value"))

    assert texts(figure) == ["−40", "−40", "−32", "−32", "−8", "−8", "−6", "−6"]
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["consistent facts\nn = 18 facts", "inconsistent facts\nn = 42 facts"]


def test_bars_of_edits_have_the_untouched_model_and_their_cost_apart():
    figure = draw_edits(score_rows(results(MADE_UP)))
    ticks = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_linewidth() == 2.2]
    cost = [bar.get_height() for bar in figure.axes[1].patches]

    assert texts(figure)[:6] == ["95", "30", "25", "90", "80", "72"]
    assert sorted(set(ticks)) == [0.0, 0.02]
    assert len(ticks) == 3 * 6
    assert cost == pytest.approx([0.02, 0.31, 0.06, 0.05, 0.02, 0.001])
    assert [axes.get_title() for axes in figure.axes[2:4]] == [
        "erase the fact: inconsistent facts, n = 41 to 42 facts", "change of perplexity"
    ]  # fmt: skip
    assert len(figure.axes) == 4 * 2


def test_costs_without_bounds_are_drawn_on_a_logarithmic_scale():
    frame = MADE_UP["edit_scores"]
    frame = frame.assign(value=frame["value"].mask(frame["measure"] == "ppl_change", 400.0))

    assert draw_edits(score_rows(results({"edit_scores": frame}))).axes[1].get_yscale() == "symlog"


def test_wordings_have_each_regime_and_the_contrast_apart():
    panels = draw_wordings(wording_rows(results(MADE_UP))).axes
    heights = [sorted({round(bar.get_height(), 3) for bar in axes.patches}) for axes in panels]

    assert heights == [[0.2, 0.22, 0.39], [0.17], [0.3, 0.33, 0.585], [0.255]]
    assert [axes.get_xticklabels()[0].get_text() for axes in panels[::2]] == [
        "integrated\ngradients\nn = 20", "integrated\ngradients\nn = 7"
    ]  # fmt: skip
    assert "as the lot assigned them" in panels[0].get_title()
    assert "which the regime selects" in panels[2].get_title()


def test_wordings_of_one_kind_of_facts_are_one_line():
    rows = wording_rows(results(MADE_UP)).query("facts == 'assigned'")

    assert len(draw_wordings(rows).axes) == 2


def test_no_edits_no_table_and_no_choice():
    assert edit_table(results({})) == ""
    assert choice_says(results({})) == ""
