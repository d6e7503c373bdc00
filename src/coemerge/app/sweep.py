"""One W&B group for all trainings of a sweep (``train.py -m``), whatever they differ in."""

from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

from coemerge.app.identity import sweep_name

VARIABLE = "COEMERGE_SWEEP"  # read by conf/logger/wandb.yaml


class NameSweep(Callback):
    """Hands the sweep's name to each of its jobs, wherever a launcher runs them."""

    def on_multirun_start(self, config: DictConfig, **keywords: Any) -> None:
        """A job sees only its own values, but all of Hydra's overrides: the name goes with them."""
        overrides = config.hydra.overrides
        with read_write(config), open_dict(config):
            name = sweep_name(list(overrides.task))
            overrides.hydra.append(f"+hydra.job.env_set.{VARIABLE}='{name}'")
