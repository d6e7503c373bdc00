"""Finding a series of models: a run's checkpoints, folders, a folder of folders, revisions."""

import json
import shutil
from pathlib import Path

import pytest

from coemerge.lm.series import find_series, run_series, tokenizer_directory
from tests.bases import make_base

TEXTS = ["The capital of Norway is Oslo."] * 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("model") / "model", "gpt2", TEXTS)


def copies(model: Path, parent: Path, *names: str) -> list[Path]:
    return [Path(shutil.copytree(model, parent / name)) for name in names]


def found(members) -> list[tuple[str, int]]:
    return [(member.name, member.step) for member in members]


def test_folders_are_ordered_by_the_step_in_their_names(model, tmp_path):
    folders = copies(model, tmp_path, "step2000", "checkpoint-50", "run-step_300-x")

    members = find_series([str(f) for f in folders], None, False)

    assert found(members) == [("checkpoint-50", 50), ("run-step_300-x", 300), ("step2000", 2000)]


def test_folders_keep_their_order_where_a_name_tells_no_step(model, tmp_path):
    folders = copies(model, tmp_path, "step9", "final", "step1")

    members = find_series([str(f) for f in folders], None, False)

    assert found(members) == [("step9", 0), ("final", 1), ("step1", 2)]


def test_a_folder_of_models_stands_for_them_and_revisions_choose(model, tmp_path):
    copies(model, tmp_path, "step10", "step20", "step30")
    (tmp_path / "notes").mkdir()

    assert found(find_series([str(tmp_path)], None, False)) == [
        ("step10", 10), ("step20", 20), ("step30", 30)
    ]  # fmt: skip
    assert found(find_series([str(tmp_path)], ["step30", "step10"], False)) == [
        ("step10", 10), ("step30", 30)
    ]  # fmt: skip


def test_an_unknown_revision_is_named_with_what_there_is(model, tmp_path):
    copies(model, tmp_path, "step10", "step20")

    with pytest.raises(ValueError, match=r"has no step99; there are: step10, step20"):
        find_series([str(tmp_path)], ["step10", "step99"], False)


def test_revisions_belong_to_one_model(model, tmp_path):
    folders = copies(model, tmp_path, "a", "b")

    with pytest.raises(ValueError, match="revisions belong to one model, got 2"):
        find_series([str(f) for f in folders], ["main"], False)


def test_a_model_named_twice_is_refused(model):
    with pytest.raises(ValueError, match="named twice"):
        find_series([str(model), str(model)], None, False)


def test_an_empty_folder_holds_no_model(tmp_path):
    with pytest.raises(ValueError, match=r"no folder in it has: no model there"):
        find_series([str(tmp_path)], None, False)


def test_different_vocabularies_are_refused_by_name(model, tmp_path):
    first, second = copies(model, tmp_path, "first", "second")
    config = json.loads((second / "config.json").read_text())
    larger = {**config, "vocab_size": config["vocab_size"] + 1}
    (second / "config.json").write_text(json.dumps(larger))

    with pytest.raises(ValueError, match=r"first has a vocabulary of \d+, .*second of \d+"):
        find_series([str(first), str(second)], None, False)


def test_different_tokenizers_of_one_size_are_refused(model, tmp_path):
    first, second = copies(model, tmp_path, "first", "second")
    tokenizer = second / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8") + "\n", encoding="utf-8")

    with pytest.raises(ValueError, match="share one tokenizer"):
        find_series([str(first), str(second)], None, False)


def test_a_half_written_file_is_named(model, tmp_path):
    whole, half = copies(model, tmp_path, "whole", "half")
    weights = half / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])

    with pytest.raises(ValueError, match=r"half/model\.safetensors cannot be read"):
        find_series([str(whole), str(half)], None, False)


def test_one_tokenizer_serves_a_series(model, tmp_path):
    bare, complete = copies(model, tmp_path, "bare", "complete")
    for path in bare.glob("tokenizer*"):
        path.unlink()

    members = find_series([str(bare), str(complete)], None, False)

    assert tokenizer_directory(members) == complete
    with pytest.raises(ValueError, match="has no tokenizer"):
        tokenizer_directory(members[:1])


def test_identity_follows_the_weights_not_the_folder(model, tmp_path):
    same, moved = copies(model, tmp_path, "same", "moved")
    other = make_base(tmp_path / "other", "gpt2", TEXTS, n_layer=1)

    one, two, three = find_series([str(same), str(moved), str(other)], None, False)

    assert one.identity == two.identity != three.identity


def test_identity_follows_the_configuration_too(model, tmp_path):
    one, other = copies(model, tmp_path, "one", "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "n_head": 2}))

    first, second = find_series([str(one), str(other)], None, False)

    assert first.identity != second.identity


def test_a_run_stands_for_its_finished_checkpoints(model, tmp_path, caplog):
    done, _ = copies(model, tmp_path / "run" / "checkpoints", "step-00000010", "step-00000020")
    manifest = {"step": 10, "tokens_seen": 1, "weights_sha256": "a" * 64, "config_hash": "b"}
    (done / "manifest.json").write_text(json.dumps(manifest))

    assert found(find_series([str(tmp_path / "run")], None, False)) == [("step-00000010", 10)]
    assert "step-00000020 has no manifest" in caplog.text


def test_a_run_without_finished_checkpoints_is_refused(model, tmp_path, caplog):
    copies(model, tmp_path / "checkpoints", "step-00000010")

    with pytest.raises(ValueError, match="no finished checkpoint"):
        run_series(tmp_path)
    assert "has no manifest" in caplog.text
