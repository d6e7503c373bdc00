"""Which checkpoints there are; free of heavy imports.

``checkpoints/step-00000512/`` holds ``model.safetensors``, ``config.json``, the tokenizer's files
and ``manifest.json``, written last. A directory without its manifest is not a checkpoint.
"""

import logging
from dataclasses import dataclass, fields
from pathlib import Path

from coemerge.files import read_object

log = logging.getLogger(__name__)
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class CheckpointManifest:
    """``weights_sha256`` as computed by ``weights_sha256``; ``config_hash`` of the run."""

    step: int
    tokens_seen: int
    weights_sha256: str
    config_hash: str


def checkpoint_dir(root: Path, step: int) -> Path:
    return root / f"step-{step:08d}"


def read_manifest(directory: Path) -> CheckpointManifest:
    """Raises FileNotFoundError where there is no finished checkpoint, ValueError for a manifest
    that cannot be read, or is another's."""
    found = read_object(directory / MANIFEST)
    kinds = {field.name: field.type for field in fields(CheckpointManifest)}
    if found.keys() != kinds.keys() or any(type(found[k]) is not kinds[k] for k in kinds):
        raise ValueError(f"{directory / MANIFEST}: needs {', '.join(kinds)}; is it a checkpoint's?")
    return CheckpointManifest(**found)


def promised_weights(directory: Path) -> str | None:
    """The hash of the weights that a folder's manifest promises; None where it has none. Raises
    ValueError for a manifest that cannot be read."""
    path = directory / MANIFEST
    return read_object(path).get("weights_sha256") if path.is_file() else None


def list_checkpoints(root: Path) -> list[Path]:
    """Finished checkpoints in order of step; others are ignored with a warning."""
    finished = []
    for directory in sorted(root.glob("step-*")):
        if (directory / MANIFEST).is_file():
            finished.append(directory)
        else:
            log.warning("%s has no manifest: not a finished checkpoint, ignored", directory)
    return finished
