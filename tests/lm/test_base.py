"""Finding a base model: runs, checkpoints, folders, and the hub's cache with its revisions."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from coemerge.lm.base import Base, check_base, find_base
from coemerge.lm.build import load_base, load_model
from coemerge.lm.checkpoints import CheckpointManifest, save_checkpoint, weights_sha256
from coemerge.lm.config import ModelConfig, check_model_choice
from tests.bases import make_base
from tests.lm.conftest import CONTEXT, small_model

TEXTS = ["Note: the river is long.", "Question: who is it? Answer: yes no A B C D."]
PLAIN = ModelConfig(architecture="", base="here")


@pytest.fixture
def run(tokenizer, tmp_path: Path) -> Path:
    """A run with two finished checkpoints and one that is not."""
    directory = tmp_path / "run"
    for step in (1, 2):
        model = small_model(tokenizer, seed=step)
        manifest = CheckpointManifest(step, 10 * step, weights_sha256(model), "config")
        save_checkpoint(directory / "checkpoints", model, tokenizer, manifest)
    (directory / "checkpoints" / "step-00000003").mkdir()
    (directory / "config.yaml").write_text("seed: 0\n")
    return directory


def test_of_a_run_its_last_finished_checkpoint_is_taken(run: Path):
    base = find_base(str(run), None, download=False)

    assert base.directory.name == "step-00000002"
    assert base.run == run
    assert base.weights_sha256 == base.identity


def test_a_checkpoint_knows_its_run_and_loads_its_weights(run: Path):
    base = find_base(str(run / "checkpoints" / "step-00000001"), None, download=False)
    model = load_base(base, PLAIN, "eager")

    assert base.run == run
    assert weights_sha256(model) == base.weights_sha256
    assert all(module.training for module in model.modules())


def test_a_flipped_weight_is_noticed(run: Path):
    weights = run / "checkpoints" / "step-00000002" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))

    for load in (
        lambda: load_base(find_base(str(run), None, download=False), PLAIN, "eager"),
        lambda: load_model(weights.parent, "cpu"),
    ):
        with pytest.raises(ValueError, match=r"step-00000002.*not those of its manifest"):
            load()


def test_another_folder_is_known_by_its_weights(tmp_path: Path):
    first = find_base(str(make_base(tmp_path / "a", "gpt2", TEXTS)), None, download=False)
    same = find_base(str(make_base(tmp_path / "b", "gpt2", TEXTS)), None, download=False)
    other = find_base(str(make_base(tmp_path / "c", "llama", TEXTS)), None, download=False)

    assert first.identity == same.identity != other.identity
    assert first.run is None


def test_a_hub_id_comes_from_the_cache_at_its_revision(tmp_path: Path, monkeypatch):
    """As the hub's client lays it out; nothing is asked over the network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--someone--tiny"
    for revision, commit in (("main", "a" * 40), ("step3000", "b" * 40)):
        make_base(repo / "snapshots" / commit, "gpt2", TEXTS)
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / revision).write_text(commit)

    newest = find_base("someone/tiny", None, download=False)
    named = find_base("someone/tiny", "step3000", download=False)

    assert (newest.directory.name, named.directory.name) == ("a" * 40, "b" * 40)
    assert newest.identity != named.identity
    with pytest.raises(ValueError, match=r"someone/tiny@v9.*hub\.download=true"):
        find_base("someone/tiny", "v9", download=False)


def test_settings_without_weights_can_be_changed_others_are_refused(tmp_path: Path):
    base = find_base(str(make_base(tmp_path / "a", "gpt2", TEXTS)), None, download=False)

    model = load_base(base, ModelConfig("", {"attn_pdrop": 0.5}, base="a"), "eager")

    assert model.config.attn_pdrop == 0.5
    with pytest.raises(ValueError, match=r"model\.config.*no attn_drop"):
        load_base(base, ModelConfig("", {"attn_drop": 0.5}, base="a"), "eager")
    with pytest.raises(ValueError, match="do not fit"):
        load_base(base, ModelConfig("", {"n_embd": 64}, base="a"), "eager")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, "config.json"),
        ("config.json", "{}", "model_type"),
        ("config.json", "[", "not valid JSON"),
        ("model.safetensors", None, "model.safetensors"),
        ("tokenizer.json", None, "tokenizer"),
    ],
)
def test_a_folder_without_what_it_needs_is_refused(
    tmp_path: Path, file: str, content: str | None, message: str
):
    folder = make_base(tmp_path / "a", "gpt2", TEXTS)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)

    with pytest.raises(ValueError, match=message):
        find_base(str(folder), None, download=False)


def test_a_context_too_short_or_a_foreign_tokenizer_is_refused(tmp_path: Path):
    base = find_base(str(make_base(tmp_path / "a", "gpt2", TEXTS)), None, download=False)
    check_base(base, row_length=CONTEXT)

    with pytest.raises(ValueError, match=r"context of 192.*row_length=1000"):
        check_base(base, row_length=1000)
    (base.directory / "tokenizer.json").write_text(json.dumps({"model": "none"}))
    with pytest.raises(ValueError, match=r"tokenizer\.json cannot be read"):
        check_base(base, row_length=CONTEXT)


def test_a_model_has_a_base_or_an_architecture():
    check_model_choice(ModelConfig("gpt2"))
    check_model_choice(PLAIN)
    for wrong in (ModelConfig("gpt2", base="here"), ModelConfig("")):
        with pytest.raises(ValueError, match=r"model\.base"):
            check_model_choice(wrong)


def test_a_base_that_is_a_path_is_never_taken_for_a_hub_id(tmp_path: Path):
    for name in ("no/such/folder", "./models/x", str(tmp_path / "nothing")):
        with pytest.raises(ValueError, match="no such folder"):
            find_base(name, None, download=False)
    assert Base(tmp_path, "x").run is None
