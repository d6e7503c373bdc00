"""The page's part on knowledge neurons: syntax beside facts, controls beside effects, values before
edits beside those under them, and numbers that are those of the tables."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from coemerge.report.dumbbells import Mark, dumbbells
from coemerge.report.figure_neuron_edits import draw_implied, draw_rewrites, draw_traced
from coemerge.report.figure_neurons import draw_answers, draw_similarity, draw_skills
from coemerge.report.figure_shifts import (
    MOST_TOKENS,
    draw_fits,
    draw_shifts,
    kept_tokens,
    tokens_in_order,
)
from coemerge.report.figures_knowledge_neurons import PICTURES, shift_pictures
from coemerge.report.findings_implications import (
    implication_controls,
    implication_finding,
    implied_says,
    main_condition,
)
from coemerge.report.findings_neuron_changes import moved_words, rewrites_say, traced_say
from coemerge.report.findings_neurons import (
    answers_say,
    neuron_controls,
    neuron_finding,
    skills_say,
)
from coemerge.report.markup import number
from coemerge.report.neuron_rows import (
    answer_rows,
    conditions_of,
    fit_rows,
    group_rows,
    rate_rows,
    rewrite_rows,
    role_labels,
    shift_rows,
    shifted_topics,
    skill_rows,
    traced_rows,
)
from coemerge.report.neuron_tables import group_table, shift_table
from coemerge.report.page import write_report
from coemerge.report.picture import pictures_of
from coemerge.report.published import PUBLISHED
from coemerge.report.results import TABLES, Results
from coemerge.report.rewrite_tables import (
    choice_table,
    completion_table,
    implication_tables,
    score_table,
)
from coemerge.report.side_by_side import side_by_side
from coemerge.tables.records import RECORDS
from tests.report.conftest import pictures
from tests.report.made_up import Tables
from tests.report.made_up_neurons import (
    EDITORS,
    PHENOMENA,
    excess,
    indirect,
    neuron_tables,
    rate,
    rewritten,
    summary,
    write_neurons,
)
from tests.report.parsed import Page, drawn, page_of, plain_text

LEAD = "Knowledge neurons are a few MLP neurons"
MADE_UP = neuron_tables()
SHIFTS = {f"token_shifts_{k}" for k in range(1, len(PHENOMENA) + 1)}
DRAWN = {picture.name for picture in PICTURES} | SHIFTS


def results(tables: Tables) -> Results:
    return Results(tables=tables, summary=[], manifests=[], missing=[])


FOUND = results(MADE_UP)


def few() -> Tables:
    """Of one phenomenon, one relation and one editor: quickly drawn."""
    found = {}
    for name, frame in MADE_UP.items():
        if "topic" in frame:
            frame = frame[frame["topic"].isin(["all", "noun_determiner", "capital"])]
        if "editor" in frame:
            frame = frame[frame["editor"] == "rome"]
        found[name] = frame
    effects = found["syntax_effects"]
    found["syntax_effects"] = effects[effects["state"] == "mlp"]
    return found


def only_kind(kind: str) -> Tables:
    return {
        name: frame[frame["kind"] == kind] if "kind" in frame else frame
        for name, frame in few().items()
        if "kind" in frame or (kind == "syntax") == (name == "surface_fits")
    }


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are made, but kept as empty ones, which takes less time."""

    def save(figure: Figure, directory: Path, name: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{name}.svg").write_text("<svg></svg>")

    monkeypatch.setattr("coemerge.report.picture.save_figure", save)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_neurons(tmp_path_factory.mktemp("run"), MADE_UP)


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return page_of(run)


@pytest.fixture(scope="module")
def section(page: Page) -> str:
    start = page.text.index(LEAD)
    return page.text[start : page.text.index("How to read this")]


def test_tables_that_the_page_reads_are_tables_of_the_study():
    assert set(TABLES["knowledge_neurons"]) == set(MADE_UP) <= set(RECORDS)


def test_every_picture_is_drawn_and_kept_as_two_files(run: Path, page: Page):
    kept = {path.name for path in (run / "report" / "figures").iterdir()}

    assert kept == {f"{name}.{kind}" for name in DRAWN for kind in ("png", "svg")}
    assert len(page.paths) == len(DRAWN) == 11
    assert min(page.paths) > 20
    assert page.opened == []


def test_ids_are_of_one_element_each(page: Page):
    ids = [value for name, value in page.attributes if name == "id"]

    assert len(ids) == len(set(ids))


def test_the_caveats_stand_before_the_figures(section: str):
    caveats = section[: section.index("What the untouched model answers right")]

    for words in ("by design: that sets of syntax and of facts are equally small is no finding",
                  "is not centred", "divides by the smaller of two probabilities",
                  "unpaired t-test", "well above 50\u00a0%", "(reversal)", "A6 and A7",
                  "token agreement", "swap closure", "not by the name of the arm"):  # fmt: skip
        assert words.replace("\u00a0", " ") in caveats


def test_figures_say_their_numbers_with_intervals(section: str):
    assert "Syntax: 95.8 % of 2,400 prompts answered right, least anaphor gender" in section
    assert "neurons of a class: syntax 0.30 (0.30 to 0.31, 8 sets), facts 0.40" in section
    assert (
        "Syntax, suppressed (× 0): errors 8.0 % before, 12.0 % after, +4.0 points [+3.0, +5.0] "
        "(another group's neurons +1.2 points; random neurons +0.1 points; own beyond another's "
        "+2.8 points); they rise in 8 of 8 classes, 8 with an interval above 0; the right answer's "
        "probability moves by −20.0 points [−21.0, −19.0] (n = 800 prompts)."
    ) in section
    assert (
        "neurons of plural suppressed (× 0): neutral 0 up, 0 down of 6, plural 0 up, 4 down of 4"
    ) in section
    assert (
        "Errors under suppressed neurons of one item: syntax +2.0 points [+1.0, +3.0] (another "
        "word's neurons +0.6 points; random neurons +0.0 points; own beyond another's +1.4 "
        "points) (n = 800 prompts); facts +3.0 points"
    ) in section
    assert "co-occurrence, beside agreement +0.05 [−0.05, +0.15] (interval includes 0)" in section
    assert "noise takes 50.0 % [45.0, 55.0], highest effects before the last token" in section
    assert "Symmetry, restatement shown and known (n = 20): the edit itself: ROME 98.0 %" in section


def test_determiners_stand_in_the_open_and_other_phenomena_are_folded(section: str, page: Page):
    first = section.index("Which words gain and lose: noun determiner")
    fold = section.index("The same of other phenomena")

    assert shifted_topics(FOUND)[0] == "noun_determiner"
    assert first < fold < section.index("Which words gain and lose: anaphor gender")
    assert "details" in page.tags


def test_verdicts_follow_from_intervals():
    told = plain_text(implication_finding(FOUND))

    assert told.startswith(
        "Of what an edit implies, the inverse mostly does not follow; the synonymous restatement "
        "mostly does not follow. Symmetry, restatement shown and known (n = 20): the edit itself: "
        "ROME 98.0 % [95.0, 101.0], MEMIT 94.0 %"
    )
    assert "implied: ROME 5.9 % [2.9, 8.9]" in told
    assert "failure says nothing about editing" in told


def test_the_headline_names_what_an_error_is_of_each_kind():
    assert plain_text(neuron_finding(FOUND)).startswith(
        "Knowledge neurons of a class, suppressed: errors in syntax (the bad word of a pair "
        "likelier than the good one) +4.0 points [+3.0, +5.0]; errors in facts (the answer not the "
        "likeliest of all tokens) +6.0 points [+5.0, +7.0]. Errors are counted in two ways: the "
        "two numbers do not compare."
    )


def test_neurons_of_other_items_that_do_as_much_are_told():
    """Made-up ones do a third."""
    assert "do as much" not in answers_say(FOUND)
    told = " ".join(neuron_controls(FOUND))
    assert "errors in facts (prompts of one fact), another fact's neurons suppressed: +0.9" in told

    rows = MADE_UP["categorical"].copy()
    cell = (rows["level"] == "item") & (rows["measure"] == "error") & (rows["kind"] == "facts")
    rows.loc[cell & (rows["control"] == "mismatched"), ["difference", "low", "high"]] = [
        0.028,
        0.01,
        0.04,
    ]
    alike = answers_say(results({"categorical": rows}))
    assert (
        "facts +3.0 points [+2.0, +4.0] (another fact's neurons +2.8 points; random neurons +0.1 "
        "points; own beyond another's +0.2 points), another fact's neurons do as much"
    ) in alike
    assert alike.count("do as much") == 1


def test_errors_that_rise_are_counted_by_class():
    rows = MADE_UP["categorical"].copy()
    rows.loc[rows["topic"] == "capital", ["difference", "low", "high"]] = [-0.01, -0.02, 0.0]
    rows.loc[rows["topic"] == "field", "low"] = -0.01
    told = answers_say(results({"categorical": rows}))

    assert "they rise in 2 of 3 relations, 1 with an interval above 0; the right" in told
    assert "they rise in 8 of 8 classes, 8 with an interval above 0; the right" in told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"value": 0.9, "low": 0.8, "high": 0.97}, "the inverse mostly follows"),
        ({"value": 0.5, "low": 0.4, "high": 0.6}, "the inverse is undecided"),
        ({"value": 0.0, "low": 0.0, "high": 0.0, "n": 3}, "the inverse is undecided"),
    ],
)
def test_few_facts_or_wide_intervals_decide_nothing(changes: dict[str, float], words: str):
    rates = MADE_UP["implication_rates"].copy()
    asked = (rates["check"] == "inverse_new") & (rates["n"] > 0)
    for name, value in changes.items():
        rates.loc[asked, name] = value

    assert words in implication_finding(results({"implication_rates": rates}))


def test_edits_that_do_not_take_say_nothing_about_what_they_imply():
    rates = MADE_UP["implication_rates"].copy()
    took = rates["condition"].str.startswith("took")
    rates.loc[took, "n"] = 9

    told = plain_text(implication_finding(results({"implication_rates": rates})))
    assert "the inverse cannot be judged, as few edits take" in told
    assert "Symmetry: edits that take, and of these what is implied: ROME 9 of 20, 5.9 %" in told


def test_what_follows_from_edits_that_change_the_subject_is_said_to_do():
    rates = MADE_UP["implication_rates"].copy()
    new = (rates["check"] == "inverse_new") & (rates["moment"] == "post")
    rates.loc[new, ["value", "low", "high"]] = 0.9, 0.8, 0.95
    assert "though other facts" not in implication_finding(results({"implication_rates": rates}))
    kept = (rates["check"] == "unrelated_kept") & (rates["moment"] == "post")
    rates.loc[kept, ["value", "low", "high"]] = 0.3, 0.2, 0.4

    told = plain_text(implication_finding(results({"implication_rates": rates})))
    assert "the inverse mostly follows, though other facts of the subject change too" in told
    assert "(before: 0.0 % by selection)" in told


def without_facts(*conditions: str) -> pd.DataFrame:
    rates = MADE_UP["implication_rates"].copy()
    none = rates["condition"].isin(conditions)
    rates.loc[none, ["value", "sd", "low", "high"]] = np.nan
    rates.loc[none, "n"] = 0
    return rates


def test_what_no_model_knew_before_is_no_failure_of_an_edit():
    found = results({"implication_rates": without_facts("stated_known", "known")})

    assert main_condition(found, "symmetry") == "all"
    assert "cannot be judged, as the model answers none right before" in implication_finding(found)


def test_a_condition_without_facts_is_an_empty_panel_and_no_failure():
    found = results({"implication_rates": without_facts("not_stated")})
    panels = draw_implied(rate_rows(found)).axes

    assert [len(axes.lines) > 3 for axes in panels] == [True, True, False] * 2
    assert [text.get_text() for text in panels[2].texts] == ["no such facts"]
    assert panels[2].get_title() == "restatement never shown\nno such facts"
    assert "Symmetry, restatement never shown: no such facts." in implied_says(found)
    told = plain_text(implication_tables(found))
    assert "restatement never shown 0 – no such facts no such facts" in told
    assert "0.0 %" not in told[told.index("restatement never shown 0") :][:120]


def test_of_models_from_elsewhere_conditions_are_what_was_answered():
    found = results({"implication_rates": without_facts(
        "stated", "not_stated", "stated_known", "not_stated_known"
    )})  # fmt: skip

    assert conditions_of(rate_rows(FOUND)) == ("all", "stated_known", "not_stated")
    assert conditions_of(rate_rows(found)) == ("all", "known", "unknown")
    assert main_condition(found, "synonymy") == "known"


def test_tables_have_what_was_before_and_what_should_come(section: str):
    told = section[section.index("Symmetry: what edits of facts imply, by editor") :]

    assert "new object → s (should hold)" in told
    assert "old object → new object's old subject (open)" in told
    assert (
        "restatement shown and known 20 ROME 2.0 % [−1.0, 5.0] before 100.0 % [97.0, 103.0] −98.0 "
        "points [−101.0, −95.0] 98.0 % [95.0, 101.0] before 0.0 % [−3.0, 3.0]"
    ) in told
    assert "never shown, yet known 0 – no such facts" in told
    assert "The same of facts in one direction (A6_one_direction)" in told
    assert "The same where capital of is edited" in told


def test_sets_of_neurons_stand_syntax_beside_facts():
    told = plain_text(group_table(FOUND))

    assert (
        "syntax all syntax neurons of a class 8 3.5 (3 to 4) 0.67 (0.65 to 0.7) 0.33 (0.32 to "
        "0.33) 0.02 0.3 (0.3 to 0.31) 8 of 8 60"
    ) in told
    assert "facts capital neurons of one item 5 3 (3 to 4)" in told
    assert told.count("neurons of a class") == 4 + 3 + 2


def test_samples_are_of_one_editor_in_the_open():
    told = completion_table(FOUND)
    shown, *others = told.split("<details>")

    assert "(ROME)" in shown
    assert len(others) == len(EDITORS) - 1
    assert "Arvia → Tolm (was: Renna)" in plain_text(shown)
    assert plain_text(shown).count("Made-up prompt of inverse_new: new object → s") == 1


def test_the_other_parts_are_folded_away(section: str):
    for title in ("What neurons do to answers: every group, level and control",
                  "Words whose probability moves, by class",
                  "Shifts and what training showed together",
                  "Total effects, and prompts they are of", "Scores of edits, syntax beside facts",
                  "Settings tried on syntax and facts: 28 (8 chosen at an edge)",
                  "The same with MEMIT"):  # fmt: skip
        assert title in section
    assert "facts capital capital suppressed (× 0) answer 12 0 12 −0.775" in section
    assert "syntax KN chosen by neurons lr=2 last 30.0 %" in section
    assert "yes (edge: layer, lr)" in section


def test_scores_stand_under_the_edit_and_before():
    told = plain_text(score_table(FOUND))
    es = rewritten("syntax", "rome", "es", "post")

    assert f"syntax all syntax ROME {100 * es:.1f} % [96.0, 100.0] before 2.0 %" in told
    assert plain_text(choice_table(FOUND)).count(" yes ") == 2 * len(EDITORS)


def test_facts_move_too_and_are_told_in_a_table():
    assert "facts birthplace birthplace enhanced (× 2)" in plain_text(shift_table(FOUND))


def test_published_rows_stand_beside_ours(page: Page):
    beside = page.text[page.text.index("Beside the published") : page.text.index(LEAD)]

    for row in PUBLISHED:
        if row.study == "knowledge_neurons":
            assert row.differs in beside
            assert row.controls in beside
    assert "R1² 0.33, neurons permuted 0.02: syntax" in beside
    assert "errors in syntax, another group's neurons suppressed: +1.2 points" in beside
    assert "the edit itself, symmetry, restatement shown and known: ROME 98.0 %" in beside
    assert "n of P4-a: sets of neurons, or prompts" in beside
    assert implication_controls(results({})) == []


def test_a_published_value_stands_beside_what_it_is_of():
    found = Results(tables=MADE_UP, summary=summary(), manifests=[], missing=[])
    told = side_by_side(found)
    rows = [row for row in re.findall("<tr>.*?</tr>", told) if "made-up" in row]

    assert "2–5 by design" in rows[0]
    assert rows[1].startswith('<tr><td rowspan="1">–</td><td>excess, syntax')
    assert told.index("sets of a word") > told.index("<details>")
    assert told.index("ROME, symmetry, untouched") > told.index("<details>")


FIGURES = {
    "skills": {"neuron_skills"},
    "neuron_groups": {"neuron_similarity"},
    "categorical": {"neuron_answers"},
    "token_shifts": {"token_shifts_1"},
    "surface_fits": {"surface_fits"},
    "syntax_totals": set(),
    "syntax_effects": {"neuron_tracing"},
    "rewrites": {"neuron_rewrites"},
    "rewrite_choice": set(),
    "implication_rates": {"implications"},
    "completions": set(),
}


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("table", FIGURES)
def test_one_table_alone_is_enough(tmp_path: Path, table: str):
    only = {table: few()[table].assign(newer_column=1)}
    page = page_of(write_neurons(tmp_path, only, []))

    assert LEAD in page.text
    assert drawn(tmp_path) == FIGURES[table]


@pytest.mark.parametrize("tables", [{}, "empty"], ids=["none", "empty"])
def test_without_results_there_is_no_section(tmp_path: Path, tables: Tables | str):
    empty = {name: frame.iloc[:0] for name, frame in MADE_UP.items()}
    page = page_of(write_neurons(tmp_path, empty if tables == "empty" else {}, []))

    assert LEAD not in page.text
    assert page.paths == []


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("kind", ["syntax", "facts"])
def test_worlds_of_one_kind_get_a_page(tmp_path: Path, kind: str):
    page = page_of(write_neurons(tmp_path, only_kind(kind), []))

    assert "neuron_answers" in drawn(tmp_path)
    assert ("surface_fits" in drawn(tmp_path)) == (kind == "syntax")
    assert f"suppressed: errors in {kind} (the " in page.text
    assert "the two numbers do not compare" not in page.text


@pytest.mark.usefixtures("sketched")
def test_what_is_undefined_is_left_out_and_never_told_as_a_number(tmp_path: Path):
    kept = {"n", "n_total", "n_kept", "seed", "layer", "place", "window", "n_neurons",
            "n_compared", "n_groups", "n_prompts", "n_zero"}  # fmt: skip
    hollow = {}
    for name, frame in MADE_UP.items():
        holes = [column for column in frame.select_dtypes("number") if column not in kept]
        hollow[name] = frame.assign(**dict.fromkeys(holes, float("nan")))
    page = page_of(write_neurons(tmp_path, hollow, []))

    assert LEAD in page.text
    assert drawn(tmp_path) <= {"implications"}  # conditions as they are, without values
    assert not re.search(r"(?<!\w)(nan|inf|None)(?!\w)", page.text)


@pytest.mark.usefixtures("sketched")
def test_intervals_that_are_not_known_are_drawn_without(tmp_path: Path):
    names = {"low", "high", "random_low", "random_high"}
    bare = {
        name: frame.assign(**dict.fromkeys(names & set(frame), float("nan")))
        for name, frame in few().items()
    }
    page = page_of(write_neurons(tmp_path, bare, []))

    assert drawn(tmp_path) == DRAWN - SHIFTS | {"token_shifts_1"}
    assert "is undecided" in page.text
    assert not re.search(r"(?<!\w)nan(?!\w)", page.text)


def test_names_are_text_and_never_markup(tmp_path: Path):
    evil = "<script>alert(1)</script> $x^2"
    told = {
        "token_shifts": few()["token_shifts"].replace({"token": {"many": evil}}),
        "skills": few()["skills"].assign(topic=evil, reason=evil),
        "rewrite_choice": few()["rewrite_choice"].assign(setting=evil),
        "implication_rates": few()["implication_rates"].assign(arm="all", expected=evil),
        "completions": few()["completions"].assign(prompt=evil, post=evil, edit=evil),
    }
    page = page_of(write_neurons(tmp_path, told, []))

    assert "script" not in page.tags
    assert evil in page.text


@pytest.mark.usefixtures("sketched")
def test_editors_kinds_and_classes_that_nobody_knows_do_not_stop_the_page(tmp_path: Path):
    new = {}
    for name, frame in few().items():
        names = {"kind": "semantics", "editor": "newer", "condition": "new", "check": "new",
                 "change": "tripled", "measure": "new", "state": "new", "family": "new",
                 "split": "new", "token_class": "dual", "model": "new"}  # fmt: skip
        known = {key: value for key, value in names.items() if key in frame}
        new[name] = pd.concat([frame, frame.assign(**known)])
    page_of(write_neurons(tmp_path, new, []))

    assert drawn(tmp_path) == DRAWN - SHIFTS | {"token_shifts_1"}


def test_equal_tables_give_equal_bytes(tmp_path: Path):
    found = []
    some = {name: few()[name] for name in ("token_shifts", "neuron_groups")}
    for name in ("one", "other"):
        directory = write_neurons(tmp_path / name, some, [])
        path = write_report(directory, directory / "report")
        found.append((path.read_bytes(), pictures(directory / "report" / "figures")))

    assert found[0] == found[1]


# --- pictures --------------------------------------------------------------------------------


def determiners(**changes: object) -> pd.DataFrame:
    rows = shift_rows(FOUND).query("topic == 'noun_determiner'")
    return rows.assign(**changes)


def test_words_stand_by_class_and_significant_ones_are_marked():
    rows = determiners()
    panels = draw_shifts(rows).axes
    labels = [label.get_text() for label in panels[0].get_yticklabels()]

    assert len(panels) == 4
    assert labels == list(tokens_in_order(rows))
    assert labels[:5] == ["many", "several", "these", "those", "each"]
    assert [len(axes.texts) for axes in panels] == [8] * 4
    title = "neurons of plural,\nsuppressed (× 0)\nn = 100\nwords that decide"
    assert panels[0].get_title() == title
    bars = [bar.get_width() for bar in panels[0].patches[14:]]  # behind the random bands
    assert bars == pytest.approx([-3.0, -3.3, -3.6, -3.9, 1.5, 1.65, 1.8, 1.95, 0.2, 0.22, 0.24,
                                  0.26, 0.28, 0.3])  # fmt: skip


def test_a_word_is_marked_only_where_all_seeds_agree():
    one, other = determiners(), determiners(seed=1, significant=False)
    panels = draw_shifts(pd.concat([one, other])).axes

    assert [len(axes.texts) for axes in panels] == [0] * 4
    assert moved_words(pd.concat([one, other]).query("group == 'plural' and change == 'enhanced'"))[
        1
    ] == ("plural", 0, 0, 4)


@pytest.mark.parametrize(
    "band", [{"random_low": -np.inf, "random_high": np.inf}, {"random_high": 9.9}, {}]
)
def test_a_word_is_marked_only_beyond_what_random_neurons_do(band: dict[str, float]):
    rows = determiners(**band)
    up = {"random_high": 9.9}.items() <= band.items()
    marks = [0] * 4 if np.isinf(band.get("random_low", 0.0)) else [4] * 4 if up else [8] * 4
    panels = draw_shifts(rows).axes

    assert [len(axes.texts) for axes in panels] == marks
    assert all(np.isfinite(axes.get_xlim()).all() for axes in panels)
    own = rows.query("group == 'plural' and change == 'suppressed'")
    told = {cls: (gained, lost) for cls, gained, lost, _ in moved_words(own)}
    assert told["plural"] == ((0, 0) if marks[0] == 0 else (0, 4))
    assert told["singular"] == ((4, 0) if marks[0] == 8 else (0, 0))


def test_shifts_without_bounds_stay_in_the_panel():
    rows = determiners()
    rows.loc[rows["token"] == "many", "shift"] = np.inf
    panel = draw_shifts(rows).axes[0]

    assert np.isfinite(panel.get_xlim()).all()
    assert [tick for tick in panel.get_xticks() if tick >= 0] == [0, 1, 10, 100, 1000]
    assert panel.get_xscale() == "symlog"
    assert draw_shifts(determiners(shift=0.2)).axes[0].get_xscale() == "linear"


def test_of_many_words_those_that_move_most_are_kept():
    rows = pd.concat(
        [determiners(token=determiners()["token"] + f" {k}") for k in range(4)]
    ).reset_index(drop=True)
    rows.loc[rows["token"] == "any 0", "shift"] = 50.0
    kept = kept_tokens(rows)

    assert kept["token"].nunique() == 3 * (MOST_TOKENS // 3)
    assert "any 0" in set(kept["token"])
    assert kept_tokens(determiners()).equals(determiners())


def test_points_of_similarity_are_those_of_the_sets():
    panels = draw_similarity(group_rows(FOUND)).axes
    filled = panels[0].lines[0].get_xdata()

    assert len(panels) == 2
    assert filled[0] == pytest.approx(excess("syntax", "class") + 0.02)
    assert panels[1].get_title() == "neurons of one item,\n3 prompts of each compared"


def test_skills_have_chance_and_say_what_is_not_studied():
    panels = draw_skills(skill_rows(FOUND)).axes
    labels = [label.get_text() for label in panels[1].get_yticklabels()]

    assert labels == ["birthplace (not studied)", "capital", "field"]
    chance = [line for line in panels[0].lines if line.get_label() == "chance"]
    assert {tuple(line.get_xdata()) for line in chance} == {(0.5, 0.5)}
    weak = skill_rows(FOUND).assign(low=0.4)
    assert "does not tell from chance" in skills_say(results({"skills": weak}))


def test_answers_go_from_before_to_after_with_controls_beside():
    panels = draw_answers(answer_rows(FOUND)).axes
    thick = [line.get_xdata() for line in panels[0].lines if line.get_linewidth() == 2.2]

    assert len(panels) == 2 * 2
    assert len(thick) == 9 * 3
    assert list(thick[0]) == pytest.approx([0.08, 0.12])
    moved = [line for line in panels[1].lines if line.get_marker() == "o"]
    assert moved[0].get_xdata()[0] == pytest.approx(-0.2)
    assert [label.get_text() for label in panels[0].get_yticklabels()][:2] == [
        "all syntax", "anaphor gender",
    ]  # fmt: skip


def test_maps_stand_syntax_beside_facts_on_one_scale():
    panels = [axes for axes in draw_traced(traced_rows(FOUND)).axes if axes.images]
    labels = [[label.get_text() for label in axes.get_yticklabels()] for axes in panels[:2]]

    assert len(panels) == 3 * 2
    assert len({axes.images[0].get_clim() for axes in panels}) == 1
    effect = indirect("facts", "resid", "last_subject", 3)
    assert panels[1].images[0].get_array()[2][3] == pytest.approx(effect / 0.5)  # of the total
    bare = traced_rows(results({"syntax_effects": MADE_UP["syntax_effects"]}))
    (image,) = draw_traced(bare).axes[1].images
    assert image.get_array()[2][3] == pytest.approx(effect)
    assert labels[0][1] == "last token of the word that decides"
    assert labels[1][2] == "last subject token"
    assert role_labels(["last_subject", "last"], "syntax")["last_subject"] == (
        "the word that decides"
    )
    assert "Facts: noise takes" in traced_say(FOUND)


def test_a_kind_without_a_state_leaves_its_panel_empty():
    rows = traced_rows(FOUND)
    some = rows[(rows["kind"] == "facts") | (rows["state"] == "mlp")]

    assert len([axes for axes in draw_traced(some).axes if axes.images]) == 4


def test_lines_of_edits_go_from_the_untouched_model_to_the_edit():
    panels = draw_rewrites(rewrite_rows(FOUND)).axes
    thick = [line.get_xdata() for line in panels[1].lines if line.get_linewidth() == 2.2]

    assert len(thick) == 3 * len(EDITORS)
    ends = [rewritten("facts", "rome", "es", moment) for moment in ("pre", "post")]
    assert any(list(line) == pytest.approx(ends) for line in thick)
    assert panels[1].get_title() == "facts\nn = 60 edits"
    said = rewrites_say(FOUND)
    assert "Facts: ROME ES 93.0 % [91.0, 95.0]" in said
    before = [number(rewritten("facts", "rome", of, "pre"), percent=True) for of in ("es", "ns")]
    assert "(edited token: last; before: ES {}, NS {})".format(*before) in said
    assert said.endswith("are what they are by selection.")


def test_what_edits_imply_is_drawn_by_family_and_condition():
    panels = draw_implied(rate_rows(FOUND)).axes
    thick = [line.get_xdata() for line in panels[1].lines if line.get_linewidth() == 2.2]

    assert len(panels) == 2 * 3
    assert panels[1].get_title() == "restatement shown and known\nn = 20 facts"
    ends = [rate("symmetry", "rome", "stated_known", "inverse_new", m) for m in ("pre", "post")]
    assert any(list(line) == pytest.approx(ends) for line in thick)


def test_coefficients_stand_by_phenomenon():
    panels = draw_fits(fit_rows(FOUND, "log_ratio"), "per standard deviation").axes
    labels = [label.get_text() for label in panels[0].get_yticklabels()]

    assert len(panels) == 2
    assert labels[0] == "all phenomena"
    assert len(labels) == 1 + len(PHENOMENA)


def test_pictures_are_named_by_place_and_not_by_what_a_data_set_calls_a_phenomenon():
    rows = determiners(topic="../evil")
    (picture,) = shift_pictures(results({"token_shifts": rows}))

    assert picture.name == "token_shifts_1"
    assert pictures_of(results({"token_shifts": rows}), [picture]) == [picture]


def test_a_line_needs_both_ends_and_marks_do_not():
    axes = Figure().subplots()
    frame = pd.DataFrame(
        [("a", "s", "pre", 0.1), ("a", "s", "post", 0.5), ("b", "s", "post", 0.7)],
        columns=["group", "series", "moment", "value"],
    ).assign(low=np.nan, high=np.nan)
    dumbbells(axes, frame, ["a", "b"], {"s": Mark("s", "#000000", "o")})

    assert [list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 2.2] == [
        [0.1, 0.5]
    ]
