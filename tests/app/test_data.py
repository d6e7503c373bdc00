"""The data set that a configuration implies is found, built, or refused when it was changed."""

import shutil
from pathlib import Path

import pytest

from coemerge.app.data import obtain_dataset
from coemerge.app.settings import Settings
from coemerge.corpus.dataset import Dataset
from tests.conftest import ComposeSettings


def settings_for(compose: ComposeSettings, tmp_path: Path, *overrides: str) -> Settings:
    return compose(
        "experiment=smoke",
        f"paths.artifacts={tmp_path / 'artifacts'}",
        f"paths.data={tmp_path / 'data'}",
        *overrides,
    )


def test_the_pinned_data_set_is_used_where_it_fits(
    compose_settings: ComposeSettings, smoke_dataset: Dataset, tmp_path: Path
):
    shutil.copytree(smoke_dataset.directory, tmp_path / "data")

    dataset = obtain_dataset(settings_for(compose_settings, tmp_path))

    assert dataset.directory == tmp_path / "data"
    assert dataset.content_hash == smoke_dataset.content_hash
    assert not (tmp_path / "artifacts").exists()


def test_another_one_is_built_beside_the_runs_and_found_again(
    compose_settings: ComposeSettings, smoke_dataset: Dataset, tmp_path: Path
):
    shutil.copytree(smoke_dataset.directory, tmp_path / "data")
    settings = settings_for(compose_settings, tmp_path, "seed=1")

    built = obtain_dataset(settings)

    expected = tmp_path / "artifacts" / "data" / settings.dataset.fingerprint()
    assert built.directory == expected
    assert built.content_hash != smoke_dataset.content_hash
    written = (expected / "manifest.json").stat().st_mtime_ns
    assert obtain_dataset(settings).content_hash == built.content_hash
    assert (expected / "manifest.json").stat().st_mtime_ns == written


def test_a_changed_file_is_named(
    compose_settings: ComposeSettings, smoke_dataset: Dataset, tmp_path: Path
):
    shutil.copytree(smoke_dataset.directory, tmp_path / "data")
    tokens = tmp_path / "data" / "tokens.bin"
    tokens.write_bytes(tokens.read_bytes()[:-1] + b"\x07")

    with pytest.raises(ValueError, match=r"tokens\.bin.*changed"):
        obtain_dataset(settings_for(compose_settings, tmp_path))
