"""The prompts to score: complete, rotated, in the tokenisation of training, and labelled right."""

import copy
import itertools
import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from coemerge.corpus.builder import DatasetBuilder
from coemerge.prompts.build import PromptBuilder
from coemerge.prompts.encoding import Encoder
from coemerge.prompts.options import OptionSets
from coemerge.prompts.tasks import CORE_TASKS, get_task
from tests.documents import shown_options, stored_documents, stored_texts

N_TEMPLATES, N_HELD_OUT = 10, 3


@pytest.fixture(scope="module")
def prompts(smoke_dataset) -> list[dict]:
    return smoke_dataset.prompts.to_pylist()


@pytest.fixture(scope="module")
def objects(smoke_dataset) -> dict[str, str]:
    facts = smoke_dataset.facts.to_pylist()
    return {f["fact_id"]: f["object"] for f in facts}


def of_task(prompts: list[dict], *tasks: str) -> list[dict]:
    chosen = [p for p in prompts if p["task"] in tasks]
    assert chosen
    return chosen


def test_every_fact_is_asked_in_every_task(prompts, objects):
    asked = {(p["fact_id"], p["task"]) for p in prompts}
    assert asked == set(itertools.product(objects, CORE_TASKS))


def test_every_fact_is_asked_in_all_paraphrases_of_a_task(prompts):
    templates = defaultdict(set)
    for prompt in prompts:
        if prompt["options"] != "seen":
            templates[prompt["fact_id"], prompt["task"]].add(prompt["template_id"])
    assert all(found == set(range(N_TEMPLATES)) for found in templates.values())


def test_the_last_paraphrases_are_marked_as_held_out(prompts):
    first_held_out = N_TEMPLATES - N_HELD_OUT
    marked = {(p["template_id"] >= first_held_out, p["split"]) for p in prompts}
    assert marked == {(False, "seen_templates"), (True, "held_out_templates")}


def test_prompt_ids_are_unique(prompts):
    assert len({p["prompt_id"] for p in prompts}) == len(prompts)


def test_only_lettered_tasks_have_option_sets(prompts):
    kinds = defaultdict(set)
    for prompt in prompts:
        kinds[prompt["task"]].add(prompt["options"])
    assert kinds == {
        task: {"seen", "fresh"} if get_task(task).n_options else {"none"} for task in CORE_TASKS
    }


@pytest.mark.parametrize("task", ["mcqa", "negmcqa"])
def test_each_letter_is_right_once_per_paraphrase_and_option_set(prompts, task):
    letters = defaultdict(list)
    for p in of_task(prompts, task):
        letters[p["fact_id"], p["template_id"], p["options"]].append(p["answer"])
    expected = list("ABCD"[: get_task(task).n_options])
    assert all(sorted(found) == expected for found in letters.values())


def test_the_mcqa_answer_is_the_letter_of_the_object(prompts, objects):
    for p in of_task(prompts, "mcqa"):
        assert p["option_order"]["ABCD".index(p["answer"])] == objects[p["fact_id"]]


def test_the_negmcqa_answer_is_the_letter_of_the_other_option(prompts, objects):
    for p in of_task(prompts, "negmcqa"):
        right = "ABCD".index(p["answer"])
        assert p["option_order"][right] != objects[p["fact_id"]] == p["option_order"][1 - right]


@pytest.mark.parametrize("task", ["mcqa", "negmcqa"])
def test_the_text_shows_the_options_in_the_order_recorded(prompts, task):
    assert all(shown_options(p["text"]) == p["option_order"] for p in of_task(prompts, task))


def test_the_distractors_stay_the_same_over_the_rotations(prompts):
    sets = defaultdict(set)
    for p in of_task(prompts, "mcqa"):
        key = (p["fact_id"], p["template_id"], p["options"])
        sets[key].add(frozenset(p["option_order"]))
    assert {len(found) for found in sets.values()} == {1}


def test_verification_asks_each_paraphrase_in_both_polarities(prompts):
    answers = defaultdict(list)
    for p in of_task(prompts, "verification"):
        answers[p["fact_id"], p["template_id"]].append((p["polarity"], p["answer"]))
    assert all(sorted(a) == [("false", "no"), ("true", "yes")] for a in answers.values())


def test_a_claim_is_true_exactly_if_it_names_the_object(prompts, objects):
    for p in of_task(prompts, "verification"):
        words = re.findall(r"\w+", p["text"])  # "lute" is a part of "flute"
        assert (objects[p["fact_id"]] in words) == (p["polarity"] == "true")


def test_only_verification_has_a_polarity(prompts):
    others = of_task(prompts, *[t for t in CORE_TASKS if t != "verification"])
    assert {p["polarity"] for p in others} == {""}


def test_generative_prompts_are_answered_by_the_object(prompts, objects):
    generative = of_task(prompts, "completion", "fitb", "openqa")
    assert all(p["answer"] == objects[p["fact_id"]] for p in generative)


def test_chance_is_one_over_the_answers_allowed(prompts):
    assert all(p["chance"] == 1 / len(p["candidate_ids"]) for p in prompts)


def test_chance_of_generative_tasks_is_that_of_the_answer_set(prompts, smoke_spec):
    world = smoke_spec.world.build()
    for p in of_task(prompts, "openqa"):
        assert p["chance"] == 1 / len(world.candidates[p["relation"]])


def test_the_right_answer_is_among_the_candidates(prompts):
    """T-D2, in token ids."""
    assert all(p["answer_ids"][0] in p["candidate_ids"] for p in prompts)


def test_candidates_have_first_tokens_of_their_own(prompts):
    assert all(len(set(p["candidate_ids"])) == len(p["candidate_ids"]) for p in prompts)


def test_answers_are_single_tokens(prompts):
    assert Counter(len(p["answer_ids"]) for p in prompts) == {1: len(prompts)}


def test_the_answer_ids_say_the_answer_after_a_space(prompts, smoke_dataset):
    said = {(tuple(p["answer_ids"]), p["answer"]) for p in prompts}
    assert all(smoke_dataset.tokenizer.decode(list(i)) == f" {answer}" for i, answer in said)


def test_the_ids_say_the_text(prompts, smoke_dataset):
    assert all(smoke_dataset.tokenizer.decode(p["ids"]) == p["text"] for p in prompts)


def test_the_answer_is_predicted_at_the_prompts_last_token(prompts):
    assert all(p["answer_pos"] == len(p["ids"]) - 1 for p in prompts)


def test_a_prompt_and_its_answer_begin_the_very_ids_that_training_showed(prompts, smoke_dataset):
    decode = smoke_dataset.tokenizer.decode
    trained = {decode(ids): ids for ids in stored_documents(smoke_dataset.store)}
    n_compared = Counter()
    for p in prompts:
        shown = trained.get(f"{p['text']} {p['answer']}.")
        if shown is not None:
            assert [*p["ids"], *p["answer_ids"]] == shown[:-1]
            n_compared[p["task"]] += 1
    assert min(n_compared[task] for task in ("completion", "fitb", "openqa")) > 30


def test_subject_spans_decode_to_the_subject(prompts, smoke_dataset):
    subjects = {f["fact_id"]: f["subject"] for f in smoke_dataset.facts.to_pylist()}
    for p in prompts:
        span = p["ids"][p["subject_start"] : p["subject_stop"]]
        assert smoke_dataset.tokenizer.decode(span).strip() == subjects[p["fact_id"]]


def test_relation_spans_are_apart_from_the_subject_and_the_last_token(prompts):
    for p in prompts:
        covered = relation_tokens(p)
        assert covered
        assert not covered & set(range(p["subject_start"], p["subject_stop"]))
        assert max(covered) < p["answer_pos"]


def test_relation_spans_decode_to_the_phrasing_around_the_subject(
    prompts, smoke_spec, smoke_dataset
):
    """Questions end before their cue, so no token of the phrasing is left out."""
    book = smoke_spec.prompts.book(smoke_spec.world.build())
    for p in of_task(prompts, "openqa"):
        phrasing = book.phrasing(p["relation"], get_task("openqa"), p["template_id"])
        decoded = smoke_dataset.tokenizer.decode([p["ids"][i] for i in sorted(relation_tokens(p))])
        assert decoded.replace(" ", "") == phrasing.replace("[X]", "").replace(" ", "")


def relation_tokens(prompt: dict) -> set[int]:
    bounds = prompt["relation_spans"]
    return {i for a, b in zip(bounds[::2], bounds[1::2], strict=True) for i in range(a, b)}


@pytest.mark.parametrize("task", ["mcqa", "negmcqa"])
def test_seen_options_stood_together_in_training_with_that_answer(
    prompts, smoke_dataset, smoke_spec, task
):
    shown = option_sets_in_training(smoke_dataset, smoke_spec.prompts.cues[task])
    seen = [p for p in of_task(prompts, task) if p["options"] == "seen"]
    assert seen
    assert all(frozenset(p["option_order"]) in shown for p in seen)


@pytest.mark.parametrize("task", ["mcqa", "negmcqa"])
def test_fresh_options_never_stood_together_in_training(prompts, smoke_dataset, smoke_spec, task):
    shown = option_sets_in_training(smoke_dataset, smoke_spec.prompts.cues[task])
    fresh = [p for p in of_task(prompts, task) if p["options"] == "fresh"]
    assert shown
    assert not [p for p in fresh if frozenset(p["option_order"]) in shown]


def option_sets_in_training(dataset, cue: str) -> set[frozenset[str]]:
    """Option sets of a format, those of the drills included."""
    texts = [t for t in stored_texts(dataset.store, dataset.tokenizer) if t.startswith(cue)]
    return {frozenset(shown_options(text)) for text in texts}


@pytest.fixture(scope="module")
def linked_prompts(linked_world, book, renderer, smoke_dataset):
    """Two-hop and two-step prompts of three facts; the answers need not be single tokens."""
    options = OptionSets(linked_world, fixed=False, seed=0)
    facts = [linked_world.facts[i] for i in linked_world.positions["birthplace"][:3]]
    rng = np.random.default_rng(0)
    for fact in facts:
        options.for_training(fact, get_task("mcqa"), rng)
    encoder = Encoder(smoke_dataset.tokenizer)
    builder = PromptBuilder(linked_world, book, renderer, options, encoder, {})
    tasks = [get_task(t) for t in ("multihop", "cot_openqa_mcqa", "cot_fitb_verification")]
    return list(builder.build(facts, tasks))


def test_two_hop_chance_is_that_of_the_bridges_answers(linked_prompts, linked_world):
    regions = linked_world.candidates["located_in"]
    chances = {p.chance for p in linked_prompts if p.task == "multihop"}
    assert chances == {1 / len(regions)}


def test_two_hop_prompts_answer_a_region(linked_prompts, linked_world):
    answers = {p.answer for p in linked_prompts if p.task == "multihop"}
    assert answers <= set(linked_world.candidates["located_in"])


def test_two_step_prompts_are_rotated_as_their_last_step(linked_prompts):
    variants = {p.variant for p in linked_prompts if p.task == "cot_openqa_mcqa"}
    assert variants == {0, 1, 2, 3}


def test_a_two_step_claim_is_restated_truly_whatever_it_claims(linked_prompts, linked_world):
    objects = {f.fact_id: f.object for f in linked_world.facts}
    claims = [p for p in linked_prompts if p.task == "cot_fitb_verification"]
    assert {p.polarity for p in claims} == {"true", "false"}
    assert all(objects[p.fact_id] in p.text.split("Think:")[1] for p in claims)


def test_a_relation_without_the_phrasings_of_a_task_is_not_asked(
    linked_world, book, renderer, smoke_dataset
):
    options = OptionSets(linked_world, fixed=False, seed=0)
    encoder = Encoder(smoke_dataset.tokenizer)
    builder = PromptBuilder(linked_world, book, renderer, options, encoder, {})
    job = linked_world.facts[linked_world.positions["occupation"][0]]
    assert list(builder.build([job], [get_task("multihop")])) == []


def test_prompts_can_be_limited_to_some_facts_of_each_relation(smoke_spec, smoke_dataset):
    spec = copy.deepcopy(smoke_spec)
    spec.prompts.facts_per_relation = 2
    builder = DatasetBuilder(spec)
    asked = Counter(p.relation_id for p in builder.prompts(Encoder(smoke_dataset.tokenizer)))
    facts = {p.fact_id for p in builder.prompts(Encoder(smoke_dataset.tokenizer))}
    assert len(facts) == 2 * len(asked)
