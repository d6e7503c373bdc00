"""Do shifts follow what training showed together? Regressions on co-occurrence (methods 6.4).

Methods regress the shift of a word on its co-occurrence with words of one number. Here a row is a
cue and a word: how often training showed just these two. Prompts whose cue is of a class run with
that class's neurons changed, so that rows of all classes are oriented alike: a word of the class
agrees with the cue, and its co-occurrence is with that cue. Every class has an intercept of its
own: neither that its neurons move all words further, nor that its words are more frequent, counts.

Where documents never show words that disagree, co-occurrence says nothing about those beyond that
they disagree: ``with_agreement`` then learns of it from pairs that agree, as ``within`` does.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from coemerge.statistics.regression import Cells, least_squares
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.shared.means import Rows

ALL = "all"
MEASURES = ("shift", "log_ratio")
COOCCURRENCE, AGREEMENT = "cooccurrence", "agreement"
MODELS = {
    "alone": (COOCCURRENCE,),
    "with_agreement": (COOCCURRENCE, AGREEMENT),
    "within": (COOCCURRENCE,),
}


def surface_fits(word_shifts: pd.DataFrame, config: KnowledgeNeuronsConfig) -> Rows:
    """``SurfaceFitsRecord`` out of ``WordShiftsRecord`` of all seeds, of every phenomenon and of
    all. Measures that are not finite are left out, of that measure's fits alone."""
    if word_shifts.empty:
        return []
    topics = [(topic, rows) for topic, rows in word_shifts.groupby("topic", sort=False)]
    rows: Rows = []
    for topic, of_topic in [(ALL, word_shifts), *topics]:
        for change, cells in of_topic.groupby("change", sort=False):
            for measure in MEASURES:
                named = {"topic": topic, "change": change, "measure": measure}
                rows += [named | row for row in _fits(cells, measure, config)]
    return rows


def _fits(cells: pd.DataFrame, measure: str, config: KnowledgeNeuronsConfig) -> Rows:
    """All models; co-occurrence is in standard deviations over all of the cells, so that their
    coefficients are of one scale."""
    cells = cells[np.isfinite(cells[measure].astype(float))]
    logs = np.log1p(cells["n_documents"].astype(float))
    spread = logs.std(ddof=0) if len(cells) else 0.0
    cells = cells.assign(
        **{
            COOCCURRENCE: (logs - logs.mean()) / (spread or 1.0),
            AGREEMENT: cells["agrees"].astype(float),
        }
    )
    rows: Rows = []
    for model, terms in MODELS.items():
        fitted = cells[cells[AGREEMENT] == 1] if model == "within" else cells
        if fitted.empty:
            continue
        group = fitted.groupby(["topic", "group"], sort=False).ngroup()
        fitted = fitted.assign(intercept=group)
        found = least_squares(
            [_cells(of_seed, measure, terms) for _, of_seed in fitted.groupby("seed")],
            n_groups=int(group.max()) + 1,
            seed=config.seed,
            draws=config.bootstrap_draws,
        )
        for i, term in enumerate(terms):
            rows.append(
                {
                    "model": model,
                    "term": term,
                    "coefficient": float(found.coefficient[i]),
                    "low": float(found.low[i]),
                    "high": float(found.high[i]),
                    "r_squared": found.r_squared,
                    "n": found.n,
                }
            )
    return rows


def _cells(frame: pd.DataFrame, measure: str, terms: Sequence[str]) -> Cells:
    return Cells(
        y=frame[measure].to_numpy(float),
        terms=frame[list(terms)].to_numpy(float),
        group=frame["intercept"].to_numpy(),
        cluster=frame["cue"].to_numpy(),
    )
