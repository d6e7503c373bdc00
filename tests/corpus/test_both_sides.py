"""A data set that asks for objects and for relations: what is shown, to whom, and what is asked."""

import copy
from collections import Counter, defaultdict

import numpy as np
import pytest

from coemerge.corpus.builder import DatasetBuilder
from coemerge.corpus.config import DatasetSpec
from coemerge.corpus.dataset import Dataset, build_dataset
from coemerge.corpus.ledger import ExposureLedger
from coemerge.prompts.encoding import Encoder, spans_around
from coemerge.prompts.tasks import NAMING
from tests.documents import stored_texts

MARKS = str.maketrans("?,.", "   ")
ENTITY = ["completion", "openqa"]
ALLOWED = {
    "entity_only": set(ENTITY),
    "relation_only": {NAMING},
    "both_sides": {*ENTITY, NAMING},
    "A5_never": set(),
}
RELATIONS = ["birthplace", "occupation", "field", "capital", "capital_of"]
WORDS = {"birthplace", "occupation", "field", "capital", "country", "none"}


def says(text: str, name: str) -> bool:
    return f" {name} " in text.translate(MARKS)


@pytest.fixture(scope="module")
def spec(compose_settings) -> DatasetSpec:
    """With a synonym and an inverse, whose facts follow the arm of those that they restate."""
    spec = compose_settings("experiment=smoke", "logger=none", "prompts=with_relations").dataset
    spec.world.use = RELATIONS
    spec.world.types["person"].size = 24
    plan = spec.corpus.plan
    plan.tasks = [*ENTITY, NAMING]
    plan.documents = {"completion": 4, "openqa": 4, NAMING: 12}
    plan.arms.shares = dict.fromkeys(ALLOWED, 1.0)
    return spec


@pytest.fixture(scope="module")
def dataset(spec, tmp_path_factory) -> Dataset:
    return build_dataset(spec, tmp_path_factory.mktemp("data") / "sides", progress=False)


@pytest.fixture(scope="module")
def facts(dataset) -> dict[str, dict]:
    return {fact["fact_id"]: fact for fact in dataset.facts.to_pylist()}


@pytest.fixture(scope="module")
def named(dataset) -> list[dict]:
    return [p for p in dataset.prompts.to_pylist() if p["task"] == NAMING]


@pytest.fixture(scope="module")
def pair_texts(dataset, spec) -> list[str]:
    cue = spec.prompts.cues[NAMING]
    texts = stored_texts(dataset.store, dataset.tokenizer)
    return [text for text in texts if text.startswith(cue)]


def test_every_arm_is_shown_on_its_sides_alone_over_the_whole_closure(dataset, facts):
    """T-X3: inverse and synonym are rows of their own, in the arm of what they restate."""
    ledger = ExposureLedger(dataset.store, list(facts))
    ledger.advance_to(2 * dataset.store.n_rows)
    shown = defaultdict(set)
    for (fact_id, task), n in ledger.exposures().items():
        if n:
            shown[facts[fact_id]["root_id"]].add(task)
            shown[fact_id].add(task)
    assert {fact_id: shown[fact_id] for fact_id in facts} == {
        fact_id: ALLOWED[facts[fact["root_id"]]["arm"]] for fact_id, fact in facts.items()
    }


def test_documents_that_ask_for_the_relation_are_counted_as_such(dataset, facts):
    """As the table of exposure has them; restatements keep their own form."""
    ledger = ExposureLedger(dataset.store, list(facts))
    ledger.advance_to(dataset.store.n_rows)
    columns = ledger.columns(step=1)
    forms = {(task, form) for task, form in zip(columns["task"], columns["form"], strict=True)}
    assert {form for task, form in forms if task == NAMING} == {"relation", "inverse", "synonym"}
    assert "relation" not in {form for task, form in forms if task != NAMING}


@pytest.mark.parametrize("arm", ["entity_only", "A5_never"])
def test_no_text_asks_for_the_relation_of_a_fact_where_it_is_withheld(facts, pair_texts, arm):
    """T-X3 in the decoded corpus: nor is the pair called unrelated."""
    withheld = [f for f in facts.values() if f["arm"] == arm]
    joined = [
        (fact["subject"], fact["object"], text)
        for fact in withheld
        for text in pair_texts
        if says(text, fact["subject"]) and says(text, fact["object"])
    ]
    assert len(withheld) > 10
    assert joined == []


def test_facts_of_every_arm_are_as_many_within_each_relation(facts):
    count = Counter((fact["relation"], fact["arm"]) for fact in facts.values())
    of_people = {key: n for key, n in count.items() if key[0] in ("birthplace", "occupation")}
    assert set(of_people.values()) == {6}


def test_about_half_of_the_pairs_shown_are_unrelated(pair_texts):
    share = np.mean([text.endswith(" none.") for text in pair_texts])
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(len(pair_texts))


def test_a_text_says_the_name_exactly_if_the_fact_is_true(facts, pair_texts):
    pairs = {(f["subject"], f["object"]) for f in facts.values()}
    subjects, objects = ({pair[k] for pair in pairs} for k in range(2))
    for text in pair_texts:
        in_text = [(s, o) for s in subjects if says(text, s) for o in objects if says(text, o)]
        assert any(pair in pairs for pair in in_text) == (not text.endswith(" none.")), text


def test_each_fact_is_asked_as_a_true_pair_and_as_an_unrelated_one(named, facts):
    main = {
        fact_id for fact_id, f in facts.items() if f["relation"] in ("birthplace", "occupation")
    }
    asked = defaultdict(list)
    for p in named:
        asked[p["fact_id"], p["template_id"]].append((p["polarity"], p["answer"]))
    assert {fact_id for fact_id, _ in asked} == main
    assert len(asked) == 10 * len(main)
    for (fact_id, _), answers in asked.items():
        assert answers == [("true", facts[fact_id]["relation"]), ("false", "none")]


def test_chance_is_one_over_the_names_and_none(named):
    """A guesser who knows an object's kind has the choice between its relation and none."""
    assert {p["chance"] for p in named} == {1 / len(WORDS)}
    assert {p["prior"] for p in named} == {0.5}


def test_candidates_are_the_names_and_none_each_one_token(named, dataset):
    (candidates,) = {tuple(p["candidate_ids"]) for p in named}
    decode = dataset.tokenizer.decode
    assert {decode([token]).strip() for token in candidates} == WORDS
    assert all(decode(p["answer_ids"]) == f" {p['answer']}" for p in named)
    assert {len(p["answer_ids"]) for p in named} == {1}


def test_subject_and_relation_spans_cover_the_prompt_but_for_the_prediction_token(named, facts):
    """T-R3; the tokenizer puts nothing before a text."""
    for p in named:
        bounds = p["relation_spans"]
        spans = list(zip(bounds[::2], bounds[1::2], strict=True))
        covered = [i for span in spans for i in range(*span)]
        subject = list(range(p["subject_start"], p["subject_stop"]))
        assert sorted(covered + subject) == list(range(p["answer_pos"]))
        assert p["answer_pos"] == len(p["ids"]) - 1


def test_spans_around_the_subject_cover_a_prompt_of_any_format(dataset):
    """T-R3 for formats whose stored spans are those of the phrasing: cue and options included."""
    for p in dataset.prompts.to_pylist()[::50]:
        subject = (p["subject_start"], p["subject_stop"])
        covered = [i for span in spans_around(subject, 0, p["answer_pos"]) for i in range(*span)]
        assert sorted([*covered, *range(*subject)]) == sorted(
            {*range(p["answer_pos"]), *range(*subject)}
        )
        assert not set(covered) & set(range(*subject))


def test_the_subject_span_decodes_to_the_subject(named, facts, dataset):
    for p in named:
        ids = p["ids"][p["subject_start"] : p["subject_stop"]]
        assert dataset.tokenizer.decode(ids).strip() == facts[p["fact_id"]]["subject"]


def test_an_unrelated_pair_is_of_an_object_that_training_shows_as_right(named, facts):
    """Else an object would be known as unrelated to anyone."""
    right = defaultdict(set)
    for f in facts.values():
        if f["arm"] in ("relation_only", "both_sides"):
            right[f["relation"]].add(f["object"])
    for p in named:
        if p["polarity"] == "false":
            assert any(says(p["text"], obj) for obj in right[p["relation"]])


def test_names_enter_the_tokenizer_only_where_they_are_asked_for(spec):
    plain = copy.deepcopy(spec)
    plain.corpus.plan.tasks = ENTITY
    plain.corpus.plan.arms.shares = {"A0_full": 1.0}
    counts = []
    for each in (plain, spec):
        encoder = Encoder(DatasetBuilder(each).tokenizer())
        counts.append([len(ids) for ids in encoder.answer_ids(sorted(WORDS))])
    assert max(counts[0]) > 1
    assert counts[1] == [1] * len(WORDS)


def test_without_names_a_fingerprint_is_what_it_was(smoke_spec, spec):
    changed = copy.deepcopy(smoke_spec)
    changed.prompts.naming_path = spec.prompts.naming_path
    assert changed.fingerprint() != smoke_spec.fingerprint()
    assert "naming_path" not in settings_hashed(smoke_spec)


def settings_hashed(spec: DatasetSpec) -> str:
    """The text that the fingerprint is the hash of."""
    from unittest import mock

    from coemerge.corpus import config

    with mock.patch.object(config.json, "dumps", wraps=config.json.dumps) as dumps:
        spec.fingerprint()
    return str(dumps.call_args)


def test_the_content_of_the_naming_file_matters(spec, tmp_path):
    changed = copy.deepcopy(spec)
    copied = tmp_path / "naming.yaml"
    with open(spec.prompts.naming_path, encoding="utf-8") as file:
        copied.write_text(file.read())
    changed.prompts.naming_path = str(copied)
    assert changed.fingerprint() == spec.fingerprint()
    copied.write_text(copied.read_text().replace("none: none", "none: nothing"))
    assert changed.fingerprint() != spec.fingerprint()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: setattr(s.prompts, "naming_path", ""), r"prompts\.naming_path: empty"),
        (lambda s: s.corpus.plan.tasks.remove(NAMING), r"entity_only: corpus\.plan\.tasks needs"),
        (lambda s: setattr(s.corpus.plan, "tasks", [NAMING]), r"asks for the object"),
        (
            lambda s: s.corpus.background.mix.update({f"drill_{NAMING}": 1.0}),
            r"corpus\.background\.mix: unknown \['drill_relation_naming'\]",
        ),
    ],
)
def test_settings_that_cannot_show_both_sides_are_refused(spec, edit, message):
    changed = copy.deepcopy(spec)
    edit(changed)
    with pytest.raises(ValueError, match=message):
        changed.check()
