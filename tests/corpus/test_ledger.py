"""Was what the ledger says really shown? (methods 2.4, T-X2 and T-X3)"""

from collections import Counter, defaultdict

import numpy as np
import pytest

from coemerge.corpus.ledger import ExposureLedger
from coemerge.prompts.tasks import get_task
from tests.documents import stored_texts


def ledger_of(dataset) -> ExposureLedger:
    return ExposureLedger(dataset.store, dataset.facts["fact_id"].to_pylist())


@pytest.fixture
def ledger(smoke_dataset) -> ExposureLedger:
    return ledger_of(smoke_dataset)


@pytest.fixture(scope="module")
def finished(linked_dataset) -> ExposureLedger:
    """After one pass over the data set with every link."""
    ledger = ledger_of(linked_dataset)
    ledger.advance_to(linked_dataset.store.n_rows)
    return ledger


def planned(dataset) -> dict[tuple[str, str], int]:
    totals = Counter()
    for cell in dataset.plan.to_pylist():
        totals[cell["fact_id"], cell["task"]] += cell["n_documents"]
    return dict(+totals)


def test_nothing_is_counted_before_the_first_row(ledger):
    assert ledger.n_documents == 0


def test_the_total_is_the_number_of_documents_emitted(ledger, smoke_dataset):
    """T-X2."""
    ledger.advance_to(smoke_dataset.store.n_rows)
    assert ledger.n_documents == smoke_dataset.manifest["counts"]["documents"]


def test_the_total_is_the_number_of_stored_texts_that_name_a_subject(ledger, smoke_dataset):
    """T-X2, counted in the decoded corpus."""
    ledger.advance_to(smoke_dataset.store.n_rows)
    subjects = set(smoke_dataset.facts["subject"].to_pylist())
    texts = stored_texts(smoke_dataset.store, smoke_dataset.tokenizer)
    assert ledger.n_documents == sum(any(s in text for s in subjects) for text in texts)


def test_one_pass_equals_the_plan_exactly(ledger, smoke_dataset):
    ledger.advance_to(smoke_dataset.store.n_rows)
    counted = {key: n for key, n in ledger.exposures().items() if n}
    assert counted == planned(smoke_dataset)


def test_one_pass_equals_the_plan_with_every_link(finished, linked_dataset):
    counted = {key: n for key, n in finished.exposures().items() if n}
    assert counted == planned(linked_dataset)


def test_two_passes_count_twice(ledger, smoke_dataset):
    ledger.advance_to(2 * smoke_dataset.store.n_rows)
    assert ledger.exposures() == {k: 2 * n for k, n in planned(smoke_dataset).items()}


def test_the_ledger_counts_row_by_row(ledger, smoke_dataset):
    rows = np.asarray(smoke_dataset.store.documents["row"])
    for n_rows in (1, 7, 100, smoke_dataset.store.n_rows):
        ledger.advance_to(n_rows)
        assert ledger.n_documents == int((rows < n_rows).sum())


def test_small_and_large_strides_count_alike(smoke_dataset):
    n_rows = smoke_dataset.store.n_rows + 50
    slow, fast = ledger_of(smoke_dataset), ledger_of(smoke_dataset)
    for row in range(0, n_rows, 13):
        slow.advance_to(row)
    slow.advance_to(n_rows)
    fast.advance_to(n_rows)
    assert slow.exposures() == fast.exposures()


def test_the_ledger_does_not_run_backwards(ledger):
    ledger.advance_to(10)
    with pytest.raises(ValueError, match="row 10, past 5"):
        ledger.advance_to(5)


def test_tokens_are_those_of_the_rows_consumed(ledger, smoke_dataset):
    ledger.advance_to(smoke_dataset.store.n_rows)
    assert ledger.n_tokens == smoke_dataset.manifest["counts"]["tokens"]


def test_the_exposure_columns_add_up_to_the_exposures(ledger, smoke_dataset):
    ledger.advance_to(smoke_dataset.store.n_rows // 2)
    columns = ledger.columns(step=3)
    totals = Counter()
    for fact, task, n in zip(
        columns["fact_id"], columns["task"], columns["n_documents"], strict=True
    ):
        totals[fact, task] += int(n)
    assert dict(totals) == {k: n for k, n in ledger.exposures().items() if n}


def test_the_exposure_columns_list_each_cell_once(ledger, smoke_dataset):
    ledger.advance_to(smoke_dataset.store.n_rows)
    columns = ledger.columns(step=3)
    keys = list(zip(*(columns[k] for k in ("fact_id", "task", "template_id", "form")), strict=True))
    assert len(keys) == len(set(keys))


def test_templates_and_forms_come_back_unmixed(finished, linked_dataset):
    """Against the records themselves: the ledger packs its keys into one number."""
    from coemerge.corpus.documents import FORMS
    from coemerge.corpus.plan import TASK_NAMES

    ids = linked_dataset.facts["fact_id"].to_pylist()
    expected = Counter(
        (ids[d["fact"]], TASK_NAMES[d["task"]], int(d["template"]), FORMS[d["form"]])
        for d in linked_dataset.store.documents
    )
    columns = finished.columns(step=0)
    names = ("fact_id", "task", "template_id", "form", "n_documents")
    found = {tuple(row[:-1]): row[-1] for row in zip(*(columns[n] for n in names), strict=True)}
    assert found == dict(expected)


def allowed_tasks(arm: str, detail: str, tasks: list[str], is_restatement: bool) -> set[str]:
    """What methods 2.4 lets a fact of an arm be shown in, restated independently of the plan."""
    if arm == "A5_never" or (is_restatement and detail == "restatement withheld"):
        return set()
    formats = {
        "A1_withheld_target": set(tasks) - {detail},
        "A2_single_source": {detail},
    }.get(arm, set(tasks))
    return {
        t
        for t in formats
        if not get_task(t).route or {get_task(t).route, get_task(t).base} <= formats
    }


@pytest.mark.parametrize("name", ["smoke", "linked"])
def test_withheld_cells_stay_zero_over_the_whole_closure(request, name):
    """T-X3."""
    dataset = request.getfixturevalue(f"{name}_dataset")
    tasks = request.getfixturevalue(f"{name}_spec").corpus.plan.tasks
    ledger = ledger_of(dataset)
    ledger.advance_to(3 * dataset.store.n_rows)
    facts = {f["fact_id"]: f for f in dataset.facts.to_pylist()}
    withheld_but_shown = []
    for (fact_id, task), n in ledger.exposures().items():
        fact = facts[fact_id]
        if fact["arm"] != "auxiliary" and n:
            is_restatement = fact["root_id"] != fact_id
            if task not in allowed_tasks(fact["arm"], fact["detail"], tasks, is_restatement):
                withheld_but_shown.append((fact_id, fact["arm"], fact["detail"], task))
    assert withheld_but_shown == []


def test_no_text_names_subject_and_object_of_a_fact_that_is_never_shown(linked_dataset):
    """T-X3 in the decoded corpus: neither the fact, nor its inverse, synonym or two-hop answer."""
    facts = linked_dataset.facts.to_pylist()
    region_of = {f["subject"]: f["object"] for f in facts if f["relation"] == "located_in"}
    forbidden = defaultdict(set)
    for fact in facts:
        if fact["arm"] == "A5_never":
            forbidden[fact["subject"]].add(fact["object"])
            if fact["relation"] == "birthplace":
                forbidden[fact["subject"]].add(region_of[fact["object"]])
    assert len(forbidden) > 5
    texts = stored_texts(linked_dataset.store, linked_dataset.tokenizer)
    stated = [
        (subject, obj, text)
        for text in texts
        for subject, objects in forbidden.items()
        if subject in text
        for obj in objects
        if obj in text.replace(subject, "")
    ]
    assert stated == []


def test_subjects_of_facts_never_shown_are_known_from_other_facts(linked_dataset):
    """The sham arm: else a score at chance would only say that the name is unknown."""
    facts = linked_dataset.facts.to_pylist()
    people = {f["subject"] for f in facts if f["relation"] in ("birthplace", "occupation")}
    never = {f["subject"] for f in facts if f["arm"] == "A5_never"} & people
    text = " ".join(stored_texts(linked_dataset.store, linked_dataset.tokenizer))
    n_unknown = sum(subject not in text for subject in never)
    assert never
    assert n_unknown <= len(never) / 2  # both facts of a person may be drawn into the arm


def test_a_withheld_format_never_shows_the_subject_with_an_answer_of_the_relation(
    smoke_dataset, smoke_spec
):
    """T-X3 in the decoded corpus, for targets withheld from facts shown otherwise."""
    cues = smoke_spec.prompts.cues
    candidates = smoke_spec.world.build().candidates
    texts = stored_texts(smoke_dataset.store, smoke_dataset.tokenizer)
    held = [f for f in smoke_dataset.facts.to_pylist() if f["arm"] == "A1_withheld_target"]
    assert held
    for fact in held:
        for text in texts:
            if text.startswith(cues[fact["detail"]]) and fact["subject"] in text:
                words = set(text.replace(",", " ").replace(".", " ").split())
                assert not words & set(candidates[fact["relation"]]), (fact, text)
