"""The section on whose neurons they are: caveats, then figures and tables (methods 5)."""

from pathlib import Path

from coemerge.report.edit_tables import choice_says, edit_table
from coemerge.report.figures_query_localization import PICTURES
from coemerge.report.findings import share
from coemerge.report.findings_queries import set_sizes
from coemerge.report.markup import Html, element, join, number, table
from coemerge.report.picture import figures
from coemerge.report.query_rows import CONTROLS, LOCALISERS, OTSU, SETS, share_row
from coemerge.report.results import Results, Row

_LEAD = (
    "Knowledge neurons are MLP neurons that carry an answer's probability. If they hold the fact, "
    "they are the same however the fact is asked. Facts whose queries share neurons are called "
    "consistent here, the others inconsistent: their neurons go with the query, and attention "
    "(knowledge synapses) may choose them."
)
_STUDIED = "studied"
_REASONS = {  # why a fact is not studied
    "not known in enough": "not answered right in enough wordings",
    "beyond study.n_facts": "more than the number asked for (study.n_facts)",
}
_CAVEATS = (
    "If queries of different facts of a relation share as many neurons as queries of one fact, "
    "these neurons are those of the relation and its wordings; if facts with the same answer do, "
    "those of the answer. Read every value beside these nulls.",
    "Classes are cut out of CS2, so that Welch's t of CS2 between them is a check of the "
    "arithmetic, no evidence for two kinds of facts. Otsu's threshold finds a cut in any data.",
    "A class is that of one localiser and one threshold. Facts are those that the model answers in "
    "enough wordings: the easy ones. One query behind other texts is measured where these leave "
    "the answer right, an even easier few.",
    "Neurons of a query that differ from those of another may still do the same: sets are cut at a "
    "share of the strongest neuron.",
)


def query_localization(results: Results, directory: Path) -> Html:
    """Empty where the study was not run; figures go to ``directory``."""
    drawn = figures(results, PICTURES, directory)
    tables = join([part for part in (_shares(results), _edits(results)) if part], "\n")
    if not drawn and not tables:
        return Html("")
    told = element("ul", *[element("li", caveat) for caveat in _caveats(results)], class_="caveats")
    lead = " ".join(part for part in (_LEAD, _studied(results)) if part)
    return join([element("p", lead), told, drawn, tables], "\n")


def _studied(results: Results) -> str:
    """How many facts were studied, and why others were not; over all seeds."""
    rows = results.table("exclusions")
    if rows.empty:
        return ""
    counts = rows.groupby("reason", sort=False)["n"].sum()
    left_out = counts.drop(_STUDIED, errors="ignore").sort_values(ascending=False)
    told = f"Studied: {counts.get(_STUDIED, 0):,} of {counts.sum():,} facts"
    told += f" over {n} seeds" if (n := rows["seed"].nunique()) > 1 else ""
    why = [f"{n:,} {_REASONS.get(reason, reason)}" for reason, n in left_out.items()]
    return f"{told}{'; left out: ' if why else ''}{', '.join(why)}."


def _caveats(results: Results) -> list[str]:
    size = set_sizes(results)
    counted = f" (here {size})" if size else ""
    return [
        f"CS2, the share of neurons that two queries or more have, of those that any has, grows "
        f"with the number of queries and the size of their sets{counted}: compare it with nulls of "
        "the same number and size, not across papers.",
        *_CAVEATS,
    ]


def _shares(results: Results) -> Html:
    """Every localiser, threshold and kind of sets, folded away."""
    measured = results.table("class_shares")
    thresholds = list(dict.fromkeys(measured["threshold"])) if len(measured) else []
    rows = [
        found
        for sets in SETS
        for localiser in LOCALISERS
        for threshold in thresholds
        if (found := _share_line(results, sets, localiser, threshold))
    ]
    header = (
        "Sets",
        "Localiser",
        "CS2 up to",
        *[_one_line(name) for name in CONTROLS],
        "Mean CS2: consistent / inconsistent",
        "Welch's t (arithmetic check)",
        "Facts",
    )
    told = table(header, rows)
    summary = element("summary", "Shares of inconsistent facts by localiser, threshold and null")
    return element("details", summary, told) if told else told


def _one_line(control: str) -> str:
    return f"Inconsistent: {CONTROLS[control]}".replace("\n", " ")


def _share_line(
    results: Results, sets: str, localiser: str, threshold: str
) -> tuple[object, ...] | None:
    found = {
        control: share_row(results, localiser, control, threshold=threshold, sets=sets)
        for control in CONTROLS
    }
    row = found["none"]
    if not row:
        return None
    cut = number(row["cut"])
    return (
        SETS[sets],
        LOCALISERS[localiser],
        threshold if cut == "–" else f"{cut} (Otsu)" if threshold == OTSU else cut,
        *[_value(found[control], row["n"]) for control in CONTROLS],
        f"{number(row['cs2_consistent'])} / {number(row['cs2_inconsistent'])}",
        _welch(row),
        number(row["n"]),
    )


def _value(row: Row, n: int) -> str:
    """With its number of facts where it is not ``n``."""
    told = share({**row, "value": row.get("share")})
    return f"{told} (n = {number(row['n'])})" if row and row["n"] != n else told


def _welch(row: Row) -> str:
    t = number(row["welch_t"]).replace("-", "−")
    return t if t == "–" else f"{t}, p = {row['p_value']:.2g}"


def _edits(results: Results) -> Html:
    told, choice = edit_table(results), choice_says(results)
    if not told:
        return Html("")
    parts = [element("h3", "Edits: what each choice of neurons gives and costs"), told]
    return join([*parts, element("p", choice) if choice else ""])
