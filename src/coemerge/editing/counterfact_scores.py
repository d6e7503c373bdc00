"""How an edit to a counterfactual answer fares on the request, on paraphrases and on neighbours
(methods 2.10 "Scores").

Success is a comparison of two answers' mean NLL per token. Every score stands beside that of the
untouched model: half of what an edit seems to do may have been so before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

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
    own = np.full(len(asked), -1) if edits is None else edit
    shown = ("before edits" if edits is None else "under edits") if show_progress else None
    with unchanged(model):
        model.eval()
        new, true = (
            _nll(
                model,
                prompts,
                [getattr(trials[e], name) for e in edit],
                edits or (),
                own,
                tokens_per_batch,
                shown,
            )
            for name in ("new", "true")
        )
    return _scores(new, true, edit, kind, len(trials))


def _asked(trials: Sequence[CounterfactTrial]) -> Iterator[tuple[int, int, Ids]]:
    """(edit, kind, prompt); rows of an edit stand together."""
    for number, trial in enumerate(trials):
        for kind, prompts in enumerate(([trial.rewrite], trial.paraphrases, trial.neighbours)):
            for prompt in prompts:
                yield number, kind, prompt


def _nll(
    model: nn.Module,
    prompts: Sequence[Ids],
    answers: Sequence[Ids],
    edits: Sequence[Edit],
    edit_of_row: np.ndarray,
    tokens_per_batch: int | None,
    description: str | None,
) -> np.ndarray:
    """Mean NLL per answer token, nats, [R]; answers of one length go through together."""
    lengths = np.array([len(answer) for answer in answers], int)
    found = np.zeros(len(prompts))
    for n in np.unique(lengths).tolist():
        chosen = (lengths == n).nonzero()[0]
        found[chosen] = read_rows(
            model,
            [[*prompts[i], *answers[i]] for i in chosen],
            edits,
            edit_of_row[chosen],
            _answer_nll,
            n_logits=n + 1,
            tokens_per_batch=tokens_per_batch,
            description=description,
        )
    return found


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
