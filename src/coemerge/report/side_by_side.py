"""The published figures beside our own, row by row, each with what must stand next to it."""

import re

import pandas as pd

from coemerge.report.findings_implications import implication_controls
from coemerge.report.findings_masks import overlap_means
from coemerge.report.findings_neurons import neuron_controls
from coemerge.report.findings_queries import score_controls, share_controls
from coemerge.report.findings_sides import side_controls
from coemerge.report.findings_tracing import tracing_controls
from coemerge.report.markup import Html, element, interval, join, lines, number, points
from coemerge.report.published import PUBLISHED, Published
from coemerge.report.results import Results, Row, nulls_of, pick

_HEADER = ("Quantity", "Published", "Ours", "Value [low, high]", "n", "Seeds, runs", "Controls",
           "Why they may differ")  # fmt: skip
_NOTES = {  # by study, where it was run
    "co_emergence": "n: of P1-a testable pairs of fact and format, of all; of P1-b cells; of P1-c "
    "pairs of a fact and a target format. θ: the score above which a fact has emerged.",
    "task_localization": "n of P1-d to P1-f: facts, or cells of the heat map. Their drops are "
    "shares of the accuracy before, recovery is one of what corrupted prompts lose.",
    "chain_of_thought": "n of P1-g and P1-h: facts. Their drops are differences of accuracies; "
    "floor: what random units of equal size cost, taken in the same way.",
    "query_localization": "n of P3-a and P3-b: facts. Gains of P3-b are differences of the same "
    "facts' Avg: the mean of Rel and Gen, the edited and the fact's other queries that follow, and "
    "Loc, unrelated queries that stay.",
    "entity_relation": "n of P2-a: facts, of P2-b: prompts. Harmonic means are of the entity and "
    "the relation probe; TI, the transfer index, is what an edit changes on the other side, of "
    "what an edit of that side changes there, net of damage with the change of a third object "
    "taken off both.",
    "knowledge_neurons": "n of P4-a: sets of neurons, or prompts; of P4-b: edited facts. "
    "τ_share: the share of prompts that a neuron has to be found in. Values of P4-b are of what "
    "has to hold under an edit: the new object's inverse, or its synonym.",
}
_FOLDS = {
    "seen": "The same with option sets that training showed together",
    "task": "Direct answers and chain of thought, format by format",
    "sides": "Edits of either side: before the edit, generalisation, and transfer by arm",
    "neurons": "Knowledge neurons of single items",
    "implied": "What edits imply: before the edit, the edit itself, other conditions and arms",
}
_LEVEL = 0.05  # of false discoveries over checkpoints
_NULLS = {
    "permutation": "facts permuted",
    "split_half": "split half",
    "exposure_matched": "exposure matched",
}
_VARIANTS = {
    ("logit", "plain"): "logit scale",
    ("rank", "plain"): "rank scale",
    ("raw", "nested"): "nested",
    ("raw", "covariate"): "exposure as covariate",
}


def own_rows(results: Results, published: Published) -> list[Row]:
    """Rows of the summary with this id, or with one that adds a detail to it (``P1-a.low``)."""
    identity = published.id
    return [
        row
        for row in results.summary
        if (name := str(row.get("id", ""))) == identity
        or (name.startswith(identity) and not name[len(identity)].isalnum())
    ]


def side_by_side(results: Results) -> Html:
    """One line per result of ours, the lesser ones folded away; figures of studies that were not
    run are ``waiting``."""
    main: list[Html] = []
    folded: dict[str, list[Html]] = {}
    for published in PUBLISHED:
        rows = own_rows(results, published)
        first = [row for row in rows if not _fold(row)]
        if first or published.study not in results.missing:
            main += _lines(results, published, first)
        for fold in _FOLDS:
            if rest := [row for row in rows if _fold(row) == fold]:
                folded.setdefault(fold, []).extend(_lines(results, published, rest))
    if not main:
        return Html("")
    notes = " ".join(note for study, note in _NOTES.items() if study not in results.missing)
    parts = [_table(main), element("p", element("small", notes))]
    parts += [
        element("details", element("summary", title), _table(folded[fold]))
        for fold, title in _FOLDS.items()
        if fold in folded
    ]
    return join(parts)


def waiting(results: Results, study: str) -> Html:
    """What the papers report on a study that was not run."""
    found = [published for published in PUBLISHED if published.study == study]
    items = [
        element("li", element("strong", p.id), f" {p.quantity}. Published: {p.value.rstrip('.')}.")
        for p in found
    ]
    return element("ul", *items) if items and study in results.missing else Html("")


def _fold(row: Row) -> str:
    """Which of the lesser groups a row is in, if any: transfer with option sets that were seen (not
    the difference with them), single formats of reasoning, edits by other measures or arm by
    arm, and sets of neurons of single items."""
    name = str(row.get("name", ""))
    if row.get("id") == "P2-a":
        return (
            "" if re.match("(mean|transfer|net)/efficacy/[^/]+/[^/]+(/post)?$", name) else "sides"
        )
    if row.get("id") == "P4-a":
        return "neurons" if "/item" in name else ""
    if row.get("id") == "P4-b":
        return (
            ""
            if re.match("(symmetry|synonymy)/[^/]+/(all|stated_known)/post$", name)
            else ("implied")
        )
    if name.startswith("cot/"):
        return "" if name.endswith("/all") else "task"
    return "seen" if "/seen/" in name else ""


def _table(rows: list[Html]) -> Html:
    head = element("tr", *[element("th", name, scope="col") for name in _HEADER])
    body = element("table", element("thead", head), element("tbody", *rows), class_="side-by-side")
    return element("div", body, class_="scroll", tabindex="0")


def _lines(results: Results, published: Published, own: list[Row]) -> list[Html]:
    """Rows that the published value is of come first, and it stands beside these alone."""
    compared = [row for row in own if published.is_of(str(row.get("name", "")))]
    own = [*compared, *[row for row in own if row not in compared]]
    span = _span(len(own))
    before = element("td", element("strong", published.id), " ", published.quantity, **span)
    after = (
        element("td", _controls(results, published), **span),
        element("td", element("small", published.differs), **span),
    )
    if not own:
        missing = element(
            "td", f"not among the results of {published.study}", class_="missing", colspan="4"
        )
        return [element("tr", before, *_published_cell(published, 0), missing, *after)]
    cells = [_own_cells(row, published) for row in own]
    if compared:
        cells[0] = [*_published_cell(published, len(compared)), *cells[0]]
    if rest := own[len(compared) :]:
        nothing = element("td", "–", **_span(len(rest)))
        cells[len(compared)] = [nothing, *cells[len(compared)]]
    return [
        element("tr", before, *cells[0], *after),
        *[element("tr", *of_row) for of_row in cells[1:]],
    ]


def _published_cell(published: Published, n_rows: int) -> list[Html]:
    population = element("div", element("small", published.population))
    return [element("td", published.value, population, **_span(n_rows))]


def _span(n_rows: int) -> dict[str, str]:
    return {"rowspan": str(max(1, n_rows))}


def _own_cells(row: Row, published: Published) -> list[Html]:
    value = [element("div", value_text(row, published), class_="value")]
    if row.get("interval"):  # what the brackets are, where the study says
        value.append(element("div", element("small", row["interval"])))
    if row.get("floor") is not None:
        value.append(element("div", element("small", _floor(row))))
    full = str(row.get("source") or "")
    runs = element("small", short_source(full), title=full)
    return [
        element("td", row.get("quantity", published.quantity)),
        element("td", *value),
        element("td", counts(row), class_="value"),
        element("td", seeds(row), element("div", runs) if full else ""),
    ]


def _floor(row: Row) -> str:
    high = number(row.get("floor_high"), percent=True)
    up_to = "" if high == "–" else f", 97.5 % of draws below {high}"
    return f"floor {number(row['floor'], percent=True)}{up_to}"


def short_source(source: str) -> str:
    """``a and 3 more`` of a list of runs."""
    first, *others = source.split(", ")
    return f"{first} and {len(others)} more" if others else first


def value_text(row: Row, published: Published) -> str:
    """Fractions in percent where the paper's are, differences of them in points. What is no
    fraction, as a statistic, is shown as it is."""
    value, low, high = (row.get(name) for name in ("value", "low", "high"))
    if row.get("unit") == "points":
        return points(value, low, high)
    if row.get("unit") == "index":  # a ratio, which the paper has no values of
        return interval(value, low, high).replace("-", "−")
    known = [v for v in (value, low, high) if isinstance(v, int | float)]
    percent = published.percent and all(-2 <= v <= 2 for v in known)
    return interval(value, low, high, percent)


def counts(row: Row) -> str:
    n, total = number(row.get("n")), number(row.get("n_total"))
    return n if total in ("–", n) else f"{n} of {total}"


def seeds(row: Row) -> str:
    """A number of seeds, also where the row lists them."""
    found = row.get("seeds")
    return number(len(found) if isinstance(found, list) else found)


def _controls(results: Results, published: Published) -> Html:
    measured = {
        "P1-a": _failure_nulls,
        "P1-b": _interaction_controls,
        "P1-f": _overlap_controls,
        "P2-a": side_controls,
        "P2-b": tracing_controls,
        "P3-a": share_controls,
        "P3-b": score_controls,
        "P4-a": neuron_controls,
        "P4-b": implication_controls,
    }.get(published.id)
    found = measured(results) if measured else []
    return lines([*found, element("small", published.controls)])


def _failure_nulls(results: Results) -> list[str]:
    rows = nulls_of(results.table("nulls"), "failure_rate").to_dict("records")
    return [f"{_NULLS.get(str(row['null']), row['null'])}: {_null_value(row)}" for row in rows]


def _null_value(row: Row) -> str:
    return interval(row["value"], row.get("low"), row.get("high"), percent=True)


def _interaction_controls(results: Results) -> list[str]:
    """The interaction's share at the last step on other scales and in other models, mean over
    seeds; and what it would be if formats had no fact in common."""
    told = []
    for scale in ("raw", "logit"):
        if row := results.null("interaction_share", "permutation", scale):
            told.append(f"facts permuted per format, {scale} scale: {_null_value(row)}")
    frame = results.table("variance")
    if frame.empty:
        return told
    last = pick(frame, component="interaction")
    last = last[last["step"] == last.groupby("seed")["step"].transform("max")]
    shares = pick(last, denominator="total").groupby(["scale", "model"])["eta_squared"].mean()
    known = {key: number(float(share), percent=True) for key, share in shares.dropna().items()}
    told += [f"{name}: {known[key]}" for key, name in _VARIANTS.items() if key in known]
    return told + _significance(frame)


def _overlap_controls(results: Results) -> list[str]:
    """What free masks share, beside what they would share anyhow."""
    means = overlap_means(results)
    told = [f"masks of two facts, one format: {means['facts'][0]:.2f}"] if "facts" in means else []
    if "tasks" in means:
        told.append(f"random units in place of free masks: {means['tasks'][1]:.2f}")
    return told


def _significance(variance: pd.DataFrame) -> list[str]:
    """At how many checkpoints the interaction is more than noise of paraphrases."""
    tests = pick(variance, component="interaction", model="plain", scale="raw", denominator="total")
    if tests.empty or "q_value" not in tests:
        return []
    passed = int((tests["q_value"] < _LEVEL).sum())
    return [f"significant (F test, q < {_LEVEL:g}) at {passed} of {len(tests)} checkpoints"]
