"""What the page says about whose neurons they are: the words follow from the numbers."""

import pandas as pd
import pytest

from coemerge.report.findings_queries import (
    consistency_says,
    query_finding,
    score_controls,
    share_controls,
    whose,
)
from coemerge.report.findings_query_effects import (
    changed_maps_say,
    mapping_says,
    maps_say,
    synapses_say,
    wordings_say,
)
from coemerge.report.results import Results
from tests.report.made_up_queries import query_tables

Bounds = tuple[float, float, float]
MADE_UP = query_tables()
NOTHING = Results(tables={}, summary=[], manifests=[], missing=[])


def results(**tables: pd.DataFrame) -> Results:
    return Results(tables={**MADE_UP, **tables}, summary=[], manifests=[], missing=[])


def changed(name: str, column: str, bounds: Bounds, **rows: object) -> Results:
    """The made-up tables, with other values and bounds in these rows."""
    frame = MADE_UP[name].copy()
    chosen = pd.Series(True, index=frame.index)
    for key, value in rows.items():
        chosen &= frame[key] == value
    assert chosen.any()
    frame.loc[chosen, [column, "low", "high"]] = bounds
    return results(**{name: frame})


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("&#x27;", "'")


def test_the_finding_has_the_share_its_floor_and_what_is_shared_by_other_facts():
    assert plain(query_finding(results())) == (
        "<strong>Most facts have other neurons when asked in other words:</strong> 63.0 % [53.0, "
        "73.0] of 60 facts are inconsistent under all localisers (static threshold), 13.5 % [3.5, "
        "23.5] when the words of the query stay and others precede it. Published: 77 % in a far "
        "larger model, less in GPT-2. Queries of one fact share more neurons than queries of "
        "different facts do: some are the fact's."
    )


@pytest.mark.parametrize(
    ("control", "bounds", "headline"),
    [
        ("none", (0.3, 0.2, 0.4), "Most facts keep neurons"),
        ("none", (0.55, 0.4, 0.7), "is open:"),
        ("none", (0.7, float("nan"), float("nan")), "is open:"),
        ("context", (0.6, 0.5, 0.7), "in every query, whether or not its words change:"),
    ],
)
def test_the_headline_follows_from_intervals(control: str, bounds: Bounds, headline: str):
    found = changed("class_shares", "share", bounds, localiser="all", control=control)

    assert headline in query_finding(found)


def test_without_a_common_verdict_one_localiser_speaks():
    alone = MADE_UP["class_shares"].query("localiser == 'gradient' and control == 'none'")
    told = plain(query_finding(results(class_shares=alone)))

    assert "70.0 % [60.0, 80.0] of 60 facts are inconsistent by one localiser" in told
    assert "others precede it" not in told


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0.12, 0.11, 0.13), "some are the fact's"),
        ((0.25, 0.21, 0.29), "do not surely share more"),
        ((0.3, 0.26, 0.34), "belongs to the relation or its wordings, not to the fact"),
    ],
)
def test_queries_of_other_facts_decide_whose_neurons_they_are(bounds: Bounds, words: str):
    found = changed("consistency_means", "value", bounds, control="other_facts")

    assert words in whose(found)
    assert words in consistency_says(found)
    assert words in plain(query_finding(found))


def test_without_that_null_it_is_said_so():
    means = MADE_UP["consistency_means"].query("control == 'none'")
    told = consistency_says(results(consistency_means=means))

    assert "were not measured" in told
    assert "random" not in told
    assert "Other wordings" not in told


def test_other_texts_before_a_query_are_the_floor():
    low = changed("consistency_means", "value", (0.28, 0.2, 0.3), control="context")

    assert "Other wordings change the neurons more" in consistency_says(results())
    assert "Other wordings do not surely change" in consistency_says(low)


def test_own_neurons_matter_more_only_beyond_intervals():
    close = changed("mapping_effects", "delta_prob", (-0.58, -0.64, -0.52),
                    neurons="intersection", cls="consistent")  # fmt: skip

    assert mapping_says(results()).endswith("for: consistent facts and inconsistent facts.")
    assert mapping_says(close).endswith("for: inconsistent facts.")


def test_undefined_effects_are_left_out():
    empty = changed("mapping_effects", "delta_prob", (float("nan"),) * 3,
                    neurons="intersection", cls="consistent")  # fmt: skip

    assert "consistent facts −62" in mapping_says(results())
    assert mapping_says(empty).count("by own neurons") == 1


def test_synapses_are_judged_against_unrelated_ones():
    alike = changed("synapse_effects", "value", (-0.4, -0.45, -0.35), synapses="unrelated")

    assert synapses_say(results()).count(", surely below") == 4
    assert synapses_say(alike).count(", not surely below") == 4


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0.17, 0.1, 0.24), "share more neurons"),
        ((-0.17, -0.24, -0.1), "−0.17 [−0.24, −0.10]"),
        ((-0.17, -0.24, -0.1), "share fewer neurons"),
        ((0.02, -0.05, 0.09), "is open"),
    ],
)
def test_what_many_wordings_do_follows_from_the_contrast(bounds: Bounds, words: str):
    found = changed("wording_effects", "cs2", bounds, regime="reworded - repeated")

    assert words in wordings_say(found)


def test_maps_without_spread_have_no_correlation():
    flat = MADE_UP["neuron_maps"].assign(attribution=0.0)

    assert "undefined for the consistent fact" in maps_say(results(neuron_maps=flat))
    assert changed_maps_say(results(neuron_maps=flat)) == ""


def test_controls_beside_published_values_are_those_of_the_tables():
    assert [plain(told) for told in share_controls(results())][2:4] == [
        "gradient × activation alone: 70.0 % [60.0, 80.0]",
        "the same wordings, each of another fact of the relation: 85.5 % [75.5, 95.5]",
    ]
    assert score_controls(results())[1].startswith("update, Avg of local 71.7 % [68.7, 74.7]")


def test_nothing_measured_nothing_said():
    says = (query_finding, whose, consistency_says, maps_say, changed_maps_say, mapping_says,
            synapses_say, wordings_say)  # fmt: skip
    assert [say(NOTHING) for say in says] == [""] * len(says)
    assert share_controls(NOTHING) == score_controls(NOTHING) == []
