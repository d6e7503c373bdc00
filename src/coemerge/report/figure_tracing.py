"""Causal tracing with the subject's, the relation's or both tokens corrupted (methods 4.4): maps
of indirect effects, severed runs, the neutral control, and attention's share."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from coemerge.report.bars import grouped_bars
from coemerge.report.heat_map import SEQUENTIAL
from coemerge.report.plotting import error_lengths, legend_beside, percent_axis, plain_spines
from coemerge.report.side_rows import (
    CONTRAST,
    CORRUPTIONS,
    KINDS,
    LAST,
    LOSSES,
    NEUTRAL,
    SETTINGS,
    SEVERED,
    SHARE,
    SITES,
    role_name,
)

DIVERGING = "PuOr_r"  # told apart by colour-blind readers too
_CUT = "////"
_RATIOS = (-1.0, 2.0)  # axes of ratios end here: some intervals have no bounds
_CORRUPTED = [*CORRUPTIONS, NEUTRAL]


def draw_effects(rows: pd.DataFrame) -> Figure:
    """A line of panels per kind of restored state, a column per corruption; one colour scale, with
    0 in its middle where an effect is negative."""
    kinds = [name for name in KINDS if (rows["kind"] == name).any()]
    corruptions = _found(rows)
    n_layers = rows["layer"].nunique()
    size = (1.4 + (1.9 + 0.24 * min(n_layers, 16)) * len(corruptions), 0.9 + 1.85 * len(kinds))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(kinds), len(corruptions), squeeze=False)
    figure.suptitle("Where does restoring one state bring the answer back?")
    colours, scale = colour_scale(rows["aie"])
    for line, kind in zip(panels, kinds, strict=True):
        for axes, corrupt in zip(line, corruptions, strict=True):
            own = rows[(rows["kind"] == kind) & (rows["corrupt"] == corrupt)]
            labels = {role: role_name(role, corrupt) for role in set(own["role"])}
            image = effect_map(axes, own, labels, colours, scale)
            axes.set_title(f"{KINDS[kind]}, {_noise(corrupt)}\n{_prompts(own)}", fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("restored layer (middle of a window)")
    bar = figure.colorbar(image, ax=list(panels.ravel()), shrink=0.6,
                          label="average indirect effect (AIE)")  # fmt: skip
    percent_axis(bar.ax, "average indirect effect (AIE)")
    return figure


def colour_scale(values: pd.Series) -> tuple[Colormap, Normalize]:
    """From 0 to the highest; where one is negative, as far below 0 as above."""
    top = float(values.abs().max()) or 1.0
    if values.min() < 0:
        return colormaps[DIVERGING], Normalize(-top, top)
    return colormaps[SEQUENTIAL], Normalize(0, top)


def effect_map(
    axes: Axes, rows: pd.DataFrame, labels: Mapping[str, str], colours: Colormap, scale: Normalize
) -> AxesImage:
    """Layers from left to right, roles (with their ``labels``) from above, the last token's below;
    the highest effect before it as a number, and columns whose window is cut hatched."""
    ordered = dict.fromkeys(rows.sort_values("place")["role"])
    roles = sorted(ordered, key=lambda role: role == LAST)
    grid = rows.pivot(index="role", columns="layer", values="aie").reindex(roles)
    layers = [int(layer) for layer in grid.columns]
    values = grid.to_numpy(dtype=float)
    axes.set_facecolor("#e8e8e8")
    image = axes.imshow(np.ma.masked_invalid(values), aspect="auto", interpolation="none",
                        cmap=colours, norm=scale)  # fmt: skip
    cut = cut_layers(rows)
    comparable = values.copy()
    counts = rows.groupby("role")["n"].max()
    few = counts.max() / 2  # a role of fewer prompts than that is of other prompts
    comparable[[role == LAST or counts[role] < few for role in roles]] = np.nan
    comparable[:, [layer in cut for layer in layers]] = np.nan
    if np.isfinite(comparable).any():
        _peak(axes, comparable, colours, scale)
    for column in cut:
        axes.axvspan(layers.index(column) - 0.5, layers.index(column) + 0.5, fill=False,
                     hatch=_CUT, edgecolor="#777777", linewidth=0)  # fmt: skip
    axes.set_yticks(range(len(roles)), [labels[role] for role in roles], fontsize=7.5)
    step = max(1, -(-len(layers) // 12))
    axes.set_xticks(range(0, len(layers), step), [str(layer) for layer in layers[::step]])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return image


def _peak(axes: Axes, values: np.ndarray, colours: Colormap, scale: Normalize) -> None:
    row, column = (int(k) for k in np.unravel_index(np.nanargmax(values), values.shape))
    top = float(values[row, column])
    shade = np.dot(colours(scale(top))[:3], (0.299, 0.587, 0.114))
    axes.text(column, row, f"{100 * top:.1f}".replace("-", "−"), ha="center", va="center",
              color="black" if shade > 0.5 else "white", fontsize=7)  # fmt: skip


def cut_layers(rows: pd.DataFrame) -> list[int]:
    """Layers whose window the first or the last layer cuts: smaller than the others'."""
    if rows.empty:
        return []
    return sorted(set(rows.loc[rows["window"] < rows["window"].max(), "layer"]))


def draw_severed(rows: pd.DataFrame) -> Figure:
    """A panel per corruption; in it three bars per layer, at the token that is shown."""
    corruptions = _found(rows)
    n_layers = rows["layer"].nunique()
    size = (3.0 + (1.2 + min(5.5, 0.34 * n_layers)) * len(corruptions), 3.5)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(corruptions), squeeze=False, sharey=True)[0]
    figure.suptitle("Does what is restored need the MLPs or attention after it?")
    for axes, corrupt in zip(panels, corruptions, strict=True):
        own = rows[rows["corrupt"] == corrupt]
        layers = [str(layer) for layer in sorted(set(own["layer"]))]
        frame = own.assign(group=own["layer"].astype(str), series=own["kind"], value=own["aie"])
        grouped_bars(axes, frame, layers, SEVERED, numbers=False)
        step = max(1, -(-len(layers) // 12))
        axes.set_xticks(range(0, len(layers), step), layers[::step])
        axes.set_xlabel("restored layer")
        role = role_name(str(own["role"].iloc[0]), corrupt)
        axes.set_title(f"{_noise(corrupt)}\n{role}, {_prompts(own)}")
        percent_axis(axes, "average indirect effect (AIE)" if axes is panels[0] else "")
        plain_spines(axes)
    legend_beside(figure, panels)
    return figure


def draw_neutral(rows: pd.DataFrame) -> Figure:
    """Total effects: a group of bars per corruption, neutral words beside the others, a bar per
    kind of prompt."""
    groups = [name for name in _CORRUPTED if (rows["corrupt"] == name).any()]
    figure = Figure(figsize=(3.0 + 1.35 * len(groups), 3.6), layout="constrained")
    axes = figure.subplots()
    figure.suptitle("Do relation tokens matter, or would noise on any tokens do?")
    frame = rows.assign(group=rows["corrupt"], series=rows["setting"], value=rows["total_effect"])
    grouped_bars(axes, frame, groups, SETTINGS)
    axes.set_xticklabels([f"{name}\n{_tokens(rows, name)}" for name in groups], fontsize=8)
    axes.set_xlabel("tokens that get noise")
    percent_axis(axes, "lost of the answer's probability\n(total effect)")
    axes.margins(y=0.14)
    plain_spines(axes)
    legend_beside(figure, [axes])
    return figure


def _tokens(rows: pd.DataFrame, corrupt: str) -> str:
    """Mean numbers of tokens and of prompts, in the order of the bars."""
    own = rows[rows["corrupt"] == corrupt].set_index("setting")
    own = own.loc[[name for name in SETTINGS if name in own.index]]
    tokens, prompts = ([f"{value:,.3g}" for value in own[name]] for name in ("n_corrupted", "n"))
    return f"{_once(tokens)} tokens\nn = {_once(prompts)}"


def _once(texts: list[str]) -> str:
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


def draw_attention(rows: pd.DataFrame) -> Figure:
    """Three panels: attention's share of the effect, what is lost when outputs are held, and
    differences between relation and subject, paired by prompt."""
    shares, losses = rows[rows["measure"] == SHARE], rows[rows["measure"].isin(LOSSES)]
    figure = Figure(figsize=(13.6, 3.9), layout="constrained")
    panels = figure.subplots(1, 3, width_ratios=[2, 4, 3])
    figure.suptitle("Does attention carry more of the effect when the relation is corrupted?")
    _shares(panels[0], shares)
    _losses(panels[1], losses)
    _differences(panels[2], rows[rows["corrupt"] == CONTRAST])
    legend_beside(figure, panels[:2], "corrupted")
    return figure


def _shares(axes: Axes, rows: pd.DataFrame) -> None:
    frame = rows.assign(group=rows["site"], series=rows["corrupt"])
    grouped_bars(axes, frame, list(SITES), CORRUPTIONS)
    axes.set_xticklabels(list(SITES.values()), fontsize=8)
    axes.set_title(f"attention's share, AIE attention /\n(attention + MLP); {_prompts(rows)}")
    percent_axis(axes, "share of the indirect effect")
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, _RATIOS[0]), min(high, _RATIOS[1]))
    plain_spines(axes)


def _losses(axes: Axes, rows: pd.DataFrame) -> None:
    groups = [f"{site}/{measure}" for measure in LOSSES for site in SITES]
    frame = rows.assign(group=rows["site"] + "/" + rows["measure"], series=rows["corrupt"])
    grouped_bars(axes, frame, groups, CORRUPTIONS)
    labels = [f"{SITES[site]}" for _ in LOSSES for site in SITES]
    axes.set_xticklabels(labels, fontsize=7.5)
    at = axes.get_xaxis_transform()
    for k, words in enumerate(LOSSES.values()):
        axes.text(2 * k + 0.5, 0.99, words, transform=at, ha="center", va="top", fontsize=8)
    axes.axvline(1.5, color="#dddddd", linewidth=0.8, zorder=0)
    axes.margins(y=0.35)
    axes.set_title(f"lost of the residual's effect;\n{_prompts(rows)}")
    percent_axis(axes, "share of the indirect effect")
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, _RATIOS[0]), min(high, _RATIOS[1]))
    plain_spines(axes)


def _differences(axes: Axes, rows: pd.DataFrame) -> None:
    """A line per measure and site, with its interval."""
    told = {SHARE: "attention's share", **LOSSES}
    wanted = [(measure, site) for measure in told for site in SITES]
    found = rows.set_index(["measure", "site"])
    present = [key for key in wanted if key in found.index]
    own = found.loc[present].reset_index() if present else rows
    axes.errorbar(own["value"], range(len(present)), xerr=error_lengths(own, "value"), fmt="D",
                  color="#333333", markersize=5, capsize=3)  # fmt: skip
    axes.axvline(0, color="#333333", linewidth=0.8, zorder=0)
    labels = [f"{told[measure]}, {SITES[site]}".replace("\n", " ") for measure, site in present]
    axes.set_yticks(range(len(present)), [_wrapped(label) for label in labels], fontsize=7.5)
    axes.set_ylim(max(1, len(present)) - 0.5, -0.5)
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, -_RATIOS[1]), min(high, _RATIOS[1]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    percent_axis(axes, "difference", "x")
    axes.set_title(f"relation − subject, paired;\n{_prompts(rows)}")
    plain_spines(axes)


def _wrapped(label: str) -> str:
    """What is measured on one line, where on the next."""
    return label.replace(", ", ",\n", 1)


def _found(rows: pd.DataFrame) -> list[str]:
    return [name for name in CORRUPTIONS if (rows["corrupt"] == name).any()]


def _noise(corrupt: str) -> str:
    words = "subject and relation" if corrupt == "both" else corrupt
    return f"noise on {words}"


def _prompts(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "not measured"
    low, high = int(rows["n"].min()), int(rows["n"].max())
    return f"n = {low:,} prompts" if low == high else f"n = {low:,} to {high:,} prompts"
