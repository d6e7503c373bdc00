"""Many masks in chunks that fit memory; a chunk that is done is never trained again."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.guard import unchanged
from coemerge.interventions.speed import fast_passes
from coemerge.lm.checkpoints import weights_sha256
from coemerge.localization.activations import mean_references
from coemerge.localization.config import MaskConfig
from coemerge.localization.examples import Examples
from coemerge.localization.masks import train_facts
from coemerge.localization.objective import References
from coemerge.localization.trained import TrainedMasks, concatenate

log = logging.getLogger(__name__)

METHOD_VERSION = 1  # of training and evaluation: a change that alters results takes the next one
_CHUNK_BYTES = {"cpu": 1 << 30, "cuda": 16 << 30}  # of caches and logits, not of passes
_SIZE_ONLY = ("facts_per_chunk",)  # settings that change no mask


def train_masks(
    model: nn.Module,
    examples: Examples,
    cache: Path | None = None,
    forbidden: TrainedMasks | None = None,
    show_progress: bool = True,
) -> TrainedMasks:
    """The masks of all ``examples.facts`` and ``examples.tasks``, in the order of these.

    In eval mode, weights frozen meanwhile; the model is left as found. ``cache``: a
    directory that keeps every chunk when it is done, under a key of weights, settings and prompts.
    ``forbidden``: see ``train_facts``.

    A chunk that does not fit into memory is halved, and the log says so; raises what the device
    raised when one fact alone does not fit.
    """
    examples.config.check()
    folder = None if cache is None else cache / training_key(model, examples, forbidden)
    done = [] if folder is None else [TrainedMasks.load(p) for p in sorted(folder.glob("*.npz"))]
    finished = {fact for part in done for fact in part.fact_id}
    left = [fact for fact in examples.facts if fact not in finished]
    steps = examples.config.steps
    with tqdm(
        total=len(examples.cells) * steps,
        initial=sum(fact in finished for fact, _ in examples.cells) * steps,
        desc="training masks",
        unit="step",
        disable=not show_progress,
    ) as bar:
        done += _train_left(model, examples, left, folder, forbidden, bar)
    masks = concatenate(done)
    position = {cell: i for i, cell in enumerate(masks.cells)}
    return masks.select([position[cell] for cell in examples.cells])


def training_key(model: nn.Module, examples: Examples, forbidden: TrainedMasks | None) -> str:
    """Hash of all that decides what the masks become."""
    config = {k: v for k, v in asdict(examples.config).items() if k not in _SIZE_ONLY}
    pools = [examples.other_facts(*cell) for cell in examples.cells]
    digest = hashlib.sha256(f"method {METHOD_VERSION}".encode())
    for part in (weights_sha256(model), config, examples.prompts.digest(), examples.cells, pools):
        digest.update(json.dumps(part, sort_keys=True).encode())
    if forbidden is not None:
        digest.update(repr(forbidden.cells).encode())
        digest.update(forbidden.heads.tobytes() + forbidden.neurons.tobytes())
    return digest.hexdigest()[:16]


def facts_per_chunk(model: nn.Module, examples: Examples) -> int:
    """How many facts at once: as configured, or what a fixed amount of memory holds, so that the
    same chunks are formed each time."""
    if examples.config.facts_per_chunk is not None:
        return examples.config.facts_per_chunk
    device = next(model.parameters()).device.type
    return max(1, _CHUNK_BYTES.get(device, 1 << 30) // _bytes_per_fact(model, examples))


def _bytes_per_fact(model: nn.Module, examples: Examples) -> int:
    """Of clean activations, clean outputs, and logits with Adam's moments and gradients."""
    config, modules, prompts = examples.config, ModuleMap(model), examples.prompts
    masks_at_once = 1 if config.exclusive else len(examples.tasks)
    width = modules.n_layers * (modules.n_heads * modules.d_head + modules.d_mlp)
    n_vocab = projection_matrix(modules.unembedding).shape[1]
    first = examples.facts[0]
    own = [
        sum(len(prompts.ids[i]) for i in examples.train(first, task))
        for task in examples.tasks_of(first)
    ]
    n_controls = 2 * config.control_prompts if config.specificity == "kl" else 0
    n_gates = modules.n_layers * (modules.n_heads + modules.d_mlp)
    return 4 * masks_at_once * (max(own) * width + n_controls * n_vocab + 8 * n_gates)


def _train_left(
    model: nn.Module,
    examples: Examples,
    left: Sequence[str],
    folder: Path | None,
    forbidden: TrainedMasks | None,
    bar: tqdm,
) -> list[TrainedMasks]:
    if not left:
        return []
    parts: list[TrainedMasks] = []
    size = facts_per_chunk(model, examples)
    device = next(model.parameters()).device
    is_bfloat16 = examples.config.precision == "bfloat16"
    precision = torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16)
    with unchanged(model), fast_passes(model), precision:
        model.eval().requires_grad_(False)
        references = _references(model, examples)
        while left:
            chunk, before = left[:size], bar.n
            try:
                part = train_facts(model, examples, chunk, references, forbidden, bar)
            except (MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error) or len(chunk) == 1:
                    raise
                size = max(1, len(chunk) // 2)
                log.warning("%d facts at once do not fit into memory: %d now", len(chunk), size)
                bar.n = before
                continue
            if folder is not None:
                name = hashlib.sha256(repr(sorted(chunk)).encode()).hexdigest()[:16]
                part.save(folder / f"{name}.npz")
            parts.append(part)
            left = left[size:]
    return parts


def _references(model: nn.Module, examples: Examples) -> References:
    """What ablated components become, where that is the same in every run."""
    config: MaskConfig = examples.config
    if config.reference != "mean":
        return None
    return mean_references(model, examples.prompts, reference_rows(examples))


def reference_rows(examples: Examples) -> np.ndarray:
    """The prompts whose mean activation is taken: those that targets and controls train on."""
    cells = {
        (f, task)
        for fact, task in examples.cells
        for f in (fact, *examples.other_facts(fact, task))
    }
    return np.concatenate([examples.train(*cell) for cell in sorted(cells)])


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = ("not enough memory", "can't allocate memory")  # of the allocator on a CPU
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)
