"""Which checkpoints there are; free of heavy imports.

``checkpoints/step-00000512/`` holds ``model.safetensors``, ``config.json``, the tokenizer's files
and ``manifest.json``, written last. A directory without its manifest is not a checkpoint.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

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
    """Raises FileNotFoundError where there is no finished checkpoint."""
    text = (directory / MANIFEST).read_text(encoding="utf-8")
    return CheckpointManifest(**json.loads(text))


def list_checkpoints(root: Path) -> list[Path]:
    """Finished checkpoints in order of step; others are ignored with a warning."""
    finished = []
    for directory in sorted(root.glob("step-*")):
        if (directory / MANIFEST).is_file():
            finished.append(directory)
        else:
            log.warning("%s has no manifest: not a finished checkpoint, ignored", directory)
    return finished
