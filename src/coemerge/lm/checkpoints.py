"""Writes checkpoints: loadable by ``AutoModelForCausalLM.from_pretrained``, manifest last.

Nothing here deletes.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from coemerge.files import write_json, writing
from coemerge.lm.checkpoint_manifest import (
    MANIFEST,
    CheckpointManifest,
    checkpoint_dir,
    read_manifest,
)


def weights_sha256(model: torch.nn.Module, state: dict[str, Tensor] | None = None) -> str:
    """Hash of all parameters and buffers by name, independent of file format and device; ``state``
    stands in for the state of a model that is spread over devices."""
    digest = hashlib.sha256()
    for name, tensor in sorted((model.state_dict() if state is None else state).items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().view(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(
    root: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    manifest: CheckpointManifest,
    state: dict[str, Tensor] | None = None,
) -> Path:
    """Writes the files, then the manifest; an identical checkpoint that is there is kept. ``state``
    as for ``weights_sha256``."""
    directory = checkpoint_dir(root, manifest.step)
    if directory.is_dir() and _manifest_or_none(directory) == manifest:
        return directory
    with writing(directory, SafetensorError):
        (directory / MANIFEST).unlink(missing_ok=True)
        model.save_pretrained(directory, state_dict=state)
        tokenizer.save_pretrained(directory)
        # safetensors keeps its files from all but their owner
        for path in directory.glob("*.safetensors"):
            path.chmod((directory / "config.json").stat().st_mode)
    write_json(directory / MANIFEST, asdict(manifest))
    return directory


def _manifest_or_none(directory: Path) -> CheckpointManifest | None:
    try:
        return read_manifest(directory)
    except (FileNotFoundError, ValueError):
        return None
