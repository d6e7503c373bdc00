"""What the study asks, and what it reads of a run: prompts cut short, masks, settings."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from transformers import AutoTokenizer

from coemerge.studies.chain_of_thought.config import (
    MASKS,
    ChainOfThoughtConfig,
    Cues,
    cues,
    masks_of,
    routes,
)
from coemerge.studies.chain_of_thought.masks import check_owner, read_masks, trained_at
from coemerge.studies.chain_of_thought.questions import Asker
from coemerge.tables.store import read_table, write_table
from tests.bases import make_base
from tests.interventions.models import D_MLP, N_HEADS, N_LAYERS, shared_model

FORMS = ["cot_completion_mcqa"]
HEAD = "Reason: A Lima, B Oslo. Where was Ada born? Think:"
REASON = " Ada was born in Oslo. Answer:"
DIRECT = "Options: A Lima, B Oslo. Where was Ada born? Answer:"
CUES = Cues("Think:", {"mcqa": "Answer:"})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = make_base(tmp_path_factory.mktemp("m"), "gpt2", [HEAD + REASON + " B.", DIRECT] * 10)
    return AutoTokenizer.from_pretrained(folder)


def prompts(tokenizer, *texts: tuple[str, str]) -> pa.Table:
    rows = [
        {"fact_id": "f", "task": task, "text": text, "ids": tokenizer(text)["input_ids"],
         "answer_ids": tokenizer(" B")["input_ids"]}
        for task, text in texts
    ]  # fmt: skip
    return pa.Table.from_pylist(rows)


@pytest.fixture
def asker(tokenizer) -> Asker:
    return Asker(tokenizer, CUES, {"f": "Oslo"})


@pytest.fixture
def table(tokenizer) -> pa.Table:
    others = [("completion", "Note: Ada was born in"), ("verification", "Claim: x Answer:")]
    return prompts(tokenizer, (FORMS[0], HEAD + REASON), ("mcqa", DIRECT), *others)


def test_reasoning_goes_on_from_its_cue(asker, table, tokenizer):
    asked = asker.with_reasoning(table, FORMS)

    assert len(asked) == 1
    assert tokenizer.decode(asked.ids[0]) == HEAD
    assert tokenizer.decode(asked.cues[0]) == " Answer:"
    assert asked.answers == tokenizer(" B")["input_ids"][:1]
    assert tokenizer.decode(asked.objects[0]) == " Oslo"
    assert asked.stop == tokenizer.eos_token_id


def test_the_direct_question_is_that_of_the_answered_task(asker, table, tokenizer):
    asked = asker.direct(table, FORMS)

    assert tokenizer.decode(asked.ids[0]) == DIRECT
    assert (asked.form.tolist(), asked.cues) == (FORMS, [[]])


def test_a_cue_that_a_question_holds_too_is_refused(asker, tokenizer):
    twice = prompts(tokenizer, (FORMS[0], HEAD + " so Think:" + REASON))

    with pytest.raises(ValueError, match=r"prompts\.cot_reason.*stands 2 times"):
        asker.with_reasoning(twice, FORMS)


def test_an_answer_without_a_cue_is_refused(tokenizer, table):
    bare = Asker(tokenizer, Cues("Think:", {}), {"f": "Oslo"})

    with pytest.raises(ValueError, match=r"prompts\.answer_cues\.mcqa"):
        bare.with_reasoning(table, FORMS)


def leave_masks(directory: Path, heads=((0, 1),), neurons=((1, 5), (0, 0)), **settings) -> None:
    """Masks of two cells, the second one empty; and one of another variant and another seed."""
    cells = [("f", "mcqa", "exclusive", 0), ("f", "fitb", "exclusive", 0), ("f", "mcqa", "free", 0),
             ("f", "mcqa", "exclusive", 1)]  # fmt: skip
    masks = pd.DataFrame(cells, columns=["fact_id", "task", "variant", "seed"]).assign(
        relation="r", order_index=[1, 0, 0, 0], n_heads=1, n_neurons=2, valid=True, loss_nec=0.1,
        loss_suf=0.2, loss_facts=0.3, loss_tasks=0.4, n_steps=5, wall_s=1.0,
    )  # fmt: skip
    kinds = [("head", *at) for at in heads] + [("neuron", *at) for at in neurons]
    units = pd.DataFrame(
        [(*cell, *unit) for cell in (cells[0], cells[2]) for unit in kinds],
        columns=["fact_id", "task", "variant", "seed", "kind", "layer", "index"],
    )
    for name, frame in (("masks", masks), ("mask_units", units)):
        columns = {column: frame[column].to_numpy() for column in frame}
        write_table(directory / f"{name}.parquet", name, columns, {"settings": settings})


def test_masks_are_read_as_they_were_left(tmp_path):
    leave_masks(tmp_path, checkpoint=7)

    masks = read_masks(tmp_path, 0, shared_model("gpt2"))

    assert masks.cells == [("f", "mcqa"), ("f", "fitb")]
    assert masks.heads.shape == (2, N_LAYERS, N_HEADS)
    assert masks.neurons.shape == (2, N_LAYERS, D_MLP)
    assert np.argwhere(masks.heads).tolist() == [[0, 0, 1]]
    assert np.argwhere(masks.neurons).tolist() == [[0, 0, 0], [0, 1, 5]]
    assert masks.losses[0].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert trained_at(tmp_path) == 7


def test_masks_of_the_last_checkpoint_name_none(tmp_path):
    leave_masks(tmp_path, checkpoint=None)

    assert trained_at(tmp_path) is None


def test_masks_of_another_run_are_refused(tmp_path):
    leave_masks(tmp_path)
    check_owner(tmp_path, "mine")  # tables that do not say whose they are
    frame = read_table(tmp_path / "masks.parquet").to_pandas()
    columns = {column: frame[column].to_numpy() for column in frame}
    write_table(tmp_path / "masks.parquet", "masks", columns, {"runs": ["base"]})

    check_owner(tmp_path, "base")
    with pytest.raises(ValueError, match=r"masks of base, not of mine.*task_localization"):
        check_owner(tmp_path, "mine")


def test_masks_of_another_seed_are_refused(tmp_path):
    leave_masks(tmp_path)

    with pytest.raises(ValueError, match=r"no exclusive masks of seed 5.*study\.variants"):
        read_masks(tmp_path, 5, shared_model("gpt2"))


@pytest.mark.parametrize("units", [{"heads": ((0, N_HEADS),)}, {"neurons": ((N_LAYERS, 0),)}])
def test_masks_of_a_larger_model_are_refused(tmp_path, units):
    leave_masks(tmp_path, **units)

    with pytest.raises(ValueError, match=r"mask_units.*localize this run again"):
        read_masks(tmp_path, 0, shared_model("gpt2"))


def leave_settings(run: Path, *tasks: str) -> None:
    run.mkdir(exist_ok=True)
    content = {"corpus": {"plan": {"tasks": list(tasks)}},
               "prompts": {"cot_reason": "Think:", "answer_cues": {"mcqa": "So:"}}}  # fmt: skip
    (run / "config.yaml").write_text(yaml.safe_dump(content))


def test_the_route_of_each_answer_is_read_from_the_run(tmp_path):
    leave_settings(tmp_path, "mcqa", "cot_completion_mcqa", "cot_openqa_verification")

    assert routes(tmp_path) == {
        "mcqa": "cot_completion_mcqa",
        "verification": "cot_openqa_verification",
    }
    assert cues(tmp_path) == Cues("Think:", {"mcqa": "So:"})


def test_masks_of_runs_that_were_localized_together_are_found(tmp_path):
    leave_settings(tmp_path / "run", "cot_fitb_mcqa")
    leave_masks(tmp_path / "out" / MASKS)
    config = ChainOfThoughtConfig()

    config.check_run(tmp_path / "run", tmp_path / "out")

    assert masks_of(tmp_path / "run", tmp_path / "out") == tmp_path / "out" / MASKS
    with pytest.raises(ValueError, match=r"analyze\.py study=task_localization run="):
        config.check_run(tmp_path / "run", tmp_path / "run")


def test_the_settings_by_default_are_in_order():
    ChainOfThoughtConfig().check()
