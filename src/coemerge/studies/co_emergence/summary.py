"""The few figures of the co-emergence study that stand beside published ones (methods 9)."""

from typing import Any

import numpy as np
import pandas as pd

from coemerge.prompts.tasks import get_task

Rows = list[dict[str, Any]]
_KINDS = ("generative", "discriminative")


def summary_rows(tables: dict[str, Rows], seeds: list[int], source: str) -> Rows:
    """Rows of summary.json: ids of methods 9, quantity, value with interval, n."""
    rows = [*_failures(tables["failure"]), *_interaction(tables["variance"])]
    rows += _kinds(tables["matrix"])
    n_total = len(tables["pairs"]) // max(1, len({r["sustained"] for r in tables["pairs"]}))
    n_total //= max(1, len({r["theta"] for r in tables["pairs"]}))
    return [{**row, "n_total": n_total, "seeds": seeds, "source": source} for row in rows]


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
        if row.n_testable and (row.arm == "all" or row.theta == usual["theta"].iloc[0])
    ]


def _interaction(variance: Rows) -> Rows:
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
                    "low": _number(shares.min()),
                    "high": _number(shares.max()),
                    "n": len(shares),
                }
            )
    return rows


def _kinds(matrix: Rows) -> Rows:
    """Facts shown in one format alone: how often they emerge in others, by kind of source."""
    frame = pd.DataFrame(matrix)
    theta = frame["theta"].iloc[0]
    alone = frame[
        (frame["basis"] == "exposed")
        & (frame["arm"] == "A2_single_source")
        & (frame["theta"] == theta)
    ]
    rows: Rows = []
    for options in ("fresh", "seen"):
        for source in _KINDS:
            for target in _KINDS:
                cells = alone[
                    (alone["options"] == options)
                    & (alone["source"].map(_kind) == source)
                    & (alone["target"].map(_kind) == target)
                ]
                if cells["n"].sum():
                    rows.append(
                        {
                            "id": "P1-c",
                            "quantity": f"{source} -> {target}, shown in the source alone, "
                            f"{options} option sets",
                            "value": _number(np.average(cells["rate"], weights=cells["n"])),
                            "low": _number(cells["rate"].min()),
                            "high": _number(cells["rate"].max()),
                            "n": int(cells["n"].sum()),
                        }
                    )
    return rows


def _kind(task: str) -> str:
    return get_task(task).kind


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else float(value)
