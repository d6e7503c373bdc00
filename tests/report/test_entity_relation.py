"""The page's part on the two sides of facts: figures only with their tables, values before edits
beside those under them, and numbers that are those of the tables."""

import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.colors import Normalize

from coemerge.report.figure_sides import documents, draw_sides, draw_transfer
from coemerge.report.figure_tracing import (
    colour_scale,
    cut_layers,
    draw_attention,
    draw_effects,
    draw_neutral,
    draw_severed,
)
from coemerge.report.figures_entity_relation import PICTURES
from coemerge.report.picture import pictures_of
from coemerge.report.published import PUBLISHED, PUBLISHED_SIDES
from coemerge.report.results import TABLES, Results
from coemerge.report.side_by_side import side_by_side
from coemerge.report.side_choices import edges
from coemerge.report.side_rows import (
    KINDS,
    attention_rows,
    cross_rows,
    drawn_transfer,
    effect_rows,
    main_arm,
    role_name,
    severed_rows,
    total_rows,
)
from coemerge.report.side_tables import control_table, cross_tables, harmonic_mean, published_text
from coemerge.tables.records import RECORDS
from tests.report.made_up import Tables
from tests.report.made_up_sides import ARMS, EDITORS, effect, side_tables, summary, write_sides
from tests.report.parsed import Page, drawn, page_of, plain_text

SECTION = "Does an edit of one side show on the other?"
DRAWN = {picture.name for picture in PICTURES}
MADE_UP = side_tables()


def results(tables: Tables) -> Results:
    return Results(tables=tables, summary=[], manifests=[], missing=[])


FOUND = results(MADE_UP)


def few() -> Tables:
    """Of one arm, one editor and one corruption: quickly drawn."""
    found = {}
    for name, frame in MADE_UP.items():
        for column, value in (("arm", "both_sides"), ("editor", "rome")):
            frame = frame[frame[column] == value] if column in frame else frame
        found[name] = frame
    effects = found["tracing_effects"]
    found["tracing_effects"] = effects[effects["corrupt"] == "subject"]
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sides(tmp_path_factory.mktemp("run"), MADE_UP)


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return page_of(run)


@pytest.fixture(scope="module")
def section(page: Page) -> str:
    start = page.text.index("A fact joins a subject")
    return page.text[start : page.text.index("How to read this")]


def test_tables_that_the_page_reads_are_tables_of_the_study():
    assert set(TABLES["entity_relation"]) == set(MADE_UP) <= set(RECORDS)


def test_every_picture_is_drawn_and_kept_as_two_files(run: Path, page: Page):
    kept = {path.name for path in (run / "report" / "figures").iterdir()}

    assert kept == {f"{name}.{kind}" for name in DRAWN for kind in ("png", "svg")}
    assert len(page.paths) == len(DRAWN) == 7
    assert min(page.paths) > 20
    assert page.opened == []


def test_ids_are_of_one_element_each(page: Page):
    ids = [value for name, value in page.attributes if name == "id"]

    assert len(ids) == len(set(ids))


def test_the_lead_counts_facts_and_says_why_some_are_left_out(section: str):
    assert (
        "Studied: 60 of 138 facts; kept for choosing settings: 18; left out: 48 not answered "
        "right before any edit, 12 without another object to be given."
    ) in section[: section.index("A value under an edit")]


def test_the_caveats_stand_before_the_figures(section: str):
    caveats = section[: section.index("Edits of one side, asked from both")]

    for words in ("means nothing without that of the untouched model", "the easy ones",
                  "causal tracing points at", "no published numbers are at hand",
                  "compare whole ones alone", "compares a relation's name with none"):  # fmt: skip
        assert words in caveats


def test_each_figure_says_its_numbers_with_n(section: str):
    assert "relation probe 5.0 % [4.0, 6.0] (room to rise, n = 24)" in section
    assert "MEMIT 0.41 [0.33, 0.49] (net of damage 0.37 [0.29, 0.45]), FT 0.44" in section
    assert "MLP outputs 25.0 % [23.0, 27.0] (last subject token, layer 2, n = 80)" in section
    assert "noise on subject (n = 78) 70.0 % [63.0, 77.0] when MLP outputs are held" in section
    assert "(n = 70 of 100): subject 62.0 % [57.0, 67.0], relation 40.0 %" in section
    assert "relation − subject +22.0 points [+15.0, +29.0]" in section


def test_the_table_has_values_before_under_and_published_ones_of_all_arms(section: str):
    lines = section[section.index("Edits of either side, asked from either side") :]

    assert (
        "ROME relation edit entity: the new object 2.0 % [1.0, 3.0] 21.4 % [17.4, 25.4] +19.4 "
        "points [+15.4, +23.4] 27.9 % 2.0 % [1.0, 3.0] 15.6 % [11.6, 19.6] +13.6 points "
        "[+9.6, +17.6] 28.1 % 100.0 % [99.0, 101.0] 97.0 % [93.0, 101.0] −3.0 points "
        "[−7.0, +1.0] 59 to 60 of 60"
    ) in lines
    assert "MEND (not measured here) entity edit entity: the new object – – 93.8 %" in lines
    assert lines.count("before: unknown") == 2
    assert "FT-L entity edit entity: the new object 2.0 % [1.0, 3.0] 60.8 %" in lines


def test_arms_are_folded_away_without_published_values():
    told = cross_tables(FOUND)
    open_part, *folded = told.split("<details>")

    assert open_part.count("<tr>") == 1 + len(EDITORS) * 2 * 7 + 6
    assert len(folded) == len(ARMS) - 1
    assert all("unknown" not in part and part.count("<tr>") == 71 for part in folded)


def test_the_other_parts_are_folded_away(section: str, page: Page):
    for title in ("Every transfer index (TI)", "Settings tried: 40; 10 chosen at an edge",
                  "Other edits in place of the fact's", "How edits ended",
                  "Facts studied and left out, by arm", "Attention's share: sites"):  # fmt: skip
        assert title in section
    assert "details" in page.tags
    assert "ROME entity edit 3 lr=2, steps=20, try=3 99.0 % 79.0 % 90.0 % 95.0 %" in section
    assert "yes (edge: layer, lr, try)" in section
    assert "KN entity edit chosen by neurons lr=2" in section
    assert "FT entity edit 60 3 0 0.0795 21 0.1" in section
    assert "KN relation edit 60 0 1 – 0 0.1" in section
    assert (
        "shown from both sides (both_sides) left out: not answered right before any edit 16"
    ) in section
    assert "attention's share subject best role and layer last subject token, layer 3" in section
    assert (
        "FT entity edit efficacy shown from both sides (both_sides) 0.44 [0.36, 0.52] (net of "
        "damage 0.40 [0.32, 0.48]) 12"
    ) in section


def test_controls_stand_beside_the_edit_in_a_fold():
    told = plain_text(control_table(FOUND))

    assert told.count("ROME entity edit relation") == len(ARMS)
    assert (
        "all ROME entity edit relation: its name, with the new object 5.0 % [4.0, 6.0] 23.8 % "
        "[19.8, 27.8] 6.0 % [2.0, 10.0] 4.0 % [0.0, 8.0] 60"
    ) in told
    none = MADE_UP["cross_side"].query("control == 'none'")
    assert control_table(results({"cross_side": none})) == ""


def test_the_edits_own_rows_are_not_those_of_controls():
    rows = cross_rows(FOUND, "efficacy")

    assert set(rows["control"]) == {"none"}
    assert not rows.duplicated(["arm", "editor", "edit_side", "probe", "moment"]).any()


@pytest.mark.parametrize(
    ("chosen", "named"),
    [
        ({"layer": 0.0, "lr": 1.0}, []),  # nothing lies before the first layer
        ({"layer": 2.0, "lr": 1.0}, ["layer"]),
        ({"layer": 1.0, "lr": 0.5, "steps": 5.0}, ["lr"]),
        ({"layer": 1.0, "lr": 2.0}, ["lr"]),
        ({"layer": 1.0}, []),
    ],
)
def test_a_choice_lies_at_an_edge_of_what_was_tried(chosen: dict[str, float], named: list[str]):
    tried = [{"layer": float(k), "lr": lr, "steps": 5.0} for k in range(3) for lr in (0.5, 1, 2)]

    assert edges(chosen, tried) == named


def test_published_rows_stand_beside_ours_with_values_before(page: Page):
    beside = page.text[page.text.index("Beside the published") : page.text.index(SECTION)]
    rows = [row for row in PUBLISHED if row.study == "entity_relation"]

    assert all(row.differs in beside and row.controls in beside for row in rows)
    assert "before the edit, relation edit, efficacy: 2.9 % " in beside
    assert "FT-L 0.47 [0.39, 0.55] (net of damage 0.43 [0.35, 0.51])" in beside
    assert "noise on neutral, behind neutral words: 6.0 % [1.0, 11.0] (n = 70)" in beside
    assert "ROME, entity edit, TI 0.12 [0.1, 0.2]" in beside
    assert "n of P2-a: facts, of P2-b: prompts." in beside


def test_a_published_value_stands_beside_what_it_is_of_and_what_was_before_is_folded():
    found = Results(tables=MADE_UP, summary=summary(), manifests=[], missing=[])
    told = side_by_side(found)
    rows = [row for row in re.findall("<tr>.*?</tr>", told) if "made-up" in row]
    starts = [re.sub("<[^>]*>", " ", row.split("<small>")[0]) for row in rows]

    assert "entity edit: FT 98.2" in starts[0]
    assert rows[1].startswith('<tr><td rowspan="1">–</td><td>ROME, entity edit, TI')
    assert "18.6" in starts[2]
    assert rows[3].startswith('<tr><td rowspan="1">–</td><td>total, relation')
    assert told.index("ROME, entity edit, untouched") > told.index("<details>")


def test_harmonic_means_of_the_published_pairs_are_the_published_means():
    """T-R5, and the other means of methods 4.3."""
    assert harmonic_mean(99.93, 96.12) == pytest.approx(97.99, abs=0.005)
    means = {
        ("entity", "efficacy"): (98.22, 44.61, 95.81, 97.99, 95.55),
        ("relation", "efficacy"): (38.51, 36.60, 36.51, 43.65, 38.20),
        ("entity", "generalisation"): (59.04, 41.29, 65.87, 84.10, 77.76),
        ("relation", "generalisation"): (38.49, 37.20, 38.01, 42.19, 37.23),
    }
    for (side, measure), values in means.items():
        for editor, value in zip(("ft", "kn", "mend", "rome", "memit"), values, strict=True):
            pair = PUBLISHED_SIDES[editor, side, measure]
            assert harmonic_mean(*pair) == pytest.approx(value, abs=0.006), (editor, side, measure)
    assert published_text("rome", "entity", "mean", "efficacy") == "98.0 %"
    assert published_text("rome", "entity", "removal", "efficacy") == "–"
    assert published_text("ft_l", "entity", "entity", "efficacy") == "–"


@pytest.mark.parametrize(
    ("table", "figures"),
    [
        ("side_exclusions", set()),
        ("cross_side", {"side_efficacy", "side_generalisation"}),
        ("side_transfer", {"side_transfer"}),
        ("side_means", set()),
        ("edit_choice", set()),
        ("edit_outcomes", set()),
        ("tracing_totals", {"tracing_neutral"}),
        ("tracing_effects", {"tracing_effects", "tracing_severed"}),
        ("attention_shares", {"attention_share"}),
    ],
)
def test_one_table_alone_is_enough(tmp_path: Path, table: str, figures: set[str]):
    only = {table: few()[table].assign(newer_column=1)}
    page = page_of(write_sides(tmp_path, only, []))

    assert "A fact joins a subject" in page.text
    assert drawn(tmp_path) == figures
    assert {picture.name for picture in pictures_of(results(only), PICTURES)} == figures


@pytest.mark.parametrize("tables", [{}, "empty"], ids=["none", "empty"])
def test_without_results_there_is_no_section(tmp_path: Path, tables: Tables | str):
    empty = {name: frame.iloc[:0] for name, frame in MADE_UP.items()}
    page = page_of(write_sides(tmp_path, empty if tables == "empty" else {}, []))

    assert "A fact joins a subject" not in page.text
    assert page.paths == []


def test_what_is_undefined_is_left_out_and_never_told_as_a_number(tmp_path: Path):
    kept = {"n", "n_total", "n_kept", "seed", "layer", "place", "window", "n_steps"}
    hollow = {}
    for name, frame in MADE_UP.items():
        holes = [column for column in frame.select_dtypes("number") if column not in kept]
        hollow[name] = frame.assign(**dict.fromkeys(holes, float("nan")))
    page = page_of(write_sides(tmp_path, hollow, []))

    assert "A fact joins a subject" in page.text
    assert drawn(tmp_path) == set()
    assert not re.search(r"(?<!\w)(nan|inf|None)(?!\w)", page.text)


def test_intervals_that_are_not_known_are_drawn_without(tmp_path: Path):
    bare = {
        name: frame.assign(
            **dict.fromkeys({"low", "high", "net_low", "net_high"} & set(frame), float("nan"))
        )
        for name, frame in few().items()
    }
    page = page_of(write_sides(tmp_path, bare, []))

    assert drawn(tmp_path) == DRAWN - {"attention_share"}  # ratios
    assert "undecided (no interval)" in page.text


def test_names_are_text_and_never_markup(tmp_path: Path):
    evil = "<script>alert(1)</script> $x^2"
    tables = {
        "cross_side": few()["cross_side"].assign(arm=evil),
        "side_transfer": few()["side_transfer"].assign(arm=evil),
        "edit_choice": few()["edit_choice"].assign(setting=evil),
        "tracing_effects": few()["tracing_effects"].replace({"role": {"last": evil}}),
    }
    page = page_of(write_sides(tmp_path, tables, []))

    assert "script" not in page.tags
    assert evil in page.text


def test_editors_and_arms_that_nobody_knows_do_not_stop_the_page(tmp_path: Path):
    new = {}
    for name, frame in few().items():
        told = {"arm": "A9_new", "editor": "newer"}
        other = frame.assign(**{key: value for key, value in told.items() if key in frame})
        new[name] = pd.concat([frame, other.assign(arm="A9_new")] if "arm" in frame else [frame])
    page = page_of(write_sides(tmp_path, new, []))

    assert drawn(tmp_path) == DRAWN
    assert "newer" not in page.text


def test_an_arm_that_nobody_knows_has_its_name():
    frame = few()["cross_side"].assign(arm="A9_new")

    assert "The same of facts A9_new" in cross_tables(results({"cross_side": frame}))
    assert "A9_new" in draw_sides(frame, "efficacy").axes[0].get_title()


# --- pictures --------------------------------------------------------------------------------


def test_lines_go_from_the_untouched_model_to_the_edit():
    panels = draw_sides(cross_rows(FOUND, "efficacy"), "efficacy").axes
    thick = [line.get_xdata() for line in panels[0].lines if line.get_linewidth() == 2.4]
    rome = MADE_UP["cross_side"].query(
        "arm == 'all' and editor == 'rome' and edit_side == 'entity' and measure == 'efficacy' "
        "and probe == 'relation' and control == 'none'"
    )

    assert len(panels) == 2 * 4
    assert len(thick) == 5 * 3
    ends = rome.set_index("moment")["value"]
    assert any(list(line) == pytest.approx([ends["pre"], ends["post"]]) for line in thick)
    assert panels[0].get_title() == "entity edit; facts\nof all arms\nn = 60 facts"
    assert panels[7].get_title().startswith("relation edit; facts\nshown from both sides")
    assert [label.get_text() for label in panels[0].get_yticklabels()][:2] == ["ROME", "MEMIT"]


def test_crosses_are_a_third_object_under_the_edit():
    axes = draw_sides(cross_rows(FOUND, "efficacy"), "efficacy").axes[0]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]

    assert [len(line.get_xdata()) for line in crosses] == [5, 5, 0]  # none of removal
    assert list(crosses[1].get_xdata()) == pytest.approx([0.07] * 5)


def test_transfer_is_drawn_net_of_damage_beside_as_it_is():
    points = [line for line in draw_transfer(drawn_transfer(FOUND)).axes[0].lines
              if line.get_marker() == "o"]  # fmt: skip
    raw, net = points[:2]  # of the first editor

    assert raw.get_markerfacecolor() == "none" != net.get_markerfacecolor()
    assert list(raw.get_ydata() - net.get_ydata()) == pytest.approx([0.04] * 3)
    old = drawn_transfer(FOUND).drop(columns=["net", "net_low", "net_high"])
    assert draw_transfer(old).axes


def test_transfer_stands_in_the_order_of_documents_and_never_on_its_own_side():
    rows = drawn_transfer(FOUND)
    panels = draw_transfer(rows).axes

    assert (rows["edit_side"] != rows["probe"]).all()
    assert "all" not in set(rows["arm"])
    assert documents(rows.query("probe == 'relation'")) == {
        "entity_only": 0.0, "relation_only": 880.0, "both_sides": 880.0
    }  # fmt: skip
    assert [label.get_text().split("\n")[0] for label in panels[1].get_xticklabels()] == [
        "0", "420", "420"
    ]  # fmt: skip
    low, high = panels[0].get_ylim()
    assert low < 0 < 1 < high


def test_transfer_of_models_from_elsewhere_has_no_documents():
    rows = MADE_UP["side_transfer"].query("arm == 'all'").assign(n_documents=float("nan"))
    found = drawn_transfer(results({"side_transfer": rows}))
    panels = draw_transfer(found).axes

    assert panels[0].get_xticklabels()[0].get_text().startswith("not known\nall arms")
    assert main_arm(results({"side_transfer": rows})) == "all"
    assert main_arm(FOUND) == "both_sides"


def test_maps_share_one_scale_whose_middle_is_0_and_mark_cut_windows():
    rows = effect_rows(FOUND, *KINDS)
    panels = [axes for axes in draw_effects(rows).axes if axes.images]
    top = rows["aie"].abs().max()

    assert len(panels) == 3 * 3
    assert {axes.images[0].get_clim() for axes in panels} == {(-top, top)}
    first = panels[0].images[0].get_array()
    assert first[2][3] == pytest.approx(effect("subject", "resid", "last_subject", 3))
    hatched = [[p for p in axes.patches if p.get_hatch()] for axes in panels]
    assert [len(found) for found in hatched] == [0] * 3 + [1] * 6
    assert hatched[3][0].get_x() == -0.5
    labels = [label.get_text() for label in panels[1].get_yticklabels()]
    assert labels == ["first relation token", "middle relation token", "last relation token",
                      "subject", "other tokens", "last token"]  # fmt: skip
    assert [text.get_text() for text in panels[3].texts] == ["25.0"]  # not the last token's 27.7


def test_without_a_negative_effect_colours_start_at_0():
    _, scale = colour_scale(pd.Series([0.0, 0.2]))
    assert (scale.vmin, scale.vmax) == (0, 0.2)
    _, scale = colour_scale(pd.Series([-0.3, 0.2]))
    assert (scale.vmin, scale.vmax) == (-0.3, 0.3)
    assert isinstance(colour_scale(pd.Series([0.0]))[1], Normalize)


def test_windows_of_one_size_are_not_cut():
    rows = MADE_UP["tracing_effects"]

    assert cut_layers(rows.query("kind == 'mlp'")) == [0]
    assert cut_layers(rows.query("kind == 'resid'")) == []
    assert cut_layers(rows.iloc[:0]) == []


def test_severed_bars_stand_beside_the_ordinary_one_of_the_same_token():
    rows = severed_rows(FOUND)
    figure = draw_severed(rows)
    heights = [bar.get_height() for bar in figure.axes[0].patches]

    assert dict(rows.groupby("corrupt")["role"].unique().map(list)) == {
        "relation": ["last_corrupted"], "subject": ["last_subject"]
    }  # fmt: skip
    expected = [effect("subject", kind, "last_subject", layer)
                for kind in ("resid", "resid_attn_severed", "resid_mlp_severed")
                for layer in range(8)]  # fmt: skip
    assert heights == pytest.approx(expected)


def test_what_is_severed_in_fewer_prompts_is_not_put_beside():
    frame = MADE_UP["tracing_effects"].query("corrupt == 'subject'").copy()
    frame.loc[frame["kind"].str.endswith("severed"), "n"] = 20

    assert severed_rows(results({"tracing_effects": frame})).empty
    none = frame[~frame["kind"].str.endswith("severed")]
    assert severed_rows(results({"tracing_effects": none})).empty


def test_the_neutral_control_has_tokens_and_prompts_under_its_bars():
    axes = draw_neutral(total_rows(FOUND)).axes[0]

    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "subject\n3.4 tokens\nn = 90, 70", "relation\n5 tokens\nn = 90, 70",
        "both\n8.4 tokens\nn = 90", "neutral\n5 tokens\nn = 70",
    ]  # fmt: skip
    assert len([bar for bar in axes.patches if bar.get_height()]) == 6


def test_attention_has_shares_losses_and_paired_differences():
    shares, losses, differences = draw_attention(attention_rows(FOUND)).axes[:3]

    assert [text.get_text() for text in shares.texts] == ["30", "30", "52", "52", "40", "40"]
    assert len(losses.patches) == 12
    points = next(line for line in differences.lines if line.get_marker() == "D")
    assert list(points.get_xdata()) == pytest.approx([0.22, 0.22, -0.2, -0.2, 0.04, 0.04])


def test_ratios_without_bounds_do_not_squeeze_the_others():
    rows = attention_rows(FOUND)
    wide = rows.assign(low=-40.0, high=60.0)
    figure = draw_attention(wide)

    assert figure.axes[0].get_ylim()[1] <= 2
    assert figure.axes[2].get_xlim() == (-2, 2)


def test_a_single_corruption_or_kind_is_drawn():
    one = MADE_UP["tracing_effects"].query("corrupt == 'relation' and kind == 'attn'")
    shares = MADE_UP["attention_shares"].query("corrupt == 'subject' and site == 'best'")

    assert len([axes for axes in draw_effects(one).axes if axes.images]) == 1
    assert len(draw_attention(shares).axes) == 3


@pytest.mark.parametrize(
    ("role", "corrupt", "words"),
    [
        ("last_subject", "both", "last subject token"),
        ("last_corrupted", "relation", "last relation token"),
        ("last_corrupted", "both", "last corrupted token"),
        ("last", "subject", "last token"),
        ("first_subsequent", "subject", "first token after it"),
        ("unheard_of", "subject", "unheard_of"),
    ],
)
def test_roles_in_words(role: str, corrupt: str, words: str):
    assert role_name(role, corrupt) == words
