"""What sets of neurons do (methods 6.4), on the planted model: its neuron of (subject, task) writes
the subject's object, and without it the model only repeats its prompt."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from coemerge.interventions.guard import unchanged
from coemerge.studies.knowledge_neurons.changes import (
    CHANGES,
    MISMATCHED,
    NONE,
    RANDOM,
    changed_sets,
    mismatched,
)
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.effects import (
    SetEffects,
    WordEffects,
    categorical_rows,
    set_effects,
)
from coemerge.studies.knowledge_neurons.shifts import token_shifts, word_shifts
from coemerge.studies.knowledge_neurons.subject import (
    CLASS,
    FACTS,
    ITEM,
    SYNTAX,
    Found,
    Group,
    Prompt,
    Subject,
    Word,
)
from coemerge.studies.knowledge_neurons.surface import surface_fits
from coemerge.tables.store import make_table
from tests.localization import models as planted
from tests.localization.models import FIRST_OBJECT, FIRST_SUBJECT, FIRST_TASK, neuron_of

CONFIG = KnowledgeNeuronsConfig(random_draws=40, bootstrap_draws=200)
OBJECTS = tuple(Word(f"object-{f}", FIRST_OBJECT + f, "answer") for f in range(4))


def subject(**changes) -> Subject:
    given = {
        "model": planted.planted_model(),
        "identity": "planted",
        "seed": 3,
        "pairs": [],
        "words": {},
        "token_ids": {},
        "cooccurrence": None,
        "prompts": planted.planted_prompts(),
        "facts": pd.DataFrame(),
        "text": [],
        "decode": str,
        "opening": None,
        "separator": [],
        "start": 0,
    }
    return Subject(**{**given, **changes})


def prompt(fact: int, question: int = 0, foil: int | None = None) -> Prompt:
    """Of task 0."""
    return Prompt(
        name=f"{fact}/{question}",
        item=f"fact-{fact}",
        about=f"cue-{fact}",
        ids=(FIRST_TASK, FIRST_SUBJECT + fact, question),
        answer=(FIRST_OBJECT + fact,),
        foil=None if foil is None else FIRST_OBJECT + foil,
        span=(1, 2),
        split="seen",
    )


def of_facts(fact: int, words: tuple[Word, ...] = OBJECTS) -> Group:
    """A relation with one fact in four wordings."""
    test = tuple(prompt(fact, question) for question in range(4))
    return Group(FACTS, f"r{fact}", CLASS, f"r{fact}", (), test, words)


def sets_of(*facts: int | None) -> torch.Tensor:
    """The neuron of each fact in task 0, or none."""
    sets = torch.zeros(len(facts), 1, planted.D_MLP, dtype=torch.bool)
    for g, fact in enumerate(facts):
        if fact is not None:
            sets[g, 0, neuron_of(fact, 0)] = True
    return sets


def found(groups: list[Group], sets: torch.Tensor) -> Found:
    return Found(groups, sets, pd.DataFrame(), pd.DataFrame())


@pytest.fixture(scope="module")
def effects() -> SetEffects:
    return set_effects(subject(), found([of_facts(f) for f in range(3)], sets_of(0, 1, 2)), CONFIG)


def cell(effects: SetEffects, **values: str) -> pd.DataFrame:
    rows = effects.prompts
    for name, value in values.items():
        rows = rows[rows[name] == value]
    return rows


def test_a_fact_is_lost_with_its_neuron_alone(effects):
    own = cell(effects, change="suppressed", control=NONE)
    other = cell(effects, change="suppressed", control=MISMATCHED)

    assert (own["error_before"] == 0).all()
    assert (own["p_before"] > 0.9).all()
    assert (own["error_after"] == 1).all()
    assert (own["p_after"] < 0.3).all()
    assert (other["p_after"] == other["p_before"]).all(), "another fact's neuron is silent"
    assert (other["error_after"] == 0).all()


def test_enhanced_neurons_make_the_answer_likelier(effects):
    own = cell(effects, change="enhanced", control=NONE)
    assert (own["p_after"] > own["p_before"]).all()


def test_random_sets_are_averaged_over_draws(effects):
    """A draw of one in twenty neurons either hits the fact's own, or does nothing."""
    group = of_facts(1)
    drawn = changed_sets(found([group], sets_of(1)), 0, None, CONFIG)[2:]
    hits = drawn[:, 0, neuron_of(1, 0)].double().mean().item()

    random = cell(effects, group="r1", change="suppressed", control=RANDOM)

    assert 0 < hits < 0.5
    assert random["error_after"].to_numpy() == pytest.approx(hits)
    assert not torch.equal(drawn[0], drawn[1])


def test_every_group_change_and_control_has_its_prompts(effects):
    counts = effects.prompts.groupby(["group", "change", "control"]).size()
    assert len(counts) == 3 * len(CHANGES) * 3
    assert (counts == 4).all()
    assert not effects.prompts.isna().any().any()


def test_right_is_likelier_than_the_foil_where_there_is_one():
    """The wrong way round, a pair is answered wrong though its answer is no less likely; a foil
    need not be the likeliest."""
    right, wrong = prompt(0, foil=1), replace(prompt(0, 1, foil=0), answer=(FIRST_OBJECT + 1,))
    pairs = Group(SYNTAX, "agreement", CLASS, "plural", (), (right, wrong))
    model = subject()

    rows = set_effects(model, found([pairs], sets_of(1)), CONFIG).prompts

    own = rows[(rows["control"] == NONE) & (rows["change"] == "suppressed")]
    assert own["error_before"].tolist() == [0, 1]
    assert own["p_before"].tolist()[0] > 0.9 > 0.1 > own["p_before"].tolist()[1]


def test_sets_without_neurons_count_and_do_nothing_to_the_bit():
    groups = [of_facts(0), of_facts(1)]

    done = set_effects(subject(), found(groups, sets_of(None, 1)), CONFIG)

    empty = done.prompts[done.prompts["group"] == "r0"]
    of_own = empty[empty["control"] != MISMATCHED]
    for measure in ("error", "p"):
        assert (of_own[f"{measure}_after"] == of_own[f"{measure}_before"]).all()
    assert (done.words[0].after == done.words[0].before).all()
    rows = categorical_rows([done.prompts], CONFIG)
    whole = next(r for r in rows if (r["topic"], r["control"], r["measure"]) == ("all", NONE, "p"))
    assert (whole["n"], whole["n_groups"]) == (8, 2)


def test_partners_are_the_next_of_the_topic_then_of_the_kind():
    def group(kind: str, level: str, topic: str, name: str) -> Group:
        return Group(kind, topic, level, name, (), ())

    groups = [
        group(SYNTAX, CLASS, "a", "singular"),
        group(SYNTAX, CLASS, "b", "singular"),
        group(SYNTAX, CLASS, "a", "plural"),
        group(FACTS, CLASS, "r0", "r0"),
        group(FACTS, CLASS, "r1", "r1"),
        group(SYNTAX, ITEM, "a", "dogs"),
    ]

    assert mismatched(groups) == [2, 2, 0, 4, 3, None]


def test_groups_without_a_partner_have_no_such_control():
    rows = set_effects(subject(), found([of_facts(0)], sets_of(0)), CONFIG).prompts
    assert set(rows["control"]) == {NONE, RANDOM}


def test_random_sets_are_as_many_per_layer_and_a_groups_own():
    sets = torch.rand(2, 3, 40, generator=torch.Generator().manual_seed(0)) < 0.1
    sets[:, 1] = False
    groups = [of_facts(0), of_facts(1)]
    draws = 8

    def drawn(chosen: list[int], n_draws: int = draws, seed: int = 0) -> torch.Tensor:
        given = found([groups[g] for g in chosen], sets[chosen])
        config = replace(CONFIG, random_draws=n_draws, seed=seed)
        return changed_sets(given, len(chosen) - 1, None, config)[2:]

    together = drawn([0, 1])
    assert torch.equal(together.sum(-1), sets[1].sum(-1).expand(draws, -1))
    assert torch.equal(together, drawn([1])), "whichever others there are"
    assert torch.equal(together[:3], drawn([1], 3))
    assert not torch.equal(together, drawn([1], seed=1))
    alike = found([groups[0], groups[1]], sets[[1, 1]])
    assert not torch.equal(*(changed_sets(alike, g, None, CONFIG)[2:] for g in (0, 1)))


def test_groups_in_blocks_give_what_all_at_once_do(effects, monkeypatch):
    monkeypatch.setattr("coemerge.studies.knowledge_neurons.effects._GROUPS_AT_ONCE", 1)
    groups = [of_facts(f) for f in range(3)]

    alone = set_effects(subject(), found(groups, sets_of(0, 1, 2)), CONFIG)

    pd.testing.assert_frame_equal(alone.prompts, effects.prompts)
    assert [words.group.name for words in alone.words] == ["r0", "r1", "r2"]


def test_words_are_read_under_the_own_change(effects):
    words = effects.words[1]
    rows = cell(effects, group="r1", control=NONE)

    assert words.before.shape == (4, 4)
    assert words.after.shape == (2, 4, 4)
    assert words.random.shape == (2, CONFIG.random_draws, 4)
    for number, change in enumerate(CHANGES):
        of_answer = rows[rows["change"] == change]
        assert words.before[:, 1].tolist() == of_answer["p_before"].tolist()
        assert words.after[number, :, 1].tolist() == of_answer["p_after"].tolist()


def test_items_inspect_no_words_and_stand_after_classes():
    item = replace(of_facts(0, ()), level=ITEM, name="fact-0")
    done = set_effects(subject(), found([item, of_facts(1)], sets_of(0, 1)), CONFIG)

    assert [words.group.level for words in done.words] == [CLASS]
    of_item = done.prompts[done.prompts["level"] == ITEM]
    own = of_item[(of_item["control"] == NONE) & (of_item["change"] == "suppressed")]
    assert (own["error_after"] == 1).all()


def test_the_model_is_left_as_found_when_it_raises(monkeypatch):
    model = subject()
    given = found([of_facts(0)], sets_of(0))
    with unchanged(model.model, "bitwise"):
        set_effects(model, given, CONFIG)

    def broken(*_args, **_options):
        raise ZeroDivisionError

    monkeypatch.setattr(model.model.lm_head, "forward", broken)
    with unchanged(model.model, "bitwise"), pytest.raises(ZeroDivisionError):
        set_effects(model, given, CONFIG)


# --- tables -------------------------------------------------------------------------------------


def prompts_frame(*rows: tuple[str, str, str, float, float], level: str = CLASS) -> pd.DataFrame:
    """(topic, group, item, p before, p after) each; nothing is answered right after."""
    return pd.DataFrame(
        [
            {
                "kind": SYNTAX,
                "topic": topic,
                "level": level,
                "group": group,
                "prompt": str(i),
                "item": item,
                "change": "suppressed",
                "control": NONE,
                "error_before": 0.0,
                "error_after": 1.0,
                "p_before": before,
                "p_after": after,
            }
            for i, (topic, group, item, before, after) in enumerate(rows)
        ]
    )


def test_every_prompt_counts_the_same_and_items_are_resampled():
    frame = prompts_frame(
        ("a", "singular", "dog", 0.5, 0.1),
        ("a", "singular", "dog", 0.5, 0.1),
        ("a", "singular", "cat", 0.5, 0.4),
        ("a", "plural", "cats", 0.2, 0.2),
        ("b", "plural", "these", 0.9, 0.8),
    )

    rows = pd.DataFrame(categorical_rows([frame], CONFIG)).set_index(["topic", "group", "measure"])

    of_class = rows.loc["a", "singular", "p"]
    assert of_class["before"] == pytest.approx(0.5)
    assert of_class["after"] == pytest.approx(0.2)
    assert of_class["difference"] == pytest.approx(-0.3)
    assert (of_class["low"], of_class["high"]) == pytest.approx((-0.4, -0.1)), "dog or cat alone"
    assert (of_class["n"], of_class["n_groups"]) == (3, 1)
    whole = rows.loc["all", "all", "p"]
    assert whole["difference"] == pytest.approx((-0.4 * 2 - 0.1 - 0.1) / 5)
    assert (whole["n"], whole["n_groups"]) == (5, 3)
    assert rows.loc["b", "plural", "p"][["low", "high"]].isna().all(), "one item has no interval"
    assert (rows.xs("error", level="measure")["difference"] == 1).all()
    assert sorted(set(rows.index.droplevel(2))) == [
        ("a", "all"), ("a", "plural"), ("a", "singular"), ("all", "all"), ("b", "all"),
        ("b", "plural"),
    ]  # fmt: skip


def test_items_are_pooled_by_topic_and_seeds_are_resampled_too():
    frame = prompts_frame(("a", "dog", "dog", 0.5, 0.4), ("a", "cat", "cat", 0.5, 0.2), level=ITEM)
    other = frame.assign(p_after=0.5)

    rows = pd.DataFrame(categorical_rows([frame, other], CONFIG))

    assert set(rows["group"]) == {"all"}
    p = rows[(rows["measure"] == "p") & (rows["topic"] == "a")].iloc[0]
    assert p["difference"] == pytest.approx(-0.1)
    assert p["high"] == pytest.approx(0.0), "draws of the second seed alone"
    assert (p["n"], p["n_groups"]) == (4, 4)
    columns = {name: rows[name].to_numpy() for name in rows}
    make_table("categorical", columns)


def words_of(before: list, after: list, cues: str = "xxy", **changes) -> WordEffects:
    """Two words after three prompts; suppressed as given, enhanced as if nothing were done."""
    test = tuple(replace(prompt(0, q), about=cue) for q, cue in enumerate(cues))
    words = (Word("these", 1, "plural"), Word("this", 2, "singular"))
    group = Group(changes.pop("kind", SYNTAX), "agreement", CLASS, "plural", (), test, words)
    first = np.array(before, float)
    draws = np.stack([first.mean(0) * scale for scale in (1.0, 1.5)])
    return WordEffects(group, first, np.stack([np.array(after, float), first]), draws[None] + 0.0)


def shifted(*words: WordEffects) -> SetEffects:
    doubled = [replace(w, random=np.repeat(w.random, 2, axis=0)) for w in words]
    return SetEffects(pd.DataFrame(), doubled)


BEFORE = [[0.1, 0.3], [0.3, 0.3], [0.2, 0.3]]
AFTER = [[0.2, 0.2], [0.5, 0.2], [0.2, 0.2]]


def test_shifts_are_of_means_over_prompts():
    """T-Y3; the mean of the three prompts' own shifts would be 0.56."""
    rows = token_shifts(subject(), shifted(words_of(BEFORE, AFTER)), CONFIG)

    assert rows["shift"].tolist() == pytest.approx([0.5, -0.5, 0, 0])
    assert rows["p_before"].tolist() == pytest.approx([0.2, 0.3] * 2)
    assert rows["change"].tolist() == ["suppressed"] * 2 + ["enhanced"] * 2
    assert rows["random_low"].tolist() == pytest.approx([0.0125] * 4)
    assert rows["random_high"].tolist() == pytest.approx([0.4875] * 4)
    assert rows["p_value"].tolist()[1:] == pytest.approx([0.0, 1.0, 1.0], abs=1e-9)
    assert rows["n"].tolist() == [2] * 4, "cues"
    assert set(rows["seed"]) == {3}
    make_table("token_shifts", {name: rows[name].to_numpy() for name in rows})


def test_sentences_about_a_word_are_one_unit_of_the_test_and_so_are_wordings_of_a_fact():
    """Differences of these: 0.1, 0.2 and 0; x and y: 0.15 and 0."""
    by_cue = token_shifts(subject(), shifted(words_of(BEFORE, AFTER)), CONFIG)
    expected = stats.ttest_rel([0.35, 0.2], [0.2, 0.2]).pvalue
    assert by_cue["p_value"].iloc[0] == pytest.approx(expected)

    one_fact = token_shifts(subject(), shifted(words_of(BEFORE, AFTER, kind=FACTS)), CONFIG)
    assert one_fact["n"].tolist() == [1] * 4
    assert one_fact["p_value"].isna().all()

    no_cues = words_of(BEFORE, AFTER)
    bare = [replace(p, about="") for p in no_cues.group.test]
    by_text = replace(no_cues, group=replace(no_cues.group, test=(bare[0], bare[0], bare[2])))
    assert token_shifts(subject(), shifted(by_text), CONFIG)["n"].tolist() == [2] * 4


def test_random_sets_that_make_a_word_impossible_leave_a_band_that_can_be_compared():
    words = words_of(BEFORE, AFTER)
    rows = token_shifts(subject(), shifted(replace(words, random=words.random * 0.0)), CONFIG)

    assert rows["random_low"].tolist() == rows["random_high"].tolist() == [-np.inf] * 4


def test_tests_of_a_kind_are_one_family():
    """Four tests of syntax, of which three are below 0.05 uncorrected; facts are a family of their
    own."""
    syntax = words_of(BEFORE, AFTER)
    other = words_of(BEFORE, AFTER, kind=FACTS)
    facts = [replace(p, item=p.about) for p in other.group.test]
    other = replace(other, group=replace(other.group, test=tuple(facts)))

    both = token_shifts(subject(), shifted(syntax, other), CONFIG)

    alone = token_shifts(subject(), shifted(syntax), CONFIG)
    assert both["q_value"].tolist() == alone["q_value"].tolist() * 2
    assert alone["q_value"].iloc[0] == pytest.approx(2 * alone["p_value"].iloc[0])
    assert alone["significant"].tolist() == [False, True, False, False]


WORDS = {
    "dogs": ("noun", "plural"),
    "cats": ("noun", "plural"),
    "these": ("determiner", "plural"),
    "this": ("determiner", "singular"),
    "the": ("neutral", ""),
}


def counted(**counts: int) -> pd.DataFrame:
    """cue_token=documents."""
    rows = [(*name.split("_"), n) for name, n in counts.items()]
    return pd.DataFrame(rows, columns=["first", "second", "n_documents"])


def test_cells_are_cues_by_words_with_what_documents_showed():
    words = words_of(BEFORE, AFTER, cues=("dogs", "dogs", "cats"))
    of_words = replace(words.group, words=(*words.group.words[:1], Word("the", 9, "neutral")))
    asked = subject(
        words=WORDS,
        cooccurrence=counted(dogs_these=7, dogs_the=2, cats_these=0, cats_the=5, dogs_this=1),
    )

    rows = word_shifts(asked, shifted(replace(words, group=of_words)), CONFIG)

    first = rows[rows["change"] == "suppressed"].set_index(["cue", "token"])
    assert first["n_documents"].to_dict() == {
        ("cats", "these"): 0, ("cats", "the"): 5, ("dogs", "these"): 7, ("dogs", "the"): 2,
    }  # fmt: skip
    assert first.loc[("dogs", "these"), "p_before"] == pytest.approx(0.2)
    assert first.loc[("dogs", "these"), "p_after"] == pytest.approx(0.35)
    assert first.loc[("dogs", "these"), "shift"] == pytest.approx(0.75)
    assert first.loc[("dogs", "these"), "log_ratio"] == pytest.approx(np.log(1.75))
    assert first["n"].to_dict() == {(c, t): 2 if c == "dogs" else 1 for c, t in first.index}
    assert rows["agrees"].all(), "a word of one form goes with either"
    make_table("word_shifts", {name: rows[name].to_numpy() for name in rows})


def test_agreement_is_of_forms_and_unknown_words_have_no_cell():
    words = words_of(BEFORE, AFTER, cues=("dogs", "dogs", "wolves"))
    counts = counted(dogs_these=7, dogs_this=0, wolves_these=4)

    rows = word_shifts(subject(words=WORDS, cooccurrence=counts), shifted(words), CONFIG)

    first = rows[rows["change"] == "suppressed"]
    assert first[["cue", "token", "agrees"]].to_numpy().tolist() == [
        ["dogs", "these", True],
        ["dogs", "this", False],
    ]


def test_where_nobody_counted_there_are_no_cells():
    effects = shifted(words_of(BEFORE, AFTER))
    of_facts_alone = shifted(words_of(BEFORE, AFTER, kind=FACTS))

    for rows in (
        word_shifts(subject(), effects, CONFIG),
        word_shifts(subject(cooccurrence=counted(x_y=1)), of_facts_alone, CONFIG),
    ):
        assert rows.empty
        assert surface_fits(rows, CONFIG) == []
    assert token_shifts(subject(), SetEffects(pd.DataFrame(), []), CONFIG).empty


def cells(slope: float, agreement: float, seeds: int = 2) -> pd.DataFrame:
    """Ten cues of either class, six words of each form; those that agree are shown together, some
    often, some never. Shifts by hand; the second class lies higher."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        for number, group in enumerate(("singular", "plural")):
            for cue in range(10):
                for token in range(12):
                    agrees = token % 2 == number
                    n = int(agrees * (token % 3 > 0) * rng.integers(1, 40))
                    shift = slope * np.log1p(n) + agreement * agrees + 3 * number
                    rows.append((seed, group, f"{group}-{cue}", f"t{token}", agrees, n, shift))
    names = ["seed", "group", "cue", "token", "agrees", "n_documents", "shift"]
    frame = pd.DataFrame(rows, columns=names).assign(topic="a", change="suppressed")
    return frame.assign(log_ratio=frame["shift"] + rng.normal(0, 0.01, len(frame)))


def fit(rows: list, model: str, term: str, measure: str = "shift", topic: str = "a") -> dict:
    return next(
        r
        for r in rows
        if (r["model"], r["term"], r["measure"], r["topic"]) == (model, term, measure, topic)
    )


def test_what_agreement_explains_is_not_put_down_to_cooccurrence():
    rows = surface_fits(cells(slope=0.0, agreement=-0.5), CONFIG)

    assert fit(rows, "alone", "cooccurrence")["coefficient"] < -0.1
    assert fit(rows, "with_agreement", "cooccurrence")["coefficient"] == pytest.approx(0, abs=1e-9)
    assert fit(rows, "with_agreement", "agreement")["coefficient"] == pytest.approx(-0.5)
    assert fit(rows, "with_agreement", "agreement")["r_squared"] == pytest.approx(1)
    assert fit(rows, "within", "cooccurrence")["coefficient"] == pytest.approx(0, abs=1e-9)
    noisy = fit(rows, "within", "cooccurrence", "log_ratio")
    assert noisy["low"] < noisy["coefficient"] < noisy["high"]
    assert abs(noisy["coefficient"]) < 0.005


def test_coefficients_are_per_standard_deviation_of_all_cells():
    frame = cells(slope=0.2, agreement=0.0)

    rows = surface_fits(frame, CONFIG)

    expected = 0.2 * np.log1p(frame["n_documents"]).std(ddof=0)
    for model in ("alone", "with_agreement", "within"):
        assert fit(rows, model, "cooccurrence")["coefficient"] == pytest.approx(expected)
    assert fit(rows, "within", "cooccurrence")["n"] == frame["agrees"].sum()


def test_topics_are_fitted_alone_and_together():
    one, two = cells(0.2, 0.0), cells(0.1, 0.0).assign(topic="b")

    rows = surface_fits(pd.concat([one, two]), CONFIG)

    slopes = {t: fit(rows, "alone", "cooccurrence", topic=t)["coefficient"] for t in ("a", "b")}
    assert slopes["a"] == pytest.approx(2 * slopes["b"])
    whole = fit(rows, "alone", "cooccurrence", topic="all")
    assert slopes["b"] < whole["coefficient"] < slopes["a"]
    assert whole["n"] == 2 * len(one)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    make_table("surface_fits", columns)


def test_infinite_shifts_are_left_out_of_their_own_fits():
    frame = cells(slope=0.2, agreement=0.0)
    frame.loc[frame.index[:5], "shift"] = [np.inf, -np.inf, np.inf, np.nan, np.inf]

    rows = surface_fits(frame, CONFIG)

    assert fit(rows, "alone", "cooccurrence")["n"] == len(frame) - 5
    assert fit(rows, "alone", "cooccurrence", "log_ratio")["n"] == len(frame)
    assert np.isfinite(fit(rows, "alone", "cooccurrence")["coefficient"])


def test_cells_that_were_never_shown_have_no_coefficient():
    rows = surface_fits(cells(0.2, -0.5).assign(n_documents=0), CONFIG)

    assert np.isnan(fit(rows, "alone", "cooccurrence")["coefficient"])
    assert np.isnan(fit(rows, "with_agreement", "agreement")["low"])
