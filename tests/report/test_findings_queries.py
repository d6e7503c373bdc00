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
NAN = float("nan")
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


def test_the_finding_has_the_share_its_null_and_what_is_shared_by_other_facts():
    assert plain(query_finding(results())) == (
        "<strong>Queries of most facts share few neurons:</strong> 70.0 % [60.0, 80.0] of 60 facts "
        "are inconsistent by integrated gradients (CS2 up to 0.3), 63.0 % [53.0, 73.0] by all "
        "localisers at once; with queries of different facts 95.0 % [85.0, 100.0] (n = 60). "
        "Published: 77 % by three localisers at once in a far larger model, less in GPT-2. CS2 of "
        "a fact's queries beyond that of queries of other facts +0.15 [+0.12, +0.18] (n = 60), of "
        "those with the same answer +0.07 [+0.04, +0.10] (n = 40): some neurons are the fact's own."
    )


@pytest.mark.parametrize(
    ("localiser", "control", "bounds", "headline"),
    [
        ("joint", "none", (0.3, 0.2, 0.4), "Queries of most facts share some neurons:"),
        ("joint", "none", (0.0, 0.0, 0.0), "Queries of most facts share some neurons:"),
        ("joint", "none", (0.55, 0.4, 0.7), "is open:"),
        ("joint", "none", (0.7, NAN, NAN), "is open:"),
        ("all", "none", (0.0, 0.0, 0.0), "share few neurons:"),  # told, not judged by
        ("joint", "context", (0.9, 0.8, 1.0), "share few neurons:"),
    ],
)
def test_the_headline_follows_from_the_main_localiser(
    localiser: str, control: str, bounds: Bounds, headline: str
):
    found = changed("class_shares", "share", bounds, localiser=localiser, control=control)

    assert headline in query_finding(found)


def test_texts_before_a_query_are_no_part_of_the_finding():
    assert "13.5" not in query_finding(results())
    assert "before" not in query_finding(results())


def test_a_threshold_is_named_by_what_it_is():
    frame = MADE_UP["class_shares"]
    main = (frame["threshold"] == "otsu") & (frame["localiser"] == "joint")
    main &= (frame["sets"] == "threshold") & (frame["control"] == "none")
    told = query_finding(results(class_shares=frame.assign(main=main)))

    assert "(CS2 up to 0.36, Otsu&#x27;s threshold)" in told
    assert "static" not in told


def test_one_localiser_alone_has_no_intersection():
    alone = MADE_UP["class_shares"].query("localiser == 'gradient' and control == 'none'")
    told = plain(query_finding(results(class_shares=alone)))

    assert "70.0 % [60.0, 80.0] of 60 facts are inconsistent by gradient × activation" in told
    assert "at once;" not in told
    assert "different facts 95" not in told


ABOVE, AROUND, NO_INTERVAL = (0.1, 0.06, 0.14), (0.02, -0.02, 0.06), (0.1, NAN, NAN)


@pytest.mark.parametrize(
    ("others", "same", "words"),
    [
        (ABOVE, ABOVE, "some neurons are the fact's own."),
        (ABOVE, AROUND, "as far as can be told, the answer's."),
        (ABOVE, None, "the fact's or its answer's"),
        (AROUND, AROUND, "as far as can be told, the relation's or its wordings'."),
        (AROUND, None, "as far as can be told, the relation's or its wordings'."),
        ((-0.1, -0.14, -0.06), None, "the relation's or its wordings'."),
        (NO_INTERVAL, NO_INTERVAL, "is open."),
        (None, AROUND, "is open."),
        (None, None, "were not measured."),
    ],
)
def test_paired_differences_decide_whose_neurons_they_are(
    others: Bounds | None, same: Bounds | None, words: str
):
    frame = MADE_UP["consistency_means"].copy()
    for control, bounds in (("none - other_facts", others), ("none - same_answer", same)):
        frame.loc[frame["control"] == control, ["value", "low", "high"]] = bounds or (NAN,) * 3
    found = results(consistency_means=frame)

    assert words in whose(found)
    assert words in consistency_says(found)
    assert words in plain(query_finding(found))


def test_overlap_of_the_means_own_intervals_decides_nothing():
    wide = changed("consistency_means", "value", (0.26, 0.0, 0.5), control="other_facts")

    assert "the fact's own" in whose(wide)


def test_without_nulls_it_is_said_so():
    means = MADE_UP["consistency_means"].query("control == 'none'")
    told = consistency_says(results(consistency_means=means))

    assert "were not measured" in told
    assert "random" not in told
    assert "Other wordings" not in told


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((-0.28, -0.31, -0.25), "Other wordings change the neurons more than"),
        ((0.28, 0.25, 0.31), "Other wordings change the neurons less than"),
        ((0.05, -0.01, 0.1), "may change the neurons more or less than"),
    ],
)
def test_wordings_beside_other_texts_before_a_query(bounds: Bounds, words: str):
    found = changed("consistency_means", "value", bounds, control="none - context")

    assert words in consistency_says(found)
    assert "of the 8 facts still answered right" in consistency_says(found)


def test_own_neurons_matter_more_by_paired_differences_alone():
    apart = "consistent facts and inconsistent facts"
    close = changed("mapping_effects", "delta_prob", (-0.03, -0.08, 0.01),
                    neurons="own - intersection", cls="consistent")  # fmt: skip
    same = changed("mapping_effects", "delta_prob", (-0.62, -0.68, -0.56), neurons="intersection")

    assert mapping_says(results()).count(apart) == 3
    assert f"common to the other queries: {apart};" in mapping_says(same)
    assert "common to the other queries: inconsistent facts;" in mapping_says(close)
    assert "less those common to the other queries −3.0 points [−8.0, +1.0]" in mapping_says(close)


def test_undefined_effects_are_left_out():
    empty = changed("mapping_effects", "delta_prob", (NAN,) * 3, neurons="own", cls="consistent")
    no_other = changed("mapping_effects", "delta_prob", (NAN,) * 3, neurons="own - mismatched")

    assert mapping_says(results()).count("by own neurons") == 2
    assert mapping_says(empty).count("by own neurons") == 1
    assert "another fact's query" not in mapping_says(no_other)


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
def test_what_many_wordings_do_follows_from_facts_as_assigned(bounds: Bounds, words: str):
    found = changed("wording_effects", "cs2", bounds, regime="reworded - repeated",
                    facts="assigned")  # fmt: skip

    assert words in wordings_say(found)
    assert "of known facts alone +0.26 [+0.15, +0.36], 7 facts" in wordings_say(found)


def test_known_facts_alone_judge_nothing():
    known = MADE_UP["wording_effects"].query("facts == 'known'")
    told = wordings_say(results(wording_effects=known))

    assert "no comparison by lot" in told
    assert "makes" not in told


def test_maps_without_spread_have_no_correlation():
    flat = MADE_UP["neuron_maps"].assign(attribution=0.0)

    assert "undefined for the consistent fact" in maps_say(results(neuron_maps=flat))
    assert changed_maps_say(results(neuron_maps=flat)) == ""


def test_controls_beside_published_values_are_those_of_the_tables():
    assert [plain(told) for told in share_controls(results())][2:4] == [
        "gradient × activation alone: 70.0 % [60.0, 80.0] (n = 60)",
        "the same wordings, each of another fact of the relation: 85.5 % [75.5, 95.5] (n = 60)",
    ]
    assert score_controls(results())[1].startswith("update, Avg of local 71.7 % [68.7, 74.7]")


def test_nothing_measured_nothing_said():
    says = (query_finding, whose, consistency_says, maps_say, changed_maps_say, mapping_says,
            synapses_say, wordings_say)  # fmt: skip
    assert [say(NOTHING) for say in says] == [""] * len(says)
    assert share_controls(NOTHING) == score_controls(NOTHING) == []
