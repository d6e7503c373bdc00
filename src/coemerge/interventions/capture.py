"""Reading activations: of one forward pass, and their means over a reference set."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from coemerge.interventions.guard import unchanged
from coemerge.interventions.hooks import intervene
from coemerge.interventions.placement import Function
from coemerge.interventions.sites import Site


@contextmanager
def capture(
    model: nn.Module, sites: Iterable[Site], keep_graph: bool = False
) -> Iterator[dict[Site, Tensor]]:
    """Fills the yielded dictionary with the activations of the latest forward pass.

    Values are detached clones, safe from whatever happens later. ``keep_graph`` gives the tensors
    of the computation itself, to differentiate with respect to. Inside another ``intervene`` block
    they are what its functions have made of them. Raises as ``intervene``.
    """
    values: dict[Site, Tensor] = {}

    def recorder(site: Site) -> Function:
        def record(x: Tensor) -> Tensor:
            values[site] = x if keep_graph else x.detach().clone()
            return x

        return record

    with intervene(model, {site: recorder(site) for site in sites}):
        yield values


@torch.no_grad()
def mean_activation(
    model: nn.Module, batches: Iterable[Tensor], sites: Sequence[Site]
) -> dict[Site, Tensor]:
    """Mean over all rows and positions of a reference set, for mean ablation (methods 2.7).

    ``batches``: token ids [B,T], each of equal length without padding; only one is held at a time.
    ``head_out`` gives [H,d_h], ``mlp_act`` [m], other sites [d]; on the model's device, in its
    type, summed in float64. The model is in eval mode meanwhile and left as it was found.

    Raises ValueError for an empty reference set and for ``attn_pattern``, which has no such mean.
    """
    if any(site.name == "attn_pattern" for site in sites):
        raise ValueError("attn_pattern has no mean over positions: its axes are positions")
    sums = {site: torch.zeros((), dtype=torch.float64) for site in sites}

    def adder(site: Site) -> Function:
        def add(x: Tensor) -> Tensor:
            # a batch in float32 where it is, batches in float64: some devices lack float64
            sums[site] = sums[site] + x.float().sum((0, 1)).cpu().double()
            return x

        return add

    example = next(model.parameters())
    spare_logits = {} if Site("logits") in sites else {"logits_to_keep": 1}
    n_tokens = 0
    with unchanged(model, weights="unchecked"):
        model.eval()
        for ids in batches:
            with intervene(model, {site: adder(site) for site in sites}):
                model(input_ids=ids.to(example.device), use_cache=False, **spare_logits)
            n_tokens += ids.numel()
    if not n_tokens:
        raise ValueError("the reference set is empty: there is nothing to take a mean of")
    return {site: (total / n_tokens).to(example) for site, total in sums.items()}
