"""The table of published figures beside ours."""

from coemerge.report.results import Results, nulls_of
from coemerge.report.side_by_side import short_source, side_by_side
from tests.report.made_up import summary, tables
from tests.report.parsed import Page


def shown(**changes: object) -> Page:
    values = {"tables": tables(), "summary": summary(), "manifests": [], "missing": []}
    return Page(side_by_side(Results(**{**values, **changes})))  # type: ignore[arg-type]


def cells_of(page: Page, identity: str) -> str:
    """Text from one id to the next."""
    start = page.text.index(identity)
    ends = [page.text.index(other) for other in ("P1-b", "P1-c", "P1-d") if other > identity]
    return page.text[start : min(ends)]


def test_each_null_stands_beside_its_own_quantity():
    page = shown()
    failures, variance = (cells_of(page, identity) for identity in ("P1-a", "P1-b"))

    assert "split half: 6.2 % [5.0, 7.5]" in failures
    assert "55.0 %" not in failures
    assert "-1.0 %" not in page.text  # the score of facts never shown is no failure rate
    assert "facts permuted per format, raw scale: 55.0 % [53.0, 57.0]" in variance
    assert "facts permuted per format, logit scale: 58.0 % [56.0, 60.0]" in variance
    assert "41.0 %" not in variance


def test_a_table_of_nulls_without_quantities_is_one_of_failure_rates():
    old = tables()["nulls"].drop(columns=["quantity", "scale"]).head(3)

    assert len(nulls_of(old, "failure_rate")) == 3
    assert nulls_of(old, "interaction_share").empty


def test_the_interaction_has_its_other_scales_and_models():
    text = cells_of(shown(), "P1-b")

    assert "logit scale: " in text
    assert text.index("rank scale: ") < text.index("exposure as covariate: ")


def test_every_value_says_what_its_brackets_are():
    page = shown()
    label = "95 %, bootstrap over seeds then facts"

    assert page.text.count(label) == len(summary())


def test_no_interval_is_said_in_words():
    row = {**summary()[0], "low": None, "high": None, "interval": "no interval (1 fact)"}

    assert "31.2 % no interval (1 fact) 1,031" in shown(summary=[row]).text


def test_a_difference_is_in_points_and_signed():
    assert "difference/exposed/fresh +49.0 points [+41.0, +56.0]" in shown().text


def test_every_row_names_its_runs_shortly_and_in_full_on_request():
    page = shown()
    full = "fact_injection-seed0, fact_injection-seed1, c, d"

    assert page.text.count("fact_injection-seed0 and 3 more") == len(summary())
    assert page.attributes.count(("title", full)) == len(summary())
    assert short_source("a") == "a"
    assert short_source("") == ""


def test_transfer_with_option_sets_that_were_seen_is_folded_away():
    page = shown()
    fold = page.text.index("The same with option sets that training showed together")

    assert page.text.index("transfer/exposed/seen") > fold
    assert page.text.index("difference/exposed/seen") < fold
    assert page.text.count("transfer/exposed/fresh/generative/generative") == 1
    assert "details" in page.tags


def test_the_interaction_says_at_how_many_checkpoints_it_is_significant():
    made = tables(1)
    own = (
        (made["variance"]["component"] == "interaction")
        & (made["variance"]["model"] == "plain")
        & (made["variance"]["scale"] == "raw")
        & (made["variance"]["denominator"] == "total")
    )
    made["variance"]["q_value"] = 0.5
    first_two = made["variance"].index[own][:2]
    made["variance"].loc[first_two, "q_value"] = 0.01

    page = shown(tables=made)

    assert f"significant (F test, q < 0.05) at 2 of {own.sum()} checkpoints" in page.text
