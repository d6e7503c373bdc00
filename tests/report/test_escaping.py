"""Whatever runs, directories and summaries are called, the page shows it as text."""

import json
from typing import Any

import pytest

from coemerge.report.page import write_report
from tests.report.made_up import manifest, summary, tables, write_results
from tests.report.parsed import Page

TAG = "<script>alert(1)</script>"
OUT_OF = "\"><img src=x onerror=alert(2)>'&amp;<!--"
MATH = r"$\frac{1$ ]]> {0} %s"
EVIL = TAG + OUT_OF + MATH
FORBIDDEN = {"script", "img", "iframe", "object", "embed", "a"}


def evil(value: Any) -> Any:
    """Every text in it goes on with markup."""
    if isinstance(value, dict):
        return {key: evil(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [evil(inner) for inner in value]
    return value + EVIL if isinstance(value, str) else value


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    directory = tmp_path_factory.mktemp("x") / "run <img onerror=alert(3)> & 'co'"
    told = [{**row, **{key: evil(row[key]) for key in ("quantity", "source", "interval")}}
            for row in summary(1)]  # fmt: skip
    curves = tables(1)["curves"].replace({"openqa": TAG + r"$\frac{1$", "A0_full": TAG})
    content = {"pairs": tables(1)["pairs"], "curves": curves}
    write_results(directory, "co_emergence", content, told)
    text = json.dumps(evil({**manifest(0), "versions": {"coemerge" + EVIL: "1"}}))
    (directory / "manifest.json").write_text(text)
    return Page(write_report(directory, directory / "report").read_text("utf-8"))


def test_nothing_of_it_becomes_markup(page: Page):
    assert not FORBIDDEN & page.tags
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert "src" not in names


def test_it_is_shown_letter_by_letter(page: Page):
    for told in (manifest(0)["run_id"], summary(1)[0]["quantity"]):
        assert told + " ".join(EVIL.split()) in page.text


def test_drawings_keep_their_words(page: Page):
    assert page.paths
    assert min(page.paths) > 5
