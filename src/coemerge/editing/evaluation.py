"""What edits do to answers and to text: Rel, Gen, Loc, Avg and perplexity (methods 5.3).

Every answer is read under its edit, never after reverting, and all edits share the answers of the
untouched model. An answer is the top-1 next token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from coemerge.editing.perplexity import check_text, perplexities
from coemerge.editing.rows import top_tokens
from coemerge.editing.trials import Asked, Trial
from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.edits import Edit, check_edits
from coemerge.interventions.guard import unchanged


@dataclass(frozen=True, slots=True, eq=False)
class EditScores:
    """One entry per edit, [E]; NaN where there was nothing to take a mean of.

    ``rel``: success at the edited query, 0 or 1, NaN if it was not answered right before. ``gen``:
    share of success among the other queries that were. ``loc``: share of unrelated queries with an
    unchanged answer. ``avg``: mean of the three, NaN if one is. ``rel_before``, ``gen_before``: the
    same of the untouched model on the same queries. ``n_gen``, ``n_loc``: how many queries these
    are. ``ppl_before`` (of the model), ``ppl_after``: perplexity of held-out text; ``ppl_change``:
    (after - before) / before. NaN without text.
    """

    rel: np.ndarray
    gen: np.ndarray
    loc: np.ndarray
    avg: np.ndarray
    rel_before: np.ndarray
    gen_before: np.ndarray
    n_gen: np.ndarray
    n_loc: np.ndarray
    ppl_before: float
    ppl_after: np.ndarray
    ppl_change: np.ndarray


def evaluate_edits(
    model: nn.Module,
    edits: Sequence[Edit],
    trials: Sequence[Trial],
    text: Tensor | None = None,
    tokens_per_batch: int | None = None,
    show_progress: bool = False,
) -> EditScores:
    """The scores of every edit by its trial; ``text``: held-out token ids [N,T], of rows that the
    model was not trained on.

    Edits are independent of each other, each of the untouched model. The edit that does nothing has
    the untouched model's answers and perplexity to the bit. The model is left as found.

    Raises ValueError, before anything runs, for another number of trials than of edits, edits that
    do not fit the model, an empty query, or ids outside the vocabulary.
    """
    if len(edits) != len(trials):
        raise ValueError(f"{len(edits)} edits with {len(trials)} trials: each edit needs one")
    check_edits(ModuleMap(model), edits)
    asked = Asked.of(model, trials)
    if text is not None:
        check_text(model, text)
    with unchanged(model):
        model.eval()
        before = top_tokens(model, asked.queries, tokens_per_batch, show_progress)
        asked = asked.scored(before)
        after = _after(model, edits, asked, before, tokens_per_batch, show_progress)
    rel, gen, loc = asked.scores(after, before).T
    rel_before, gen_before, _ = asked.scores(before[asked.query], before).T
    _, n_gen, n_loc = asked.n_queries.T
    ppl_before, ppl_after = np.nan, np.full(len(edits), np.nan)
    if text is not None:
        ppl_before, ppl_after = perplexities(model, edits, text, tokens_per_batch, show_progress)
    return EditScores(
        rel=rel,
        gen=gen,
        loc=loc,
        avg=(rel + gen + loc) / 3,
        rel_before=rel_before,
        gen_before=gen_before,
        n_gen=n_gen,
        n_loc=n_loc,
        ppl_before=ppl_before,
        ppl_after=ppl_after,
        ppl_change=(ppl_after - ppl_before) / ppl_before,
    )


def _after(
    model: nn.Module,
    edits: Sequence[Edit],
    asked: Asked,
    before: np.ndarray,
    tokens_per_batch: int | None,
    show_progress: bool,
) -> np.ndarray:
    """Top-1 tokens under the edit of each row, [R]; no pair of edit and query is run twice, and
    none under an edit that does nothing."""
    top = before[asked.query]
    does = np.array([not edit.is_empty for edit in edits], bool)[asked.edit]
    pairs = asked.edit[does] * len(asked.queries) + asked.query[does]
    pairs, which = np.unique(pairs, return_inverse=True)
    edit, query = np.divmod(pairs, max(1, len(asked.queries)))  # rows of an edit stand together
    ids = [asked.queries[i] for i in query]
    top[does] = top_tokens(model, ids, tokens_per_batch, show_progress, edits, edit)[which]
    return top
