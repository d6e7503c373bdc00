"""The fingerprint: what a data set is a function of, and nothing else."""

import copy
import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from coemerge.corpus.background import BackgroundConfig
from coemerge.corpus.config import file_digest, path_digest
from tests.conftest import ROOT

TEMPLATE_FILES = sorted(p.name for p in (ROOT / "conf" / "prompts" / "templates").glob("*.yaml"))


@pytest.fixture
def moved(smoke_spec, tmp_path):
    """The same settings with templates and lexicon at other paths."""
    spec = copy.deepcopy(smoke_spec)
    templates = shutil.copytree(spec.prompts.templates_dir, tmp_path / "elsewhere")
    lexicon = shutil.copy(spec.world.lexicon_path, tmp_path / "words.yaml")
    spec.prompts.templates_dir, spec.world.lexicon_path = str(templates), str(lexicon)
    return spec


def append(path: Path, text: str = "# one more line\n") -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_the_same_settings_have_the_same_fingerprint(smoke_spec):
    assert copy.deepcopy(smoke_spec).fingerprint() == smoke_spec.fingerprint()


def test_a_fingerprint_is_sixteen_hex_digits(smoke_spec):
    assert re.fullmatch(r"[0-9a-f]{16}", smoke_spec.fingerprint())


def test_paths_do_not_matter(moved, smoke_spec):
    assert moved.fingerprint() == smoke_spec.fingerprint()


@pytest.mark.parametrize("name", TEMPLATE_FILES)
def test_the_content_of_each_template_file_matters(moved, smoke_spec, name):
    append(Path(moved.prompts.templates_dir) / name)
    assert moved.fingerprint() != smoke_spec.fingerprint()


def test_the_content_of_the_lexicon_matters(moved, smoke_spec):
    append(Path(moved.world.lexicon_path))
    assert moved.fingerprint() != smoke_spec.fingerprint()


def test_the_name_of_a_template_file_matters(moved, smoke_spec):
    directory = Path(moved.prompts.templates_dir)
    (directory / "field.yaml").rename(directory / "fields.yaml")
    assert moved.fingerprint() != smoke_spec.fingerprint()


@pytest.mark.parametrize("name", [".DS_Store", ".birthplace.yaml.swp", "birthplace.yaml~"])
def test_files_that_are_no_templates_do_not_matter(moved, smoke_spec, name):
    (Path(moved.prompts.templates_dir) / name).write_text("stray")
    assert moved.fingerprint() == smoke_spec.fingerprint()


def test_the_content_of_a_users_text_matters(changed, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("One line.\n")
    background = BackgroundConfig(mix={"files": 1}, path=str(path))
    spec = changed(lambda s: setattr(s.corpus, "background", background))
    before = spec.fingerprint()
    append(path)
    assert spec.fingerprint() != before


@pytest.mark.parametrize(
    "edit",
    [
        lambda s: setattr(s.world, "seed", 1),
        lambda s: s.world.use.pop(),
        lambda s: setattr(s.prompts, "n_held_out", 2),
        lambda s: s.prompts.cues.update(mcqa="Choose:"),
        lambda s: setattr(s.corpus, "row_length", 64),
        lambda s: setattr(s.corpus, "option_sets", "fixed"),
        lambda s: s.corpus.plan.documents.update(mcqa=17),
        lambda s: s.corpus.plan.arms.shares.update(A0_full=4),
        lambda s: setattr(s.corpus.background, "share", 0.3),
        lambda s: setattr(s.corpus.tokenizer, "vocab_size", 1700),
    ],
)
def test_every_setting_matters(changed, smoke_spec, edit):
    assert changed(edit).fingerprint() != smoke_spec.fingerprint()


def test_the_seed_matters(smoke_spec):
    other = type(smoke_spec)(smoke_spec.world, smoke_spec.prompts, smoke_spec.corpus, 1)
    assert other.fingerprint() != smoke_spec.fingerprint()


@pytest.fixture
def with_base(smoke_spec, tmp_path):
    """The same settings with a base model's tokenizer, one file beside it."""
    folder = tmp_path / "base"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (folder / name).write_text("{}")
    return dataclasses.replace(smoke_spec, tokenizer_dir=str(folder))


def test_a_base_models_tokenizer_matters(with_base, smoke_spec):
    assert with_base.fingerprint() != smoke_spec.fingerprint()


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "merges.txt"])
def test_the_content_of_each_file_of_the_tokenizer_matters(with_base, name):
    before = with_base.fingerprint()
    append(Path(with_base.tokenizer_dir) / name)
    assert with_base.fingerprint() != before


def test_the_weights_beside_the_tokenizer_do_not_matter(with_base):
    """Another checkpoint of the same run needs no other data."""
    before = with_base.fingerprint()
    append(Path(with_base.tokenizer_dir) / "model.safetensors")
    assert with_base.fingerprint() == before


def test_the_place_of_the_tokenizer_does_not_matter(with_base, tmp_path):
    moved = shutil.copytree(with_base.tokenizer_dir, tmp_path / "moved")
    other = dataclasses.replace(with_base, tokenizer_dir=str(moved))
    assert other.fingerprint() == with_base.fingerprint()


def test_a_missing_input_file_is_named(changed):
    spec = changed(lambda s: setattr(s.world, "lexicon_path", "nowhere.yaml"))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        spec.fingerprint()


def test_a_folders_digest_is_not_that_of_its_only_file(tmp_path):
    (tmp_path / "a.yaml").write_text("x")
    assert path_digest(tmp_path) != file_digest(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("edit", "key"),
    [
        (lambda s: setattr(s.corpus, "option_sets", "random"), r"corpus\.option_sets: 'random'"),
        (lambda s: setattr(s.corpus, "row_length", 8), r"corpus\.row_length"),
        (lambda s: s.corpus.plan.tasks.clear(), r"corpus\.plan\.tasks"),
        (lambda s: s.corpus.background.mix.clear(), r"corpus\.background\.mix"),
        (lambda s: s.prompts.cues.pop("mcqa"), r"prompts\.cues"),
    ],
)
def test_a_faulty_spec_is_refused_by_its_key_before_anything_is_built(changed, edit, key):
    with pytest.raises(ValueError, match=key):
        changed(edit).check()
