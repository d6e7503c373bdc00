"""Which neurons each query's answer is due to, by every localiser; kept, so that nothing is
attributed twice."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from coemerge.localization.knowledge_neurons import attribute
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.queries import Ids, Subject

METHOD_VERSION = 2  # of what is kept: to be raised when attributions change


def find_neurons(
    subject: Subject,
    prompts: Sequence[Ids],
    answers: Sequence[Ids],
    k: int,
    config: QueryLocalizationConfig,
    cache: Path,
) -> dict[str, Tensor]:
    """Localiser -> attributions of F*k prompts, float32 [F,k,L,m]; what is in ``cache`` is read.

    Kept in half precision, of every query relative to its highest: rounding then leaves the order
    of its neurons, however small all are."""
    shape = (len(prompts) // k, k)
    return {
        method: _kept(subject, prompts, answers, config, method, cache).unflatten(0, shape)
        for method in config.localisers
    }


def _kept(
    subject: Subject,
    prompts: Sequence[Ids],
    answers: Sequence[Ids],
    config: QueryLocalizationConfig,
    method: str,
    cache: Path,
) -> Tensor:
    """[N,L,m], from ``cache`` where it is there."""
    settings = config.attribution(method)
    asked = [METHOD_VERSION, subject.identity, prompts, answers, asdict(settings)]
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    path = cache / f"{method}-{key}.safetensors"
    if not path.is_file():
        found = attribute(subject.model, prompts, answers, settings, show_progress=True)
        highest = found.abs().amax((1, 2), keepdim=True).clamp(min=torch.finfo(found.dtype).tiny)
        cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        save_file({"relative": (found / highest).half(), "highest": highest}, temporary)
        os.replace(temporary, path)
    kept = load_file(path)
    return kept["relative"].float() * kept["highest"]
