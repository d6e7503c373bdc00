"""What many tests share: the smoke configuration, composed from the real files, and its data set.

The fixtures are built once per session and must not be changed by a test.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Before torch, transformers or wandb are imported: no network, no fight over two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["COEMERGE_ROOT"] = str(ROOT)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of jobs in the background; children too
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402
from hydra import compose, initialize_config_dir  # noqa: E402

from coemerge.app.schema import register  # noqa: E402
from coemerge.app.settings import Settings, read_settings  # noqa: E402
from coemerge.corpus.config import DatasetSpec  # noqa: E402
from coemerge.corpus.dataset import Dataset, build_dataset  # noqa: E402
from tests.shown import pytest_terminal_summary  # noqa: E402, F401 (a hook)

ComposeSettings = Callable[..., Settings]


@pytest.fixture(scope="session")
def compose_settings() -> ComposeSettings:
    """Settings as ``train.py`` would read them: ``compose_settings("experiment=smoke", ...)``."""

    def composed(*overrides: str) -> Settings:
        register()
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return read_settings(compose("train", list(overrides)), list(overrides))

    return composed


@pytest.fixture(scope="session")
def smoke_settings(
    compose_settings: ComposeSettings, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """experiment=smoke without a logger, artifacts in a temporary directory."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    return compose_settings(
        "experiment=smoke",
        "logger=none",
        f"paths.artifacts={artifacts}",
        f"paths.data={artifacts / 'no-pinned-data'}",
    )


@pytest.fixture(scope="session")
def smoke_spec(smoke_settings: Settings) -> DatasetSpec:
    return smoke_settings.dataset


@pytest.fixture(scope="session")
def smoke_dataset(smoke_spec: DatasetSpec, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The smoke experiment's data set, built once, in a directory of its own."""
    return build_dataset(smoke_spec, tmp_path_factory.mktemp("data") / "smoke", progress=False)
