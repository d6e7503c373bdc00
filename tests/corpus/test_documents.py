"""The stream of documents: repeatable, as planned, in seen wording, and flat in memory."""

import copy
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from coemerge.corpus.builder import DatasetBuilder
from coemerge.corpus.documents import BACKGROUND, FORMS, Document
from coemerge.corpus.plan import TASK_NAMES
from coemerge.prompts.tasks import get_task
from tests.documents import chosen_option, shown_options
from tests.tolerances import STANDARD_ERRORS, STREAM_BYTES_PER_DOCUMENT


@pytest.fixture(scope="module")
def builder(smoke_spec) -> DatasetBuilder:
    return DatasetBuilder(smoke_spec)


@pytest.fixture(scope="module")
def documents(builder) -> list[Document]:
    return list(builder.documents())


@pytest.fixture(scope="module")
def stating(documents) -> list[Document]:
    """Those that state a fact."""
    return [d for d in documents if d.fact != BACKGROUND]


def task_of(document: Document) -> str:
    return TASK_NAMES[document.task]


def answer_of(document: Document) -> str:
    """A document that states a fact has one answer."""
    (span,) = document.answers
    return document.text[slice(*span)]


def test_the_stream_repeats_itself(builder, documents):
    assert list(builder.documents()) == documents


def test_another_seed_gives_other_documents(smoke_spec, documents):
    spec = copy.deepcopy(smoke_spec)
    other = DatasetBuilder(type(spec)(spec.world, spec.prompts, spec.corpus, spec.seed + 1))
    assert list(other.documents()) != documents


def test_every_planned_document_is_emitted(builder, stating):
    planned = Counter()
    for cell in builder.plan.cells:
        planned[int(cell["fact"]), int(cell["task"])] += int(cell["n_documents"])
    assert Counter((d.fact, d.task) for d in stating) == +planned


def test_background_has_its_share(documents, smoke_spec):
    background = smoke_spec.corpus.background
    early = background.early_until
    expected = early * background.early_share + (1 - early) * background.share
    found = np.mean([d.fact == BACKGROUND for d in documents])
    # the early share is measured in fact documents, of which there are fewer per document early on
    assert abs(found - expected) < 0.05


def test_training_uses_seen_wordings_only(builder, stating):
    for d in stating:
        relation = builder.world.facts[d.fact].relation_id
        assert d.template_id in builder.book.seen(relation, get_task(task_of(d)))


def test_training_uses_all_seen_wordings(stating):
    used = {d.template_id for d in stating if task_of(d) == "completion"}
    assert used == set(range(7))


def test_a_document_ends_with_its_answer_and_a_full_stop(stating):
    assert all(d.text.endswith(f" {answer_of(d)}.") for d in stating)


def test_a_document_names_its_subject(builder, stating):
    assert all(builder.world.facts[d.fact].subject in d.text for d in stating)


def test_generative_documents_answer_the_object(builder, stating):
    generative = [d for d in stating if get_task(task_of(d)).kind == "generative"]
    assert generative
    for d in generative:
        assert answer_of(d) == builder.world.facts[d.fact].object


def test_mcqa_documents_answer_the_letter_of_the_object(builder, stating):
    for d in stating:
        if task_of(d) == "mcqa":
            assert chosen_option(d.text) == builder.world.facts[d.fact].object


def test_negmcqa_documents_answer_the_letter_of_the_distractor(builder, stating):
    for d in stating:
        if task_of(d) == "negmcqa":
            (other,) = set(shown_options(d.text)) - {builder.world.facts[d.fact].object}
            assert chosen_option(d.text) == other


def test_verification_documents_say_yes_exactly_if_they_claim_the_object(builder, stating):
    for d in stating:
        if task_of(d) == "verification":
            claim = d.text[: d.answers[0][0]].replace(",", " ").replace(".", " ").split()
            claims_object = builder.world.facts[d.fact].object in claim
            assert claims_object == (answer_of(d) == "yes")


def test_each_letter_is_right_equally_often(stating):
    letters = Counter(answer_of(d) for d in stating if task_of(d) == "mcqa")
    n = sum(letters.values())
    assert all(abs(letters[x] - n / 4) < STANDARD_ERRORS * (n * 3 / 16) ** 0.5 for x in "ABCD")


@pytest.mark.parametrize("task", ["mcqa", "negmcqa"])
def test_fact_documents_never_show_a_reserved_option_set(builder, stating, task):
    for d in stating:
        if task_of(d) == task:
            relation = builder.world.facts[d.fact].relation_id
            assert not builder.options.is_reserved(relation, shown_options(d.text))


def test_an_object_that_is_never_right_in_a_format_is_never_wrong_there(builder, stating):
    """Else its base rate alone would speak against it, also for facts that are never shown."""
    right, wrong = Counter(), Counter()
    for d in stating:
        if task_of(d) == "mcqa":
            fact = builder.world.facts[d.fact]
            right[fact.relation_id, fact.object] += 1
            for option in set(shown_options(d.text)) - {fact.object}:
                wrong[fact.relation_id, option] += 1
    assert not set(wrong) - set(right)


def test_fixed_option_sets_show_a_fact_with_one_set(smoke_spec):
    spec = copy.deepcopy(smoke_spec)
    spec.corpus.option_sets = "fixed"
    sets = {}
    for d in DatasetBuilder(spec).documents():
        if d.fact != BACKGROUND and task_of(d) == "mcqa":
            sets.setdefault(d.fact, set()).add(frozenset(shown_options(d.text)))
    assert {len(found) for found in sets.values()} == {1}


def test_forms_tell_restatements_and_two_step_documents_apart(linked_spec):
    builder = DatasetBuilder(linked_spec)
    form_of = {"field": "synonym", "capital_of": "inverse"}
    found = set()
    for d in builder.documents():
        if d.fact == BACKGROUND:
            continue
        relation = builder.world.facts[d.fact].relation_id
        plain = "cot" if get_task(task_of(d)).route else "direct"
        assert FORMS[d.form] == form_of.get(relation, plain)
        found.add(FORMS[d.form])
    assert found == {"direct", "inverse", "synonym", "cot"}


def test_the_arm_of_one_wording_uses_one_template(smoke_spec):
    spec = copy.deepcopy(smoke_spec)
    spec.corpus.plan.arms.shares = {"A8_wordings": 1}
    builder = DatasetBuilder(spec)
    templates = {}
    for d in builder.documents():
        if d.fact != BACKGROUND:
            templates.setdefault(builder.plan.detail(d.fact), set()).add(d.template_id)
    assert (templates["once"], templates["repeated"]) == ({0}, {0})
    assert len(templates["reworded"]) > 1


def peak_bytes(builder: DatasetBuilder) -> int:
    stream = builder.documents()
    tracemalloc.start()
    try:
        for _ in stream:
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_the_stream_does_not_grow_with_the_documents(smoke_spec):
    """But for the index of times. Option sets are remembered up to a limit, reached in both."""
    n_documents, peaks = [], []
    for lap in (1, 4):
        spec = copy.deepcopy(smoke_spec)
        spec.world.use = ["birthplace", "occupation"]
        spec.corpus.plan.tasks = ["completion", "mcqa"]
        spec.corpus.plan.documents = {"completion": 20 * lap, "mcqa": 70 * lap}
        spec.corpus.plan.arms.shares = {"A0_full": 1}
        builder = DatasetBuilder(spec)
        n_documents.append(builder.plan.n_documents)
        peaks.append(peak_bytes(builder))
    slope = (peaks[1] - peaks[0]) / (n_documents[1] - n_documents[0])
    assert slope < STREAM_BYTES_PER_DOCUMENT
