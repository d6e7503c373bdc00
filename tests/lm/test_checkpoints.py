"""Checkpoint directories: loadable with no other knowledge, complete or no checkpoint at all."""

import json
import logging
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerFast as Tokenizer

from coemerge.lm.checkpoint_manifest import (
    CheckpointManifest,
    checkpoint_dir,
    list_checkpoints,
    read_manifest,
)
from coemerge.lm.checkpoints import save_checkpoint, weights_sha256
from tests.lm.conftest import SHAPES, small_model


def manifest_of(model: PreTrainedModel, step: int = 512) -> CheckpointManifest:
    return CheckpointManifest(step, 1000 * step, weights_sha256(model), "c0ffee")


def save(root: Path, model: PreTrainedModel, tokenizer: Tokenizer, step: int = 512) -> Path:
    return save_checkpoint(root, model, tokenizer, manifest_of(model, step))


@pytest.mark.parametrize("architecture", SHAPES)
def test_a_checkpoint_loads_by_from_pretrained_with_the_same_weights(
    tmp_path: Path, tokenizer: Tokenizer, architecture: str
):
    model = small_model(tokenizer, architecture, seed=3)
    directory = save(tmp_path, model, tokenizer)

    # the same attention code, so that logits are comparable bit by bit
    loaded = AutoModelForCausalLM.from_pretrained(directory, attn_implementation="eager")

    assert weights_sha256(loaded) == weights_sha256(model)
    assert read_manifest(directory).weights_sha256 == weights_sha256(model)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        assert loaded.eval()(ids).logits.equal(model.eval()(ids).logits)


def test_the_tokenizer_travels_with_it(tmp_path: Path, tokenizer: Tokenizer):
    directory = save(tmp_path, small_model(tokenizer), tokenizer)
    text = "Question: Which of these is not a baker? Answer: A"

    loaded = AutoTokenizer.from_pretrained(directory)

    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert (loaded.eos_token_id, loaded.pad_token_id) == (
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
    )


def test_directories_are_named_after_the_step_and_hold_what_design_4_lists(
    tmp_path: Path, tokenizer: Tokenizer
):
    directory = save(tmp_path, small_model(tokenizer), tokenizer, step=512)

    assert directory == tmp_path / "step-00000512" == checkpoint_dir(tmp_path, 512)
    names = {path.name for path in directory.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "manifest.json"} <= names
    content = json.loads((directory / "manifest.json").read_text())
    assert set(content) == {"step", "tokens_seen", "weights_sha256", "config_hash"}
    assert content["step"] == 512
    assert content["tokens_seen"] == 512_000


def test_whoever_may_read_the_configuration_may_read_the_weights(
    tmp_path: Path, tokenizer: Tokenizer
):
    directory = save(tmp_path, small_model(tokenizer), tokenizer)

    modes = {path.name: path.stat().st_mode for path in directory.iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]


def test_the_hash_changes_with_one_weight(tokenizer: Tokenizer):
    model = small_model(tokenizer)
    before = weights_sha256(model)
    last = list(model.parameters())[-1].data.view(-1)

    last[-1] = torch.nextafter(last[-1], torch.tensor(torch.inf))

    assert weights_sha256(model) != before


def test_the_hash_distinguishes_shapes_and_names():
    values = torch.arange(6.0)
    modules = []
    for name, tensor in (("a", values), ("b", values), ("a", values.view(2, 3))):
        module = torch.nn.Module()
        module.register_parameter(name, torch.nn.Parameter(tensor.clone()))
        modules.append(module)

    assert len({weights_sha256(module) for module in modules}) == 3


def test_checkpoints_are_listed_in_order_of_step(tmp_path: Path, tokenizer: Tokenizer):
    model = small_model(tokenizer)
    for step in (1000, 0, 20):
        save(tmp_path, model, tokenizer, step)

    assert [read_manifest(d).step for d in list_checkpoints(tmp_path)] == [0, 20, 1000]


def test_a_directory_without_its_manifest_is_ignored_with_a_warning(
    tmp_path: Path, tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
):
    model = small_model(tokenizer)
    kept, unfinished = (save(tmp_path, model, tokenizer, step) for step in (1, 2))
    (unfinished / "manifest.json").unlink()

    with caplog.at_level(logging.WARNING):
        found = list_checkpoints(tmp_path)

    assert found == [kept]
    assert unfinished.name in caplog.text
    with pytest.raises(FileNotFoundError):
        read_manifest(unfinished)


def times(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in directory.iterdir()}


def test_saving_a_step_again_changes_nothing(tmp_path: Path, tokenizer: Tokenizer):
    model = small_model(tokenizer)
    before = times(save(tmp_path, model, tokenizer))

    directory = save(tmp_path, model, tokenizer)

    assert times(directory) == before


@pytest.mark.parametrize("manifest", [None, "", '{"step": 512', '{"other": 1}'])
def test_an_unfinished_directory_is_completed(
    tmp_path: Path, tokenizer: Tokenizer, manifest: str | None
):
    model = small_model(tokenizer)
    directory = checkpoint_dir(tmp_path, 512)
    directory.mkdir(parents=True)
    (directory / "model.safetensors").write_bytes(b"half a file")
    if manifest is not None:
        (directory / "manifest.json").write_text(manifest)

    save(tmp_path, model, tokenizer)

    assert read_manifest(directory) == manifest_of(model)
    loaded = AutoModelForCausalLM.from_pretrained(directory)
    assert weights_sha256(loaded) == weights_sha256(model)


@pytest.mark.parametrize("fails", ["model", "tokenizer"])
def test_the_manifest_is_written_last(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, fails: str
):
    model = small_model(tokenizer)
    culprit = type(model if fails == "model" else tokenizer)

    def disk_full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(culprit, "save_pretrained", disk_full)
        with pytest.raises(OSError, match="disk full"):
            save(tmp_path, model, tokenizer)

    assert list_checkpoints(tmp_path) == []
    save(tmp_path, model, tokenizer)
    assert len(list_checkpoints(tmp_path)) == 1
