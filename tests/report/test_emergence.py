"""The figure of what has emerged while a model trains."""

import pandas as pd
from matplotlib.figure import Figure

from coemerge.report.emergence import _draw_panel


def test_a_task_that_has_no_colour_of_its_own_is_drawn_too():
    rows = [
        {"task": task, "step": step, "fact_id": "f", "score": float(step)}
        for task in ("card", "completion")
        for step in (0, 1)
    ]
    axes = Figure().subplots()

    _draw_panel(axes, pd.DataFrame(rows), "all")

    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert drawn["card"] == drawn["completion"] == [0.0, 1.0]
