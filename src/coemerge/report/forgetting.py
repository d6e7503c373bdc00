"""What stays of a fact after it was shown: gain per injection, and how fast it is lost again
(methods 3.11, after Chang et al. 2024)."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from coemerge.report.style import VARIANT_COLOURS, save_figure
from coemerge.statistics.dynamics import (
    PEAK_WINDOW,
    Injection,
    find_peaks,
    fit_decay,
    injections,
    retainability,
)
from coemerge.statistics.intervals import bootstrap_mean

_SPLITS = {"seen_templates": "injected wording", "held_out_templates": "other wordings"}


def log_probabilities(tables: Path) -> pd.DataFrame:
    """Columns step, variant, split, fact_id, log_p (mean over answer tokens and wordings, nats);
    empty where nothing was injected."""
    path = tables / "injections.parquet"
    if not path.is_file():
        return pd.DataFrame()
    columns = ["step", "fact_id", "split", "nll"]
    scores = pq.read_table(path, columns=columns).to_pandas()
    facts = pq.read_table(tables / "facts.parquet", columns=["fact_id", "detail"]).to_pandas()
    frame = scores.groupby(["step", "fact_id", "split"], as_index=False)["nll"].mean()
    frame = frame.merge(facts.rename(columns={"detail": "variant"}), on="fact_id")
    return frame.assign(log_p=-frame["nll"]).drop(columns="nll")


def forgetting(tables: Path) -> pd.DataFrame:
    """One row per variant and split: log-probability before the first injection; mean gain at the
    peak of an injection with its interval over facts; the share of it left right before the next
    one; log-probability at the end; and the decay after the last injection."""
    frame = log_probabilities(tables)
    if frame.empty:
        return frame
    moments = pq.read_table(tables / "injection_steps.parquet").to_pandas()
    found = injections(moments["first_step"], moments["last_step"], frame["step"].max())
    if not found:
        return pd.DataFrame()
    rows = []
    for (variant, split), cell in frame.groupby(["variant", "split"]):
        curves = cell.pivot(index="step", columns="fact_id", values="log_p")
        own = found[:1] if variant == "once" else found
        rows.append({"variant": variant, "asked in": _SPLITS[str(split)], **_one(curves, own)})
    return pd.DataFrame(rows)


def _one(curves: pd.DataFrame, own: list[Injection]) -> dict[str, object]:
    """``curves`` [steps, facts]; ``own`` the injections that showed these facts."""
    mean = curves.mean(axis=1)
    ends = [*(injection.end for injection in own[:-1]), int(mean.index[-1])]
    gains, left = [], []
    for injection, end in zip(own, ends, strict=True):
        peak = mean.index[find_peaks(mean.to_numpy(), mean.index.to_numpy(), injection)]
        before = injection.before
        gains.append((curves.loc[peak] - curves.loc[before]).to_numpy())
        left.append(retainability(mean.loc[before], mean.loc[peak], mean.loc[end]))
    gain = bootstrap_mean(np.mean(gains, axis=0))
    base, after = mean.loc[own[0].before], mean.loc[peak:].iloc[1:]
    retained = retainability(base, mean.loc[peak], after.to_numpy())
    slope = np.nan
    if len(after) > 1:
        slope = fit_decay(after.index.to_numpy() - peak, np.asarray(retained)).slope
    kept = np.array(left[:-1] or left, dtype=float)
    return {
        "facts": gain.n,
        "before": f"{base:+.2f}",
        "gain per injection": f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]",
        "left before the next": _shown(pd.Series(kept).mean(), ".0%"),
        "left at the end": _shown(np.asarray(retained)[-1] if len(after) else np.nan, ".0%"),
        "slope per decade": _shown(slope, "+.2f"),
        "at the end": f"{mean.iloc[-1]:+.2f}",
    }


def _shown(value: float, style: str) -> str:
    return "-" if np.isnan(value) else format(float(value), style)


def format_forgetting(tables: Path) -> str:
    """The table as text; empty where nothing was injected."""
    frame = forgetting(tables)
    if frame.empty:
        return ""
    return "\n".join(
        [
            "What injections leave: log-probability of the answer per token, nats, averaged over "
            "facts",
            frame.to_string(index=False),
            f"gain: at the peak within {PEAK_WINDOW} steps of an injection, over the step before "
            "it (95 % interval over facts).",
            "left before the next: share of that gain; left at the end: of all that was gained "
            "since before the first injection, after the last;",
            "slope per decade: of that share on log10 of the steps since the last peak.",
        ]
    )


def draw_forgetting(tables: Path, directory: Path) -> None:
    """Log-probability over training by variant, injections marked. Writes forgetting.png, .svg."""
    frame = log_probabilities(tables)
    if frame.empty:
        return
    moments = pq.read_table(tables / "injection_steps.parquet").to_pandas()
    with mpl.rc_context({"svg.hashsalt": "coemerge", "font.size": 9}):
        figure = Figure(figsize=(10, 3.8), layout="constrained")
        panels = figure.subplots(1, len(_SPLITS), sharey=True)
        for axes, (split, title) in zip(panels, _SPLITS.items(), strict=True):
            for first in moments["first_step"]:
                axes.axvline(first, color="lightgrey", linewidth=0.8)
            for variant, cell in frame[frame["split"] == split].groupby("variant"):
                curve = cell.groupby("step")["log_p"].mean()
                axes.plot(curve.index, curve, color=VARIANT_COLOURS[str(variant)], label=variant)
            axes.set_title(f"asked in the {title}" if split == "seen_templates" else title)
            axes.set_xlabel("optimizer step (grey: injections)")
            axes.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("log-probability of the answer (nats)")
        panels[0].legend(frameon=False)
        save_figure(figure, directory, "forgetting")
