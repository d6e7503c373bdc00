"""Writes checkpoints: loadable by ``AutoModelForCausalLM.from_pretrained``, manifest last.

Nothing here deletes.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from coemerge.files import write_json, writing
from coemerge.lm.checkpoint_manifest import (
    MANIFEST,
    CheckpointManifest,
    checkpoint_dir,
    read_manifest,
)


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
    with writing(directory, SafetensorError):
        (directory / MANIFEST).unlink(missing_ok=True)
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    write_json(directory / MANIFEST, asdict(manifest))
    return directory


def _manifest_or_none(directory: Path) -> CheckpointManifest | None:
    try:
        return read_manifest(directory)
    except (FileNotFoundError, ValueError):
        return None
