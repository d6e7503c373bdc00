"""The section on where facts live: caveats, then figures and tables (methods 3.5, 3.6, 3.8)."""

from pathlib import Path

from coemerge.report.figures_localization import PICTURES
from coemerge.report.findings import share
from coemerge.report.findings_masks import mask, overlap_means, remask_says
from coemerge.report.markup import Html, element, interval, join, number, table
from coemerge.report.picture import figures
from coemerge.report.plotting import tasks_in_order
from coemerge.report.results import Results, pick

_LEAD = (
    "For a fact and a format, training looks for a small set of attention heads and MLP neurons, "
    "a mask: ablating them takes the answer in that format (necessary), patching them into prompts "
    "that name another subject brings it back (sufficient), and the fact's other formats and other "
    "facts are spared (specific)."
)
_CLAIM = (
    "What is claimed is that function is organised by fact and format. What is not shown is that "
    "formats share nothing before that: one enriched representation of the subject may feed all."
)
_SPREAD = (
    "The spread in the heat maps is across facts, not seeds. Facts are those that the model "
    "answers in every format: prompts and thresholds select easy ones, the others are left out."
)
_MEASURES = {
    "target_drop": ("drop on own fact and format", True),
    "recovery": ("recovery", True),
    "n_heads": ("heads in the mask", False),
    "n_neurons": ("neurons in the mask", False),
}


def localization(results: Results, directory: Path) -> Html:
    """Empty where no masks were trained; figures go to ``directory``."""
    drawn = figures(results, PICTURES, directory)
    if not drawn and not mask(results, "target_drop"):
        return Html("")
    return join(
        [
            element("p", _LEAD),
            element("h3", "What masks do not show"),
            element("ul", *[element("li", told) for told in _caveats(results)], class_="caveats"),
            drawn,
            _entanglement(results),
            _order(results),
        ],
        "\n",
    )


def _caveats(results: Results) -> list[str]:
    """In plain words, each with what was measured about it."""
    remask = remask_says(results)
    disjoint = (
        "Masks of a fact are disjoint because training forbids them to share units. That shows "
        "function that can be isolated, not storage in one place. "
        + (f"Control: {remask}." if remask else "Control, a second mask for the same fact and "
           "format without the first's units: not measured.")
    )  # fmt: skip
    return [disjoint, _natural_overlap(results), _first_come(results), _selected(results), _CLAIM]


def _natural_overlap(results: Results) -> str:
    means = overlap_means(results)
    if "tasks" not in means:
        return "How much masks overlap when they may was not measured."
    jaccard, expected = means["tasks"]
    told = f"Trained without that ban, masks of one fact for two formats share {jaccard:.2f} of "
    told += f"their units (Jaccard); random units would share {expected:.2f}"
    if "facts" in means:
        told += f", masks of two facts for one format share {means['facts'][0]:.2f}"
    return f"{told}."


def _first_come(results: Results) -> str:
    told = "First come, first served: a fact's formats take units in random order, and later ones "
    told += "choose from what is left"
    row = pick(results.table("order_effect"), measure="target_drop").to_dict("records")
    if not row or row[0]["rho"] != row[0]["rho"]:
        return f"{told}. Whether that costs them was not measured."
    rho = interval(row[0]["rho"], row[0]["low"], row[0]["high"]).replace("-", "−")
    first, last = (number(float(row[0][name]), percent=True) for name in ("first", "last"))
    return f"{told}. Rank against drop: Spearman's ρ {rho}; first masks {first}, last ones {last}."


def _selected(results: Results) -> str:
    valid = mask(results, "valid")
    if not valid:
        return _SPREAD
    return f"{_SPREAD} Of all masks {share(valid)} are valid by thresholds fixed beforehand."


def _entanglement(results: Results) -> Html:
    """Both readings beside each other, format by format."""
    rows = results.table("entanglement").to_dict("records")
    found = {(row["reading"], row["task"]): row for row in rows}
    kinds = [k for k in ("generative", "discriminative") if any(row["task"] == k for row in rows)]
    tasks = [*kinds, *tasks_in_order({row["task"] for row in rows} - set(kinds))]
    readings = ("drop", "overlap")
    cells = [
        (task, *[_entangled(found.get((reading, task), {})) for reading in readings])
        for task in tasks
    ]
    header = ("Format", "Damage to other formats per intended damage", "Overlap of free masks")
    told = table(header, cells)
    return join([element("h3", "Entanglement of formats, in two readings"), told]) if told else told


def _entangled(row: dict[str, object]) -> str:
    told = interval(row.get("value"), row.get("low"), row.get("high"))
    return told if told == "–" else f"{told}, n = {number(row.get('n'))}"


def _order(results: Results) -> Html:
    rows = []
    for row in results.table("order_effect").to_dict("records"):
        name, percent = _MEASURES.get(row["measure"], (row["measure"], False))
        rho = interval(row["rho"], row["low"], row["high"]).replace("-", "−")
        ends = [number(float(row[end]), percent) for end in ("first", "last")]
        rows.append((name, rho, *ends, number(row["n"])))
    header = (
        "Of a mask",
        "Spearman's ρ with its rank, mean over facts",
        "First masks",
        "Last masks",
        "Facts",
    )
    told = table(header, rows)
    return join([element("h3", "What coming first is worth"), told]) if told else told
