"""Prefixes that a prompt is read behind, so that an edit does not hold for the bare prompt alone
(methods 2.10)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from coemerge.scoring.forward import evaluation_mode, keep_logits

BARE: tuple[int, ...] = ()
PUBLISHED_LENGTHS = ((5, 10), (10, 10))  # (tokens, how many): with the bare prompt, 21 contexts
_TOP_K = 5


@torch.no_grad()
def sample_contexts(
    model: nn.Module,
    start: Sequence[int],
    lengths: Sequence[tuple[int, int]] = PUBLISHED_LENGTHS,
    seed: int = 0,
    separator: Sequence[int] = (),
) -> list[tuple[int, ...]]:
    """The empty prefix, then ``n`` texts of ``k`` tokens for each (k, n), as the model continues
    ``start`` when every token is drawn from its five most probable ones.

    ``start``: how a text begins, for instance an end-of-text token; it is not part of the prefix.
    ``separator``: ends every prefix but the empty one. Raises ValueError for an empty start.
    """
    if not start:
        raise ValueError("start: a text needs a token to begin with, as the end-of-text token")
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    contexts: list[tuple[int, ...]] = [BARE]
    with evaluation_mode(model), torch.autocast(device.type, enabled=False):
        for n_tokens, n in lengths:
            rows = torch.tensor([list(start)], device=device).repeat(n, 1)
            for _ in range(n_tokens):
                rows = torch.cat((rows, _draw(model, rows, generator)), 1)
            contexts += [(*row, *separator) for row in rows[:, len(start) :].tolist()]
    return contexts


def check_contexts(contexts: Sequence[Sequence[int]]) -> None:
    """Raises ValueError unless the first is the empty prefix."""
    if not contexts or len(contexts[0]):
        raise ValueError("contexts: the first must be the empty prefix, () (the bare prompt)")


def _draw(model: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
    """The next token of each row, [B,1]; drawn on the CPU, so that devices agree."""
    logits = model(
        input_ids=rows,
        attention_mask=torch.ones_like(rows),  # a text may begin with what is padding elsewhere
        use_cache=False,
        **keep_logits(model, 1),
    ).logits[:, -1]
    values, tokens = logits.float().cpu().topk(min(_TOP_K, logits.shape[-1]))
    chosen = torch.multinomial(values.softmax(-1), 1, generator=generator)
    return tokens.gather(1, chosen).to(rows.device)
