"""Where the neurons of two queries of a fact lie, and what attention has to do with it (the paper's
figures 1 and 5)."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from coemerge.report.heat_map import SEQUENTIAL
from coemerge.report.query_rows import CHANGES, CLASSES

STATES = {
    "suppressed": f"synapses {CHANGES[0.0]}",
    "untouched": "synapses untouched",
    "enhanced": f"synapses {CHANGES[2.0]}",
}
_LABEL = "attribution (colours by its square root)"
_ROOT = 0.5  # exponent of the scale: a few neurons hold most, the others would all look black
_WIDTH = 46  # letters of a line


def grid_of(rows: pd.DataFrame) -> np.ndarray:
    """[layer, bin] attributions of one query; NaN where there is none."""
    return rows.pivot(index="layer", columns="bin", values="attribution").to_numpy(dtype=float)


def draw_maps(rows: pd.DataFrame) -> Figure:
    """A line of panels per class, a panel per query, one colour scale."""
    classes, queries = _found(rows)
    figure, panels = _panels(rows, len(classes), len(queries), 4.6, 0.75)
    figure.suptitle("Do two queries of one fact have the same neurons?")
    for line, cls in zip(panels, classes, strict=True):
        for axes, query in zip(line, queries, strict=True):
            own = rows[(rows["cls"] == cls) & (rows["query"] == query)]
            mesh = _map(axes, own, _top(rows))
            words = f"{CLASSES.get(cls, cls).removesuffix('s')}, query {query + 1}"
            axes.set_title(f"{words}\n{_quoted(own)}", fontsize=8)
        line[0].set_ylabel("layer")
    return _finished(figure, panels, mesh)


def draw_changed_maps(rows: pd.DataFrame) -> Figure:
    """A line of panels per class and query, a panel per state of the synapses, one colour scale."""
    classes, queries = _found(rows)
    states = [name for name in STATES if (rows["synapses"] == name).any()]
    figure, panels = _panels(rows, len(classes) * len(queries), len(states), 3.3, 0.55)
    figure.suptitle("Do neurons of a query dim when its knowledge synapses are suppressed?")
    for k, line in enumerate(panels):
        cls, query = classes[k // len(queries)], queries[k % len(queries)]
        for axes, state in zip(line, states, strict=True):
            own = rows[(rows["cls"] == cls) & (rows["query"] == query)]
            mesh = _map(axes, own[own["synapses"] == state], _top(rows))
            if k == 0:
                axes.set_title(STATES[state])
        words = CLASSES.get(cls, cls).removesuffix("s").replace(" ", "\n")
        line[0].set_ylabel(f"{words},\nquery {query + 1}\n\nlayer", fontsize=8)
    return _finished(figure, panels, mesh)


def _found(rows: pd.DataFrame) -> tuple[list[str], list[int]]:
    return [cls for cls in CLASSES if (rows["cls"] == cls).any()], sorted(set(rows["query"]))


def _panels(
    rows: pd.DataFrame, n_lines: int, n_columns: int, width: float, least: float
) -> tuple[Figure, np.ndarray]:
    """Panels that grow with the number of layers; [lines, columns]."""
    height = least + 0.13 * min(24, rows["layer"].nunique())
    size = (width * n_columns + 1.2, (height + 0.35) * n_lines + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(n_lines, n_columns, squeeze=False, sharex=True, sharey=True)


def _top(rows: pd.DataFrame) -> float:
    top = float(rows["attribution"].max())
    return top if top > 0 else 1.0


def _map(axes: Axes, rows: pd.DataFrame, top: float) -> AxesImage:
    """Layers from below, as the model is built."""
    values = grid_of(rows)
    image = axes.imshow(
        np.clip(values, 0, None), aspect="auto", origin="lower", interpolation="none",
        cmap=SEQUENTIAL, norm=PowerNorm(_ROOT, 0, top),
    )  # fmt: skip
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.spines[:].set_visible(False)
    return image


def _quoted(rows: pd.DataFrame) -> str:
    texts = [str(text) for text in rows["text"].head(1)]
    return "\n".join(textwrap.wrap(f"“{texts[0]}”", _WIDTH)[:3]) if texts else ""


def _finished(figure: Figure, panels: np.ndarray, mesh: AxesImage) -> Figure:
    for axes in panels[-1]:
        axes.set_xlabel("group of neighbouring neurons")
    figure.colorbar(mesh, ax=list(panels.ravel()), shrink=0.7, label=_LABEL)
    return figure
