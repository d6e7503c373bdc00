"""The stages of ``dvc.yaml`` as DVC reads them, and what each of them reads: code and settings."""

import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from coemerge.app.schema import register
from tests.conftest import ROOT
from tests.test_layers import SRC, imports_of, is_module

MAIN = "conf/pipeline/fact_injection.yaml"
CONF = ROOT / "conf"


@dataclass(frozen=True)
class Stage:
    """``kind``: build, train, study or report. Paths are relative to the repository."""

    name: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.name.split("@")[0]

    @property
    def script(self) -> Path:
        words = shlex.split(self.command)
        return SRC / "app" / "build.py" if words[1] == "-m" else ROOT / words[1]

    @property
    def overrides(self) -> list[str]:
        """What Hydra is told."""
        return [word for word in shlex.split(self.command)[2:] if "=" in word]

    def covers(self, path: Path) -> bool:
        """Whether a change of this file makes DVC run the stage."""
        name = path.relative_to(ROOT).as_posix()
        return any(name == dep or name.startswith(f"{dep}/") for dep in self.deps)


def stages(profile: Path, empty: Path) -> list[Stage]:
    """Of a profile, read in the folder ``empty``, which becomes a DVC repository."""
    relative = profile.relative_to(ROOT)
    (empty / relative).parent.mkdir(parents=True)
    shutil.copy(profile, empty / relative)
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert MAIN in text
    (empty / "dvc.yaml").write_text(text.replace(MAIN, relative.as_posix()), encoding="utf-8")
    with Repo.init(str(empty), no_scm=True) as repo:
        return [
            Stage(
                stage.name,
                stage.cmd,
                tuple(dep.def_path for dep in stage.deps),
                tuple(out.def_path for out in stage.outs),
            )
            for stage in repo.index.stages
        ]


@cache
def read_settings(stage: Stage) -> tuple[list[Path], dict[str, Any]]:
    """Files of ``conf`` that a stage's command is composed of, and the result."""
    name = {"build": "build", "train": "train"}.get(stage.kind, "analyze")
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        defaults = loader.compute_defaults_list(name, stage.overrides, RunMode.RUN).defaults
        composed = OmegaConf.to_container(compose(name, stage.overrides), resolve=True)
    files = {CONF / f"{entry.config_path}.yaml" for entry in defaults}
    assert isinstance(composed, dict)
    return sorted(path for path in files if path.is_file()), {
        str(k): v for k, v in composed.items()
    }


def values(settings: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(last key, value) of every text in nested settings."""
    if isinstance(settings, dict):
        for name, value in settings.items():
            yield from values(value, str(name))
    elif isinstance(settings, list):
        for value in settings:
            yield from values(value, key)
    elif isinstance(settings, str):
        yield key, settings


def path_of(module: str) -> Path:
    path = SRC.parent.joinpath(*module.split("."))
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"


def reached(starts: list[Path], is_left_out: Callable[[str], bool]) -> set[Path]:
    """Source files that these import, and so on; not through modules that are left out."""
    found: set[Path] = set()
    open_ends = list(starts)
    while open_ends:
        path = open_ends.pop()
        if path in found:
            continue
        found.add(path)
        ours = (m for m in imports_of(path) if m.startswith("coemerge.") and is_module(m))
        open_ends += [path_of(module) for module in ours if not is_left_out(module)]
    return found
