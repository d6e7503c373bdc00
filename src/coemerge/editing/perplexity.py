"""What edits do to text that has nothing to do with them: perplexity (methods 5.3)."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from coemerge.editing.rows import read_rows
from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.edits import Edit
from coemerge.interventions.guard import unchanged


def perplexities(
    model: nn.Module,
    edits: Sequence[Edit],
    text: Tensor,
    tokens_per_batch: int | None = None,
    show_progress: bool = False,
) -> tuple[float, np.ndarray]:
    """(without an edit, under each [E]): exp of the mean negative log-probability, in nats, of all
    tokens of ``text`` [N,T] but the first of each row, given those before it in its row.

    The edit that does nothing has the perplexity of the untouched model, to the bit. The model is
    left as found. Raises ValueError for text that is not [N,T] with T > 1 of the model's tokens.
    """
    check_text(model, text)
    doing = [-1, *(e for e, edit in enumerate(edits) if not edit.is_empty)]
    with unchanged(model):
        model.eval()
        nll = read_rows(
            model,
            text.tolist() * len(doing),
            edits,
            np.repeat(doing, len(text)),
            _nll_mean,
            n_logits=text.shape[1],
            tokens_per_batch=tokens_per_batch,
            description="perplexity" if show_progress else None,
        )
    each = np.exp(nll.astype(np.float64).reshape(len(doing), len(text)).mean(1))
    after = np.full(len(edits), each[0])
    after[doing[1:]] = each[1:]
    return float(each[0]), after


def check_text(model: nn.Module, text: Tensor) -> None:
    """Raises ValueError for text that has no perplexity under the model."""
    n_vocab = projection_matrix(ModuleMap(model).unembedding).shape[1]
    if text.ndim != 2 or text.shape[0] < 1 or text.shape[1] < 2:
        raise ValueError(f"text must be token ids [N,T] with N > 0 and T > 1, not {[*text.shape]}")
    if bool(((text < 0) | (text >= n_vocab)).any()):
        raise ValueError(f"text holds ids outside the model's tokens, 0 to {n_vocab - 1}")


def _nll_mean(logits: Tensor, tokens: Tensor) -> Tensor:
    """[B], nats per predicted token; rows are of one length, so that their mean is that of all.

    From the logits as they lie in memory: a third of the time of ``cross_entropy``, which wants the
    vocabulary on axis 1.
    """
    predicting, predicted = logits[:, :-1], tokens[:, 1:, None]
    chosen = predicting.gather(2, predicted)[..., 0]
    return (predicting.logsumexp(2) - chosen).mean(1)
