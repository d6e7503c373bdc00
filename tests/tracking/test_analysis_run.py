"""An analysis as a W&B run, read back with W&B's own program."""

import math
import os
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import wandb

from coemerge.tracking.analysis_run import log_analysis
from coemerge.tracking.settings import run_settings
from tests.tracking.conftest import Logged, fragments, read_back

RUN_ID = "smoke-seed0+smoke-seed1-co_emergence"
SERIES = [
    {"step": 0, "co_emergence/interaction_share": math.nan, "co_emergence/other": 1.0},
    {"step": 7, "co_emergence/interaction_share": 0.25},
    {"step": 20, "co_emergence/interaction_share": None},
    {"step": 30, "co_emergence/interaction_share": 0.5},
]
SUMMARY = {
    "co_emergence/failure_rate": 0.125,
    "co_emergence/completion_to_mcqa": math.nan,
    "co_emergence/mcqa_to_completion": None,
    "co_emergence/fitb_to_mcqa": math.inf,
}


def log(directory: Path, **changes) -> None:
    arguments = {
        "run_id": RUN_ID,
        "group": "smoke",
        "config": {"thetas": [0.6], "runs": {"seeds": [0, 1]}},
        "summary": SUMMARY,
        "series": SERIES,
        "images": {},
        **changes,
    }
    log_analysis(directory, **arguments)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logged twice: the second time replaces the first."""
    directory = tmp_path_factory.mktemp("analysis")
    figure, _ = plt.subplots(figsize=(1, 1))
    figure.savefig(directory / "matrix.png", dpi=40)
    plt.close(figure)
    for _ in range(2):
        log(directory, images={"co_emergence/figures/matrix": directory / "matrix.png"})
    return directory


@pytest.fixture(scope="module")
def logged(directory: Path) -> Logged:
    return read_back(directory)


def test_it_is_a_run_of_its_own_in_the_group(logged: Logged):
    assert logged.run["run_id"] == RUN_ID
    assert logged.run["job_type"] == "analysis"
    assert logged.run["run_group"] == "smoke"
    assert logged.run["project"] == "coemerge"
    config = logged.run["config"]["update"]
    assert config["thetas"] == [0.6]
    assert config["runs"] == {"seeds": [0, 1]}


def test_series_have_their_own_step(logged: Logged):
    assert logged.values("co_emergence/interaction_share") == {7: 0.25, 30: 0.5}
    assert logged.values("co_emergence/other") == {0: 1.0}
    assert logged.metrics["co_emergence/*"] == "step"


def test_values_stand_in_the_summary_and_unknown_ones_nowhere(logged: Logged):
    assert logged.summary["co_emergence/failure_rate"] == 0.125
    assert logged.summary["co_emergence/interaction_share"] == 0.5
    assert not logged.keys & (set(SUMMARY) - {"co_emergence/failure_rate"})


def test_images_are_stored_beside(directory: Path, logged: Logged):
    image = logged.summary["co_emergence/figures/matrix"]

    assert image["_type"] == "image-file"
    (fragment,) = fragments(directory)
    stored = fragment / "files" / image["path"]
    assert stored.read_bytes() == (directory / "matrix.png").read_bytes()


def test_it_is_finished(logged: Logged):
    assert logged.exit_code == 0
    assert wandb.run is None


def test_everything_lies_in_the_directory(directory: Path):
    assert {path.name for path in directory.iterdir()} == {"matrix.png", "wandb"}
    assert not list(directory.glob("wandb/run-*"))  # offline


def test_only_the_same_analysis_is_replaced(tmp_path: Path):
    for run_id in ("a-co_emergence", "co_emergence-b", "co_emergence", "co_emergence"):
        log(tmp_path, run_id=run_id)

    names = sorted(path.name.split("-", 3)[3] for path in fragments(tmp_path))
    assert names == ["a-co_emergence", "co_emergence", "co_emergence-b"]


def test_an_error_on_the_way_still_finishes_the_run(tmp_path: Path):
    (tmp_path / "no.png").write_text("not a picture")

    with pytest.raises(OSError, match="cannot identify image"):
        log(tmp_path, images={"figures/no": tmp_path / "no.png"})

    assert read_back(tmp_path).exit_code == 1


def test_a_training_that_is_still_open_stays_open(tmp_path: Path):
    with wandb.init(
        mode="offline", dir=str(tmp_path), id="training", settings=run_settings()
    ) as training:
        log(tmp_path / "analysis")
        training.log({"train/loss": 1.0})

    assert "train/loss" not in read_back(tmp_path / "analysis").keys
    assert read_back(tmp_path).summary["train/loss"] == 1.0


@pytest.mark.parametrize("value", [None, "/elsewhere"])
def test_the_environment_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
):
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    before = {k: v for k, v in os.environ.items() if k != "WANDB_SERVICE"}

    log(tmp_path)

    assert {k: v for k, v in os.environ.items() if k != "WANDB_SERVICE"} == before


def test_disabled_does_nothing(tmp_path: Path):
    log(tmp_path, mode="disabled")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"mode": "dryrun"}, ValueError, "mode: 'dryrun' is not one of offline, online, disabled"),
        ({"series": [{"a": 1.0}]}, ValueError, "series: row 0 has no step, only a"),
        ({"images": {"figures/x": Path("gone.png")}}, FileNotFoundError, "gone.png: no such image"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict, error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        log(tmp_path, **changes)

    assert not list(tmp_path.iterdir())
