"""The project's W&B workspace: says what it holds, or saves it.

usage: python -m coemerge.app.dashboard [key=value ...]

  entity=NAME          W&B user or team that owns the project
  project=coemerge
  name=Co-emergence    of the saved view
  save=false           true: save it online, after `wandb login`, and print its URL; a view that
                       was saved from here before is replaced;
                       false: say which sections, panels and metrics it holds, without network
  url=URL              of a saved view to replace, in quotes; url=new: save another one
  paths.artifacts=DIR  where wandb-views.json lies, which remembers the view
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, ValidationError

from coemerge.app.cli import ROOT, friendly
from coemerge.app.hints import suggest

if TYPE_CHECKING:
    import wandb_workspaces.workspaces as ws


FILE = "wandb-views.json"


@dataclass
class DashboardPaths:
    artifacts: str = "${oc.env:COEMERGE_ROOT}/artifacts"


@dataclass
class DashboardConfig:
    """What the command line takes."""

    entity: str | None = None
    project: str = "coemerge"
    name: str = "Co-emergence"
    url: str | None = None
    save: bool = False
    debug: bool = False
    paths: DashboardPaths = field(default_factory=DashboardPaths)


def main() -> None:
    """Not with hydra, which would not take an unquoted ``=`` inside the URL."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        sys.stdout.write(f"{__doc__}")
        return
    config = read_config(sys.argv[1:])

    from coemerge.tracking.dashboard import build_workspace
    from coemerge.tracking.views import save_view

    workspace = build_workspace(config.entity or "ENTITY", config.project, config.name)
    if not config.save:
        sys.stdout.write(describe(workspace))
        return
    url, is_old = save_view(workspace, Path(config.paths.artifacts) / FILE, config.url)
    sys.stdout.write(f"dashboard    {url} ({'replaced' if is_old else 'new'})\n")


def read_config(arguments: Sequence[str]) -> DashboardConfig:
    """Raises ValueError naming the key."""
    os.environ.setdefault("COEMERGE_ROOT", str(ROOT))
    given = OmegaConf.from_dotlist(list(arguments))
    known = [key.name for key in fields(DashboardConfig)]
    for key in map(str, given):
        if key not in known:
            raise ValueError(f"unknown key {key}{suggest(key, known)}")
    try:
        config = OmegaConf.to_object(OmegaConf.merge(DashboardConfig, given))
    except ConfigKeyError as error:
        raise ValueError(f"unknown key {error.full_key}") from error
    except ValidationError as error:
        raise ValueError(f"{error.full_key}: {error.msg}") from error
    assert isinstance(config, DashboardConfig)
    if config.save and not config.entity:
        raise ValueError("entity: name the W&B user or team that owns the project")
    return config


def describe(workspace: "ws.Workspace") -> str:
    """Sections, panels and metrics as text."""
    from coemerge.tracking.dashboard import metrics_of, title_of

    lines = [f"{workspace.name} ({workspace.entity}/{workspace.project}), not saved: save=true"]
    for section in workspace.sections:
        lines += ["", section.name]
        for panel in section.panels:
            lines.append(f"  {title_of(panel)}")
            lines += [f"    {key}" for key in metrics_of(panel)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    friendly(main)()
