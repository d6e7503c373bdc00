"""An analysis as a W&B run of its own, beside the trainings that it is about."""

import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb

from coemerge.tracking.settings import (
    check_mode,
    define_axes,
    make_folders,
    reaching_server,
    run_settings,
)

JOB_TYPE = "analysis"


def log_analysis(
    directory: Path,
    run_id: str,
    group: str,
    config: Mapping[str, Any],
    summary: Mapping[str, float],
    series: Sequence[Mapping[str, float]],
    images: Mapping[str, Path],
    mode: str = "offline",
    project: str = "coemerge",
    entity: str | None = None,
    tags: Sequence[str] = (),
    notes: str | None = None,
) -> None:
    """Logs values, rows with their own ``step``, and PNG images; files in ``directory/wandb``.

    What is None or not finite is left out. ``mode`` disabled does nothing; offline needs neither
    account nor network. An earlier offline log of the same ``run_id`` there is replaced.

    Raises ValueError for a bad mode or a row without a step and FileNotFoundError for a missing
    image, both before anything is written, and ConnectionError with the remedy where online is
    asked for and cannot be.
    """
    check_mode(mode, "mode")
    _check_inputs(series, images)
    if mode == "disabled":
        return
    _remove_earlier(directory / "wandb", run_id)
    with (
        reaching_server(),
        _environment(make_folders(directory)),
        wandb.init(
            project=project,
            entity=entity,
            tags=list(tags),
            notes=notes,
            id=run_id,
            name=run_id,
            group=group,
            job_type=JOB_TYPE,
            dir=str(directory),
            config=dict(config),
            mode=mode,  # type: ignore[arg-type]
            reinit="create_new",  # a training of this process may still be open
            settings=run_settings(),
        ) as run,  # finishes however it ends
    ):
        define_axes(run)
        _log(run, summary, series, images)


def _check_inputs(series: Sequence[Mapping[str, float]], images: Mapping[str, Path]) -> None:
    for index, row in enumerate(series):
        if "step" not in row:
            raise ValueError(f"series: row {index} has no step, only {', '.join(row)}")
    for name, path in images.items():
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such image ({name})")


def _log(
    run: wandb.Run,
    summary: Mapping[str, float],
    series: Sequence[Mapping[str, float]],
    images: Mapping[str, Path],
) -> None:
    for row in series:
        metrics = _finite({name: value for name, value in row.items() if name != "step"})
        if metrics:
            run.log({"step": int(row["step"]), **metrics})
    run.summary.update(_finite(summary))
    if images:
        run.log({name: wandb.Image(str(path)) for name, path in images.items()})


def _finite(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in metrics.items()
        if value is not None and math.isfinite(value)
    }


def _remove_earlier(folder: Path, run_id: str) -> None:
    """W&B would append the same steps once more when both are synced."""
    name = re.compile(rf"offline-run-\d+_\d+-{re.escape(run_id)}")
    for path in folder.glob("offline-run-*"):
        if name.fullmatch(path.name):
            shutil.rmtree(path)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
