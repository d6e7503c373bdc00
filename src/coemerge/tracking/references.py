"""Data sets and checkpoints as W&B artifacts that refer to our files: nothing is copied.

Equal files give an equal digest, of which W&B keeps one version: a resumed run, another seed on the
same data or another machine adds no second one.
"""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import wandb

from coemerge.lm.checkpoint_manifest import CheckpointManifest

DATASET, MODEL = "dataset", "model"
_LONGEST = 128  # that W&B takes


def data_artifact(directory: Path, content_hash: str) -> wandb.Artifact:
    """The data set of that hash, as it lies in ``directory``."""
    return _refer(data_name(content_hash), DATASET, directory, {"content_hash": content_hash})


def checkpoint_artifact(
    directory: Path, run_id: str, manifest: CheckpointManifest
) -> wandb.Artifact:
    """A finished checkpoint."""
    return _refer(model_name(run_id), MODEL, directory, {"run_id": run_id, **asdict(manifest)})


def data_name(content_hash: str) -> str:
    return f"data-{content_hash[:12]}"


def model_name(run_id: str) -> str:
    """One name for all checkpoints of a run, of the characters that W&B takes."""
    return re.sub(r"[^a-zA-Z0-9_.-]", "_", run_id)[: _LONGEST - 12] + "-checkpoints"


def _refer(name: str, kind: str, directory: Path, metadata: dict[str, Any]) -> wandb.Artifact:
    """Each file by its path, size and md5 of its content."""
    artifact = wandb.Artifact(name, kind, metadata=metadata)
    home = directory.resolve()
    for path in sorted(p for p in home.rglob("*") if p.is_file()):
        relative = path.relative_to(home)
        if not any(part.startswith(".") for part in relative.parts):  # locks, unfinished files
            artifact.add_reference(path.as_uri(), name=relative.as_posix())
    return artifact
