"""The few figures of queries that stand beside published ones (methods 9, rows P3-a, P3-b)."""

from typing import Any

import pandas as pd

from coemerge.statistics.resampling import hierarchical_bootstrap
from coemerge.studies.query_localization.classes import ALL
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.shared.means import Rows
from coemerge.studies.shared.summarised import estimate, find

_CONTROLS = {
    "other_facts": "queries of different facts in the same wordings",
    "same_answer": "the same, facts with the same answer",
    "context": "one query behind different texts, still answered right",
    "random": "random neurons, equally many per layer",
}


_OTHERS = {
    "local": "the query's own (local)",
    "global": "those of any query (global)",
    "equal": "the query's own, equally many",
}


def summary_rows(
    tables: dict[str, Rows], config: QueryLocalizationConfig, seeds: list[int], source: str
) -> Rows:
    """Rows of summary.json: see ``studies.task_localization.summary``."""
    several = len(seeds) > 1
    n_total = sum(int(row["n"]) for row in tables["exclusions"])
    shares = _shares(tables["class_shares"], config, several)
    rows = [*({**row, "n_total": n_total} for row in shares), *_gains(tables, config, several)]
    return [{**row, "seeds": seeds, "source": source} for row in rows]


def _shares(shares: Rows, config: QueryLocalizationConfig, several: bool) -> Rows:
    """Inconsistent facts: under all localisers, under each, and in the nulls."""
    rows = []
    for localiser in (ALL, *config.localisers):
        words = "all localisers" if localiser == ALL else localiser
        rows.append(_share(shares, config, several, localiser, "none", words))
    for control, words in _CONTROLS.items():
        rows.append(_share(shares, config, several, ALL, control, f"all localisers; null: {words}"))
    return rows


def _share(
    shares: Rows,
    config: QueryLocalizationConfig,
    several: bool,
    localiser: str,
    control: str,
    words: str,
) -> dict[str, Any]:
    found = find(
        shares,
        localiser=localiser,
        threshold=str(config.threshold),
        sets="threshold",
        control=control,
    )
    return {
        "id": "P3-a",
        "name": f"inconsistent/{localiser}/{control}",
        "quantity": f"facts with inconsistent neurons (CS2 up to {config.threshold}), {words}",
        **estimate(found, "share", several),
    }


def _gains(tables: dict[str, Rows], config: QueryLocalizationConfig, several: bool) -> Rows:
    """Mean of Rel, Gen and Loc of consistency-aware sets over that of the others, per fact, over
    both kinds of edits and for each."""
    edits = pd.DataFrame(tables["neuron_edits"])
    rows = []
    for other, whose in _OTHERS.items():
        for edit in (None, "erase", "update"):
            chosen = edits if edit is None else edits[edits["edit"] == edit]
            words = f"{edit} alone" if edit else "erase and update"
            rows.append(
                {
                    "id": "P3-b",
                    "name": f"gain/{other}/{edit or 'both'}",
                    "unit": "points",
                    "quantity": f"gain in Avg of consistency-aware sets over {whose}, {words}",
                    **estimate(_gain(chosen, other, config), "gain", several),
                    "n_total": int(chosen.groupby(["seed", "fact_id"]).ngroups),
                }
            )
    return rows


def _gain(edits: pd.DataFrame, other: str, config: QueryLocalizationConfig) -> dict[str, Any]:
    """Paired by fact; facts for which one is not defined are left out."""
    scores = edits.pivot_table(index=["seed", "fact_id"], columns="neurons", values="avg")
    if not {"consistent", other} <= set(scores):
        return {}
    gain = (scores["consistent"] - scores[other]).dropna()
    if gain.empty:
        return {"gain": float("nan"), "n": 0}
    samples = [facts.to_numpy() for _, facts in gain.groupby("seed")]
    found = hierarchical_bootstrap(samples, seed=config.seed, draws=config.bootstrap_draws)
    return {"gain": found.mean, "low": found.low, "high": found.high, "n": found.n}
