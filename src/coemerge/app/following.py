"""What all processes of a training but the first do: train with it, and nothing else."""

import logging
from typing import Any

from coemerge.app.cli import ERROR
from coemerge.app.data import obtain_dataset
from coemerge.app.identity import run_id
from coemerge.app.processes import is_loss_of_another, part, wait_for_first
from coemerge.app.run_directory import run_path
from coemerge.app.settings import Settings
from coemerge.app.training import assemble, choose_machine, fit, prepare_run, record_result
from coemerge.callbacks.finite import NonFiniteError


def train_with_first(settings: Settings) -> dict[str, Any]:
    """The first holds the run directory, and writes and prints everything."""
    logging.getLogger().setLevel(logging.WARNING)
    action = wait_for_first(settings)
    if action == "done":
        part()
        return {}
    directory = run_path(settings)
    run = prepare_run(settings, directory, run_id(settings), obtain_dataset(settings))
    training = assemble(settings, run, choose_machine(settings, directory))
    try:
        fit(training, continues=action == "continue")
        record_result(training)
        part()
    except NonFiniteError:
        raise SystemExit(ERROR) from None  # the first process tells it
    except RuntimeError as error:
        if is_loss_of_another(error):
            raise SystemExit(ERROR) from None  # that one tells it
        raise
    return {}
