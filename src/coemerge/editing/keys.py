"""Keys: what a down-projection reads at a subject, and their second moment over ordinary text
(methods 2.10).

A key is ``mlp_act`` [m] at a position. C = E[k k^T], not centred, says which keys are common: an
edit is made to leave those alone.
"""

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from coemerge.editing.requests import Goal, Ids, check_layers
from coemerge.files import replacing
from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.capture import capture
from coemerge.interventions.edits import Edit
from coemerge.interventions.guard import unchanged
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import Site
from coemerge.interventions.speed import fused_activations
from coemerge.interventions.weight_edits import edited_rows
from coemerge.scoring.forward import equal_batches, keep_logits

log = logging.getLogger(__name__)
Text = Tensor | Sequence[Ids]  # token ids [N,T], or of any lengths

# Of the mean diagonal: a pivot below it is rounding noise of the sum rather than a direction that
# text takes, and the inverse would be made of it.
_LEAST_PIVOT = 1e-9
_FIRST_RIDGE = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class KeyMoment:
    """C of one layer, ready to be divided by: ``moment`` [m,m] and ``factor``, the Cholesky factor
    of ``moment + ridge * mean(diagonal) * I``, float64 on the CPU.

    ``ridge`` is 0 where C could be inverted as it is. It is more where C is singular: too little
    text, or neurons that never fire.
    """

    moment: Tensor
    factor: Tensor
    ridge: float

    @classmethod
    def of(cls, moment: Tensor, where: str = "key moment") -> "KeyMoment":
        """Of C, [m,m]. Raises ValueError if it is not finite or all zero."""
        moment = moment.detach().double().cpu()
        scale = float(moment.diagonal().mean())
        if not moment.isfinite().all() or scale <= 0:
            raise ValueError(f"{where}: C must be finite and not zero; is there text, and a model?")
        eye, ridge = torch.eye(len(moment), dtype=torch.float64), 0.0
        while True:
            factor, failed = torch.linalg.cholesky_ex(moment + ridge * scale * eye)
            if not failed and float(factor.diagonal().min()) ** 2 > _LEAST_PIVOT * scale:
                break
            ridge = ridge * 10 or _FIRST_RIDGE
        if ridge:
            log.warning(
                "%s: C is singular; %.0e of its mean diagonal was added to the diagonal. More text "
                "may help, unless neurons never fire",
                where,
                ridge,
            )
        return cls(moment, factor, ridge)

    def solve(self, keys: Tensor) -> Tensor:
        """C^-1 k for keys [N,m], float64 on the CPU."""
        return torch.cholesky_solve(keys.double().cpu().T, self.factor).T


def solved(moment: KeyMoment | None, keys: Tensor) -> Tensor:
    """C^-1 k for keys [N,m], float64 on the CPU; None stands for C = I."""
    return keys.double().cpu() if moment is None else moment.solve(keys)


def check_moment(model: nn.Module, layer: int, moment: KeyMoment | None) -> None:
    """Raises ValueError unless it is one of a layer of this model's width."""
    m = ModuleMap(model).d_mlp
    if moment is not None and moment.moment.shape != (m, m):
        raise ValueError(
            f"the key moment for layer {layer} is {list(moment.moment.shape)}, the model needs "
            f"{[m, m]}"
        )


def key_moments(
    model: nn.Module,
    text: Text,
    layers: Sequence[int],
    cache: Path | None = None,
    weights_id: str = "",
    tokens_per_batch: int | None = None,
) -> dict[int, KeyMoment]:
    """C of each layer over all positions of ``text``, token ids, in one pass over it.

    Batches are summed in float64; memory does not grow with the text. ``cache``: a folder in which
    a file per layer is kept, named by ``weights_id`` (what the weights are, as a
    checkpoint's hash) and by the text, so that another checkpoint or text never gets it. The model
    is left as found.

    Raises ValueError for layers that the model has not, text that is no rows of tokens, and a
    cache without a ``weights_id`` that can be part of a file name.
    """
    check_layers(model, layers)
    rows = _rows(text)
    files = {} if cache is None else _files(cache, weights_id, rows, layers)
    found = {layer: load_file(path)["C"] for layer, path in files.items() if path.is_file()}
    missing = [layer for layer in layers if layer not in found]
    if missing:
        found |= _measured(model, rows, missing, tokens_per_batch)
    for layer in missing if files else ():
        _save(files[layer], found[layer])
    return {layer: KeyMoment.of(found[layer], f"layer {layer}") for layer in layers}


@torch.no_grad()
def subject_states(
    model: nn.Module,
    goals: Sequence[Goal],
    contexts: Sequence[Ids],
    sites: Sequence[Site],
    edits: Sequence[Edit] = (),
    edit_of_goal: Sequence[int] | None = None,
) -> dict[Site, Tensor]:
    """Per site, what is there at the subject's last token of each goal behind each context,
    [E,C,width].

    Read under ``edits[edit_of_goal[e]]``, None for no edit. Autocast is off; the model should be
    in eval mode.
    """
    device = next(model.parameters()).device
    rows = [[*context, *goal.before] for goal in goals for context in contexts]
    own = [-1] * len(goals) if edit_of_goal is None else edit_of_goal
    found: dict[Site, list[Tensor]] = {site: [] for site in sites}
    order: list[int] = []
    with torch.autocast(device.type, enabled=False), fused_activations(model):
        for index in equal_batches([(len(row), 1) for row in rows], device):
            ids = torch.tensor([rows[i] for i in index], device=device)
            under = [own[i // len(contexts)] for i in index]
            with edited_rows(model, edits, under), capture(model, sites) as seen:
                model(input_ids=ids, use_cache=False, **keep_logits(model, 1))
            for site in sites:
                found[site].append(seen[site][:, -1].clone())
            order += index
    places = torch.tensor(order, device=device).argsort()
    shape = (len(goals), len(contexts))
    return {site: torch.cat(parts)[places].unflatten(0, shape) for site, parts in found.items()}


def _rows(text: Text) -> list[Ids]:
    if isinstance(text, Tensor) and text.ndim != 2:
        raise ValueError(f"text must be token ids [N,T], not {list(text.shape)}")
    rows = text.tolist() if isinstance(text, Tensor) else list(text)
    if not rows or not all(map(len, rows)):
        raise ValueError(f"text must be rows of token ids, none empty; it has {len(rows)} rows")
    return rows


def _measured(
    model: nn.Module, rows: Sequence[Ids], layers: Sequence[int], tokens_per_batch: int | None
) -> dict[int, Tensor]:
    """E[k k^T] of each layer, [m,m] float64 on the CPU."""
    device = next(model.parameters()).device
    sums = {layer: torch.zeros((), dtype=torch.float64) for layer in layers}

    def add(layer: int, x: Tensor) -> Tensor:
        # a batch in float32, batches in float64: half the time, and some devices lack float64
        keys = x.detach().flatten(0, 1).float()
        sums[layer] = sums[layer] + (keys.T @ keys).cpu().double()
        return x

    functions = {Site("mlp_act", layer): lambda x, layer=layer: add(layer, x) for layer in layers}
    sizes = [(len(row), 1) for row in rows]
    with (
        torch.no_grad(),
        unchanged(model, weights="unchecked"),
        torch.autocast(device.type, enabled=False),
        fused_activations(model),
        intervene(model, functions),
    ):
        model.eval()
        for index in equal_batches(sizes, device, tokens_per_batch):
            ids = torch.tensor([list(rows[i]) for i in index], device=device)
            model(input_ids=ids, use_cache=False, **keep_logits(model, 1))
    n_tokens = sum(map(len, rows))
    return {layer: total / n_tokens for layer, total in sums.items()}


def _files(
    directory: Path, weights_id: str, rows: Sequence[Ids], layers: Sequence[int]
) -> dict[int, Path]:
    if not re.fullmatch(r"[\w.-]+", weights_id):
        raise ValueError(
            f"weights_id {weights_id!r}: a cache of key moments needs the identity of the weights, "
            "of letters, digits, '_', '-', '.'; the hash in a checkpoint's manifest is one"
        )
    digest = hashlib.sha256(repr([list(row) for row in rows]).encode()).hexdigest()[:16]
    return {k: directory / f"keys-{weights_id}-{digest}-layer{k}.safetensors" for k in layers}


def _save(path: Path, moment: Tensor) -> None:
    """Beside the target, then renamed: a reader never meets half a file."""
    with replacing(path, SafetensorError) as temporary:
        save_file({"C": moment.contiguous()}, temporary)
