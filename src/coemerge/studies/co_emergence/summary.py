"""The few figures of the co-emergence study that stand beside published ones (methods 9)."""

from typing import Any

import numpy as np
import pandas as pd

Rows = list[dict[str, Any]]


def summary_rows(tables: dict[str, Rows], by_kind: Rows, seeds: list[int], source: str) -> Rows:
    """Rows of summary.json: ids of methods 9, quantity, value with interval, n of n_total."""
    settings = {(row["theta"], row["sustained"]) for row in tables["pairs"]}
    n_pairs = len(tables["pairs"]) // max(1, len(settings))
    rows = [*_failures(tables["failure"]), *_interaction(tables["variance"], n_pairs)]
    rows += _kinds(by_kind)
    return [{"n_total": n_pairs, **row, "seeds": seeds, "source": source} for row in rows]


def _failures(failure: Rows) -> Rows:
    frame = pd.DataFrame(failure)
    usual = frame[(frame["window"] == -1) & (frame["sustained"] == "any")]
    return [
        {
            "id": "P1-a",
            "quantity": f"co-emergence failures, theta={row.theta}"
            + ("" if row.arm == "all" else f", arm {row.arm}"),
            "value": _number(row.rate),
            "low": _number(row.low),
            "high": _number(row.high),
            "n": int(row.n_testable),
        }
        for row in usual.itertuples()
        if row.arm == "all" or (row.n_testable and row.theta == usual["theta"].iloc[0])
    ]


def _interaction(variance: Rows, n_pairs: int) -> Rows:
    """At the last checkpoint, a mean over seeds with the range."""
    frame = pd.DataFrame(variance)
    last = frame[(frame["step"] == frame.groupby("seed")["step"].transform("max"))]
    rows = []
    for scale in ("raw", "logit"):
        for denominator in ("total", "cells"):
            chosen = last[
                (last["component"] == "interaction")
                & (last["model"] == "plain")
                & (last["scale"] == scale)
                & (last["denominator"] == denominator)
            ]
            shares = chosen["eta_squared"]
            rows.append(
                {
                    "id": "P1-b",
                    "quantity": f"variance due to fact x task, {scale} scale, of "
                    + ("all" if denominator == "total" else "cell means"),
                    "value": _number(shares.mean()),
                    "low": _number(shares.min()) if len(shares) > 1 else None,
                    "high": _number(shares.max()) if len(shares) > 1 else None,
                    "n": n_pairs,
                    "interval": "range over seeds",
                }
            )
    return rows


def _kinds(by_kind: Rows) -> Rows:
    """By kind of source and target; the published figure conditions on emergence."""
    bases = {"exposed": "shown in the source alone", "emerged": "emerged on the source"}
    return [
        {
            "id": "P1-c",
            "quantity": f"{row['source']} -> {row['target']}, {bases[row['basis']]}, "
            f"{row['options']} option sets",
            "value": _number(row["rate"]),
            "low": _number(row["low"]),
            "high": _number(row["high"]),
            "n": row["n"],
            "n_total": None,
        }
        for row in by_kind
    ]


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else float(value)
