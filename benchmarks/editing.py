"""Rank-one edits, many at once, side by side on a random model with the habit of public code: one
request at a time, its contexts and the neutral text in one padded batch, whole passes through all
layers in every step. ``python -m benchmarks.editing``.
"""

import sys
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import kl_div
from transformers import GPT2LMHeadModel

from benchmarks.common import random_gpt2
from benchmarks.result import Result, as_table, cpu_time, ratios
from coemerge.editing.keys import KeyMoment, subject_states
from coemerge.editing.rank_one import rank_one
from coemerge.editing.requests import Goal, Request
from coemerge.editing.value_config import ValueConfig
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import Site

N_EDITS, N_FOR_HABIT, N_REPEATS = 16, 1, 3
N_TOKENS, N_SUBJECT, N_VOCAB = 10, 2, 1600
GOAL = 4
PREFIXES = (5,) * 10 + (10,) * 10
CONFIG = ValueConfig(stop_loss=0.0)
SHAPES = {"L4 d128": (4, 128, 1024, 1), "L6 d256": (6, 256, 1024, 2)}  # ..., neurons, edited layer
Edits = Callable[[Sequence[Request]], list[Tensor]]


def run() -> Iterator[Result]:
    for name, (n_layers, d_model, d_mlp, layer) in SHAPES.items():
        model = random_gpt2(n_layers, d_model, d_mlp, N_VOCAB)
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int, generator: torch.Generator = generator) -> list:
            return torch.randint(N_VOCAB, shape, generator=generator).tolist()

        requests = [
            Request(Goal(draw(N_TOKENS), (1, 1 + N_SUBJECT), draw(1)), draw(1))
            for _ in range(N_EDITS)
        ]
        contexts = [(), *(tuple(draw(n)) for n in PREFIXES)]
        keys = torch.randn(2 * d_mlp, d_mlp, generator=generator)
        yield from _compare(name, model, layer, requests, contexts, KeyMoment.of(keys.T @ keys))


def _compare(
    name: str,
    model: GPT2LMHeadModel,
    layer: int,
    requests: Sequence[Request],
    contexts: Sequence[tuple[int, ...]],
    moment: KeyMoment,
) -> Iterator[Result]:
    def at_once(some: Sequence[Request]) -> list[Tensor]:
        found = rank_one(model, some, layer, contexts, moment, CONFIG)
        return [o.edit.deltas[layer].left @ o.edit.deltas[layer].right.T for o in found]

    def one_by_one(some: Sequence[Request]) -> list[Tensor]:
        return [at_once([request])[0] for request in some]

    def habit(some: Sequence[Request]) -> list[Tensor]:
        return [_habit(model, layer, request, contexts, moment) for request in some]

    few = requests[:N_FOR_HABIT]
    peers: dict[str, Edits] = {
        "one at a time, whole passes": habit,
        "ours one at a time": one_by_one,
    }
    ours = at_once(requests)[:N_FOR_HABIT]
    gaps = {peer: _largest_gap(ours, edits(few)) for peer, edits in peers.items()}
    for peer, edits in peers.items():
        found = ratios(
            cpu_time(lambda: len(at_once(requests))),
            cpu_time(lambda edits=edits: len(edits(few))),
            N_REPEATS,
        )
        goal = GOAL if edits is habit else None
        told = (
            f"{N_EDITS} at once, {CONFIG.steps} steps, {len(contexts)} contexts; edits "
            f"differ by {gaps[peer]:.0e} of the largest entry"
        )
        yield Result(f"rank-one edits, {name}", peer, found, goal, note=told)


def _largest_gap(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    pairs = zip(found, expected, strict=True)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def _habit(
    model: GPT2LMHeadModel,
    layer: int,
    request: Request,
    contexts: Sequence[tuple[int, ...]],
    moment: KeyMoment,
) -> Tensor:
    """[d,m]: the change of W."""
    goal = request.goal
    rows = [[*context, *goal.ids] for context in contexts] + [list(request.neutral_ids)]
    lookup = torch.tensor([*(len(c) + goal.subject[1] - 1 for c in contexts), N_SUBJECT - 1])
    last, each = torch.tensor([len(row) - 1 for row in rows]), torch.arange(len(rows))
    ids = torch.tensor([[*row, *[0] * (max(map(len, rows)) - len(row))] for row in rows])
    delta = torch.zeros(model.config.n_embd, requires_grad=True)
    seen: list[Tensor] = []

    def add(x: Tensor) -> Tensor:
        if not seen:
            seen.append(x[0, lookup[0]].detach().clone())
        return x.index_put((each, lookup), delta.expand(len(rows), -1), accumulate=True)

    adam, before = torch.optim.Adam([delta], lr=CONFIG.lr), None
    for step in range(CONFIG.steps):
        with intervene(model, {Site("mlp_out", layer): add}):
            logits = model(input_ids=ids, use_cache=False).logits
        log_probs = logits.log_softmax(-1)
        now = log_probs[-1, lookup[-1]]
        before = now.detach() if before is None else before
        nll = -log_probs[each, last][:-1, goal.target[0]].mean()
        kl = kl_div(now, before, log_target=True, reduction="sum")
        decay = CONFIG.weight_decay * delta.norm() / seen[0].norm() ** 2
        if step == CONFIG.steps - 1:
            break
        adam.zero_grad()
        (nll + CONFIG.kl_weight * kl + decay).backward()
        adam.step()
        with torch.no_grad():
            delta.mul_((CONFIG.max_norm * seen[0].norm() / delta.norm()).clamp(max=1))
    site = Site("mlp_act", layer)
    keys = subject_states(model, [goal], contexts, [site])[site][0]
    direction = moment.solve(keys.mean(0, keepdim=True))[0]
    direction = (direction / direction.norm()).float()
    return torch.outer(delta.detach() / (direction @ keys[0]), direction)


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
