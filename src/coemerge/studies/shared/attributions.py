"""Attributions of neurons, kept, so that nothing is attributed twice."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from coemerge.files import replacing
from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.knowledge_neurons import attribute
from coemerge.units import share

PROMPTS = 128  # in a file: enough that those of one length fill a batch
METHOD_VERSION = 2  # of what is kept: to be raised when attributions change


def kept_attributions(
    model: nn.Module,
    identity: str,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    settings: AttributionConfig,
    cache: Path,
) -> Tensor:
    """float32 [N,L,m], from ``cache`` where it is there; ``identity``: hash of the weights.

    ``PROMPTS`` at a time, a file each, shared with other processes that want the same (``units``).
    Kept in half precision, of every prompt relative to its highest: rounding then leaves the order
    of its neurons, however small all are."""
    parts = [slice(k, k + PROMPTS) for k in range(0, max(1, len(prompts)), PROMPTS)]
    paths = [
        cache / _file_of([METHOD_VERSION, identity, prompts[of], answers[of], asdict(settings)])
        for of in parts
    ]

    def make(i: int) -> None:
        found = attribute(model, prompts[parts[i]], answers[parts[i]], settings, show_progress=True)
        _save(paths[i], found)

    share(paths, make)
    return torch.cat([_read(path) for path in paths])


def _file_of(asked: list) -> str:
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    return f"{asked[-1]['method']}-{key}.safetensors"


def _save(path: Path, found: Tensor) -> None:
    highest = torch.maximum(found.amax((1, 2), keepdim=True), -found.amin((1, 2), keepdim=True))
    highest = highest.clamp(min=torch.finfo(found.dtype).tiny)
    relative = found.div_(highest).half()
    with replacing(path, SafetensorError) as temporary:
        save_file({"relative": relative, "highest": highest}, temporary)


def _read(path: Path) -> Tensor:
    kept = load_file(path)
    return kept["relative"].float().mul_(kept["highest"])
