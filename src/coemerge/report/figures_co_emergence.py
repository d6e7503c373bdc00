"""The figures of the study ``co_emergence``: which there are, of which tables, what they show."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from coemerge.report.figure_curves import draw_emerged, draw_variance
from coemerge.report.figure_exposure import draw_exposure
from coemerge.report.figure_failure import arm_rows, draw_failure_by_arm, draw_failure_by_window
from coemerge.report.figure_matrix import draw_matrix, matrix_rows
from coemerge.report.results import Results, pick
from coemerge.statistics.thresholds import COMPETENT, THETA

_SHOWN = ("exposed", ("A2_single_source", "all"))  # basis, arms
_KNOWN = ("emerged", ("all",))


@dataclass(frozen=True, slots=True)
class Picture:
    """``rows`` are what it draws: without any it is left out. The first of ``tables`` must be
    there, others add to the picture."""

    name: str
    title: str
    caption: str
    tables: tuple[str, ...]
    rows: Callable[[Results], pd.DataFrame]
    draw: Callable[[Results], Figure]


def pictures_of(results: Results) -> list[Picture]:
    """Those whose rows are there, in the order of the report."""
    return [
        picture
        for picture in PICTURES
        if picture.tables[0] in results.tables and len(picture.rows(results))
    ]


PICTURES: tuple[Picture, ...] = (
    Picture(
        "emerged",
        "Facts acquired during training",
        f"Fraction of facts with a score above {THETA:g} on held-out paraphrases and fresh option "
        "sets. Thick lines: mean over seeds, thin lines: each seed; dashed: discriminative "
        f"formats. A model counts as competent at a format when {100 * COMPETENT:.0f} % of all "
        "facts have emerged in it; here the facts are divided by exposure, so that the line is a "
        "landmark.",
        ("curves",),
        lambda r: r.table("curves"),
        lambda r: draw_emerged(r.table("curves")),
    ),
    Picture(
        "failure_by_arm",
        "Failure to co-emerge, by arm",
        "Share of testable pairs whose fact has not emerged in the format although it has in "
        "another one and the model is competent, to the last checkpoint, emerged at any time. "
        "Bars: 95 % intervals. Coloured lines with bands: what the nulls expect. A rate means "
        "little where it does not exceed the null of one half of the paraphrases against the "
        "other, which is measurement noise alone.",
        ("failure", "nulls"),
        lambda r: arm_rows(r.table("failure")),
        lambda r: draw_failure_by_arm(arm_rows(r.table("failure")), r.table("nulls")),
    ),
    Picture(
        "failure_by_window",
        "Failure to co-emerge, by the time allowed",
        "No time allowed demands that formats emerge at the same checkpoint; the last place gives "
        "all the time there is. Any: emerged at some checkpoint within the time; last: at its last "
        "one; 3-in-a-row: at three checkpoints on end. Bars: 95 % intervals. The places on the "
        "axis are evenly spaced whatever the numbers; lines are set off sideways a little, lest "
        "they hide each other.",
        ("failure",),
        lambda r: pick(r.table("failure"), theta=THETA).dropna(subset=["rate"]),
        lambda r: draw_failure_by_window(r.table("failure")),
    ),
    Picture(
        "matrix_exposed",
        "Transfer from source to target format",
        "Rows: the format that showed a fact; columns: the format it is asked in; last checkpoint, "
        f"score above {THETA:g}. In the single-source arm nothing else showed the fact, so that a "
        "row is transfer alone. Grey: no facts, or the model is not competent at the target. "
        "Formats without options are the same on both sides. n: facts, over all seeds.",
        ("matrix",),
        lambda r: matrix_rows(r.table("matrix"), *_SHOWN),
        lambda r: draw_matrix(r.table("matrix"), *_SHOWN),
    ),
    Picture(
        "matrix_emerged",
        "Known in one format, known in another?",
        "As above, but of the facts that have emerged in the source format, whatever showed them: "
        "the published quantity. It mixes transfer with exposure in both formats.",
        ("matrix",),
        lambda r: matrix_rows(r.table("matrix"), *_KNOWN),
        lambda r: draw_matrix(r.table("matrix"), *_KNOWN),
    ),
    Picture(
        "exposure",
        "Score against number of exposures",
        "Facts shown in the source format alone. A line per source and target, coloured by target; "
        "grey: mean over the pairs of a panel. Whiskers: 95 % interval over facts where there is "
        "one seed, range over seeds where there are several.",
        ("exposure",),
        lambda r: r.table("exposure").dropna(subset=["score"]),
        lambda r: draw_exposure(r.table("exposure")),
    ),
    Picture(
        "variance",
        "What explains the scores",
        "Two-way analysis of variance of facts and formats at each checkpoint. Solid: share of all "
        "variance, dashed: of that between cells, without noise of paraphrases; which of them the "
        "published 23 % is of, is not known. Thick: mean over seeds, thin: each seed. Scores are "
        "bounded, so that additive effects on one scale give an interaction on the other: "
        "compare both.",
        ("variance",),
        lambda r: pick(r.table("variance"), model="plain").dropna(subset=["eta_squared"]),
        lambda r: draw_variance(r.table("variance")),
    ),
)
