"""HTML that is escaped unless it was built here: text never becomes markup by accident."""

import html
import math
from collections.abc import Iterable, Sequence


class Html(str):
    """Markup that may go into the page as it is."""

    __slots__ = ()


def to_html(content: object) -> Html:
    """``content`` as text, escaped; ``Html`` stays as it is, nothing at all becomes a dash."""
    if isinstance(content, Html):
        return content
    missing = content is None or (isinstance(content, float) and math.isnan(content))
    text = "–" if missing else str(content).replace(" %", "\u00a0%")  # never apart on two lines
    return Html(html.escape(text, quote=True))


def element(tag: str, *children: object, **attributes: str) -> Html:
    """``element("td", 5, class_="number")``; children are escaped."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(value, quote=True)}"'
        for name, value in attributes.items()
    )
    return Html(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children: Iterable[object], between: str = "") -> Html:
    return Html(between.join(to_html(child) for child in children))


def lines(children: Iterable[object]) -> Html:
    """One below the other inside a cell."""
    return join([element("div", child) for child in children])


def table(header: Sequence[object], rows: Iterable[Sequence[object]], **attributes: str) -> Html:
    """A table in a box that scrolls sideways on narrow screens; empty Html without rows."""
    body = [element("tr", *[element("td", cell) for cell in row]) for row in rows]
    if not body:
        return Html("")
    head = element("tr", *[element("th", cell, scope="col") for cell in header])
    inner = element("table", element("thead", head), element("tbody", *body), **attributes)
    return element("div", inner, class_="scroll", tabindex="0")


def folded(title: str, content: Html) -> Html:
    """Content that a click opens."""
    return element("details", element("summary", title), content)


def number(value: object, percent: bool = False, signed: bool = False) -> str:
    """A value for reading: 47.9 %, 0.23, 1,031; a dash where there is none."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return "–"
    if percent:
        return f"{100 * value:{'+' if signed else ''}.1f} %"
    if isinstance(value, int) or value.is_integer():
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def points(value: object, low: object, high: object) -> str:
    """A difference of shares: ``+8.9 points [−4.7, +22.2]``."""
    middle, *bounds = [
        number(v, percent=True, signed=True).removesuffix(" %").replace("-", "−")
        for v in (value, low, high)
    ]
    if middle == "–":
        return middle
    return f"{middle} points" + ("" if "–" in bounds else f" [{bounds[0]}, {bounds[1]}]")


def interval(value: object, low: object, high: object, percent: bool = False) -> str:
    """``47.9 % [44.1, 51.6]``; without bounds where one is missing or both are the value."""
    middle = number(value, percent)
    bounds = [number(bound, percent).removesuffix(" %") for bound in (low, high)]
    if "–" in (middle, *bounds) or low == high == value:
        return middle
    return f"{middle} [{bounds[0]}, {bounds[1]}]"
