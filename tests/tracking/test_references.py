"""Data and checkpoints as artifacts: referred to, with hashes, never copied; a resumed run says the
same again."""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from coemerge.corpus.dataset import Dataset
from coemerge.lm.checkpoint_manifest import list_checkpoints, read_manifest
from coemerge.tracking.references import data_artifact, model_name
from tests.conftest import ComposeSettings
from tests.tracking.conftest import KEEPING, fragments, records_of, train

FEW = 200_000  # bytes; the folder of W&B's own logs holds some


def artifacts(fragment: Path) -> list[dict[str, Any]]:
    return [r["artifact"] for r in records_of(fragment) if r["type"] == "artifact"]


def references(artifact: dict[str, Any]) -> dict[str, str]:
    return {entry["path"]: entry["ref"] for entry in artifact["manifest"]["contents"]}


@pytest.fixture(scope="module")
def logged(kept_training: Path) -> list[list[dict[str, Any]]]:
    """Of the first fragment and of the one that went on."""
    return [artifacts(fragment) for fragment in fragments(kept_training)]


def test_the_data_set_is_referred_to_file_by_file(
    logged: list[list[dict[str, Any]]], smoke_dataset: Dataset
):
    (data,) = [a for a in logged[0] if a["type"] == "dataset"]
    home = smoke_dataset.directory

    assert data["name"] == f"data-{smoke_dataset.content_hash[:12]}"
    files = {p.relative_to(home).as_posix(): p.as_uri() for p in home.rglob("*") if p.is_file()}
    assert references(data) == files
    assert smoke_dataset.content_hash in data["metadata"]


def test_every_kept_checkpoint_is_a_version_named_after_its_step(
    logged: list[list[dict[str, Any]]], kept_training: Path
):
    models = [a for a in logged[0] if a["type"] == "model"]
    kept = list_checkpoints(kept_training / "checkpoints")

    assert len(kept) > 2
    assert {a["name"] for a in models} == {"smoke-seed0-checkpoints"}
    assert [set(a["aliases"]) for a in models] == [{"latest", folder.name} for folder in kept]
    for artifact, folder in zip(models, kept, strict=True):
        assert references(artifact)["model.safetensors"] == (folder / "model.safetensors").as_uri()
        assert read_manifest(folder).weights_sha256 in artifact["metadata"]


def test_a_run_that_goes_on_says_the_same_again(
    logged: list[list[dict[str, Any]]], kept_training: Path
):
    """W&B keeps one version of equal digests."""
    digests = defaultdict(set)
    for artifact in (artifact for fragment in logged for artifact in fragment):
        (version,) = set(artifact["aliases"]) - {"latest"} or {"-"}
        digests[artifact["name"], version].add(artifact["digest"])
    first, second = ({a["digest"] for a in fragment} for fragment in logged)

    assert len(logged) == 2
    assert all(len(of_version) == 1 for of_version in digests.values())
    assert len(digests) == 1 + len(list_checkpoints(kept_training / "checkpoints"))
    assert second <= first
    assert "step-00000003" in str(logged[1])  # what a kill might have lost is said again


def test_nothing_is_copied(kept_training: Path, smoke_dataset: Dataset):
    ours = [p for home in (smoke_dataset.directory, kept_training / "checkpoints")
            for p in home.rglob("*") if p.is_file()]  # fmt: skip
    theirs = [p for p in (kept_training / "wandb").rglob("*") if p.is_file()]

    assert not {content(p) for p in ours} & {content(p) for p in theirs}
    assert all(p.stat().st_nlink == 1 for p in ours)
    per_fragment = sum(p.stat().st_size for p in theirs) / 2
    assert per_fragment < FEW < sum(p.stat().st_size for p in ours)


def content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_other_content_is_another_version(tmp_path: Path):
    (tmp_path / "data").mkdir()
    digests = []
    for text in ("a", "b", "a"):
        (tmp_path / "data" / "facts.txt").write_text(text)
        (tmp_path / "data" / ".lock").write_text(str(len(digests)))  # not part of it
        digests.append(data_artifact(tmp_path / "data", "c0ffee" * 4).digest)

    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize("run_id", ["smoke-seed0", "a+b=c,d", "x" * 100])
def test_any_run_id_gives_a_name_that_wandb_takes(run_id: str, tmp_path: Path):
    import wandb

    assert wandb.Artifact(model_name(run_id), "model").name.startswith(run_id[:1])


def test_weights_are_the_same_with_and_without_a_logger(
    compose_settings: ComposeSettings, kept_training: Path, smoke_dataset: Dataset, tmp_path: Path
):
    train(compose_settings("experiment=smoke", *KEEPING, "logger=none"), tmp_path, smoke_dataset)

    assert not (tmp_path / "wandb").exists()
    for with_logger, without in zip(
        list_checkpoints(kept_training / "checkpoints"),
        list_checkpoints(tmp_path / "checkpoints"),
        strict=True,
    ):
        assert content(with_logger / "model.safetensors") == content(without / "model.safetensors")
