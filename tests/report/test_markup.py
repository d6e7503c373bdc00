"""Escaping, and numbers as text."""

from coemerge.report.markup import Html, element, interval, number


def test_markup_is_escaped_unless_it_was_built_here():
    assert element("p", "a<b", Html("<i>"), title='"') == '<p title="&quot;">a&lt;b<i></p>'
    assert element("p", None, float("nan")) == "<p>––</p>"


def test_numbers_are_written_for_reading():
    assert number(0.4789, percent=True) == "47.9 %"
    assert [number(x) for x in (1031, 1031.0, 0.2345, float("inf"), None, True)] == [
        "1,031", "1,031", "0.234", "–", "–", "–",
    ]  # fmt: skip
    assert interval(0.5, 0.4, 0.6, percent=True) == "50.0 % [40.0, 60.0]"
    assert interval(0.5, None, 0.6, percent=True) == "50.0 %"
    assert interval(0.5, 0.5, 0.5) == "0.5"
