"""A picture of the page: of which tables, what it shows, and how it gets into the page."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from coemerge.report.markup import Html, element, join, to_html
from coemerge.report.plotting import drawing
from coemerge.report.results import Results, code_version
from coemerge.report.style import save_figure


@dataclass(frozen=True, slots=True)
class Picture:
    """``rows`` are what it draws: without any it is left out. The first of ``tables`` must be
    there, others add to the picture. ``says`` tells its main numbers in words, empty for none."""

    name: str
    title: str
    caption: str
    tables: tuple[str, ...]
    rows: Callable[[Results], pd.DataFrame]
    draw: Callable[[Results], Figure]
    says: Callable[[Results], str] | None = None


def pictures_of(results: Results, pictures: Sequence[Picture]) -> list[Picture]:
    """Those whose rows are there, in the order given."""
    return [
        picture
        for picture in pictures
        if picture.tables[0] in results.tables and len(picture.rows(results))
    ]


def clear_figures(directory: Path) -> None:
    """Figures of an earlier page that may not be drawn any more are removed."""
    for path in directory.glob("*.*"):
        if path.suffix in (".png", ".svg"):
            path.unlink()


def figures(results: Results, pictures: Sequence[Picture], directory: Path) -> Html:
    """Draws them into ``directory``; empty where there is nothing to draw."""
    found = pictures_of(results, pictures)
    return join([_figure(results, picture, directory) for picture in found], "\n")


def _figure(results: Results, picture: Picture, directory: Path) -> Html:
    with drawing():
        save_figure(picture.draw(results), directory, picture.name)
    drawn = inline_svg((directory / f"{picture.name}.svg").read_text("utf-8"), picture)
    used = [name for name in picture.tables if name in results.tables]
    told = picture.says(results) if picture.says else ""
    origin = f"From {', '.join(f'{name}.parquet' for name in used)}; {_code(results, used)}."
    return element(
        "figure",
        element("h3", picture.title),
        element("p", told) if told else "",
        element("div", drawn, class_="scroll", tabindex="0"),
        element("figcaption", picture.caption, " ", element("span", origin, class_="origin")),
    )


def inline_svg(text: str, picture: Picture) -> Html:
    """The drawing without what only a file of its own needs; ids get the figure's name, as several
    drawings share a page. Equal images have equal ids, and nothing refers to them: they lose
    theirs."""
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", svg)
    prefix = f"{picture.name}-"
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = svg.replace('xlink:href="#', f'href="#{prefix}').replace("url(#", f"url(#{prefix}")
    label = to_html(picture.title)
    return Html(svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).strip())


def _code(results: Results, tables: list[str]) -> str:
    """The versions that wrote these tables; where they do not say, those of the runs."""
    versions = {results.code[name] for name in tables if name in results.code}
    versions = versions or {version for m in results.manifests if (version := code_version(m))}
    return f"code version {' and '.join(sorted(versions))}" if versions else "code version unknown"
