"""From checkpoint to checkpoint: facts emerged, and shares of variance (methods 3.4)."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from coemerge.statistics.variance import (
    Component,
    benjamini_hochberg,
    decompose,
    decompose_nested,
    decompose_with_covariate,
    on_scale,
)
from coemerge.studies.shared.scored import Scores

Rows = list[dict[str, Any]]
_KEYS = ("seed", "scale", "model", "denominator", "component")


def curve_rows(run: Scores, theta: float) -> Rows:
    """Share of facts emerged per step, task, arm and whether they were shown in that format."""
    emerged = run.mean > theta
    shown = run.exposures[..., -1] > 0
    arms = run.facts["arm"].to_numpy()
    rows: Rows = []
    for t, task in enumerate(run.tasks):
        for arm in sorted(set(arms)):
            for exposed in (True, False):
                group = (arms == arm) & (shown[:, t] == exposed)
                if group.any():
                    shares = emerged[group, t].mean(axis=0)
                    rows += [
                        {
                            "seed": run.seed,
                            "step": int(step),
                            "task": task,
                            "arm": arm,
                            "exposed": exposed,
                            "emerged_fraction": float(share),
                            "n": int(group.sum()),
                        }
                        for step, share in zip(run.steps, shares, strict=True)
                    ]
    return rows


def variance_rows(run: Scores) -> Rows:
    """Shares of variance at every checkpoint, with F, p, and q over checkpoints; none where there
    is a single fact, task or paraphrase."""
    if min(run.score.shape[:3]) < 2:
        return []
    rows: Rows = []
    for q, step in enumerate(run.steps):
        for scale, model, parts in _decompositions(run, q):
            for component, part in parts.items():
                for denominator in ("total", "cells"):
                    share = part.eta_total if denominator == "total" else part.eta_cells
                    rows.append(
                        {
                            "seed": run.seed,
                            "step": int(step),
                            "scale": scale,
                            "model": model,
                            "denominator": denominator,
                            "component": component,
                            "eta_squared": share,
                            "F": part.F,
                            "p_value": part.p,
                        }
                    )
    return _with_q_values(rows)


def _decompositions(run: Scores, q: int) -> Iterator[tuple[str, str, dict[str, Component]]]:
    covariate = np.log1p(run.exposures[..., q])
    for scale in ("raw", "logit", "rank"):
        values = run.probability if scale == "logit" else run.score
        scores = on_scale(values[..., q], scale)
        yield scale, "plain", decompose(scores)
        yield scale, "nested", decompose_nested(scores)
        yield scale, "covariate", decompose_with_covariate(scores, covariate)


def _with_q_values(rows: Rows) -> Rows:
    """Benjamini-Hochberg over the checkpoints of each test."""
    families: dict[tuple, list[int]] = {}
    for index, row in enumerate(rows):
        families.setdefault(tuple(row[key] for key in _KEYS), []).append(index)
    for members in families.values():
        p_values = np.array([rows[index]["p_value"] for index in members], dtype=float)
        for index, q_value in zip(members, benjamini_hochberg(p_values), strict=True):
            rows[index]["q_value"] = float(q_value)
    return rows
