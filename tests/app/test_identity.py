"""Run ids say what was asked for; fingerprints what will be done."""

import re
import shutil
from pathlib import Path

import pytest

from coemerge.app.identity import run_fingerprint, run_id
from coemerge.corpus.dataset import Dataset
from tests.bases import make_base
from tests.conftest import ROOT, ComposeSettings

SMOKE = "experiment=smoke"


def test_an_experiment_and_its_seed_name_a_run(compose_settings: ComposeSettings):
    assert run_id(compose_settings(SMOKE)) == "smoke-seed0"
    assert run_id(compose_settings(SMOKE, "seed=17")) == "smoke-seed17"
    assert run_id(compose_settings("experiment=fact_injection")) == "fact_injection-seed0"


@pytest.mark.parametrize(
    "overrides",
    [
        ["paths.artifacts=/elsewhere"],
        ["paths.data=/elsewhere/data"],
        ["device=cpu"],
        ["logger=none"],
        ["logger.wandb.mode=disabled"],
        ["logger.wandb=null"],
        ["resume=true"],
        ["resume=auto"],
        ["overwrite=true"],
        ["hub.download=true"],
        ["paths.artifacts=/elsewhere", "device=cpu", "logger=none", "resume=true", "debug=true"],
    ],
    ids=" ".join,
)
def test_where_and_how_to_run_are_no_part_of_the_name(
    compose_settings: ComposeSettings, overrides: list[str]
):
    assert run_id(compose_settings(SMOKE, *overrides)) == "smoke-seed0"


@pytest.mark.parametrize(
    "override",
    [
        "optimizer.lr=0.001",
        "trainer.max_steps=7",
        "model=llama_small",
        "callbacks.acquisition=null",
        "world.seed=1",
        "corpus.plan.documents.mcqa=9",
        "score.base=cand",
        "score.chance=answer_prior",
    ],
)
def test_other_overrides_add_six_hex_digits(compose_settings: ComposeSettings, override: str):
    name = run_id(compose_settings(SMOKE, override))

    assert re.fullmatch(r"smoke-seed0-[0-9a-f]{6}", name)
    assert run_id(compose_settings(SMOKE, override, "device=cpu", "paths.data=/x")) == name
    assert run_id(compose_settings(SMOKE, override, "seed=3")) == name.replace("seed0", "seed3")


def test_the_digits_depend_on_what_is_overridden_not_on_the_order(
    compose_settings: ComposeSettings,
):
    lr, steps = "optimizer.lr=0.001", "trainer.max_steps=7"
    names = {
        run_id(compose_settings(SMOKE, *overrides))
        for overrides in ([lr], [steps], ["optimizer.lr=0.002"], [lr, steps])
    }

    assert len(names) == 4
    assert run_id(compose_settings(SMOKE, steps, lr)) == run_id(compose_settings(SMOKE, lr, steps))


def test_a_name_of_ones_own_is_taken_as_it_is(compose_settings: ComposeSettings):
    assert run_id(compose_settings(SMOKE, "run_id=mine", "optimizer.lr=1")) == "mine"


@pytest.fixture(scope="module")
def plain(compose_settings: ComposeSettings) -> str:
    """The fingerprint without overrides."""
    return run_fingerprint(compose_settings(SMOKE))


@pytest.mark.parametrize(
    "override",
    [
        "paths.artifacts=/elsewhere",
        "paths.data=/elsewhere/data",
        "logger=none",
        "logger.wandb.mode=disabled",
        "logger.wandb.project=other",
        "device=cpu",
        "resume=auto",
        "overwrite=true",
        "debug=true",
        "hub.download=true",
        "run_id=mine",
        "optimizer.lr=0.003",  # the default, spelled out
    ],
)
def test_fingerprint_ignores_what_does_not_change_the_numbers(
    compose_settings: ComposeSettings, plain: str, override: str
):
    assert run_fingerprint(compose_settings(SMOKE, override)) == plain


@pytest.mark.parametrize(
    "override",
    [
        "optimizer.lr=0.001",
        "seed=1",
        "world.seed=1",
        "model=llama_small",
        "trainer.max_steps=7",
        "trainer.precision=32-true",
        "corpus.plan.documents.mcqa=9",
        "corpus.option_sets=fixed",
        "prompts.n_held_out=2",
        "callbacks.acquisition=null",
        "score.base=cand",
        "score.chance=answer_prior",
    ],
)
def test_fingerprint_follows_what_changes_the_numbers(
    compose_settings: ComposeSettings, plain: str, override: str
):
    assert run_fingerprint(compose_settings(SMOKE, override)) != plain


def test_fingerprint_follows_the_templates_content_not_their_place(
    compose_settings: ComposeSettings, plain: str, tmp_path: Path
):
    copy = tmp_path / "templates"
    shutil.copytree(ROOT / "conf" / "prompts" / "templates", copy)
    moved = f"prompts.templates_dir={copy}"

    assert run_fingerprint(compose_settings(SMOKE, moved)) == plain

    path = copy / "birthplace.yaml"
    path.write_text(path.read_text() + "# a remark\n")
    assert run_fingerprint(compose_settings(SMOKE, moved)) != plain


def test_fingerprint_follows_the_weights_of_a_base_not_its_place(
    compose_settings: ComposeSettings, smoke_dataset: Dataset, tmp_path: Path
):
    texts = smoke_dataset.prompts["text"].to_pylist()[::100]
    folder = make_base(tmp_path / "base", "gpt2", texts)
    moved = shutil.copytree(folder, tmp_path / "moved")
    other = make_base(tmp_path / "other", "gpt2", texts, n_layer=1)

    def fingerprint(base: Path) -> str:
        return run_fingerprint(
            compose_settings("experiment=continue_pretraining", f"model.base={base}")
        )

    assert fingerprint(folder) == fingerprint(moved)
    assert fingerprint(folder) != fingerprint(other)  # with the same tokenizer
