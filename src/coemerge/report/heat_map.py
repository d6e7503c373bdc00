"""Heat maps with numbers in their cells."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

SEQUENTIAL = "cividis"  # even in lightness, for colour-blind readers too


def heat_map(
    axes: Axes,
    values: np.ndarray,
    texts: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    top: float = 1.0,
) -> QuadMesh:
    """``values`` [rows, columns] between 0 and ``top``, what lies beyond in the colour of the end;
    ``texts`` likewise, in black or white, whichever can be read. NaN: grey, with a dash."""
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            axes.text(column, row, "–", ha="center", va="center", color="grey")
            continue
        red_green_blue = colormaps[SEQUENTIAL](float(np.clip(value / top, 0, 1)))[:3]
        ink = "black" if np.dot(red_green_blue, (0.299, 0.587, 0.114)) > 0.5 else "white"
        text = str(texts[row, column])
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
    axes.set_facecolor("#e8e8e8")
    mesh = axes.pcolormesh(
        np.arange(len(columns) + 1) - 0.5, np.arange(len(rows) + 1) - 0.5,
        np.ma.masked_invalid(values), cmap=SEQUENTIAL, vmin=0, vmax=top, edgecolors="white",
        linewidth=0.8, zorder=0,
    )  # fmt: skip
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return mesh
