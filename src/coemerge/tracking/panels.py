"""Sections and panels of the dashboard."""

from collections.abc import Sequence

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

Names = Sequence[str]
Panel = wr.LinePlot | wr.BarPlot
FRACTION = (0, 1)


def section(name: str, panels: Sequence[Panel]) -> ws.Section:
    return ws.Section(name=name, panels=list(panels), is_open=True)


def over_steps(
    title: str, metrics: Names, range_y: tuple[float | None, float | None] = (None, None)
) -> Panel:
    return wr.LinePlot(title=title, x="step", y=list(metrics), title_x="step", range_y=range_y)


def at_the_end(title: str, metrics: Names) -> Panel:
    """Bars of last values, all of them fractions."""
    return wr.BarPlot(title=title, metrics=list(metrics), range_x=FRACTION)
