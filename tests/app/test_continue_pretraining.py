"""Continuing models that exist: six architectures with their own tokenizers, and a run of ours."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from coemerge.app import training
from coemerge.app.data import obtain_dataset
from coemerge.app.settings import Settings
from coemerge.corpus.own_texts import read_texts
from coemerge.corpus.packing import ANSWER, START
from coemerge.lm.checkpoints import weights_sha256
from tests.bases import ARCHITECTURES, WITH_BOS, make_base
from tests.conftest import ComposeSettings

TINY = (
    "experiment=continue_pretraining",
    "world=synthetic_tiny",
    "corpus.plan.documents={completion:3,fitb:3,openqa:3,mcqa:3,negmcqa:3,verification:3}",
    "logger=none",
    "callbacks=none",
    "world.use=[birthplace,employer]",
    "prompts.facts_per_relation=3",
    "trainer.threads=1",
    "trainer.max_steps=4",
)


@pytest.fixture(scope="module")
def own_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's background: short lines and one that is longer than a row."""
    path = tmp_path_factory.mktemp("text") / "mine.txt"
    long_line = " ".join(f"the {'red blue'.split()[k % 2]} river and on" for k in range(200))
    path.write_text("A line of my own.\n" * 5 + long_line + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=ARCHITECTURES)
def base(request, smoke_dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = smoke_dataset.prompts["text"].to_pylist()[::20]
    return make_base(tmp_path_factory.mktemp("base") / request.param, request.param, texts)


@pytest.fixture(scope="module")
def job(
    base: Path, own_text: Path, compose_settings: ComposeSettings, tmp_path_factory
) -> tuple[Settings, training.Training]:
    """Four steps of training on the base."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    settings = compose_settings(
        *TINY,
        f"model.base={base}",
        f"corpus.background.path={own_text}",
        f"paths.artifacts={artifacts}",
    )
    made = assembled(settings, artifacts / "run")
    training.fit(made, continues=False)
    return settings, made


def assembled(settings: Settings, directory: Path) -> training.Training:
    directory.mkdir(parents=True)
    dataset = obtain_dataset(settings)
    run = training.prepare_run(settings, directory, "tiny", dataset)
    execution = training.choose_machine(settings, directory)
    return training.assemble(settings, run, execution)


def test_every_architecture_is_continued_with_its_own_tokenizer(base: Path, job):
    _, made = job
    dataset = made.run.dataset

    assert made.trainer.global_step == 4
    assert made.module.model.config.model_type == base.name
    assert dataset.tokenizer.get_vocab() == AutoTokenizer.from_pretrained(base).get_vocab()
    before = AutoModelForCausalLM.from_pretrained(base)
    assert weights_sha256(before) != weights_sha256(made.module.model)
    assert float(made.module.last_loss) > 0


def test_documents_and_prompts_start_alike(base: Path, job):
    """A beginning-of-sequence token stands in every code path or in none (methods 2.5)."""
    dataset = job[1].run.dataset
    bos = dataset.tokenizer.bos_token_id if base.name in WITH_BOS else None
    ids, marks = np.asarray(dataset.store.tokens[:20]), np.asarray(dataset.store.marks[:20])
    starts = ids[(marks & START > 0) & (marks & 1 > 0)]
    first = {prompt[0] for prompt in dataset.prompts["ids"].to_pylist()}

    if bos is None:
        assert dataset.tokenizer.bos_token_id not in first
    else:
        assert set(starts.tolist()) == first == {bos}


def test_spans_and_answers_are_where_the_text_says(base: Path, job):
    dataset = job[1].run.dataset
    tokenizer = dataset.tokenizer
    subjects = dict(
        zip(*(dataset.facts[c].to_pylist() for c in ("fact_id", "subject")), strict=True)
    )
    for prompt in dataset.prompts.to_pylist()[::97]:
        span = prompt["ids"][prompt["subject_start"] : prompt["subject_stop"]]
        assert tokenizer.decode(span).strip() == subjects[prompt["fact_id"]]
        assert tokenizer.decode(prompt["answer_ids"]).strip() == prompt["answer"]
        assert tokenizer.decode(prompt["ids"], skip_special_tokens=True).strip() == prompt["text"]
        assert prompt["answer_ids"][0] in prompt["candidate_ids"]


def test_the_loss_weighs_answers_in_any_tokenizer(job):
    store = job[1].run.dataset.store

    assert (np.asarray(store.marks) & ANSWER).any()


def test_documents_keep_apart_in_every_architecture(base: Path, job):
    """Packed, restarting positions: what follows a document does not depend on it."""
    model = job[1].module.model.eval()
    first, other, second = [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15]
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2]])
    with torch.no_grad():
        logits = [
            model(torch.tensor([head + second]), position_ids=positions, use_cache=False).logits
            for head in (first, other)
        ]
        alone = model(torch.tensor([second]), use_cache=False).logits
    model.train()

    assert torch.allclose(logits[0][:, 4:], logits[1][:, 4:], atol=1e-5)
    assert torch.allclose(logits[0][:, 4:], alone, atol=1e-4)


def test_own_background_is_drawn_and_long_lines_are_cut(job):
    dataset = job[1].run.dataset
    rows = dataset.tokenizer.batch_decode(np.asarray(dataset.store.tokens))

    assert any("A line of my own" in row for row in rows)
    assert any("blue river and" in row for row in rows)


def test_multi_token_answers_are_counted(job):
    notes = job[1].run.dataset.notes

    assert notes.get("answers of several tokens (scored in full)", 0) > 0


def test_dropout_is_a_function_of_seed_and_step(
    smoke_dataset, compose_settings: ComposeSettings, tmp_path: Path
):
    """A base that brings dropout trains the same way twice."""
    texts = smoke_dataset.prompts["text"].to_pylist()[::50]
    folder = make_base(tmp_path / "gpt2", "gpt2", texts, attn_pdrop=0.3, resid_pdrop=0.3)
    settings = compose_settings(*TINY, f"model.base={folder}", f"paths.artifacts={tmp_path}")
    hashes = []
    for number in range(2):
        torch.manual_seed(number)
        job = assembled(settings, tmp_path / f"run{number}")
        training.fit(job, continues=False)
        hashes.append(weights_sha256(job.module.model))
    without = compose_settings(
        *TINY,
        f"model.base={folder}",
        "+model.config={attn_pdrop:0.0,resid_pdrop:0.0}",
        f"paths.artifacts={tmp_path}",
    )
    plain = assembled(without, tmp_path / "plain")
    training.fit(plain, continues=False)

    assert hashes[0] == hashes[1]
    assert weights_sha256(plain.module.model) != hashes[0]


def test_weights_that_are_not_the_manifests_are_refused(
    smoke_dataset, compose_settings: ComposeSettings, tmp_path: Path
):
    texts = smoke_dataset.prompts["text"].to_pylist()[::50]
    folder = make_base(tmp_path / "gpt2", "gpt2", texts)
    (folder / "manifest.json").write_text(json.dumps({"weights_sha256": "0" * 64}))
    settings = compose_settings(*TINY, f"model.base={folder}", f"paths.artifacts={tmp_path}")

    with pytest.raises(ValueError, match=r"not those of its manifest.*000000"):
        assembled(settings, tmp_path / "run")


def test_a_tokenizer_of_another_model_is_refused(
    smoke_dataset, compose_settings: ComposeSettings, tmp_path: Path
):
    texts = smoke_dataset.prompts["text"].to_pylist()[::50]
    folder = make_base(tmp_path / "gpt2", "gpt2", texts)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 300}))

    with pytest.raises(ValueError, match=r"tokenizer.*700 tokens, the model only 300"):
        compose_settings(*TINY, f"model.base={folder}", f"paths.artifacts={tmp_path}")


def test_texts_come_from_lines_and_records(tmp_path: Path):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "one"}\n\n{"text": "two", "more": 1}\n')

    assert list(read_texts(path)) == ["one", "two"]
