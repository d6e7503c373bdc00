"""How much of the scores' variance is due to fact, task and their interaction (methods 3.4).

Scores are [F facts, K tasks, P paraphrases] of one checkpoint, balanced and without gaps. Effects
are fixed: every F test is against the error mean square of its model.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special, stats

Sums = dict[str, tuple[float, int]]  # sum of squares and degrees of freedom per component

_SMALLEST_P = 1e-3  # probabilities are clipped this far from 0 and 1 before the logit
_WITHIN_CELLS = ("template", "error")
_ROUNDING = 1e-12  # relative to the covariate's size: what is smaller is zero on paper


@dataclass(frozen=True, slots=True)
class Component:
    """One row of an analysis of variance, undefined values NaN.

    ``eta_total`` is the share of the total sum of squares, ``eta_cells`` that of the variation
    between the F K cell means: the denominator without paraphrase noise, undefined for components
    within cells. The error has no ``F`` and no ``p``.
    """

    ss: float
    df: int
    eta_total: float
    eta_cells: float
    F: float
    p: float


def decompose(scores: np.ndarray) -> dict[str, Component]:
    """fact, task, interaction and error of S = mu + a_f + b_t + (ab)_ft + e, scores [F, K, P].

    Raises ValueError for NaN and with fewer than two facts, tasks or paraphrases, as do the others.
    """
    scores = _checked(scores)
    sums = _between_cells(scores.mean(axis=2), scores.shape[2])
    return _table(sums | {"error": _within_cells(scores)})


def decompose_nested(scores: np.ndarray) -> dict[str, Component]:
    """fact, task, template, interaction and error: paraphrase p of task t is one template for all
    facts, and its main effect within the task, F sum_tp (S_.tp - S_.t.)^2, is taken out of the
    error. Scores [F, K, P]."""
    scores = _checked(scores)
    n_facts, n_tasks, n_paraphrases = scores.shape
    template = _centred(scores.mean(axis=0), 1)
    df = n_tasks * (n_paraphrases - 1)
    sums = _between_cells(scores.mean(axis=2), n_paraphrases)
    interaction = sums.pop("interaction")
    sums |= {"template": (n_facts * _ss(template), df), "interaction": interaction}
    residual = _centred(scores, 2) - template
    return _table(sums | {"error": (_ss(residual), (n_facts - 1) * df)})


def decompose_with_covariate(scores: np.ndarray, covariate: np.ndarray) -> dict[str, Component]:
    """covariate, fact, task, interaction and error, for scores [F, K, P] and a ``covariate`` [F, K]
    such as the log count of exposures.

    Sums of squares are sequential (type I) in this order: the covariate alone by least squares on
    the cell means, then what facts add to it, what tasks add to both, and what is left between
    cells. A covariate made of fact and task effects leaves the interaction as it is; one that does
    not vary has 0 degrees of freedom. Raises ValueError also unless it is finite and [F, K].
    """
    scores, x = _checked(scores), np.asarray(covariate, dtype=float)
    n_facts, n_tasks, n_paraphrases = scores.shape
    if x.shape != (n_facts, n_tasks) or not np.isfinite(x).all():
        raise ValueError(f"expected a finite covariate [{n_facts}, {n_tasks}], got {x.shape}")
    y = scores.mean(axis=2)
    zero = x.size * (_ROUNDING * np.abs(x).max()) ** 2
    rests, ranks = [_ss(_centred(y, None))], [1]
    for base, rank in {(None,): 1, (1,): n_facts, (1, 0): n_facts + n_tasks - 1}.items():
        rest_y, rest_x = _centred(y, *base), _centred(x, *base)  # beyond mean, facts, and tasks
        does_vary = _ss(rest_x) > zero
        if does_vary:
            rest_y = rest_y - (rest_y * rest_x).sum() / _ss(rest_x) * rest_x
        rests.append(_ss(rest_y))
        ranks.append(rank + does_vary)
    gained = n_paraphrases * -np.diff([*rests, 0.0])
    df = np.diff([*ranks, y.size])
    names = ("covariate", "fact", "task", "interaction")
    sums = {name: (float(gained[i]), int(df[i])) for i, name in enumerate(names)}
    return _table(sums | {"error": _within_cells(scores)})


def on_scale(scores: np.ndarray, scale: Literal["raw", "logit", "rank"]) -> np.ndarray:
    """The scores on another scale, shape and NaN kept.

    Bounded scores show interaction where effects are additive on the logit scale (methods 3.4).
    "logit" is that of clip(p, 1e-3, 1 - 1e-3) and expects probabilities: chance-normalised scores
    lie in [-1, 1], so the caller passes the probabilities instead (ValueError outside [0, 1]).
    "rank" is the average rank among all values, scaled to [0, 1].
    """
    scores = np.asarray(scores, dtype=float)
    match scale:
        case "raw":
            return scores
        case "logit":
            if (scores < 0).any() or (scores > 1).any():
                raise ValueError("the logit scale needs probabilities in [0, 1]")
            return special.logit(np.clip(scores, _SMALLEST_P, 1 - _SMALLEST_P))
        case "rank":
            ranks = stats.rankdata(scores, axis=None, nan_policy="omit").reshape(scores.shape)
            return (ranks - 1) / max(int((~np.isnan(scores)).sum()) - 1, 1)
    raise ValueError(f"unknown scale {scale!r}")


def interaction_null(scores: np.ndarray, rng: np.random.Generator, draws: int = 200) -> np.ndarray:
    """``eta_total`` of the interaction [draws] when the fact labels of whole cells of scores
    [F, K, P] are permuted independently per task.

    Task and error sums of squares stay (T-V4); what tasks share of a fact turns into interaction.
    So this is the null of no common fact effect, and an interaction *below* it speaks for one;
    whether there is any interaction is for the F test to say.
    """
    scores = _checked(scores)
    cells, n_paraphrases = scores.mean(axis=2), scores.shape[2]
    total = _ss(_centred(scores, None))
    etas = np.empty(draws)
    for draw in range(draws):
        permuted = _between_cells(rng.permuted(cells, axis=0), n_paraphrases)
        etas[draw] = permuted["interaction"][0] / total if total > 0 else np.nan
    return etas


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """q values of one family of tests, shape kept (methods 2.11). NaN stays NaN and counts as no
    test. Raises ValueError outside [0, 1]."""
    q_values = np.array(p_values, dtype=float)
    is_test = ~np.isnan(q_values)
    q_values[is_test] = stats.false_discovery_control(q_values[is_test])
    return q_values


def _checked(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 3:
        raise ValueError(f"expected scores [F, K, P], got shape {scores.shape}")
    for size, axis in zip(scores.shape, ("facts", "tasks", "paraphrases"), strict=True):
        if size < 2:
            raise ValueError(f"needs at least two {axis}, got {size}")
    if np.isnan(scores).any():
        raise ValueError(f"{np.isnan(scores).sum()} scores are NaN; the design must be balanced")
    return scores


def _ss(deviations: np.ndarray) -> float:
    return float((deviations**2).sum())


def _centred(a: np.ndarray, *axes: int | None) -> np.ndarray:
    """Without its means over each of the axes in turn; None is all of them at once."""
    for axis in axes:
        a = a - a.mean(axis=axis, keepdims=True)
    return a


def _between_cells(cells: np.ndarray, n_paraphrases: int) -> Sums:
    """Of the cell means [F, K], in units of single scores."""
    n_facts, n_tasks = cells.shape
    by_fact, by_task = (_centred(cells.mean(axis=axis), 0) for axis in (1, 0))
    return {
        "fact": (n_tasks * n_paraphrases * _ss(by_fact), n_facts - 1),
        "task": (n_facts * n_paraphrases * _ss(by_task), n_tasks - 1),
        "interaction": (n_paraphrases * _ss(_centred(cells, 1, 0)), (n_facts - 1) * (n_tasks - 1)),
    }


def _within_cells(scores: np.ndarray) -> tuple[float, int]:
    n_facts, n_tasks, n_paraphrases = scores.shape
    return _ss(_centred(scores, 2)), n_facts * n_tasks * (n_paraphrases - 1)


def _table(sums: Sums) -> dict[str, Component]:
    total = sum(ss for ss, _ in sums.values())
    cells = sum(ss for name, (ss, _) in sums.items() if name not in _WITHIN_CELLS)
    noise = _ratio(*sums["error"])
    table = {}
    for name, (ss, df) in sums.items():
        eta_cells = np.nan if name in _WITHIN_CELLS else _ratio(ss, cells)
        f = np.nan if name == "error" else _ratio(_ratio(ss, df), noise)
        p = float(stats.f.sf(f, df, sums["error"][1]))
        table[name] = Component(ss, df, _ratio(ss, total), eta_cells, f, p)
    return table


def _ratio(part: float, whole: float) -> float:
    """NaN for 0 / 0, infinite for anything else over 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(part, whole))
