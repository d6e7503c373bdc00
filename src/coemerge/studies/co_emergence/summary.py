"""The few figures of the co-emergence study that stand beside published ones (methods 9)."""

from typing import Any

import numpy as np
import pandas as pd

from coemerge.statistics.thresholds import THETA
from coemerge.studies.co_emergence.runs import Rows
from coemerge.studies.co_emergence.transfer import DIFFERENCE


def summary_rows(tables: dict[str, Rows], by_kind: Rows, seeds: list[int], source: str) -> Rows:
    """Rows of summary.json: ids of methods 9, ``name`` for programs, quantity for readers, value
    with what its ``interval`` is, n of n_total."""
    settings = {(row["theta"], row["sustained"]) for row in tables["pairs"]}
    n_pairs = len(tables["pairs"]) // max(1, len(settings))
    several = len(seeds) > 1
    rows = [
        *_failures(tables["failure"], tables["pairs"], several),
        *_interaction(tables["variance"], n_pairs),
        *_kinds(by_kind, several),
    ]
    return [{"n_total": n_pairs, **row, "seeds": seeds, "source": source} for row in rows]


def _failures(failure: Rows, pairs: Rows, several: bool) -> Rows:
    frame = pd.DataFrame(failure)
    usual = frame[(frame["window"] == -1) & (frame["sustained"] == "any")]
    rows = []
    for row in usual.to_dict("records"):
        theta, arm = row["theta"], row["arm"]
        if arm != "all" and (theta != THETA or not row["n_testable"]):
            continue
        rows.append(
            {
                "id": "P1-a",
                "name": f"failure/{theta:g}/{arm}",
                "quantity": f"failures to co-emerge, θ = {theta:g}, "
                + ("all arms" if arm == "all" else arm),
                **_estimate(row, _n_facts(pairs, theta, arm), several),
                "n": int(row["n_testable"]),
                "n_total": int(row["n_testable"] + row["n_excluded"] + row["n_untestable"]),
            }
        )
    return rows


def _n_facts(pairs: Rows, theta: float, arm: str) -> int:
    """Facts with a testable pair, over all seeds."""
    return len(
        {
            (row["seed"], row["fact_id"])
            for row in pairs
            if row["testable"]
            and row["sustained"] == "any"
            and row["theta"] == theta
            and arm in ("all", row["arm"])
        }
    )


def _interaction(variance: Rows, n_pairs: int) -> Rows:
    """At the last checkpoint, a mean over seeds with the range."""
    if not variance:
        return []
    frame = pd.DataFrame(variance)
    frame = frame[(frame["component"] == "interaction") & (frame["model"] == "plain")]
    last = frame[frame["step"] == frame.groupby("seed")["step"].transform("max")]
    rows = []
    for scale in ("raw", "logit"):
        for denominator, of in (("total", "all"), ("cells", "that between cells")):
            chosen = last[(last["scale"] == scale) & (last["denominator"] == denominator)]
            shares = chosen["eta_squared"].dropna()
            several = len(shares) > 1
            rows.append(
                {
                    "id": "P1-b",
                    "name": f"interaction/{scale}/{denominator}",
                    "quantity": f"variance due to fact × task, share of {of}, {scale} scale",
                    "value": _number(shares.mean()),
                    "low": _number(shares.min()) if several else None,
                    "high": _number(shares.max()) if several else None,
                    "n": n_pairs,
                    "interval": "range over seeds" if several else "one seed",
                }
            )
    return rows


def _kinds(by_kind: Rows, several: bool) -> Rows:
    """By kind of source and target; the published figure conditions on emergence."""
    bases = {
        "exposed": "shown in the source alone",
        "emerged": "emerged on the source",
        "never": "by luck",
        "beyond_never": "shown in the source alone, beyond luck (facts never shown)",
        "into_generative": "shown in the source alone",
    }
    rows = []
    for row in by_kind:
        source, target, basis, options = (
            row[name] for name in ("source", "target", "basis", "options")
        )
        ways = f"never shown → {target}" if basis == "never" else f"{source} → {target}"
        name: dict[str, Any] = {"name": f"transfer/{basis}/{options}/{source}/{target}"}
        if target == DIFFERENCE:
            first = "generative" if basis == "into_generative" else "discriminative"
            ways = f"difference, generative → {first} less discriminative → generative"
            name = {"name": f"difference/{basis}/{options}", "unit": "points"}
        quantity = f"{ways}, {bases[basis]}, {options} option sets"
        values = {**_estimate(row, row["n_facts"], several), "n": row["n"], "n_total": None}
        rows.append({"id": "P1-c", **name, "quantity": quantity, **values})
    return rows


def _estimate(row: dict[str, Any], n_facts: int, several: bool) -> dict[str, Any]:
    """Value, bounds, and in words what the bounds are; None for what is not defined."""
    value, low, high = (_number(row[name]) for name in ("rate", "low", "high"))
    facts = "1 fact" if n_facts == 1 else f"{n_facts} facts"
    label = "95 %, bootstrap over " + ("seeds then facts" if several else "facts, one seed")
    if value is None:
        label = "nothing to test"
    elif low is None or high is None:
        why = "1 fact" if n_facts == 1 else "too many resamples lack a rate"
        low, high, label = None, None, f"no interval ({why})"
    elif low == high == value:
        label = f"no spread: alike in all {facts}"
    return {"value": value, "low": low, "high": high, "interval": label}


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else float(value)
