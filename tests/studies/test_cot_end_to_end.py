"""From a run to its continuation with reasoning, and to the study of it; slow."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from coemerge.tables.store import write_table
from tests.scripts import run_script

pytestmark = pytest.mark.slow
TASKS = ("completion", "openqa", "verification")
FORM = "cot_openqa_verification"
SMALL = ("logger=none", "trainer.threads=1", "end.study=false", "callbacks.localization=null")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short continuation of the smoke experiment."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    base, where = artifacts / "runs" / "base", f"paths.artifacts={artifacts}"
    first = ("experiment=smoke", "run_id=base", "trainer.max_steps=10", where, *SMALL)
    shares = "{A0_full: 3, A1_withheld_target: 3, A2_single_source: 4, A5_never: 2}"
    second = (
        "experiment=chain_of_thought", f"model.base={base}", "world=synthetic_tiny", "run_id=cot",
        f"corpus.plan.tasks=[{','.join(TASKS)},{FORM}]", f"corpus.plan.arms.shares={shares}",
        "corpus.plan.documents={completion: 8, openqa: 8, verification: 16, FORM: 16}".replace(
            "FORM", FORM),
        "~corpus.plan.added.cot_completion_mcqa", "~corpus.plan.added.cot_completion_negmcqa",
        "~corpus.plan.added.multihop", f"corpus.plan.added.{FORM}.A0_full=0.5",
        "prompts.facts_per_relation=6", "optimizer.warmup_steps=5", "optimizer.lr=3e-3", where,
        *SMALL[:-1],
    )  # fmt: skip
    for arguments in (first, second):
        result, _ = run_script("train.py", *arguments, timeout=600)
        assert result.returncode == 0, result.stderr
    return artifacts / "runs" / "cot"


def held_out(run: Path) -> list[str]:
    """Facts of A0 that the ledger has never seen restated."""
    facts = pq.read_table(run / "tables" / "facts.parquet").to_pandas()
    ledger = pq.read_table(run / "tables" / "exposure.parquet").to_pandas()
    shown = set(ledger["fact_id"][(ledger["form"] == "cot") & (ledger["n_documents"] > 0)])
    full = facts["fact_id"][facts["arm"] == "A0_full"]
    assert set(full) & shown
    return [fact for fact in full if fact not in shown]


def leave_masks(run: Path) -> None:
    """A neuron of its own in each layer for every held-out fact and task."""
    cells = [(fact, task) for fact in held_out(run) for task in TASKS]
    masks = pd.DataFrame(cells, columns=["fact_id", "task"]).assign(
        seed=0, relation="r", variant="exclusive", order_index=0, n_heads=0, n_neurons=2,
        valid=True, loss_nec=0.0, loss_suf=0.0, loss_facts=0.0, loss_tasks=0.0, n_steps=1,
        wall_s=0.0,
    )  # fmt: skip
    units = masks[["seed", "fact_id", "task", "variant"]].assign(kind="neuron")
    units = pd.concat([units.assign(layer=k, index=np.arange(len(units)) % 64) for k in (0, 1)])
    for name, frame in (("masks", masks), ("mask_units", units)):
        path = run / "results" / "task_localization" / f"{name}.parquet"
        write_table(path, name, {column: frame[column].to_numpy() for column in frame})


def test_held_out_facts_of_a_model_that_cannot_reason_are_not_studied(run: Path):
    """Some hundred steps of a tiny model teach it no reasoning: the study says what is lacking."""
    assert len(held_out(run)) >= 5
    leave_masks(run)

    result, _ = run_script(
        "analyze.py", "study=chain_of_thought", f"run={run}", "device=cpu", "logger=none",
        timeout=600,
    )  # fmt: skip

    n = len(held_out(run))
    assert result.returncode != 0
    assert f"{n} of {n} localized facts were never restated in training" in result.stderr
    assert f"{FORM}: 0 of {n} of these reach 0.99" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (run / "results" / "chain_of_thought").exists()
