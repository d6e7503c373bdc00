"""Keeps the model at scheduled steps as Hugging Face folders; none is ever deleted."""

import lightning

from coemerge.callbacks.base import ScheduledCallback, log_checkpoint
from coemerge.callbacks.context import RunContext
from coemerge.callbacks.schedule import StepSchedule
from coemerge.lm.checkpoints import CheckpointManifest, save_checkpoint, weights_sha256
from coemerge.lm.module import LanguageModule
from coemerge.lm.sharding import whole_state


class KeepCheckpoints(ScheduledCallback):
    """Writes ``checkpoints/step-XXXXXXXX`` at each scheduled step, and tells the loggers."""

    def __init__(self, run: RunContext, schedule: StepSchedule) -> None:
        super().__init__(run, schedule)

    def at_step(self, trainer: lightning.Trainer, module: LanguageModule, step: int) -> None:
        state = whole_state(module.model)  # on all processes
        if not trainer.is_global_zero:
            return
        manifest = CheckpointManifest(
            step=step,
            tokens_seen=self.run.ledger_at(step).n_tokens,
            weights_sha256=weights_sha256(module.model, state),
            config_hash=self.run.fingerprint,
        )
        tokenizer = self.run.dataset.tokenizer
        save_checkpoint(self.run.checkpoints_dir, module.model, tokenizer, manifest, state)
        for logger in trainer.loggers:
            log_checkpoint(logger, step)
