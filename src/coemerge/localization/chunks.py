"""Many masks in chunks that fit memory; a chunk that is done is never trained again."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.guard import unchanged
from coemerge.interventions.speed import fast_passes
from coemerge.interventions.waiting import known_rows
from coemerge.lm.checkpoints import weights_sha256
from coemerge.localization.activations import mean_references
from coemerge.localization.config import MaskConfig
from coemerge.localization.examples import Examples
from coemerge.localization.masks import train_facts
from coemerge.localization.objective import References
from coemerge.localization.trained import TrainedMasks, concatenate
from coemerge.units import share

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
    directory that keeps every chunk when it is done, under a key of weights, settings and prompts;
    chunks are shared with other processes that train the same (``units``). ``forbidden``: see
    ``train_facts``.

    A chunk that does not fit into memory is halved, and the log says so; raises what the device
    raised when one fact alone does not fit.
    """
    examples.config.check()
    size = facts_per_chunk(model, examples)
    chunks = [examples.facts[i : i + size] for i in range(0, len(examples.facts), size)]
    folder = None if cache is None else cache / training_key(model, examples, forbidden)
    paths = [] if folder is None else [folder / _file_of(chunk) for chunk in chunks]
    done = {fact for path, of in zip(paths, chunks, strict=False) if path.is_file() for fact in of}
    steps = examples.config.steps
    with tqdm(
        total=len(examples.cells) * steps,
        initial=sum(fact in done for fact, _ in examples.cells) * steps,
        desc="training masks",
        unit="step",
        disable=not show_progress,
    ) as bar:
        training = _Training(model, examples, forbidden, bar, size)
        if folder is None:
            parts = [training.masks(chunk) for chunk in chunks]
        else:
            share(paths, lambda i: training.masks(chunks[i]).save(paths[i]))
            parts = [TrainedMasks.load(path) for path in paths]
    masks = concatenate(parts)
    position = {cell: i for i, cell in enumerate(masks.cells)}
    return masks.select([position[cell] for cell in examples.cells])


def _file_of(chunk: Sequence[str]) -> str:
    return f"{hashlib.sha256(repr(sorted(chunk)).encode()).hexdigest()[:16]}.npz"


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


@dataclass
class _Training:
    """What the chunks of one training have in common. ``most``: facts at once that fit memory, as
    far as it was tried."""

    model: nn.Module
    examples: Examples
    forbidden: TrainedMasks | None
    bar: tqdm
    most: int

    @cached_property
    def _references(self) -> References:
        return _references(self.model, self.examples)

    def masks(self, facts: Sequence[str]) -> TrainedMasks:
        """Of all facts at once, or in as many parts as memory asks for."""
        parts: list[TrainedMasks] = []
        left = list(facts)
        device = next(self.model.parameters()).device
        is_bfloat16 = self.examples.config.precision == "bfloat16"
        precision = torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16)
        alone = known_rows(device, packed=False)
        with unchanged(self.model), fast_passes(self.model), precision, alone:
            self.model.eval().requires_grad_(False)
            while left:
                chunk, before = left[: self.most], self.bar.n
                try:
                    parts.append(self._trained(chunk))
                except (MemoryError, RuntimeError) as error:
                    if not _is_out_of_memory(error) or len(chunk) == 1:
                        raise
                    self.most = max(1, len(chunk) // 2)
                    log.warning(
                        "%d facts at once do not fit into memory: %d now", len(chunk), self.most
                    )
                    self.bar.n = before
                    continue
                left = left[len(chunk) :]
        return concatenate(parts)

    def _trained(self, facts: Sequence[str]) -> TrainedMasks:
        given = self._references, self.forbidden, self.bar
        return train_facts(self.model, self.examples, facts, *given)


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
