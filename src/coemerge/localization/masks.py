"""Training of masks: which heads and neurons hold a fact for one task (methods 3.5).

Masks that do not exclude each other are trained together, one per (fact, task), in one batch where
every row is under its own mask. Masks of one fact that exclude each other are trained in rounds:
the first task in random order of every fact, then the second, without the components that the first
has taken, and so on.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.gates import Gates
from coemerge.localization.config import MaskConfig
from coemerge.localization.examples import Examples
from coemerge.localization.losses import sparsity
from coemerge.localization.objective import Objective, References
from coemerge.localization.prompts import Cell, stable_seed
from coemerge.localization.relaxation import Relaxation, binarise, make_relaxation
from coemerge.localization.stopping import Progress
from coemerge.localization.trained import TrainedMasks, concatenate


def train_facts(
    model: nn.Module,
    examples: Examples,
    facts: Sequence[str],
    references: References,
    forbidden: TrainedMasks | None = None,
    bar: tqdm | None = None,
) -> TrainedMasks:
    """All masks of these facts, tasks in each fact's order; the model must be frozen (``chunks``).

    ``references``: what ablated components become, None for 0. ``forbidden``: masks whose
    components the mask of the same (fact, task) may not use. ``bar`` advances by one per mask and
    step.
    """
    config = examples.config
    orders = {fact: examples.task_order(fact) for fact in facts}
    if config.exclusive:
        ranks = range(max(len(order) for order in orders.values()))
        rounds = [[(f, orders[f][k]) for f in facts if k < len(orders[f])] for k in ranks]
    else:
        rounds = [[(fact, task) for fact in facts for task in orders[fact]]]
    taken = _Taken(model, forbidden)
    parts = []
    for cells in rounds:
        start_logits = _Logits.start(model, cells, config, taken.of(cells))
        schedules = [examples.schedule(cell) for cell in cells]
        objective = Objective(model, examples.prompts, schedules, config, references)
        rank = np.array([orders[fact].index(task) for fact, task in cells])
        part = _train_round(objective, start_logits, cells, rank, config, bar)
        if config.exclusive:
            taken.add(part)
        parts.append(part)
    return concatenate(parts)


class _Taken:
    """Components that masks may not use: of a fact (taken by earlier tasks), and of a cell."""

    def __init__(self, model: nn.Module, forbidden: TrainedMasks | None) -> None:
        modules = ModuleMap(model)
        self._none = (
            np.zeros((modules.n_layers, modules.n_heads), bool),
            np.zeros((modules.n_layers, modules.d_mlp), bool),
        )
        self._of_fact: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._of_cell: dict[Cell, tuple[np.ndarray, np.ndarray]] = {}
        if forbidden is not None:
            pairs = zip(forbidden.heads, forbidden.neurons, strict=True)
            self._of_cell = dict(zip(forbidden.cells, pairs, strict=True))

    def add(self, masks: TrainedMasks) -> None:
        for fact, heads, neurons in zip(masks.fact_id, masks.heads, masks.neurons, strict=True):
            before = self._of_fact.get(fact, self._none)
            self._of_fact[fact] = before[0] | heads, before[1] | neurons

    def of(self, cells: Sequence[Cell]) -> tuple[Tensor, Tensor]:
        """bool [J,L,H] and [J,L,m]."""
        both = [
            (self._of_fact.get(cell[0], self._none), self._of_cell.get(cell, self._none))
            for cell in cells
        ]
        heads, neurons = (np.stack([a[kind] | b[kind] for a, b in both]) for kind in (0, 1))
        return torch.as_tensor(heads), torch.as_tensor(neurons)


@dataclass
class _Logits:
    """Trainable logits of J masks, [J,L,H] and [J,L,m], and where they are forbidden."""

    heads: Tensor
    neurons: Tensor
    no_heads: Tensor
    no_neurons: Tensor

    @classmethod
    def start(
        cls,
        model: nn.Module,
        cells: Sequence[Cell],
        config: MaskConfig,
        forbidden: tuple[Tensor, Tensor],
    ) -> "_Logits":
        """The initial logit, with noise that depends on the seed and the cell alone."""
        device = next(model.parameters()).device
        started = []
        for kind, banned in zip(("heads", "neurons"), forbidden, strict=True):
            noise = [
                np.random.default_rng(stable_seed(config.seed, kind, *cell)).standard_normal(
                    banned.shape[1:], dtype=np.float32
                )
                for cell in cells
            ]
            values = config.initial_logit + config.initial_noise * np.stack(noise)
            started.append(torch.tensor(values, dtype=torch.float32, device=device))
        banned_on_device = [banned.to(device) for banned in forbidden]
        return cls(*(x.requires_grad_() for x in started), *banned_on_device)

    def usable(self) -> tuple[Tensor, Tensor]:
        """With minus infinity where forbidden."""
        heads = self.heads.masked_fill(self.no_heads, -torch.inf)
        return heads, self.neurons.masked_fill(self.no_neurons, -torch.inf)

    @torch.no_grad()
    def clamp(self, bound: float) -> None:
        for logits in (self.heads, self.neurons):
            logits.clamp_(-bound, bound)

    @torch.no_grad()
    def open_steepest(self, gradient: Gates, share: float, logit: float) -> None:
        """Sets to ``logit`` the share of each mask's components that lower the loss most."""
        slopes = torch.cat((gradient.heads.flatten(1), gradient.neurons.flatten(1)), 1)
        banned = torch.cat((self.no_heads.flatten(1), self.no_neurons.flatten(1)), 1)
        slopes = slopes.masked_fill(banned, torch.inf)
        n_open = max(1, round(share * slopes.shape[1]))
        steepest = torch.zeros_like(banned).scatter(1, slopes.topk(n_open, largest=False)[1], True)
        steepest &= slopes < 0
        n_heads = self.heads[0].numel()
        self.heads[steepest[:, :n_heads].view_as(self.heads)] = logit
        self.neurons[steepest[:, n_heads:].view_as(self.neurons)] = logit


def _train_round(
    objective: Objective,
    logits: _Logits,
    cells: Sequence[Cell],
    rank: np.ndarray,
    config: MaskConfig,
    bar: tqdm | None,
) -> TrainedMasks:
    """J masks from their starting logits to their binary ends."""
    began = time.perf_counter()
    relaxation = make_relaxation(
        config.gate, config.temperature, config.stretch_low, config.stretch_high
    )
    if config.attribution_batches:
        gradient = _slopes_at_closed_gates(objective, logits, len(cells), config)
        logits.open_steepest(gradient, config.attribution_units, abs(config.initial_logit))
    noise = _Noise(cells, config.seed, logits) if relaxation.is_random else None
    optimizer = torch.optim.Adam([logits.heads, logits.neurons], lr=config.lr)
    progress, averaged = Progress(len(cells), config), _Average(config.average_steps)
    for step in range(config.steps):
        optimizer.param_groups[0]["lr"] = _lr(config, step)
        uniform = noise.draw() if noise else (None, None)
        _step(objective, logits, relaxation, uniform, optimizer, progress, step, config)
        if bar is not None:
            bar.update(len(progress.active))
        averaged.add(*logits.usable())
        progress.look(step, *(binarise(relaxation, x) for x in averaged.logits))
        if not progress.active:
            break
    if bar is not None:
        bar.update(int((config.steps - progress.n_steps).sum()))
    wall_s = time.perf_counter() - began
    return TrainedMasks(
        fact_id=np.array([fact for fact, _ in cells], dtype=object),
        task=np.array([task for _, task in cells], dtype=object),
        heads=progress.heads.cpu().numpy(),
        neurons=progress.neurons.cpu().numpy(),
        order_index=rank,
        losses=progress.losses.cpu().numpy(),
        n_steps=progress.n_steps,
        wall_s=wall_s * progress.n_steps / progress.n_steps.sum(),
    )


class _Average:
    """Moving average of the logits of heads and neurons, over about ``n_steps``."""

    def __init__(self, n_steps: int) -> None:
        self._share = 1 / max(1, n_steps)
        self.logits: tuple[Tensor, ...] = ()

    @torch.no_grad()
    def add(self, *logits: Tensor) -> None:
        # Forbidden logits are minus infinity, and stay so: lerp would make them NaN.
        pairs = zip(self.logits or logits, logits, strict=True)
        self.logits = tuple(
            torch.where(now.isinf(), now, old.lerp(now, self._share)) for old, now in pairs
        )


def _step(
    objective: Objective,
    logits: _Logits,
    relaxation: Relaxation,
    uniform: tuple[Tensor | None, Tensor | None],
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    step: int,
    config: MaskConfig,
) -> None:
    """One step of Adam for all masks: the sum of their losses has each one's own gradient."""
    usable = logits.usable()
    gates = [relaxation.sample(x, u) for x, u in zip(usable, uniform, strict=True)]
    leaves = Gates(*(x.detach().requires_grad_() for x in gates))
    progress.update(objective.backward(leaves, progress.active, step))
    p_open = [relaxation.p_open(x) for x in usable]
    ramp = min(1.0, (step + 1) / max(1.0, config.sparsity_ramp * config.steps))
    penalty = config.lambda_spar * ramp
    cost = penalty * sparsity(p_open[0], p_open[1], config.w_heads, config.w_neurons).sum()
    optimizer.zero_grad()
    torch.autograd.backward([*gates, cost], [leaves.heads.grad, leaves.neurons.grad, None])
    optimizer.step()
    logits.clamp(config.logit_bound)


def _slopes_at_closed_gates(
    objective: Objective, logits: _Logits, n_masks: int, config: MaskConfig
) -> Gates:
    """Gradient of the objective where no gate is open: the attribution of every component."""
    closed = Gates(
        torch.zeros_like(logits.heads).requires_grad_(),
        torch.zeros_like(logits.neurons).requires_grad_(),
    )
    for step in range(min(config.attribution_batches, config.steps)):
        objective.backward(closed, range(n_masks), step)
    assert closed.heads.grad is not None
    assert closed.neurons.grad is not None
    return Gates(closed.heads.grad, closed.neurons.grad)


def _lr(config: MaskConfig, step: int) -> float:
    done = step / config.steps
    return config.lr * (1 - done * (1 - config.lr_final))


class _Noise:
    """Uniform noise of random gates, one generator per mask: the same whatever is beside it."""

    def __init__(self, cells: Sequence[Cell], seed: int, logits: _Logits) -> None:
        self._logits = logits
        self._rngs = [np.random.default_rng(stable_seed(seed, "gates", *cell)) for cell in cells]

    def draw(self) -> tuple[Tensor, Tensor]:
        drawn = []
        for like in (self._logits.heads, self._logits.neurons):
            values = [rng.random(like.shape[1:], dtype=np.float32) for rng in self._rngs]
            drawn.append(torch.as_tensor(np.stack(values), device=like.device))
        return drawn[0], drawn[1]
