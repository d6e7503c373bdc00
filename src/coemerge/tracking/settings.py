"""What all our W&B runs share: axes, settings without network, and files in one directory."""

from pathlib import Path
from typing import Any

import wandb

AXES = ("step", "tokens_seen")
MODES = ("offline", "online", "disabled")
_METRICS = (
    "train/*",
    "acquisition/*",
    "exposure/*",
    "old_facts/*",
    "injections/*",
    "localization/*",
    "co_emergence/*",
)


def check_mode(mode: str, key: str) -> None:
    """Raises ValueError naming the key."""
    if mode not in MODES:
        raise ValueError(f"{key}: {mode!r} is not one of {', '.join(MODES)}")


def run_settings() -> wandb.Settings:
    """Quiet, without network when offline; a killed run loses about a second."""
    return wandb.Settings(
        x_disable_stats=True,
        console="off",
        silent=True,
        x_transaction_log_flush_interval=1.0,
        disable_git=True,
    )


def make_folders(directory: Path) -> dict[str, str]:
    """Folders below ``directory/wandb`` for what W&B would keep in the home directory.

    Returns the environment variables that say so; they count where a run begins.
    """
    variables = {}
    for name in ("data", "cache", "config"):
        folder = directory / "wandb" / name
        folder.mkdir(parents=True, exist_ok=True)
        variables[f"WANDB_{name.upper()}_DIR"] = str(folder)
    return variables


def define_axes(run: Any) -> None:
    """Metrics are drawn over our own ``step``, whatever W&B counts."""
    for axis in AXES:
        run.define_metric(axis)
    for pattern in _METRICS:
        run.define_metric(pattern, step_metric="step", step_sync=True)
