"""A composed configuration as typed objects, checked before anything heavy is imported."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from coemerge.app.continued import check_continued
from coemerge.app.hints import suggest
from coemerge.app.ranks import check_ranks
from coemerge.app.schema import PathsConfig, TrainConfig
from coemerge.app.wandb_choice import WandbChoice, read_wandb
from coemerge.corpus.config import DatasetSpec
from coemerge.corpus.manifest import check_data_files, find_dataset
from coemerge.lm.base import Base, check_base, find_base
from coemerge.lm.config import check_model_choice, check_training_config
from coemerge.scoring.config import check_score_config, settle_chance
from coemerge.worlds.synthetic import SyntheticWorldConfig

RESUME = ("true", "false", "auto")
_SEEDS = 2**32


@dataclass(frozen=True)
class Settings:
    """``config`` is typed; ``resolved`` the same as plain values, for files and W&B; ``overrides``
    are those given on the command line; ``base`` the model that is continued, if any."""

    config: TrainConfig
    resolved: dict[str, Any]
    overrides: tuple[str, ...]
    dataset: DatasetSpec
    base: Base | None = None

    @property
    def wandb(self) -> WandbChoice:
        return read_wandb(self.config.logger)


def read_settings(composed: DictConfig, overrides: list[str]) -> Settings:
    """Raises ValueError with every problem that needs neither data nor model to be seen."""
    resolved = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    config = OmegaConf.to_object(composed)
    assert isinstance(config, TrainConfig)
    config = replace(
        config,
        resume=config.resume.lower(),  # true and false arrive as booleans
        callbacks=resolved["callbacks"] or {},
        logger=resolved["logger"] or {},
    )
    config.score = settle_chance(config.score, isinstance(config.world, SyntheticWorldConfig))
    resolved["score"]["chance"] = config.score.chance
    base = _find_base(config)
    folder = str(base.directory) if base else ""
    dataset = DatasetSpec(config.world, config.prompts, config.corpus, config.seed, folder)
    problems = []
    for check in (
        lambda: _check_unknown(config, composed),
        lambda: _check_run_keys(config),
        lambda: check_training_config(
            config.model, config.optimizer, config.trainer, config.device
        ),
        lambda: check_ranks(config.trainer),
        lambda: _check_sharded(config),
        dataset.check,
        dataset.check_templates,
        lambda: check_score_config(config.score),
        lambda: check_entries(config.callbacks or {}, "callbacks"),
        lambda: check_entries(config.logger or {}, "logger"),
        lambda: read_wandb(config.logger),
        lambda: check_place("paths.artifacts", config.paths.artifacts),
        lambda: _check_found_data(config.paths, dataset),
        lambda: check_continued(config, base),
    ):
        try:
            check()
        except (ValueError, FileNotFoundError) as error:
            if str(error) not in problems:
                problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    named = {str(k): v for k, v in resolved.items()}
    return Settings(config, named, tuple(overrides), dataset, base)


def _find_base(config: TrainConfig) -> Base | None:
    check_model_choice(config.model)
    if not config.model.base:
        return None
    try:
        base = find_base(config.model.base, config.model.revision, config.hub.download)
        check_base(base, config.corpus.row_length)
    except ValueError as error:
        raise ValueError(f"model.base: {error}") from error
    return base


def _check_sharded(config: TrainConfig) -> None:
    """No process has the whole model."""
    key = "callbacks.localization"
    if config.trainer.strategy == "fsdp" and (config.callbacks or {}).get("localization"):
        raise ValueError(
            f"{key}: trains masks on a model that is whole, and trainer.strategy=fsdp spreads it "
            f"over devices: set {key}=null, and call analyze.py study=task_localization run=RUN "
            "on the checkpoints afterwards"
        )


def check_entries(entries: Mapping[str, Any], group: str) -> None:
    """Every named entry must say what it is. Null entries were removed on purpose."""
    for name, entry in entries.items():
        if entry is not None and (not isinstance(entry, Mapping) or "_target_" not in entry):
            raise ValueError(f"{group}.{name}: needs a _target_, or null to remove it")
        if entry is not None and not _exists(str(entry["_target_"])):
            raise ValueError(f"{group}.{name}._target_: there is no {entry['_target_']}")


def _check_unknown(config: Any, composed: DictConfig, prefix: str = "") -> None:
    """Keys added with ``+`` that no one reads."""
    known = [f.name for f in fields(config)]
    for key in composed:
        name = str(key)
        if name not in known:
            raise ValueError(f"unknown key {prefix}{name}{suggest(name, known)}")
        value = getattr(config, name)
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for part, item in inner:
            if is_dataclass(item):
                node = composed[name][part] if part else composed[name]
                _check_unknown(item, node, ".".join(filter(None, (prefix + name, part))) + ".")


def _exists(target: str) -> bool:
    """Whether the module of one of our own targets is there, without importing it."""
    module = target.rpartition(".")[0]
    if not module.startswith("coemerge."):
        return bool(module)
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def name_problem(key: str, name: str | None) -> str | None:
    """What keeps a name from being that of a directory and of a W&B run; none is fine."""
    if name is None or re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.+=,-]{0,99}", name):
        return None
    return f"{key}: {name!r} must be a plain name of at most 100 letters, digits and _ . + = , -"


def _check_run_keys(config: TrainConfig) -> None:
    problems = []
    if config.end.checkpoints is not None and config.end.checkpoints < 2:
        problems.append(f"end.checkpoints: needs at least 2, got {config.end.checkpoints}")
    if config.resume not in RESUME:
        problems.append(f"resume: {config.resume!r} is not one of {', '.join(RESUME)}")
    if not 0 <= config.seed < _SEEDS:
        problems.append(f"seed: must not be negative, and below 2^32, got {config.seed}")
    names = {"run_id": config.run_id, "experiment_name": config.experiment_name}
    problems += [p for key, name in names.items() if (p := name_problem(key, name))]
    if config.resume == "true" and config.overwrite:
        problems.append("resume=true and overwrite=true contradict each other")
    if problems:
        raise ValueError("; ".join(problems))


def data_directories(paths: PathsConfig, fingerprint: str) -> tuple[Path, Path]:
    """Where a data set may lie: the pinned one, and the one that a run builds for itself."""
    return Path(paths.data), Path(paths.artifacts) / "data" / fingerprint


def _check_found_data(paths: PathsConfig, dataset: DatasetSpec) -> None:
    try:
        fingerprint = dataset.fingerprint()
    except FileNotFoundError:
        return  # a file that other checks name
    found = find_dataset(fingerprint, *data_directories(paths, fingerprint))
    if found:
        check_data_files(found)


def check_place(key: str, name: str) -> None:
    """Raises ValueError where a directory cannot be made."""
    if not name:
        raise ValueError(f"{key}: is empty; name a directory: {key}=DIR")
    for part in (Path(name), *Path(name).parents):
        if part.exists():
            if not part.is_dir():
                raise ValueError(f"{key}: {part} is a file, not a directory")
            if not os.access(part, os.W_OK | os.X_OK):
                raise ValueError(
                    f"{key}: {part} cannot be written to; name another directory: {key}=DIR"
                )
            return
