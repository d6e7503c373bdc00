"""What ``analyze.py`` was asked for, checked before anything heavy is imported."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from coemerge.app.run_directory import check_run
from coemerge.studies.co_emergence.config import CoEmergenceConfig

_CHECKS: dict[str, Callable[..., Any]] = {"co_emergence": CoEmergenceConfig}


@dataclass(frozen=True)
class Analysis:
    """``out`` receives results and report: the run itself, or a directory for several runs."""

    target: str
    runs: list[Path]
    out: Path
    device: str
    root: Path
    settings: dict[str, Any]


def read_analysis(composed: DictConfig) -> Analysis:
    """Raises ValueError naming the run or the key."""
    config = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    assert isinstance(config, dict)
    settings = {str(key): value for key, value in config["study"].items()}
    target = str(settings.pop("_target_"))
    study = target.rpartition(".")[2]
    named = config["run"] if isinstance(config["run"], list) else [config["run"]]
    runs = [check_run(name) for name in named]
    if len(set(runs)) < len(runs):
        raise ValueError(f"run: {named} names a run twice")
    if study in _CHECKS:
        _CHECKS[study](**settings).check()
    artifacts = Path(config["paths"]["artifacts"])
    name = config["name"] or "+".join(run.name for run in runs)
    out = runs[0] if len(runs) == 1 else artifacts / "analyses" / name[:120]
    root = Path(config["paths"]["root"])
    return Analysis(target, runs, out, config["device"], root, settings)
