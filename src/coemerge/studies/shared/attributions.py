"""Attributions of neurons, kept, so that nothing is attributed twice."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.knowledge_neurons import attribute

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

    Kept in half precision, of every prompt relative to its highest: rounding then leaves the order
    of its neurons, however small all are."""
    asked = [METHOD_VERSION, identity, prompts, answers, asdict(settings)]
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    path = cache / f"{settings.method}-{key}.safetensors"
    if not path.is_file():
        found = attribute(model, prompts, answers, settings, show_progress=True)
        highest = torch.maximum(found.amax((1, 2), keepdim=True), -found.amin((1, 2), keepdim=True))
        highest = highest.clamp(min=torch.finfo(found.dtype).tiny)
        relative = found.div_(highest).half()
        del found
        cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        save_file({"relative": relative, "highest": highest}, temporary)
        os.replace(temporary, path)
    kept = load_file(path)
    return kept["relative"].float().mul_(kept["highest"])
