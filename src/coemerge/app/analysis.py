"""What ``analyze.py`` was asked for, checked before anything heavy is imported."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from coemerge.app.run_directory import check_run, read_run_manifest
from coemerge.app.schema import AnalyzeConfig, TrainConfig
from coemerge.app.study_settings import (
    ALL,
    CONFIGS,
    OF_PAIRS,
    check_settings,
    check_shard,
    checked_studies,
    needs_of_run,
)
from coemerge.app.wandb_choice import read_wandb
from coemerge.corpus.arms import ArmsConfig
from coemerge.corpus.background import BackgroundConfig
from coemerge.corpus.config import CorpusConfig, DatasetSpec
from coemerge.corpus.plan_config import PlanConfig
from coemerge.lm.base import has_tokenizer
from coemerge.lm.config import check_device
from coemerge.lm.series import Member, find_series, run_series, tokenizer_directory
from coemerge.prompts.tasks import CORE_TASKS
from coemerge.scoring.config import ScoreConfig, check_score_config, settle_chance
from coemerge.worlds.public import PublicWorldConfig
from coemerge.worlds.synthetic import SyntheticWorldConfig

_LONGEST = 100


@dataclass(frozen=True)
class Series:
    """Models to analyse in order of step: those of ``run``, or models from elsewhere, which are
    asked about the world of ``questions``."""

    name: str
    seed: int
    members: list[Member]
    score: ScoreConfig
    cache: Path
    run: Path | None = None
    questions: DatasetSpec | None = None
    chat: bool = False


@dataclass(frozen=True)
class Analysis:
    """``directories``: what was named, runs or (for reports) analyses; ``out`` receives results and
    report: the run itself, or a directory of its own, of that ``name``, in ``analyses``; ``wandb``:
    what ``logger.wandb`` asks for. ``settings`` of all studies: by study. ``shard``: the number of
    this process among those that share the analysis."""

    target: str
    directories: list[Path]
    series: list[Series]
    out: Path
    device: str
    root: Path
    settings: dict[str, Any]
    wandb: dict[str, Any]
    analyses: Path = Path()
    name: str | None = None
    shard: int | None = None


def read_analysis(composed: DictConfig, choices: Mapping[str, Any] | None = None) -> Analysis:
    """``choices``: of config groups. Raises ValueError naming the run, the model or the key."""
    config = OmegaConf.to_object(composed)
    assert isinstance(config, AnalyzeConfig)
    resolved = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(resolved, dict)
    settings = {str(key): value for key, value in resolved["study"].items()}
    target = str(settings.pop("_target_"))
    study = target.rpartition(".")[2]
    check_device(config.device)
    check_shard(config.shard, study)
    if study == ALL:
        settings = checked_studies(settings)
    elif study in CONFIGS:
        check_settings(study, settings)
    if config.name is not None and (
        not config.name or "/" in config.name or config.name == "scores"
    ):
        raise ValueError(f"name: {config.name!r} must be a plain name, and not 'scores'")
    wandb, root = asdict(read_wandb(config.logger)), Path(config.paths.root)
    analyses = Path(config.paths.artifacts) / "analyses"
    if _listed(config.model.path):
        _check_elsewhere(study, config)
        world, asks_pairs = str((choices or {}).get("world") or ""), study in OF_PAIRS
        series = [_elsewhere(config, _asked(settings), analyses, world, asks_pairs)]
        directories, out = [], analyses / series[0].name
    else:
        reads_runs = study in CONFIGS or study == ALL
        directories = _directories(config, needs_runs=reads_runs)
        out = _home(directories, analyses, config.name) if study in CONFIGS else directories[0]
        if check := needs_of_run(study):
            for path in directories:
                check(CONFIGS[study](**settings), path, out)
        series = [_of_run(path, config) for path in directories] if reads_runs else []
    return Analysis(target, directories, series, out, config.device, root, settings, wandb,
                    analyses, config.name, config.shard)  # fmt: skip


def _check_elsewhere(study: str, config: AnalyzeConfig) -> None:
    """Raises ValueError for a study that models from elsewhere have nothing for."""
    if config.run is not None:
        raise ValueError("run and model.path: name one of them")
    if study == ALL:
        raise ValueError(
            "study=all goes over what runs hold and have left: name run, not model.path; of models "
            "from elsewhere name one study, such as study=co_emergence"
        )
    if study not in CONFIGS or needs_of_run(study):
        raise ValueError(f"study={study} reads what a run has left: name run, not model.path")


def one_study(analysis: Analysis, study: str, runs: list[Series], name: str | None) -> Analysis:
    """Of an analysis of all studies one, of some of its runs, as ``study=NAME`` would read it."""
    settings = dict(analysis.settings[study])
    target, directories = str(settings.pop("_target_")), [of.run for of in runs if of.run]
    out = _home(directories, analysis.analyses, name)
    return replace(analysis, target=target, directories=directories, series=runs, out=out,
                   settings=settings, name=name)  # fmt: skip


def _home(directories: list[Path], analyses: Path, name: str | None) -> Path:
    """Where results go: of one run to itself, of several to a directory of their own."""
    if len(directories) == 1:
        return directories[0]
    return analyses / _short(name or "+".join(path.name for path in directories))


def analysis_of_run(run: Path, settings: dict[str, Any], config: TrainConfig) -> Analysis:
    """Of a run that has just finished, as ``analyze.py run=DIR`` would read it."""
    series = [_of_run(run, AnalyzeConfig())]
    wandb = {**asdict(read_wandb(config.logger)), "group": None}  # that of the run
    root = Path(config.paths.root)
    return Analysis("", [run], series, run, config.device, root, settings, wandb)


def _short(name: str) -> str:
    """Of a length that file systems and W&B take; what is cut leaves a trace."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _listed(value: Any) -> list[str]:
    """A key that takes one name or several."""
    values = value if isinstance(value, list) else [value]
    return [str(v) for v in values if v is not None]


def _asked(settings: Mapping[str, Any]) -> list[str] | None:
    """The task formats that a study names, one or several; None for all."""
    one = settings.get("task")
    return settings.get("tasks") if one is None else [one]


def _directories(config: AnalyzeConfig, needs_runs: bool) -> list[Path]:
    if config.model.revisions or config.world is not None:
        raise ValueError("model.revisions and world belong to model.path: name that, not a run")
    named = _listed(config.run)
    if not named:
        check_run(None)
    directories = [Path(name) for name in named]
    for path in directories:
        if needs_runs or not (path / "results").is_dir():
            check_run(str(path))
    if len(set(directories)) < len(directories):
        raise ValueError(f"run: {named} names a run twice")
    return directories


def _of_run(run: Path, config: AnalyzeConfig) -> Series:
    manifest = read_run_manifest(run) or {}
    score = _score(config, ScoreConfig(**manifest.get("score", {})))
    members = run_series(run)
    cache = run / "results" / "scores"
    return Series(manifest["run_id"], manifest["seed"], members, score, cache, run)


def _elsewhere(
    config: AnalyzeConfig, tasks: list[str] | None, analyses: Path, world: str, asks_pairs: bool
) -> Series:
    """Models that a hub or a folder holds. Which formats showed them a fact is not known."""
    if config.world is None:
        raise ValueError("world: name what the models are to be asked, such as world=real_facts")
    asked = tasks or list(CORE_TASKS)
    names = _listed(config.model.path)
    try:
        members = find_series(names, config.model.revisions, config.hub.download)
        folder = Path(config.model.tokenizer or tokenizer_directory(members))
    except ValueError as error:
        raise ValueError(f"model.path: {error}") from error
    if not has_tokenizer(folder):
        raise ValueError(f"model.tokenizer: {folder} has no tokenizer.json")
    # Every fact in every format: nothing is withheld, and an answer counts as often as it is right.
    plan = PlanConfig(
        tasks=asked,
        documents=dict.fromkeys(asked, 1),
        arms=ArmsConfig(shares={"A0_full": 1.0}),
    )
    corpus = CorpusConfig(plan=plan, background=BackgroundConfig(share=0, early_share=0))
    spec = DatasetSpec(config.world, config.prompts, corpus, config.seed, str(folder))
    if asks_pairs and isinstance(config.world, PublicWorldConfig) and config.world.holds_pairs:
        config.world.pairs()
    else:
        spec.check()
        spec.check_templates()
    balanced = isinstance(config.world, SyntheticWorldConfig)
    score = settle_chance(_score(config, ScoreConfig()), balanced)
    short = "+".join(Path(name).name for name in names)
    return Series(
        name=_short(config.name or f"{short}-{world}"),
        seed=config.seed,
        members=members,
        score=score,
        cache=analyses / "scores",
        questions=spec,
        chat=config.model.chat,
    )


def _score(config: AnalyzeConfig, usual: ScoreConfig) -> ScoreConfig:
    """As asked, else as usual. Raises ValueError."""
    chosen = {key: value for key, value in asdict(config.score).items() if value is not None}
    score = ScoreConfig(**{**asdict(usual), **chosen})
    check_score_config(score)
    return score
