"""Which rows of the tables of masks the page shows: main settings, and names in plain words."""

import pandas as pd

from coemerge.report.bars import BarStyle
from coemerge.report.results import Results, pick

VARIANTS = {
    "exclusive": "masks of a fact may share no unit",
    "free": "masks of a fact may overlap",
}
# (variant, control): whose effects stand beside each other
SERIES: dict[tuple[str, str], BarStyle] = {
    ("exclusive", "none"): BarStyle("mask, no unit shared with\nother formats' masks", "#0072B2"),
    ("free", "none"): BarStyle("mask that may share them", "#009E73"),
    ("remask", "none"): BarStyle("second mask, same fact and\nformat, without the first's units",
                                 "#56B4E9", "//"),
    ("exclusive", "mismatched"): BarStyle("control: another fact's mask", "#E69F00"),
    ("exclusive", "random"): BarStyle("control: random units,\nequal in number per layer",
                                      "#8A8A8A"),
}  # fmt: skip


def main_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Of the first reference (what ablated units become), which is that of mask training."""
    return frame if frame.empty else pick(frame, reference=frame["reference"].iloc[0])


def drop_rows(results: Results) -> pd.DataFrame:
    """Cells of the heat maps."""
    rows = pick(main_rows(results.table("drop_matrix")), masks="all")
    return rows[rows["variant"].isin(VARIANTS) & rows["drop"].notna()]


def measure_rows(results: Results, *measures: str) -> pd.DataFrame:
    """Of these measures, with ``series``, a label of ``SERIES``."""
    rows = main_rows(results.table("mask_measures"))
    if rows.empty:
        return rows
    keys = zip(rows["variant"], rows["control"], strict=True)
    labels = [SERIES[key].label if key in SERIES else None for key in keys]
    rows = rows.assign(series=labels)
    return rows[rows["series"].notna() & rows["measure"].isin(measures) & rows["value"].notna()]


def format_rows(results: Results, *measures: str) -> pd.DataFrame:
    """Of all masks, format by format."""
    rows = pick(measure_rows(results, *measures), masks="all")
    return rows[rows["task"] != "all"] if len(rows) else rows


def size_rows(results: Results) -> pd.DataFrame:
    """Mean numbers of heads and neurons of the masks whose layers are shown."""
    layers, rows = layer_rows(results), format_rows(results, "n_heads", "n_neurons")
    if rows.empty or layers.empty:
        return rows.iloc[:0]
    return pick(rows, variant=layers["variant"].iloc[0], control="none")


def layer_rows(results: Results) -> pd.DataFrame:
    """Of exclusive masks, or of those that there are."""
    rows = results.table("mask_layers")
    if rows.empty:
        return rows
    found = [name for name in ("exclusive", "free", "remask") if (rows["variant"] == name).any()]
    return pick(rows, variant=found[0]).dropna(subset=["density"])
