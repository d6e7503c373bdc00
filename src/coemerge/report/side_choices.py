"""Settings of edits that were tried, and whether those chosen lie at an edge of them."""

import math
from collections.abc import Iterable

import pandas as pd

from coemerge.report.markup import number
from coemerge.report.side_rows import EDITORS, SIDES, editor_name

_SCORES = ("es", "ps", "ns", "ks", "s")
Line = tuple[object, ...]


def choice_rows(frame: pd.DataFrame) -> tuple[list[Line], int]:
    """A row per setting of ``edit_choice``, those chosen first, means over seeds; and how many of
    the chosen ones lie at an edge."""
    rows, n_edges = [], 0
    for side in SIDES:
        for editor in EDITORS:
            own = frame[(frame["editor"] == editor) & (frame["edit_side"] == side)]
            for line, edge in _tried(own):
                rows.append(line)
                n_edges += bool(edge)
    return rows, n_edges


def _tried(frame: pd.DataFrame) -> list[tuple[Line, str]]:
    """Of one editor and side: a row of the table, and at which edges it lies if it is chosen."""
    found = []
    for (layer, setting), own in frame.groupby(["layer", "setting"], sort=False):
        values = [own[name].mean() if name in own else math.nan for name in _SCORES]
        found.append((int(own["chosen"].sum()), values[-1], int(layer), str(setting), values, own))
    found.sort(key=lambda item: (-item[0], -item[1] if pd.notna(item[1]) else float("inf")))
    tried = [setting_values(layer, setting) for _, _, layer, setting, *_ in found]
    lines = []
    for chosen, _, layer, setting, values, own in found:
        edge = ", ".join(edges(setting_values(layer, setting), tried)) if chosen else ""
        line: Line = (
            editor_name(str(own["editor"].iloc[0])),
            SIDES[str(own["edit_side"].iloc[0])],
            "chosen by neurons" if layer < 0 else number(layer),
            setting or "as they are",
            *[number(float(value), percent=True) for value in values],
            _in_seeds(int(own["traced"].sum()), len(own)),
            _in_seeds(chosen, len(own)) + (f" (edge: {edge})" if edge else ""),
            number(int(own["n"].sum())),
        )
        lines.append((line, edge))
    return lines


def setting_values(layer: int, setting: str) -> dict[str, float]:
    """Numbers of ``lr=0.5, steps=20``, and the layer."""
    found = {"layer": float(layer)}
    for part in setting.split(", "):
        name, _, value = part.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            continue
    return found


def edges(chosen: dict[str, float], tried: Iterable[dict[str, float]]) -> list[str]:
    """Names of settings of which several values were tried and the largest or smallest is chosen.
    No layer lies before the first."""
    named = []
    for name, value in chosen.items():
        values = {other[name] for other in tried if name in other}
        least = name != "layer" or value > 0
        if len(values) > 1 and (value == max(values) or (value == min(values) and least)):
            named.append(name)
    return named


def _in_seeds(count: int, n: int) -> str:
    if n == 1:
        return "yes" if count else "–"
    return f"in {count} of {n} seeds" if count else "–"
