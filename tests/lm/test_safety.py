"""Nothing that comes with a model is ever executed, and its folder holds what it shows."""

import json
import pickle
from pathlib import Path

import pytest

from coemerge.corpus.builder import load_tokenizer
from coemerge.lm.base import check_base, check_files, find_base
from coemerge.lm.build import load_base, load_model
from coemerge.lm.config import ModelConfig
from tests.bases import make_base

TEXTS = ["Note: the river is long.", "Question: who is it? Answer: yes no A B C D."]
PICKLED = ("pytorch_model.bin", "model.pt", "model.pth", "consolidated.pkl", "training_args.bin")


class Poison:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "executed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_base(tmp_path / "model", "gpt2", TEXTS)


def changed(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def loaded(folder: Path) -> None:
    base = find_base(str(folder), None, download=False)
    check_base(base, row_length=32)
    load_base(base, ModelConfig(architecture="", base=str(folder)), "eager")
    load_model(folder, "cpu")
    load_tokenizer(str(folder))


def test_the_poison_works(tmp_path: Path, mark: Path):
    pickle.loads(pickle.dumps(Poison(mark)))
    assert mark.exists()


def test_pickles_beside_the_weights_are_never_opened(folder: Path, mark: Path):
    for name in PICKLED:
        (folder / name).write_bytes(pickle.dumps(Poison(mark)))

    loaded(folder)
    assert not mark.exists()


@pytest.mark.parametrize("name", PICKLED)
def test_pickles_instead_of_weights_are_refused_with_the_remedy(
    folder: Path, mark: Path, name: str
):
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Poison(mark)))

    with pytest.raises(ValueError, match=r"no model\.safetensors; pickled.*save_pretrained"):
        loaded(folder)
    with pytest.raises(ValueError, match=r"do not fit or cannot be read"):
        load_model(folder, "cpu")
    assert not mark.exists()


def with_code(folder: Path, mark: Path) -> dict[str, object]:
    """Modules that leave a mark when they are imported, and what names them."""
    code = f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n"
    code += "from transformers import GPT2Config as C, GPT2LMHeadModel as M\n"
    code += "from transformers import PreTrainedTokenizerFast as T\n"
    (folder / "evil.py").write_text(code)
    names = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}
    return {"auto_map": {**names, "AutoTokenizer": ["evil.T", "evil.T"]}}


def test_code_that_comes_with_a_known_architecture_is_not_run(folder: Path, mark: Path):
    named = with_code(folder, mark)
    changed(folder / "config.json", **named)
    changed(folder / "tokenizer_config.json", **named)

    loaded(folder)
    assert not mark.exists()


def test_an_architecture_that_is_nothing_but_code_is_refused(folder: Path, mark: Path):
    changed(folder / "config.json", model_type="evil", **with_code(folder, mark))

    for load in (lambda: loaded(folder), lambda: load_model(folder, "cpu")):
        with pytest.raises(ValueError, match=r"config\.json.*auto_map.*never run") as raised:
            load()
        assert "\n" not in str(raised.value)
    assert not mark.exists()


def test_a_tokenizer_that_is_nothing_but_code_is_refused(folder: Path, mark: Path):
    named = with_code(folder, mark)
    changed(folder / "tokenizer_config.json", tokenizer_class="EvilTokenizer", **named)
    (folder / "tokenizer.json").unlink()

    with pytest.raises(ValueError, match="tokenizer") as raised:
        load_tokenizer(str(folder))
    assert "\n" not in str(raised.value)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_links_that_leave_the_folder_are_refused(folder: Path, tmp_path: Path, name: str):
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ValueError, match=rf"{name}: is a link that leaves"):
        loaded(folder)


def test_links_of_the_hubs_cache_into_its_blobs_work(folder: Path, tmp_path: Path):
    blobs = tmp_path / "models--a--b" / "blobs"
    snapshot = tmp_path / "models--a--b" / "snapshots" / ("c" * 40)
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(blobs / f"{number:064}")
        (snapshot / file.name).symlink_to(f"../../blobs/{number:064}")

    loaded(snapshot)

    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="leaves its folder"):
        check_files(snapshot)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"weight_map": {}},
        {"weight_map": 3},
        {"weight_map": {"a": 3}},
        {"weight_map": {"a": "../model.safetensors"}},
        {"weight_map": {"a": "/etc/model.safetensors"}},
        {"weight_map": {"a": "pytorch_model-00001-of-00002.bin"}},
    ],
    ids=str,
)
def test_weights_in_parts_are_safetensors_of_this_folder(folder: Path, content: object):
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))

    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json: weight_map"):
        check_files(folder)


@pytest.mark.parametrize("value", ["many", 0, -5, 1.5, True, [64]])
@pytest.mark.parametrize("key", ["vocab_size", "n_positions"])
def test_sizes_are_whole_numbers(folder: Path, key: str, value: object):
    changed(folder / "config.json", **{key: value})

    with pytest.raises(ValueError, match=rf"config\.json: {key}: .* is no size"):
        check_files(folder)


@pytest.mark.parametrize(
    ("name", "told"), [("m.zip", "unpack it and name"), ("m.bin", "is a file; name the model's")]
)
def test_a_file_is_no_model(tmp_path: Path, name: str, told: str):
    (tmp_path / name).write_bytes(b"PK")

    with pytest.raises(ValueError, match=told):
        find_base(str(tmp_path / name), None, download=False)
