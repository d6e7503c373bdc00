"""What all our W&B runs share: axes, settings without network, and files in one directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

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


@contextmanager
def reaching_server() -> Iterator[None]:
    """Turns W&B's own errors into a ConnectionError with the remedy."""
    try:
        yield
    except (wandb.Error, WandbApiFailedError) as error:
        raise ConnectionError(
            f"W&B: {str(error).strip().rstrip('.')}. Publishing needs an account and the network: "
            "run `wandb login`, or set WANDB_API_KEY, and WANDB_BASE_URL for a server of your own"
        ) from error


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
