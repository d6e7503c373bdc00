"""How an edit to a counterfactual answer fares on the request, on paraphrases and on neighbours
(methods 2.10 "Scores").

Success is a comparison of two answers' mean NLL per token. Every score stands beside that of the
untouched model: half of what an edit seems to do may have been so before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import product

import numpy as np
from torch import Tensor, nn

from coemerge.editing.requests import Ids, Request
from coemerge.editing.rows import read_rows
from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.edits import Edit, check_edits
from coemerge.interventions.guard import unchanged

_KINDS = ("rewrite", "paraphrases", "neighbours")


@dataclass(frozen=True, slots=True)
class CounterfactTrial:
    """What one edit is judged by: prompts, and two answers, of one token or more.

    ``rewrite``: the prompt that was edited; ``paraphrases``: of the same question; ``neighbours``:
    the same relation of other subjects, to which ``true`` is right.
    """

    rewrite: Ids
    paraphrases: Sequence[Ids]
    neighbours: Sequence[Ids]
    true: Ids
    new: Ids

    @classmethod
    def of(
        cls, request: Request, paraphrases: Sequence[Ids], neighbours: Sequence[Ids]
    ) -> "CounterfactTrial":
        goal = request.goal
        return cls(goal.ids, paraphrases, neighbours, request.target_true, goal.target)


@dataclass(frozen=True, slots=True, eq=False)
class CounterfactScores:
    """Each [E]; NaN where there are no prompts.

    ``es``, ``ps``: share of prompts (rewrite, paraphrases) on which the new answer is the likelier
    one; ``ns``: of neighbours on which the true one is. ``em``, ``pm``: mean of e^-NLL(new) -
    e^-NLL(true); ``nm``: of the reverse. ``s``: harmonic mean of the three shares.
    """

    es: np.ndarray
    ps: np.ndarray
    ns: np.ndarray
    em: np.ndarray
    pm: np.ndarray
    nm: np.ndarray

    @property
    def s(self) -> np.ndarray:
        return harmonic_mean(self.es, self.ps, self.ns)

    def means(self) -> dict[str, float]:
        """Over edits that have each score; ``s``: the harmonic mean of means, as published."""
        each = {field.name: _mean(getattr(self, field.name)) for field in fields(self)}
        return {**each, "s": float(harmonic_mean(each["es"], each["ps"], each["ns"]))}


def harmonic_mean(*values: np.ndarray | float) -> np.ndarray:
    """Of shares; 0 if one is 0, NaN if one is."""
    stacked = np.stack(np.broadcast_arrays(*map(np.asarray, values))).astype(float)
    with np.errstate(divide="ignore"):
        return len(stacked) / (1 / stacked).sum(0)


def counterfact_scores(
    model: nn.Module,
    edits: Sequence[Edit],
    trials: Sequence[CounterfactTrial],
    tokens_per_batch: int | None = None,
    show_progress: bool = False,
) -> tuple[CounterfactScores, CounterfactScores]:
    """(before, after): of the untouched model and under each edit, on the same prompts.

    Edits are independent of each other, each of the untouched model, and answers are read under
    them. The model is left as found.

    Raises ValueError, before anything runs, for another number of trials than of edits, edits that
    do not fit the model, prompts or answers without tokens, and ids outside the vocabulary.
    """
    after = trial_scores(model, trials, edits, tokens_per_batch, show_progress)
    return trial_scores(model, trials, None, tokens_per_batch, show_progress), after


def trial_scores(
    model: nn.Module,
    trials: Sequence[CounterfactTrial],
    edits: Sequence[Edit] | None,
    tokens_per_batch: int | None = None,
    show_progress: bool = False,
) -> CounterfactScores:
    """One of the two: of the untouched model where ``edits`` is None, else under each edit."""
    if edits is not None and len(edits) != len(trials):
        raise ValueError(f"{len(edits)} edits with {len(trials)} trials: each edit needs one")
    check_edits(ModuleMap(model), edits or ())
    _check_trials(model, trials)
    asked = list(_asked(trials))
    prompts = [prompt for _, _, prompt in asked]
    edit, kind = np.array([(e, k) for e, k, _ in asked], int).reshape(-1, 2).T
    read = partial(
        read_rows,
        model,
        edits=edits or (),
        tokens_per_batch=tokens_per_batch,
        description=("before edits" if edits is None else "under edits") if show_progress else None,
    )
    own = np.full(len(asked), -1) if edits is None else edit
    answers = [[getattr(trials[e], name) for e in edit] for name in ("new", "true")]
    with unchanged(model):
        model.eval()
        longest = getattr(model.config, "max_position_embeddings", None)
        new, true = _nlls(read, prompts, answers, own, longest)
    return _scores(new, true, edit, kind, len(trials))


def _asked(trials: Sequence[CounterfactTrial]) -> Iterator[tuple[int, int, Ids]]:
    """(edit, kind, prompt); rows of an edit stand together."""
    for number, trial in enumerate(trials):
        for kind, prompts in enumerate(([trial.rewrite], trial.paraphrases, trial.neighbours)):
            for prompt in prompts:
                yield number, kind, prompt


def _nlls(
    read: Callable[..., np.ndarray],
    prompts: Sequence[Ids],
    answers: Sequence[Sequence[Ids]],
    edit_of_row: np.ndarray,
    longest: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean NLL per token of each row's two ``answers`` (new, true), nats, [R] each.

    Answers of one token are both read off the prompt's last position, in one pass, where the prompt
    and both fit the ``longest`` text the model reads; else each goes through with those of its
    length.
    """
    lengths = np.array([[len(answer) for answer in of] for of in answers], int)
    sizes = np.array([len(prompt) for prompt in prompts], int)
    found = np.zeros(lengths.shape)
    short = (lengths == 1).all(0) & (sizes + 2 <= (longest or np.inf))
    if short.any():
        rows = np.flatnonzero(short).tolist()
        ids = [[*prompts[i], answers[0][i][0], answers[1][i][0]] for i in rows]
        both = read(ids=ids, edit_of_row=edit_of_row[rows], read=_two_nlls, n_logits=3)
        found[:, rows] = both.T
    for which, n in product(range(2), np.unique(lengths[:, ~short]).tolist()):
        rows = np.flatnonzero(~short & (lengths[which] == n)).tolist()
        ids = [[*prompts[i], *answers[which][i]] for i in rows]
        found[which, rows] = read(
            ids=ids, edit_of_row=edit_of_row[rows], read=_answer_nll, n_logits=n + 1
        )
    return found[0], found[1]


def _two_nlls(logits: Tensor, tokens: Tensor) -> Tensor:
    """[B,2] of the last two ``tokens``, both after the prompt that stands before them; ``logits``
    [B,3,V]."""
    return -logits[:, 0].log_softmax(1).gather(1, tokens[:, -2:])


def _answer_nll(logits: Tensor, tokens: Tensor) -> Tensor:
    """[B] of the last tokens of ``tokens``, one fewer than ``logits`` [B,n+1,V] has positions."""
    predicting = logits[:, :-1]
    answer = tokens[:, -predicting.shape[1] :, None]
    return (predicting.logsumexp(2) - predicting.gather(2, answer)[..., 0]).mean(1)


def _scores(
    new: np.ndarray, true: np.ndarray, edit: np.ndarray, kind: np.ndarray, n_edits: int
) -> CounterfactScores:
    is_neighbour = kind == _KINDS.index("neighbours")
    wanted, other = np.where(is_neighbour, (true, new), (new, true))
    cell, shape = edit * len(_KINDS) + kind, (n_edits, len(_KINDS))
    n = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)

    def means(values: np.ndarray) -> np.ndarray:
        sums = np.bincount(cell, weights=values, minlength=n.size).reshape(shape)
        return np.divide(sums, n, out=np.full(shape, np.nan), where=n > 0).T

    return CounterfactScores(*means(wanted < other), *means(np.exp(-wanted) - np.exp(-other)))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _check_trials(model: nn.Module, trials: Sequence[CounterfactTrial]) -> None:
    n_vocab = projection_matrix(ModuleMap(model).unembedding).shape[1]
    for number, trial in enumerate(trials):
        answers = {"true": [trial.true], "new": [trial.new]}
        prompts = {name: [trial.rewrite] if name == "rewrite" else getattr(trial, name)
                   for name in _KINDS}  # fmt: skip
        for name, rows in {**answers, **prompts}.items():
            for ids in rows:
                if not len(ids) or min(ids) < 0 or max(ids) >= n_vocab:
                    raise ValueError(
                        f"trials[{number}].{name}: {list(ids)} must be tokens, one at least, of 0 "
                        f"to {n_vocab - 1}"
                    )
