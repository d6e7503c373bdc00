"""The published figures beside our own, row by row, each with what must stand next to it."""

from coemerge.report.markup import Html, element, interval, lines, number
from coemerge.report.published import PUBLISHED, Published
from coemerge.report.results import Results, Row, pick

_HEADER = ("Quantity", "Published", "Ours", "Value [low, high]", "n", "Seeds", "Controls",
           "Why they may differ")  # fmt: skip
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
    """All published rows, also those without results of ours; one line per result of ours."""
    rows = [row for published in PUBLISHED for row in _rows(results, published)]
    head = element("tr", *[element("th", name, scope="col") for name in _HEADER])
    body = element("table", element("thead", head), *rows, class_="side-by-side")
    return element("div", body, class_="scroll", tabindex="0")


def _rows(results: Results, published: Published) -> list[Html]:
    own = own_rows(results, published)
    span = {"rowspan": str(max(1, len(own)))}
    before = (
        element("td", element("strong", published.id), " ", published.quantity, **span),
        element(
            "td", published.value, element("div", element("small", published.population)), **span
        ),
    )
    after = (
        element("td", _controls(results, published), **span),
        element("td", element("small", published.differs), **span),
    )
    if not own:
        missing = element("td", f"not run (study {published.study})", class_="missing", colspan="4")
        return [element("tr", *before, missing, *after)]
    own_cells = [_own_cells(row, published) for row in own]
    return [
        element("tr", *before, *own_cells[0], *after),
        *[element("tr", *cells) for cells in own_cells[1:]],
    ]


def _own_cells(row: Row, published: Published) -> list[Html]:
    value = element("td", value_text(row, published), class_="value")
    if row.get("interval"):  # what the brackets are, where the study says
        value = element(
            "td", value_text(row, published), element("div", element("small", row["interval"]))
        )
    return [
        element("td", row.get("quantity", published.quantity)),
        value,
        element("td", counts(row), class_="value"),
        element("td", seeds(row)),
    ]


def value_text(row: Row, published: Published) -> str:
    """Fractions in percent where the paper's are. What is no fraction, as a statistic, is shown
    as it is."""
    value, low, high = (row.get(name) for name in ("value", "low", "high"))
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
    measured = {"P1-a": _null_values, "P1-b": _other_scales}.get(published.id)
    found = measured(results) if measured else []
    return lines([*found, element("small", published.controls)])


def _null_values(results: Results) -> list[str]:
    return [
        f"{_NULLS.get(str(row['null']), row['null'])}: "
        f"{interval(row['value'], row.get('low'), row.get('high'), percent=True)}"
        for row in results.table("nulls").to_dict("records")
    ]


def _other_scales(results: Results) -> list[str]:
    """The interaction's share at the last step on other scales and in other models, mean over
    seeds."""
    frame = results.table("variance")
    if frame.empty:
        return []
    last = pick(frame, component="interaction")
    last = last[last["step"] == last.groupby("seed")["step"].transform("max")]
    shares = pick(last, denominator="total").groupby(["scale", "model"])["eta_squared"].mean()
    known = {key: number(float(share), percent=True) for key, share in shares.dropna().items()}
    return [f"{name}: {known[key]}" for key, name in _VARIANTS.items() if key in known]
