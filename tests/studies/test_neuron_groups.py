"""Pools, groups and sets of neurons (methods 6.2, 6.3), on the planted model: its neuron of
(subject, task) writes the subject's object, and nothing else knows anything."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from coemerge.localization.attribution_config import AttributionConfig
from coemerge.prompts.minimal_pairs import PairPrompt
from coemerge.studies.knowledge_neurons import neurons
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.groups import MOST_WORDS, make_groups
from coemerge.studies.knowledge_neurons.neurons import find_sets
from coemerge.studies.knowledge_neurons.pools import make_pools, skills, studied
from coemerge.studies.knowledge_neurons.sides import class_sides
from coemerge.studies.knowledge_neurons.subject import (
    CLASS,
    FACTS,
    ITEM,
    SYNTAX,
    Found,
    Group,
    Pool,
    Prompt,
    Subject,
)
from coemerge.studies.shared.attributions import METHOD_VERSION, kept_attributions
from coemerge.tables.store import make_table
from coemerge.worlds.agreement import MinimalPair
from tests.localization import models as planted
from tests.localization.models import FIRST_OBJECT, FIRST_SUBJECT, FIRST_TASK, neuron_of

SEEN, NEW_WORDS, NEW_FRAMES = "seen", "held_out_words", "held_out_frames"
CONFIG = KnowledgeNeuronsConfig(
    task="completion", min_prompts=2, item_prompts=2, steps=4, similarity_draws=4
)


def pair(fact: int, task: int, question: int, right: bool = True, split: str = "") -> PairPrompt:
    """Subjects 0 and 1 take a singular word, 2 and 3 a plural one."""
    good, bad = FIRST_OBJECT + fact, FIRST_OBJECT + (fact + 2) % 4
    good, bad = (good, bad) if right else (bad, good)
    told = MinimalPair(
        "agreement",
        "singular" if fact < 2 else "plural",
        prefix=f"{task} {fact} {question}",
        good=f"word-{good}",
        bad=f"word-{bad}",
        cue=f"cue-{fact}",
        split=split or (SEEN, NEW_WORDS, NEW_FRAMES, SEEN)[question],
    )
    ids = (FIRST_TASK + task, FIRST_SUBJECT + fact, question)
    return PairPrompt(told, ids, good, bad, (1, 2))


PAIRS = [pair(f, t, q) for f in range(4) for t in range(3) for q in range(4)]


def facts(**columns: Any) -> pd.DataFrame:
    names = planted.FACTS
    usual = {
        "fact_id": names,
        "relation": ["r0", "r0", "r0", "r0"],
        "arm": "A0_full",
        "detail": "",
        "subject": [f"subject-{name}" for name in names],
        "object": [f"object-{name}" for name in names],
        "root_id": names,
        "documents": np.nan,
    }
    return pd.DataFrame({**usual, **columns})


def prompts(relations: Sequence[str] = ("r0",) * 4) -> Any:
    """Every fact in three tasks' words and four questions, as 12 wordings of completion."""
    columns = planted.planted_prompts().to_pydict()
    n = len(columns["fact_id"])
    wording = [
        int(task[-1]) * 4 + t
        for task, t in zip(columns["task"], columns["template_id"], strict=True)
    ]
    relation_of = dict(zip(planted.FACTS, relations, strict=True))
    relation = [relation_of[fact] for fact in columns["fact_id"]]
    changed = {"task": ["completion"] * n, "template_id": wording, "relation": relation}
    return make_table("prompts", {**columns, **changed})


def subject(**changes: Any) -> Subject:
    usual: dict[str, Any] = {
        "model": planted.planted_model(),
        "identity": "planted",
        "seed": 0,
        "pairs": PAIRS,
        "words": {},
        "token_ids": {},
        "cooccurrence": None,
        "prompts": prompts(),
        "facts": facts(),
        "text": [],
        "decode": lambda ids: " ".join(f"token-{i}" for i in ids),
        "opening": None,
        "separator": [],
        "start": 0,
    }
    return Subject(**{**usual, **changes})


def no_facts() -> dict[str, Any]:
    return {"prompts": prompts().slice(0, 0), "facts": facts().iloc[:0]}


def made_pool(
    rows: Iterable[tuple[str, str, str]], kind: str = SYNTAX, wrong: Sequence[int] = ()
) -> Pool:
    """(item, text, split) of every prompt."""
    texts: dict[str, int] = {}
    made = tuple(
        Prompt(f"p{i}", item, "cue", (texts.setdefault(text, len(texts)), 1), (i,), 0, None, split)
        for i, (item, text, split) in enumerate(rows)
    )
    right = np.array([i not in wrong for i in range(len(made))])
    return Pool(kind, "topic", "name", made, right, np.zeros(len(made)))


def of_level(groups: Sequence[Group], level: str) -> dict[str, Group]:
    return {group.name: group for group in groups if group.level == level}


def test_pairs_make_pools_by_phenomenon_and_class():
    wrong = pair(0, 1, 2, right=False)
    # the same question again, and one that the model answers wrong
    asked = [wrong if p == pair(0, 1, 2) else p for p in PAIRS]
    pools = make_pools(subject(pairs=[*asked, PAIRS[0]], **no_facts()), CONFIG)

    assert [(p.kind, p.topic, p.name, len(p.prompts)) for p in pools] == [
        (SYNTAX, "agreement", "singular", 24),
        (SYNTAX, "agreement", "plural", 24),
    ]
    first, second = pools[0].prompts[:2]
    good = FIRST_OBJECT
    assert (first.item, first.about, first.ids) == (f"word-{good}", "cue-0", PAIRS[0].ids)
    assert (first.answer, first.foil, first.span) == ((good,), good + 2, (1, 2))
    assert (first.split, second.split) == (SEEN, NEW_WORDS)
    assert len({prompt.name for pool in pools for prompt in pool.prompts}) == 48
    is_wrong = [not right for right in pools[0].right]
    assert [p.ids for p, bad in zip(pools[0].prompts, is_wrong, strict=True) if bad] == [wrong.ids]
    assert ((pools[0].margin > 0) == pools[0].right).all()
    assert abs(pools[0].margin).min() > 1


def test_a_phenomenon_without_classes_or_cues_is_one_pool():
    bare = [replace(p, cue=None, pair=replace(p.pair, word_class="", cue="")) for p in PAIRS]
    (pool,) = make_pools(subject(pairs=bare, **no_facts()), CONFIG)

    assert (pool.name, pool.prompts[0].about, pool.prompts[0].span) == ("agreement", "", None)


def test_facts_make_pools_by_relation_in_all_wordings():
    relations = ("r0", "r0", "r1", "r1")
    pools = make_pools(
        subject(pairs=[], prompts=prompts(relations), facts=facts(relation=relations)), CONFIG
    )

    assert [(p.kind, p.topic, p.name, len(p.prompts)) for p in pools] == [
        (FACTS, "r0", "r0", 24),
        (FACTS, "r1", "r1", 24),
    ]
    first = pools[1].prompts[0]
    assert (first.item, first.about, first.answer) == (
        "fact-2",
        "subject-fact-2",
        (FIRST_OBJECT + 2,),
    )
    assert (first.foil, first.span, first.split) == (None, (1, 2), "seen_templates")
    assert {prompt.wording for prompt in pools[0].prompts} == set(range(12))
    assert pools[0].right.all()
    assert np.isnan(pools[0].margin).all()


@pytest.mark.parametrize(
    ("columns", "settings", "expected"),
    [
        ({}, {}, [0, 1, 2, 3]),
        ({"documents": [3, 0, np.nan, 1]}, {}, [0, 2, 3]),
        ({"arm": ["A0_full", "A5_never", "A6", "A6"]}, {}, [0, 2, 3]),
        ({"arm": ["A0_full", "A5_never", "A6", "A6"]}, {"arms": ["A6"]}, [2, 3]),
        ({"documents": [3, 0, 0, 1]}, {"facts": ["fact-1", "fact-0"]}, [0, 1]),
    ],
)
def test_facts_are_those_asked_for_or_all_that_training_showed(columns, settings, expected):
    pools = make_pools(subject(pairs=[], facts=facts(**columns)), replace(CONFIG, **settings))

    asked = {prompt.item for pool in pools for prompt in pool.prompts}
    assert asked == {planted.FACTS[f] for f in expected}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"phenomena": ["case"]}, "study.phenomena: case is not there; .* such as agreement"),
        ({"arms": ["A9"]}, "study.arms: A9 is not there; .* such as A0_full"),
        ({"facts": ["fact-9"]}, "study.facts: fact-9 is not there"),
        ({"phenomena": [], "task": "openqa"}, "neither a minimal pair nor a fact asked in openqa"),
    ],
)
def test_what_is_not_there_is_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        make_pools(subject(), replace(CONFIG, **settings))


def test_skills_say_what_is_studied_and_why_not():
    weak = [pair(f, t, q, right=q < 1) for f in (2, 3) for t in range(3) for q in range(4)]
    few = [replace(p, pair=replace(p.pair, phenomenon="few")) for p in PAIRS[:3]]
    pools = make_pools(subject(pairs=[*PAIRS[:24], *weak, *few]), CONFIG)
    frame = skills(pools, CONFIG)

    make_table("skills", {**frame.assign(seed=0)})
    found = frame.set_index(["topic", "group", "split"])
    seen = found.loc[("agreement", "singular", SEEN)]
    assert (seen["n"], seen["accuracy"], seen["chance"], seen["studied"]) == (12, 1, 0.5, True)
    assert 0.7 < seen["low"] < seen["high"] == pytest.approx(1)
    assert seen["margin"] > 1
    for split, accuracy in ((SEEN, 0.5), (NEW_WORDS, 0)):
        row = found.loc[("agreement", "plural", split)]
        assert (row["accuracy"], row["studied"]) == (accuracy, False)
        assert row["reason"] == "0.25 answered right, below study.least_accuracy=0.75"
    assert (
        "answered right on a side, study.min_prompts=2"
        in found.loc[("few", "singular", SEEN)]["reason"]
    )
    row = found.loc[("r0", "r0", "seen_templates")]
    assert (row["chance"], row["reason"]) == (0.25, "")
    assert np.isnan(row["margin"])
    kept = [(pool.topic, pool.name) for pool in studied(pools, CONFIG)]
    assert kept == [("agreement", "singular"), ("r0", "r0")]
    with pytest.raises(
        ValueError, match=r"nothing that can be studied .*few singular: .*train long"
    ):
        studied([pools[1], pools[2]], CONFIG)


def test_search_and_test_share_no_text_and_search_is_right():
    rows = [(f"w{i % 5}", f"text-{i // 3}", (SEEN, NEW_FRAMES)[i // 3 % 2]) for i in range(120)]
    pool = made_pool(rows, wrong=range(0, 120, 7))
    sides = class_sides(pool, replace(CONFIG, n_prompts=25))
    search, test = ([pool.prompts[i] for i in side] for side in (sides.search, sides.test))

    assert len(search) == len(test) == 25
    assert pool.right[sides.search].all()
    assert not pool.right[sides.test].all()
    assert not {p.ids for p in search} & {p.ids for p in test}
    assert {p.split for p in search} == {SEEN}
    assert {p.split for p in test} == {NEW_FRAMES}


def test_where_little_is_held_out_the_test_takes_shown_prompts_after_it():
    rows = [("w", f"text-{i}", SEEN if i < 30 else NEW_WORDS) for i in range(34)]
    pool = made_pool(rows)
    sides = class_sides(pool, replace(CONFIG, n_prompts=10))

    splits = [pool.prompts[i].split for i in sides.test]
    assert splits == [NEW_WORDS] * 4 + [SEEN] * 6
    assert len(sides.search) == 10

    sides = class_sides(pool, CONFIG)  # 100 of each are not there: halves
    assert (len(sides.search), len(sides.test)) == (17, 17)


def test_texts_and_facts_come_in_turn():
    pool = made_pool([("w", f"text-{i // 10}", "") for i in range(200)])
    sides = class_sides(pool, replace(CONFIG, n_prompts=10))
    assert len({pool.prompts[i].ids for i in sides.test}) == 10

    pool = made_pool([(f"f{i // 10}", f"t{i}", "seen_templates") for i in range(200)], FACTS)
    sides = class_sides(pool, replace(CONFIG, n_prompts=20))
    for side in (sides.search, sides.test):
        n_of_fact = pd.Series([pool.prompts[i].item for i in side]).value_counts()
        assert n_of_fact.max() - n_of_fact.min() <= 1


def test_facts_are_searched_in_wordings_of_training_and_tried_on_others():
    splits = ["seen_templates"] * 3 + ["held_out_templates"] * 2
    rows = [(f"f{f}", f"{f}/{w}", split) for f in range(40) for w, split in enumerate(splits)]
    pool = made_pool(rows, FACTS)

    def sides_of(n: int) -> list[list[Prompt]]:
        sides = class_sides(pool, replace(CONFIG, n_prompts=n))
        return [[pool.prompts[i] for i in side] for side in (sides.search, sides.test)]

    for side, split in zip(sides_of(15), (splits[0], splits[-1]), strict=True):
        assert [prompt.split for prompt in side] == [split] * 15
        assert len({prompt.item for prompt in side}) == 15, "in turn"
    test = [prompt.split for prompt in sides_of(100)[1]]
    assert test == sorted(test), "held out before shown, where the others do not suffice"
    assert set(test) == set(splits)


def test_no_fact_is_on_both_sides_and_its_side_depends_on_no_other():
    def sides_of(facts: Iterable[int]) -> dict[str, str]:
        rows = [(f"f{f}", f"{f}/{w}", "seen_templates") for f in facts for w in range(4)]
        pool = made_pool(rows, FACTS)
        sides = class_sides(pool, CONFIG)
        search, test = ({pool.prompts[i].item for i in s} for s in (sides.search, sides.test))
        assert not search & test
        assert search | test == {f"f{f}" for f in facts}
        return dict.fromkeys(search, "search") | dict.fromkeys(test, "test")

    everyone = sides_of(range(40))
    assert {name: everyone[name] for name in sides_of(range(0, 40, 2))} == sides_of(range(0, 40, 2))
    assert set(sides_of([3, 4]).values()) == {"search", "test"}  # whatever their lots
    assert set(sides_of([0, 1]).values()) == set(sides_of([5, 6]).values()) == {"search", "test"}


def test_groups_are_alike_in_every_process_and_differ_with_the_seed():
    asked = subject()
    config = replace(CONFIG, n_prompts=6)
    pools = make_pools(asked, config)

    groups = make_groups(pools, asked, config)

    assert groups == make_groups(make_pools(asked, config), asked, config)
    assert groups != make_groups(pools, asked, replace(config, seed=1))
    for group in groups:
        assert group.search
        assert group.test
        assert not {p.ids for p in group.search} & {p.ids for p in group.test}
        assert len(group.search) <= 6
        assert len(group.test) <= 6
        if (group.kind, group.level) == (FACTS, CLASS):
            assert not {p.item for p in group.search} & {p.item for p in group.test}
        if group.level == ITEM:
            assert {p.item for p in (*group.search, *group.test)} == {group.name}
            assert (len(group.search), len(group.test), group.words) == (2, 2, ())


def test_items_are_of_the_classes_in_turn():
    asked = subject()
    pools = make_pools(asked, CONFIG)
    items = of_level(make_groups(pools, asked, replace(CONFIG, n_items=3)), ITEM)

    classes = {p.item: pool.name for pool in pools for p in pool.prompts if pool.kind == SYNTAX}
    words = [classes[name] for name, group in items.items() if group.kind == SYNTAX]
    assert words == ["singular", "plural", "singular"]
    assert sum(group.kind == FACTS for group in items.values()) == 3


def test_a_word_with_too_few_prompts_is_no_item():
    pools = [made_pool([("rare", "t0", SEEN), *(("often", f"t{i}", SEEN) for i in range(1, 9))])]

    assert list(of_level(make_groups(pools, subject(), CONFIG), ITEM)) == ["often"]


def test_words_are_those_of_the_targets_class_and_neutral_ones_beside_determiners():
    good = [f"word-{FIRST_OBJECT + f}" for f in range(4)]
    words = {
        good[0]: ("determiner", "singular"),
        good[2]: ("determiner", "plural"),
        "the": ("neutral", ""),
        "several tokens": ("determiner", "plural"),
        "walks": ("verb", "singular"),
    }
    token_ids = {good[0]: 1, good[2]: 2, "the": 3, "walks": 4}
    asked = subject(words=words, token_ids=token_ids)
    groups = of_level(make_groups(make_pools(asked, CONFIG), asked, CONFIG), CLASS)

    for name in ("singular", "plural"):
        assert [(w.text, w.token, w.word_class) for w in groups[name].words] == [
            (good[0], 1, "singular"),
            (good[2], 2, "plural"),
            ("the", 3, "neutral"),
        ]
    answers = [(w.text, w.token, w.word_class) for w in groups["r0"].words]
    tokens = range(FIRST_OBJECT, FIRST_OBJECT + 4)
    assert answers == [(f"token-{t}", t, "answer") for t in tokens]


def test_words_of_pairs_without_a_grammar_are_good_and_bad_ones():
    singular_alone = subject(pairs=[p for p in PAIRS if p.pair.word_class == "singular"])
    for asked, other in ((subject(), "plural"), (singular_alone, "neutral")):
        group = of_level(make_groups(make_pools(asked, CONFIG), asked, CONFIG), CLASS)["singular"]
        found = {word.token: word.word_class for word in group.words}
        assert len(group.words) == 4
        assert found == {FIRST_OBJECT + f: "singular" if f < 2 else other for f in range(4)}


def test_of_many_words_of_pairs_those_of_most_pairs_are_inspected():
    def pairs(word: int, times: int) -> list[PairPrompt]:
        told = replace(PAIRS[0].pair, good=f"good-{word}", bad=f"bad-{word}")
        return [replace(PAIRS[0], pair=told, good_id=word, bad_id=word + 500)] * times

    rare = [p for word in range(90) for p in pairs(word, 1)]
    often = [p for word in range(90, 100) for p in pairs(word, 3)]
    asked = subject(pairs=[*rare, *often], **no_facts())
    pools = make_pools(replace(asked, pairs=PAIRS), CONFIG)

    words = [word.text for word in make_groups(pools, asked, CONFIG)[0].words]

    assert len(words) == MOST_WORDS
    assert {f"{kind}-{word}" for kind in ("good", "bad") for word in range(90, 100)} <= set(words)
    assert words[:20] == [f"good-{word}" for word in range(20)], "the rest as they come"


def groups_of(sizes: Sequence[int], level: str = CLASS, kind: str = SYNTAX) -> list[Group]:
    """Groups of so many prompts, of texts that no other has."""
    groups, first = [], 0
    for n in sizes:
        pool = made_pool([("w", str(i), "") for i in range(n)], kind)
        own = tuple(replace(p, ids=(first + i,)) for i, p in enumerate(pool.prompts))
        first += n
        groups.append(Group(kind, "topic", level, f"g{first}", own, ()))
    return groups


def found_in(
    groups: Sequence[Group],
    attribution: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    **settings: Any,
) -> Found:
    """Sets of groups whose prompts, one after the other, have these attributions [N,1,n], other
    neurons none."""
    padded = torch.zeros(len(attribution), 1, planted.D_MLP)
    padded[..., : attribution.shape[-1]] = attribution
    monkeypatch.setattr(neurons, "kept_attributions", lambda *_: padded)
    return find_sets(subject(), groups, replace(CONFIG, **settings), tmp_path)


def members(found: Found, group: int = 0) -> list[int]:
    return found.sets[group].flatten().nonzero().flatten().tolist()


def test_t_y6_three_shared_neurons_are_found_among_those_of_single_prompts(monkeypatch, tmp_path):
    attribution = torch.zeros(10, 1, 13)
    attribution[:, 0, :3] = 1.0
    attribution[torch.arange(10), 0, 3 + torch.arange(10)] = 2.0  # of one prompt alone

    found = found_in(groups_of([10]), attribution, monkeypatch, tmp_path)

    row = found.rows.iloc[0]
    assert members(found) == [0, 1, 2]
    assert (row["n_neurons"], row["share"], row["is_small"]) == (3, 0.7, True)
    assert (row["n_prompts"], row["n_coarse"], row["n_zero"]) == (10, 4, 0)
    make_table("neuron_groups", {**found.rows.assign(seed=0)})
    make_table("group_neurons", {**found.units.assign(seed=0)})
    units = found.units[["layer", "neuron", "found_in", "attribution"]].to_numpy().tolist()
    assert units == [[0, n, 1.0, 1.0] for n in range(3)]


def test_t_y6_a_search_without_an_end_stops_after_its_steps(monkeypatch, tmp_path):
    attribution = torch.ones(10, 1, 12)
    attribution[8:, 0, :] = torch.eye(12)[:2]  # two prompts with a neuron each, eight with all

    found = found_in(groups_of([10]), attribution, monkeypatch, tmp_path, share_steps=2)
    assert (len(members(found)), found.rows["share"][0]) == (2, 0.8)
    found = found_in(groups_of([10]), attribution, monkeypatch, tmp_path, share_steps=1)
    assert (len(members(found)), found.rows["is_small"][0]) == (12, False)


def test_a_search_that_ends_with_none_takes_what_most_prompts_share(monkeypatch, tmp_path):
    """All prompts share 8: no share on the way gives 2 to 5, the last one gives none."""
    attribution = torch.zeros(5, 1, 12)
    attribution[..., :8] = 1.0

    for n_steps in (6, 20, 21):
        found = found_in(groups_of([5]), attribution, monkeypatch, tmp_path, share_steps=n_steps)
        assert members(found) == list(range(8))
        assert (found.rows["share"][0], found.rows["is_small"][0]) == (0.95, False)


def test_all_groups_of_a_level_compare_as_many_prompts(monkeypatch, tmp_path):
    """Half of those that the smallest group has."""
    groups = [*groups_of([12, 7]), *groups_of([4], ITEM)]
    ids = iter(range(23))
    groups = [
        replace(g, search=tuple(replace(p, ids=(next(ids),)) for p in g.search)) for g in groups
    ]
    attribution = torch.rand(23, 1, 12, generator=torch.Generator().manual_seed(0))
    attribution[12] = 0  # of the group of 7

    rows = found_in(groups, attribution, monkeypatch, tmp_path, similarity_draws=20).rows

    assert rows["n_compared"].tolist() == [3, 3, 2]
    assert rows["n_zero"].tolist() == [0, 1, 0]
    assert rows["excess"].tolist() == pytest.approx(
        (rows["similarity"] - rows["baseline"]).tolist()
    )
    varied = rows[:2]
    assert (varied["low"] <= varied["excess"]).all()
    assert (varied["excess"] <= varied["high"]).all()
    assert (varied["low"] < varied["high"]).all()
    assert rows.loc[2, ["low", "high"]].isna().all(), "6 different draws, 20 made"


def test_groups_without_attributions_have_no_set_and_hold_no_other_back(monkeypatch, tmp_path):
    attribution = torch.ones(8, 1, 12)
    attribution[:4] = 0

    found = found_in(groups_of([4, 4]), attribution, monkeypatch, tmp_path)

    rows = found.rows
    assert (members(found, 0), len(members(found, 1))) == ([], 12)
    assert rows["n_compared"].tolist() == [0, 2]
    assert rows["n_zero"].tolist() == [4, 0]
    assert np.isnan(rows["similarity"][0])
    assert rows["similarity"][1] == pytest.approx(1)
    make_table("neuron_groups", {**rows.assign(seed=0)})


def test_the_neurons_of_planted_answers_are_found_and_kept(tmp_path, monkeypatch):
    asked = subject()
    config = replace(CONFIG, n_items=4)
    groups = make_groups(studied(make_pools(asked, config), config), asked, config)

    found = find_sets(asked, groups, config, tmp_path)

    assert found.sets.shape == (len(groups), 1, planted.D_MLP)
    owners = {neuron_of(f, t): FIRST_OBJECT + f for f in range(4) for t in range(planted.N_TASKS)}
    assert found.sets.flatten(1).any(1).all()
    for group, one in zip(groups, found.sets, strict=True):
        answers = {owners.get(n) for n in one.flatten().nonzero().flatten().tolist()}
        assert answers <= {prompt.answer[0] for prompt in group.search}
    monkeypatch.setattr("coemerge.studies.shared.attributions.attribute", None)
    again = find_sets(asked, groups, config, tmp_path)
    assert torch.equal(again.sets, found.sets)
    assert again.rows.equals(found.rows)


@pytest.mark.parametrize("missing", [SYNTAX, FACTS])
def test_a_world_of_one_kind_is_studied_alone(missing, tmp_path):
    asked = subject(pairs=[]) if missing == SYNTAX else subject(**no_facts())
    pools = studied(make_pools(asked, CONFIG), CONFIG)
    found = find_sets(asked, make_groups(pools, asked, CONFIG), CONFIG, tmp_path)

    assert {group.kind for group in found.groups} == {FACTS if missing == SYNTAX else SYNTAX}
    assert set(found.rows["level"]) == {CLASS, ITEM}


def test_no_group_at_all_is_no_row(tmp_path):
    found = find_sets(subject(), [], CONFIG, tmp_path)

    assert (len(found.sets), len(found.rows), len(found.units)) == (0, 0, 0)
    make_table("neuron_groups", {**found.rows.assign(seed=0)})
    make_table("group_neurons", {**found.units.assign(seed=0)})


def test_what_was_kept_before_is_found_by_the_same_name(tmp_path):
    settings = AttributionConfig("joint", 4)
    model, ids, answers = planted.planted_model(), [list(PAIRS[0].ids)], [[PAIRS[0].good_id]]

    found = kept_attributions(model, "id", ids, answers, settings, tmp_path)

    asked = json.dumps([METHOD_VERSION, "id", ids, answers, asdict(settings)])
    key = hashlib.sha256(asked.encode()).hexdigest()[:16]
    assert [path.name for path in tmp_path.iterdir()] == [f"joint-{key}.safetensors"]
    assert int(found[0].argmax()) == neuron_of(0, 0)
