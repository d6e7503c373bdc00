"""The figures of the study ``co_emergence``: which there are, of which tables, what they show."""

from coemerge.report.figure_curves import draw_emerged, draw_variance
from coemerge.report.figure_dynamics import (
    draw_emergence_points,
    draw_retention,
    emergence_rows,
)
from coemerge.report.figure_exposure import draw_exposure
from coemerge.report.figure_failure import arm_rows, draw_failure_by_arm, draw_failure_by_window
from coemerge.report.figure_matrix import draw_matrix, matrix_rows
from coemerge.report.picture import Picture
from coemerge.report.results import pick
from coemerge.statistics.thresholds import COMPETENT, THETA

_SHOWN = ("exposed", ("A2_single_source", "all"))  # basis, arms
_KNOWN = ("emerged", ("all",))


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
        "failure_by_arm",
        "Failure to co-emerge, by arm",
        "Share of testable pairs whose fact has not emerged in the format although it has in "
        "another one and the model is competent, to the last checkpoint, emerged at any time. "
        "Bars: 95 % intervals. Lines with bands are controls. A rate means little where it does "
        "not exceed that of one half of the paraphrases against the other: that is noise of "
        "measurement alone. Facts never shown pass the threshold somewhere by luck, most easily "
        "where there are two options, and luck does not repeat in another format.",
        ("failure", "nulls"),
        lambda r: arm_rows(r.table("failure")),
        lambda r: draw_failure_by_arm(arm_rows(r.table("failure")), r.table("nulls")),
    ),
    Picture(
        "exposure",
        "Score against number of exposures",
        "Facts shown in the source format alone. A line per source and target, coloured by target, "
        "to the number of documents that the source was given, which may differ between formats; "
        "grey, where all pairs have the same numbers: their mean. At 0: facts never shown. "
        "Whiskers: 95 % interval over facts where there is one seed, range over seeds where there "
        "are several.",
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
        "emergence_points",
        "When facts emerge, and in which order",
        f"Left: the first step at which a fact's smoothed score reaches {THETA:g}. Right: whether "
        "facts emerge in the same order in two formats, rank correlation over all arms, those that "
        "never emerge last. Much of it is exposure: a fact shown in both formats emerges in both, "
        "one shown in neither in none. emergence_order.parquet has it by arm, and the number of "
        "facts that emerged in both.",
        ("emergence_points", "emergence_order"),
        lambda r: emergence_rows(r.table("emergence_points")),
        lambda r: draw_emergence_points(r.table("emergence_points"), r.table("emergence_order")),
    ),
    Picture(
        "retention",
        "What injections leave",
        "Share of the gain in log-probability that is left some steps after the last injection's "
        "peak; 1 at the peak, 0 when all is forgotten. Lines: least squares on the logarithm of "
        "steps. Outliers (beyond twice the interquartile range) are left out of points and lines; "
        "steps to zero beyond those probed are extrapolated.",
        ("retention", "retention_fit"),
        lambda r: r.table("retention"),
        lambda r: draw_retention(r.table("retention"), r.table("retention_fit")),
    ),
)
