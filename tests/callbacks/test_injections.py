"""The loss of injected facts around every injection: when it is probed, and what is stored."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from coemerge.app.settings import Settings
from coemerge.callbacks.context import RunContext
from coemerge.callbacks.injections import InjectionProbe, injection_steps, probe_steps
from coemerge.corpus.dataset import Dataset, build_dataset
from coemerge.corpus.loader import RowOrder
from coemerge.corpus.store import DOCUMENT_DTYPE
from coemerge.report.forgetting import format_forgetting
from coemerge.scoring.metrics import score_probe
from coemerge.scoring.probe import make_probe, select_prompts
from tests.callbacks.conftest import Interrupt, Trained, fit
from tests.conftest import ComposeSettings

ARM, DENSE, SPARSE = "A8_wordings", 3, 4
# --- which steps ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("injections", "max_steps", "dense", "sparse", "steps"),
    [
        # the step before, 5 to 7, two more, then every third, and the last
        ([range(5, 8)], 16, 2, 3, [4, 5, 6, 7, 8, 9, 10, 13, 16]),
        ([range(5, 8)], 17, 2, 3, [4, 5, 6, 7, 8, 9, 10, 13, 16, 17]),
        # sparse steps end before the next injection, at the step before it
        ([range(2, 3), range(9, 10)], 12, 1, 4, [1, 2, 3, 4, 8, 9, 10, 11, 12]),
        # the next one comes while the first is still probed densely
        ([range(2, 3), range(4, 5)], 8, 5, 2, [1, 2, 3, 4, 5, 6, 7, 8]),
        # in the very first step; at the very end
        ([range(1, 2)], 4, 1, 2, [0, 1, 2, 3, 4]),
        ([range(8, 9)], 8, 3, 2, [7, 8]),
        ([], 8, 3, 2, [8]),
    ],
)
def test_injections_are_probed_densely_then_sparsely(
    injections: list[range], max_steps: int, dense: int, sparse: int, steps: list[int]
):
    assert probe_steps(injections, max_steps, dense, sparse) == steps


@pytest.mark.parametrize(("dense", "sparse"), [(0, 1), (1, 0), (-1, 1)])
def test_intervals_below_one_are_refused(dense: int, sparse: int):
    with pytest.raises(ValueError, match=r"callbacks\.injections.*at least 1"):
        probe_steps([range(5, 8)], 20, dense, sparse)


def made_up(rows_and_facts: Sequence[tuple[int, int]], max_steps: int, per_step: int) -> RunContext:
    """A run of which only the documents' rows and facts are there."""
    documents = np.zeros(len(rows_and_facts), DOCUMENT_DTYPE)
    documents["row"], documents["fact"] = zip(*rows_and_facts, strict=True)
    dataset = SimpleNamespace(store=SimpleNamespace(documents=documents))
    order = RowOrder(n_rows=1000, rows_per_step=per_step)
    return SimpleNamespace(dataset=dataset, order=order, max_steps=max_steps)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("rows", "max_steps", "per_step", "expected"),
    [
        ([9, 10, 11], 100, 1, [range(10, 13)]),
        ([9, 11, 16, 17], 100, 1, [range(10, 19)]),  # five steps apart: still one injection
        ([9, 11, 17, 18], 100, 1, [range(10, 13), range(18, 20)]),  # six: two
        ([9, 9, 9], 100, 1, [range(10, 11)]),
        ([40, 43, 44, 80], 100, 4, [range(11, 13), range(21, 22)]),
        ([9, 50, 99, 100], 60, 1, [range(10, 11), range(51, 52)]),  # beyond the last step
        ([50], 50, 1, []),
        ([0], 50, 1, [range(1, 2)]),
    ],
)
def test_neighbouring_steps_that_use_documents_are_one_injection(
    rows: list[int], max_steps: int, per_step: int, expected: list[range]
):
    others = [(row, 7) for row in range(0, 100, 3)]  # another fact, all the time
    run = made_up([*((row, 5) for row in rows), *others], max_steps, per_step)

    assert injection_steps(run, np.array([5, 6])) == expected


# --- a short training -------------------------------------------------------------------------


# 20 facts, 12 of them injected three times.
SHRUNK = (
    "experiment=fact_forgetting",
    "model=gpt2_tiny",
    "logger=none",
    "world.types.person.size=20",
    "world.use=[birthplace]",
    "corpus.plan.documents={completion:60,fitb:40,openqa:40}",
    "corpus.plan.arms.wordings_documents=3",
    "corpus.row_length=32",
    "trainer.batch_rows=4",
    "trainer.threads=1",
    "trainer.resume_every=5",
)
WATCHED = (
    f"callbacks.injections.dense={DENSE}",
    f"callbacks.injections.sparse={SPARSE}",
    "callbacks.exposure.schedule.count=2",
    "callbacks.acquisition.full_templates_per_cell=1",
    "callbacks.progress=null",
)


@pytest.fixture(scope="module")
def settings(compose_settings: ComposeSettings) -> Settings:
    return compose_settings(*SHRUNK, *WATCHED)


@pytest.fixture(scope="module")
def dataset(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return build_dataset(settings.dataset, tmp_path_factory.mktemp("data") / "x", progress=False)


@pytest.fixture(scope="module")
def trained(settings: Settings, dataset: Dataset, tmp_path_factory) -> Trained:
    return fit(settings, dataset, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def injections(trained: Trained) -> list[range]:
    """Read back from the table of steps."""
    table = trained.table("injection_steps")
    assert table["injection"].tolist() == list(range(1, len(table) + 1))
    return [
        range(first, last + 1)
        for first, last in zip(table["first_step"], table["last_step"], strict=True)
    ]


def injected(dataset: Dataset) -> pa.Table:
    return dataset.facts.filter(pc.equal(dataset.facts["arm"], ARM))


def test_every_document_of_an_injected_fact_falls_into_an_injection(
    trained: Trained, dataset: Dataset, injections: list[range]
):
    documents = dataset.store.documents
    mine = np.isin(documents["fact"], injected(dataset)["fact_index"].to_numpy())
    steps = {trained.job.run.order.step_using(int(row)) for row in documents["row"][mine]}

    assert len(injections) == 3
    assert all(any(step in span for span in injections) for step in steps)
    assert all(span.start in steps and span.stop - 1 in steps for span in injections)


def test_facts_shown_once_are_shown_in_the_first_injection(
    trained: Trained, dataset: Dataset, injections: list[range]
):
    detail = dict(
        zip(*(dataset.facts[c].to_pylist() for c in ("fact_index", "detail")), strict=True)
    )
    shown: dict[str, set[int]] = {}
    for document in dataset.store.documents:
        step = trained.job.run.order.step_using(int(document["row"]))
        number = [k for k, span in enumerate(injections, start=1) if step in span]
        if detail[int(document["fact"])] in ("once", "repeated", "reworded"):
            shown.setdefault(detail[int(document["fact"])], set()).update(number)

    assert shown == {"once": {1}, "repeated": {1, 2, 3}, "reworded": {1, 2, 3}}


def test_rows_come_at_every_step_for_a_while_then_ever_so_often(
    trained: Trained, injections: list[range]
):
    steps = sorted(trained.table("injections")["step"].unique())
    last = trained.job.run.max_steps
    nexts = [*(span.start for span in injections[1:]), last + 1]

    for span, until in zip(injections, nexts, strict=True):
        dense = range(span.start - 1, min(span.stop + DENSE, until))
        assert set(dense) <= set(steps)
        sparse = [step for step in steps if span.stop + DENSE <= step < until - 1]
        assert set(np.diff(sparse)) <= {SPARSE}
    assert steps == probe_steps(injections, last, DENSE, SPARSE)
    assert len(steps) < last / 2


def test_each_step_asks_each_injected_fact_in_the_injected_wording_and_in_two_others(
    trained: Trained, dataset: Dataset
):
    rows = trained.table("injections")
    asked = {
        (split, template)
        for split, template in zip(rows["split"], rows["template_id"], strict=True)
    }

    assert asked == {("seen_templates", 0), ("held_out_templates", 7), ("held_out_templates", 8)}
    assert set(rows["task"]) == {"completion"}
    assert set(rows["fact_id"]) == set(injected(dataset)["fact_id"].to_pylist())
    sizes = rows.groupby("step").size()
    assert set(sizes) == {3 * len(injected(dataset))}
    assert rows["nll"].between(0, 50).all()


def test_the_last_rows_are_what_the_final_model_answers(trained: Trained, dataset: Dataset):
    """The same prompts in the same batches, scored once more."""
    prompts = dataset.prompts.filter(
        pc.and_(
            pc.is_in(dataset.prompts["fact_id"], injected(dataset)["fact_id"]),
            pc.equal(dataset.prompts["task"], "completion"),
        )
    )
    seen = select_prompts(prompts, ["seen_templates"], templates_per_cell=1)
    held_out = select_prompts(prompts, ["held_out_templates"], templates_per_cell=2)
    probe = make_probe(pa.concat_tables([seen, held_out]))
    means = score_probe(trained.job.module.model, probe)
    rows = trained.table("injections")

    last = rows[rows["step"] == trained.job.run.max_steps]
    keys = ["fact_id", "template_id"]
    expected = probe.cells.to_pandas()[keys].assign(nll=means["nll"].numpy())
    left, right = (frame.sort_values(keys)["nll"].to_numpy() for frame in (last, expected))
    assert np.array_equal(left, right)


def test_logged_losses_are_the_means_of_the_table_by_variant(trained: Trained, dataset: Dataset):
    rows = trained.table("injections").merge(trained.table("facts"), on="fact_id")
    means = rows.groupby(["detail", "split", "step"])["nll"].mean()

    for variant in ("once", "repeated", "reworded"):
        for split in ("seen_templates", "held_out_templates"):
            logged = trained.metric(f"injections/{variant}/{split}/nll")
            assert logged == pytest.approx(means[variant, split].to_dict())


def test_the_runs_tables_bring_the_facts_with_them(trained: Trained, dataset: Dataset):
    assert trained.table("facts").equals(dataset.facts.to_pandas())


def test_the_report_can_be_written_of_it(trained: Trained):
    text = format_forgetting(trained.directory / "tables")

    assert all(variant in text for variant in ("once", "repeated", "reworded"))


def test_an_interrupted_training_probes_the_same(
    settings: Settings, dataset: Dataset, trained: Trained, injections: list[range], tmp_path: Path
):
    middle = injections[1].start + 1
    with pytest.raises(RuntimeError, match="interrupted by the test"):
        fit(settings, dataset, tmp_path, last=lambda job: [Interrupt(middle)])
    resumed = fit(settings, dataset, tmp_path, continues=True)

    assert resumed.weights == trained.weights
    for name in ("injections", "injection_steps"):
        assert resumed.table(name).equals(trained.table(name))


def test_without_probing_the_weights_are_the_same(
    compose_settings: ComposeSettings, dataset: Dataset, trained: Trained, tmp_path: Path
):
    alone = fit(compose_settings(*SHRUNK, "callbacks=none"), dataset, tmp_path)

    assert alone.weights == trained.weights
    assert {path.stem for path in (tmp_path / "tables").iterdir()} == {"facts"}


def test_an_arm_without_facts_is_refused(trained: Trained):
    with pytest.raises(ValueError, match=r"callbacks\.injections\.arm.*'A3_dose'"):
        InjectionProbe(trained.job.run, "A3_dose")
