"""A page taken apart, for tests to look into."""

import re
from html.parser import HTMLParser
from pathlib import Path

from coemerge.report.page import write_report

_OPEN_ENDED = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Text outside of drawings and styles, attributes, and drawings with their number of paths."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.paths: list[int] = []
        self.opened: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in _OPEN_ENDED:
            self.opened.append(tag)
        if tag == "svg":
            self.paths.append(0)
        if tag == "path":
            self.paths[-1] += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _OPEN_ENDED:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"svg", "style"} & set(self.opened):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(directory: Path) -> Page:
    """Writes the page of a run's directory into ``report`` there."""
    return Page(write_report(directory, directory / "report").read_text("utf-8"))


def drawn(directory: Path) -> set[str]:
    """Names of the pictures of that page."""
    return {path.stem for path in (directory / "report" / "figures").glob("*.svg")}


def plain_text(told: str) -> str:
    """Of markup."""
    return " ".join(re.sub("<[^>]*>", " ", told).replace("\u00a0", " ").split())
