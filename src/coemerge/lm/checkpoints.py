"""Checkpoint directories: loadable by ``AutoModelForCausalLM.from_pretrained``, manifest last.

``checkpoints/step-00000512/`` holds ``model.safetensors``, ``config.json``, the tokenizer's files
and ``manifest.json``. A directory without its manifest is not a checkpoint. Nothing here deletes.
"""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from coemerge.files import write_json

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


def weights_sha256(model: torch.nn.Module) -> str:
    """Hash of all parameters and buffers by name, independent of file format and device."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().view(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(
    root: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    manifest: CheckpointManifest,
) -> Path:
    """Writes the files, then the manifest; an identical checkpoint that is there is kept."""
    directory = checkpoint_dir(root, manifest.step)
    if directory.is_dir() and _manifest_or_none(directory) == manifest:
        return directory
    (directory / MANIFEST).unlink(missing_ok=True)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    write_json(directory / MANIFEST, asdict(manifest))
    return directory


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


def _manifest_or_none(directory: Path) -> CheckpointManifest | None:
    try:
        return read_manifest(directory)
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None
