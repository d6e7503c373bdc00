"""The prior: how often a guesser is right who knows how often training shows each answer."""

import copy
from collections import Counter

import pytest

from coemerge.corpus.builder import DatasetBuilder
from coemerge.corpus.dataset import Dataset
from coemerge.prompts.encoding import Encoder
from coemerge.prompts.tasks import get_task

GENERATIVE = ("completion", "fitb", "openqa")
Shares = dict[tuple[str, str, str], float]


@pytest.fixture(params=["smoke_dataset", "linked_dataset"])
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return request.getfixturevalue(request.param)


def planned_shares(dataset: Dataset) -> Shares:
    """(relation, format, object) -> share of the documents, from the tables alone."""
    facts = {fact["fact_id"]: fact for fact in dataset.facts.to_pylist()}
    counts: Counter[tuple[str, str, str]] = Counter()
    totals: Counter[tuple[str, str]] = Counter()
    for cell in dataset.plan.to_pylist():
        fact, task = facts[cell["fact_id"]], get_task(cell["task"]).base
        counts[fact["relation"], task, fact["object"]] += cell["n_documents"]
        totals[fact["relation"], task] += cell["n_documents"]
    return {key: count / totals[key[:2]] for key, count in counts.items() if totals[key[:2]]}


def priors(dataset: Dataset) -> Shares:
    """(relation, task, object) -> prior of the prompts asked; equal for all that share the key."""
    facts = {fact["fact_id"]: fact["object"] for fact in dataset.facts.to_pylist()}
    found: dict[tuple[str, str, str], set[float]] = {}
    for prompt in dataset.prompts.to_pylist():
        key = (prompt["relation"], prompt["task"], facts[prompt["fact_id"]])
        found.setdefault(key, set()).add(prompt["prior"])
    assert all(len(values) == 1 for values in found.values())
    return {key: min(values) for key, values in found.items()}


def test_generative_priors_are_the_planned_shares(dataset: Dataset):
    shares = planned_shares(dataset)
    found = {key: p for key, p in priors(dataset).items() if key[1] in GENERATIVE}
    assert found
    assert found == {key: pytest.approx(shares.get(key, 0.0)) for key in found}


def test_the_priors_of_a_relations_answers_sum_to_one(dataset: Dataset):
    totals: Counter[tuple[str, str]] = Counter()
    for (relation, task, _), prior in priors(dataset).items():
        if task in GENERATIVE:
            totals[relation, task] += prior
    assert len(totals) >= 4
    assert totals == {key: pytest.approx(1.0) for key in totals}


def test_answers_that_are_never_shown_in_a_format_have_no_prior_in_it(smoke_dataset: Dataset):
    """The arms leave some facts out of a format, so priors are not uniform."""
    found = {key: p for key, p in priors(smoke_dataset).items() if key[1] == "openqa"}
    shown = {key for key, share in planned_shares(smoke_dataset).items() if share > 0}
    assert {key for key, prior in found.items() if prior == 0} == set(found) - shown != set()
    assert len({prior for prior in found.values() if prior > 0}) > 1


def test_letters_and_verdicts_are_balanced_so_their_prior_is_chance(dataset: Dataset):
    prompts = dataset.prompts.to_pylist()
    others = [p for p in prompts if p["task"] not in GENERATIVE]
    assert {get_task(p["task"]).kind for p in others} >= {"discriminative"}
    assert all(p["prior"] == p["chance"] for p in others)


def test_scoring_some_facts_only_leaves_the_priors_as_they_are(smoke_spec, smoke_dataset: Dataset):
    spec = copy.deepcopy(smoke_spec)
    spec.prompts.facts_per_relation = 2
    whole = {p["prompt_id"]: p["prior"] for p in smoke_dataset.prompts.to_pylist()}
    asked = list(DatasetBuilder(spec).prompts(Encoder(smoke_dataset.tokenizer)))
    generative = [p for p in asked if p.task in GENERATIVE]
    assert generative
    assert all(p.prior == whole[p.prompt_id] for p in generative)
