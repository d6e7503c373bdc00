"""The typed configuration: a wrong type or an unknown key is refused when it is composed.

Registered under ``base_*`` names, on which the YAML files of each group build.
"""

import os
import warnings
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from coemerge.corpus.config import CorpusConfig
from coemerge.lm.config import ModelConfig, OptimizerConfig, TrainerConfig
from coemerge.prompts.config import PromptsConfig
from coemerge.scoring.config import ScoreConfig
from coemerge.worlds.curated import CuratedWorldConfig
from coemerge.worlds.public import PublicWorldConfig
from coemerge.worlds.synthetic import SyntheticWorldConfig


@dataclass
class PathsConfig:
    """``root`` is the checkout; ``artifacts`` receives everything that runs produce; ``data`` is
    the pinned data set of the default experiment."""

    root: str = MISSING
    artifacts: str = MISSING
    data: str = MISSING


@dataclass
class HubConfig:
    """``download``: whether models may be fetched; without it only what is cached is used."""

    download: bool = False


@dataclass
class EndConfig:
    """What follows a training: the co-emergence study with its report, on ``checkpoints`` of them
    at most (null: all). ``analyze.py`` repeats it with other settings."""

    study: bool = True
    checkpoints: int | None = 15


@dataclass
class TrainConfig:
    """Everything that ``train.py`` takes. ``resume``: true, false or auto."""

    experiment_name: str = "default"
    seed: int = 0
    run_id: str | None = None
    resume: str = "false"
    overwrite: bool = False
    debug: bool = False
    device: str = "auto"
    world: Any = MISSING
    prompts: PromptsConfig = field(default_factory=PromptsConfig)
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    hub: HubConfig = field(default_factory=HubConfig)
    end: EndConfig = field(default_factory=EndConfig)
    callbacks: dict[str, Any] | None = field(default_factory=dict)
    logger: dict[str, Any] | None = field(default_factory=dict)
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class SeriesConfig:
    """Models from elsewhere. ``path``: a hub id, a folder, or a list of folders; ``revisions`` of a
    hub id, or names of folders inside a folder; ``tokenizer``: a folder, where the models bring
    none; ``chat``: ask in the tokenizer's chat template."""

    path: Any = None
    revisions: list[str] | None = None
    tokenizer: str | None = None
    chat: bool = False


@dataclass
class ScoreChoice:
    """As ``ScoreConfig``; null: as in training, or as that class has it."""

    base: str | None = None
    chance: str | None = None


@dataclass
class AnalyzeConfig:
    """Everything that ``analyze.py`` takes. ``run``: a directory, or a list of them; ``model``
    instead, with ``world`` and ``prompts``: models from elsewhere; ``name``: of the directory for
    an analysis that is not of one run; ``seed``: of the option sets asked; ``shard``: the number
    of this process among those that share the analysis, null for one alone."""

    study: Any = MISSING
    run: Any = None
    model: SeriesConfig = field(default_factory=SeriesConfig)
    world: Any = None
    prompts: PromptsConfig = field(default_factory=PromptsConfig)
    score: ScoreChoice = field(default_factory=ScoreChoice)
    seed: int = 0
    name: str | None = None
    shard: int | None = None
    device: str = "auto"
    debug: bool = False
    hub: HubConfig = field(default_factory=HubConfig)
    logger: dict[str, Any] | None = field(default_factory=dict)
    paths: PathsConfig = field(default_factory=PathsConfig)


def register() -> None:
    """Makes the schemas and the resolver ``jobs`` known to hydra; call before composing.

    ``${jobs:THREADS}``: how many trainings with that many threads each fit on this machine.
    """
    OmegaConf.register_new_resolver("jobs", _jobs, replace=True)
    # Our files carry the names of the plugin's own schemas on purpose.
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/submitit_\w+' is validated against")
    store = ConfigStore.instance()
    store.store(name="base_train", node=TrainConfig)
    store.store(name="base_analyze", node=AnalyzeConfig)
    for name, world in {
        "base_synthetic": SyntheticWorldConfig,
        "base_curated": CuratedWorldConfig,
        "base_public": PublicWorldConfig,
    }.items():
        store.store(group="world", name=name, node=world)
    for group, node in {
        "prompts": PromptsConfig,
        "corpus": CorpusConfig,
        "model": ModelConfig,
        "optimizer": OptimizerConfig,
        "trainer": TrainerConfig,
        "paths": PathsConfig,
    }.items():
        store.store(group=group, name=f"base_{group}", node=node)


def _jobs(threads: int | None) -> int:
    cores = os.cpu_count() or 1
    return max(1, cores // (threads or cores))
