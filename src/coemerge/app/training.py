"""Assembles a training from its settings, fits it, and records how it ended."""

import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.utilities.exceptions import SIGTERMException
from transformers import PreTrainedModel

from coemerge.app.cli import INTERRUPTED, TERMINATED
from coemerge.app.identity import run_fingerprint
from coemerge.app.instances import instantiate_entries, quiet_libraries
from coemerge.app.processes import environment, make_strategy
from coemerge.app.ranks import is_first, place, world_size
from coemerge.app.run_directory import (
    code_version,
    package_versions,
    read_run_manifest,
    update_manifest,
)
from coemerge.app.schema import TrainConfig
from coemerge.app.settings import Settings
from coemerge.callbacks.clock import CallbackClock
from coemerge.callbacks.context import RunContext
from coemerge.callbacks.finite import StopAtNonFinite
from coemerge.callbacks.resume import AtomicCheckpointIO, SaveResumeState, whole_state
from coemerge.callbacks.together import StopTogether
from coemerge.corpus.dataset import Dataset, open_dataset
from coemerge.corpus.loader import CorpusDataModule, RowOrder
from coemerge.files import write_text
from coemerge.lm.base import Base
from coemerge.lm.build import build_model, load_base
from coemerge.lm.checkpoints import weights_sha256
from coemerge.lm.machine import Execution, choose_execution, detect_machine
from coemerge.lm.module import LanguageModule
from coemerge.lm.sharding import whole_state as gather
from coemerge.scoring.config import ScoreConfig

log = logging.getLogger(__name__)


@dataclass
class Training:
    """Everything that is fitted."""

    run: RunContext
    module: LanguageModule
    data: CorpusDataModule
    trainer: lightning.Trainer
    clock: CallbackClock


def prepare_run(settings: Settings, directory: Path, run_id: str, dataset: Dataset) -> RunContext:
    """What callbacks share; the first process writes config.yaml and the manifest."""
    config = settings.config
    trainer = config.trainer
    order = RowOrder(dataset.store.n_rows, trainer.batch_rows * trainer.accumulate)
    fingerprint = run_fingerprint(settings)
    if is_first():
        _describe(settings, directory, run_id, fingerprint, dataset)
    return RunContext(
        run_id=run_id,
        seed=config.seed,
        directory=directory,
        fingerprint=fingerprint,
        dataset=dataset,
        max_steps=trainer.max_steps or order.steps_per_pass,
        order=order,
        score=config.score,
        old=_data_of(settings.base),
        old_score=_score_of(settings.base),
        provenance={"run_id": run_id, "fingerprint": fingerprint, "data": dataset.content_hash},
    )


def _describe(
    settings: Settings, directory: Path, run_id: str, fingerprint: str, dataset: Dataset
) -> None:
    config = settings.config
    write_text(directory / "config.yaml", yaml.safe_dump(settings.resolved, sort_keys=False))
    update_manifest(
        directory,
        run_id=run_id,
        experiment=config.experiment_name,
        group=_group(settings, directory),
        status="running",
        score=asdict(config.score),
        seed=config.seed,
        fingerprint=fingerprint,
        data_fingerprint=dataset.manifest["fingerprint"],
        data_hash=dataset.content_hash,
        data_directory=str(dataset.directory),
        versions=package_versions(),
        **code_version(Path(config.paths.root)),
    )


def _group(settings: Settings, directory: Path) -> str:
    """Of W&B runs: as asked, else as the run began with, else the experiment's name."""
    began = (read_run_manifest(directory) or {}).get("group")
    return settings.wandb.group or began or settings.config.experiment_name


def choose_machine(settings: Settings, directory: Path) -> Execution:
    """Precision, attention and threads: as the run began with, or chosen now and written down.

    On another number of devices a run goes on with the same batches. Sums are then made in another
    order: results are equal up to rounding, no longer bit by bit.
    """
    config, manifest = settings.config, read_run_manifest(directory) or {}
    n_here = 1 if place().starter == "srun" else config.trainer.devices  # it gives cores to each
    machine = detect_machine(config.device)
    chosen = choose_execution(machine, config.model, config.trainer, n_here)
    devices = manifest.get("devices", [1] if "execution" in manifest else [])
    is_same = devices[-1:] == [world_size(config.trainer)]
    if "execution" in manifest:
        began = Execution(**manifest["execution"])
        chosen = began if is_same else replace(began, threads=chosen.threads)
    if is_first():
        if not is_same:
            devices = [*devices, world_size(config.trainer)]
        if len(devices) > 1:
            told = ", then ".join(map(str, devices))
            log.info("devices: %s: with the same batches, equal up to rounding", told)
        update_manifest(
            directory,
            execution=chosen.as_dict(),
            device=chosen.accelerator,
            precision=chosen.precision,
            threads=chosen.threads,
            devices=devices,
        )
    torch.set_num_threads(chosen.threads)
    return chosen


def assemble(settings: Settings, run: RunContext, execution: Execution) -> Training:
    """Model, data, callbacks, loggers and trainer."""
    config, dataset = settings.config, run.dataset
    model = make_model(settings, dataset, execution)
    data = CorpusDataModule(
        dataset.store,
        run.order,
        run.max_steps,
        config.trainer.batch_rows,
        config.trainer.accumulate,
        config.optimizer.answer_weight,
    )
    callbacks, clock = _make_callbacks(config, run)
    loggers = instantiate_entries(
        (config.logger or {}) if is_first() else {},
        run_directory=run.directory,
        run_id=run.run_id,
        usual_group=_group(settings, run.directory),
        config=settings.resolved,
        dataset=dataset,
    )
    trainer = lightning.Trainer(
        accelerator="gpu" if execution.accelerator == "cuda" else execution.accelerator,
        devices=config.trainer.devices,
        num_nodes=config.trainer.num_nodes,
        strategy=make_strategy(config.trainer),
        precision=execution.precision,  # type: ignore[arg-type]
        max_steps=run.max_steps,
        accumulate_grad_batches=config.trainer.accumulate,
        callbacks=callbacks,
        logger=loggers or False,
        plugins=[AtomicCheckpointIO(), environment()],
        profiler=clock,
        default_root_dir=run.directory,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
    )
    if config.trainer.activation_checkpointing:
        model.activation_checkpointing_enable()
    module = LanguageModule(model, config.optimizer, run.max_steps, config.seed)
    return Training(run, module, data, trainer, clock)


def _make_callbacks(
    config: TrainConfig, run: RunContext
) -> tuple[list[lightning.Callback], CallbackClock]:
    """In the order in which they are called."""
    trainer = config.trainer
    entries = {name: entry for name, entry in (config.callbacks or {}).items() if entry is not None}
    made = {
        **({"stopping": StopTogether()} if world_size(trainer) > 1 else {}),
        "finite": StopAtNonFinite(
            run, (trainer.log_every, trainer.resume_every), trainer.batch_rows
        ),
        **dict(zip(entries, instantiate_entries(entries, run=run), strict=True)),
        "resume": SaveResumeState(run, trainer.resume_every),
    }
    return list(made.values()), CallbackClock({c.state_key: name for name, c in made.items()})


def make_model(settings: Settings, dataset: Dataset, execution: Execution) -> PreTrainedModel:
    """A fresh model, or the base that is continued."""
    quiet_libraries()
    config = settings.config
    if settings.base is not None:
        return load_base(settings.base, config.model, execution.attention)
    return build_model(
        config.model, dataset.tokenizer, dataset.store.row_length, execution.attention, config.seed
    )


def _data_of(base: Base | None) -> Dataset | None:
    """The data set that the base was trained on, if it is a run of ours and still there."""
    if base is None or base.run is None:
        return None
    manifest = read_run_manifest(base.run) or {}
    directory = Path(manifest.get("data_directory", ""))
    if (directory / "manifest.json").is_file():
        dataset = open_dataset(directory)
        if dataset.content_hash == manifest.get("data_hash"):
            return dataset
    log.warning("the data set of %s is gone from %s: its facts are not scored", base.run, directory)
    return None


def _score_of(base: Base | None) -> ScoreConfig:
    manifest = read_run_manifest(base.run) if base and base.run else None
    return ScoreConfig(**(manifest or {}).get("score", {}))


def fit(training: Training, continues: bool) -> None:
    """Trains to the end, from the saved state if there is one.

    Exits with 143 on SIGTERM, which is obeyed at the end of a step, and with 130 on Ctrl-C.
    """
    directory = training.run.directory
    state = whole_state(directory) if continues else None
    started = time.perf_counter()
    try:
        training.trainer.fit(
            training.module,
            datamodule=training.data,
            ckpt_path=state,
            weights_only=True,
        )
        if training.trainer.received_sigterm:  # in the last step
            raise SIGTERMException
    except SystemExit as error:
        is_term = isinstance(error, SIGTERMException) or error.code == TERMINATED
        raise SystemExit(TERMINATED if is_term else INTERRUPTED) from error
    finally:
        times = _times(directory, time.perf_counter() - started, training.clock)
        try:
            if is_first():
                update_manifest(directory, **times)
        except OSError as error:  # must not hide what ended the training
            log.warning("%s", error)


def _times(directory: Path, elapsed: float, clock: CallbackClock) -> dict[str, Any]:
    """Seconds of wall time, earlier tries of the run included: in all, and in each callback."""
    before = read_run_manifest(directory) or {}
    callbacks = dict(before.get("callbacks_wall_s", {}))
    for name, seconds in clock.seconds.items():
        callbacks[name] = round(callbacks.get(name, 0.0) + seconds, 2)
    return {
        "wall_s": round(before.get("wall_s", 0.0) + elapsed, 1),
        "callbacks_wall_s": callbacks,
    }


def record_result(training: Training) -> None:
    """The final weights' hash, steps and tokens. Has to be called on all processes."""
    run = training.run
    state = gather(training.module.model)
    if not is_first():
        return
    update_manifest(
        run.directory,
        final_weights_sha256=weights_sha256(training.module.model, state),
        steps=run.max_steps,
        tokens=run.ledger_at(run.max_steps).n_tokens,
        architecture=str(training.module.model.config.model_type),
        n_parameters=sum(p.numel() for p in training.module.model.parameters()),
    )
