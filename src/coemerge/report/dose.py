"""How many exposures a fact needs (arm A3), and whether the order of two formats matters (A4)."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from coemerge.report.plotting import task_colour, task_line
from coemerge.report.style import save_figure
from coemerge.statistics.intervals import bootstrap_mean

DOSE, ORDER, NEVER = "A3_dose", "A4_order", "A5_never"


def dose_response(tables: Path) -> pd.DataFrame:
    """Columns task, dose, score, low, high, n: mean score at the last step on held-out
    paraphrases, of facts shown ``dose`` times in that format and in no other (0: never shown)."""
    last = _last_scores(tables)
    shown = last[(last["arm"] == DOSE) & (last["exposures"] > 0)]
    if shown.empty:
        return pd.DataFrame()
    never = last[(last["arm"] == NEVER) & last["task"].isin(shown["task"])]
    rows = []
    for (task, dose), cell in pd.concat([shown, never]).groupby(["task", "exposures"]):
        mean = bootstrap_mean(cell["score"].to_numpy())
        rows.append((task, int(dose), mean.mean, mean.low, mean.high, mean.n))
    return pd.DataFrame(rows, columns=["task", "dose", "score", "low", "high", "n"])


def falls(curve: pd.DataFrame) -> bool:
    """Whether a score falls from one dose to the next by more than their intervals allow."""
    ordered = curve.sort_values("dose")
    high, low = ordered["high"].to_numpy(), ordered["low"].to_numpy()
    return bool(np.any(high[1:] < low[:-1]))


def order_effect(tables: Path) -> pd.DataFrame:
    """Columns task, other, place (first or second), score, low, high, n: facts shown in both
    formats, one in the first half of training and one in the second."""
    last = _last_scores(tables)
    facts = pq.read_table(tables / "facts.parquet", columns=["fact_id", "detail"]).to_pandas()
    both = last[(last["arm"] == ORDER) & (last["exposures"] > 0)].merge(facts, on="fact_id")
    if both.empty:
        return pd.DataFrame()
    formats = both["detail"].str.split(">", expand=True)
    is_first = formats[0] == both["task"]
    both["other"] = np.where(is_first, formats[1], formats[0])
    both["place"] = np.where(is_first, "first", "second")
    rows = []
    for key, cell in both.groupby(["task", "other", "place"]):
        mean = bootstrap_mean(cell["score"].to_numpy())
        rows.append((*key, mean.mean, mean.low, mean.high, mean.n))
    return pd.DataFrame(rows, columns=["task", "other", "place", "score", "low", "high", "n"])


def _last_scores(tables: Path) -> pd.DataFrame:
    frame = pq.read_table(tables / "acquisition.parquet").to_pandas()
    held_out = (frame["split"] == "held_out_templates") & (frame["options"] != "seen")
    return frame[held_out & (frame["step"] == frame["step"].max())]


def format_dose(tables: Path) -> str:
    """The two tables as text; empty where the run has no such arms."""
    parts = []
    doses = dose_response(tables)
    if not doses.empty:
        cells = doses.assign(text=[_text(row) for row in doses.itertuples()])
        wide = cells.pivot(index="task", columns="dose", values="text").fillna("-")
        by_task = doses.groupby("task")
        wide["monotone"] = [
            "no" if falls(by_task.get_group(task)) else "yes" for task in wide.index
        ]
        parts += [
            "Mean score by number of exposures in one format alone (95 % interval, facts; "
            "0: never shown)",
            wide.to_string(),
            "monotone: no dose scores below the one before it by more than their intervals.",
        ]
    orders = order_effect(tables)
    if not orders.empty:
        cells = orders.assign(text=[_text(row) for row in orders.itertuples()])
        wide = cells.pivot(index=["task", "other"], columns="place", values="text").fillna("-")
        parts += ["", "Mean score by order: the format shown in the first half of training, or in "
                  "the second", wide.to_string()]  # fmt: skip
    return "\n".join(parts)


def _text(row: object) -> str:
    score, low, high, n = (getattr(row, name) for name in ("score", "low", "high", "n"))
    return f"{score:+.2f} [{low:+.2f}, {high:+.2f}] n={n}"


def draw_dose(tables: Path, directory: Path) -> None:
    """Score against exposures, one line per format, with 95 % bands. Writes dose.png and .svg."""
    doses = dose_response(tables)
    if doses.empty:
        return
    with mpl.rc_context({"svg.hashsalt": "coemerge", "font.size": 9}):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        for task, curve in doses.groupby("task"):
            colour, line = task_colour(str(task)), task_line(str(task))
            axes.plot(curve["dose"], curve["score"], line, color=colour, marker="o", label=task)
            axes.fill_between(curve["dose"], curve["low"], curve["high"], color=colour, alpha=0.12)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xticks(sorted(doses["dose"].unique()), sorted(doses["dose"].unique()))
        axes.axhline(0, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xlabel("documents that showed the fact, in this format alone")
        axes.set_ylabel("score on held-out paraphrases (0: chance)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        save_figure(figure, directory, "dose")
