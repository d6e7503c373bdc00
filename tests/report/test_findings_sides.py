"""What the page says about the two sides of facts: the words follow from the numbers."""

import pandas as pd
import pytest

from coemerge.report.findings_damage import controls_say, damage_says, kept_says
from coemerge.report.findings_sides import (
    own_says,
    saturation_says,
    side_controls,
    side_finding,
    transfer_says,
)
from coemerge.report.findings_tracing import (
    neutral_says,
    peaks_say,
    severing_says,
    share_says,
    tracing_controls,
)
from coemerge.report.results import Results
from tests.report.made_up_sides import side_tables

Bounds = tuple[float, float, float]
MADE_UP = side_tables()
NAN = float("nan")
NOTHING = Results(tables={}, summary=[], manifests=[], missing=[])
EVERY = (side_finding, transfer_says, saturation_says, own_says, peaks_say, share_says,
         neutral_says, severing_says)  # fmt: skip
CONTRAST = {"corrupt": "relation - subject", "measure": "share_attn"}
EDITED = {"measure": "efficacy", "arm": "both_sides"}


def results(**tables: pd.DataFrame) -> Results:
    return Results(tables={**MADE_UP, **tables}, summary=[], manifests=[], missing=[])


def changed(name: str, column: str, bounds: Bounds, **rows: object) -> Results:
    """The made-up tables, with other values and bounds in these rows."""
    frame = MADE_UP[name].copy()
    chosen = pd.Series(True, index=frame.index)
    for key, value in rows.items():
        chosen &= frame[key].isin(value) if isinstance(value, list) else frame[key] == value
    assert chosen.any()
    ends = ["net_low", "net_high"] if column == "net" else ["low", "high"]
    frame.loc[chosen, [column, *ends]] = bounds
    return results(**{name: frame})


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("&#x27;", "'")


def test_the_finding_has_transfer_both_ways_the_published_and_what_was_before():
    frame = MADE_UP["side_transfer"].copy()
    frame.loc[frame["editor"] == "ft", ["index", "low", "high"]] = 0.48, 0.4, 0.56
    frame.loc[frame["editor"] == "ft", ["net", "net_low", "net_high"]] = 0.44, 0.36, 0.52
    told = plain(side_finding(results(side_transfer=frame)))

    assert told.startswith(
        "<strong>Less than half of an edit of one side shows on a fact's other side, where that is "
        "decided:</strong> TI of entity edits asked from the relation side, facts shown from both "
        "sides (both_sides) (n = 24): ROME 0.38 [0.30, 0.46] (net of damage 0.34 [0.26, 0.42]), "
        "MEMIT 0.41 [0.33, 0.49] (net of damage 0.37 [0.29, 0.45]): some of it shows, less than "
        "half; FT 0.48 [0.40, 0.56] (net of damage 0.44 [0.36, 0.52]): some of it shows, perhaps "
        "more than half; FT-L 0.47 [0.39, 0.55] (net of damage 0.43 [0.35, 0.51]): the edits take "
        "on 60.8 % [56.8, 64.8] of facts alone and do not count above: some of it shows, perhaps "
        "more than half; KN 0.50 [0.42, 0.58] (net of damage 0.46 [0.38, 0.54]): the edits "
        "themselves mostly fail. TI of relation edits asked from the entity side"
    )
    assert "0.07 of a relation edit by ROME shows on the entity side, 0.02 of one by FT." in told
    assert "relation probe 5.0 % [4.0, 6.0] (room to rise, n = 24)" in told
    assert "entity edit 2.0 % [1.0, 3.0] before, 99.0 % [95.0, 103.0] under it (it takes)" in told


@pytest.mark.parametrize(
    ("bounds", "headline"),
    [
        ((0.1, 0.0, 0.3), "Less than half of an edit of one side shows on a fact's other side:"),
        ((0.9, 0.8, 1.0), "Most of an edit of one side shows on a fact's other side:"),
        ((0.5, 0.2, 0.8), "How much of an edit shows on a fact's other side is undecided:"),
        ((0.5, NAN, NAN), "is undecided:"),
    ],
)
def test_the_headline_follows_from_the_intervals(bounds: Bounds, headline: str):
    assert headline in plain(side_finding(changed("side_transfer", "net", bounds, **EDITED)))


def test_editors_that_differ_are_said_to_differ():
    found = changed("side_transfer", "net", (0.9, 0.8, 1.0), editor="ft", **EDITED)

    assert "depends on the editor and the side:" in side_finding(found)


@pytest.mark.parametrize("editor", ["kn", "ft_l"])  # 30 % and 60 % take
def test_editors_whose_edits_do_not_take_do_not_make_the_headline(editor: str):
    found = changed("side_transfer", "net", (0.9, 0.8, 1.0), editor=editor, **EDITED)

    assert "Less than half of an edit" in side_finding(found)


def test_where_no_edit_takes_nothing_can_be_said():
    found = changed("cross_side", "value", (0.7, 0.6, 0.8), moment="post", control="none")

    assert "cannot be said, as edits do not take on their own:" in side_finding(found)
    assert "the edits take on 70.0 % [60.0, 80.0] of facts alone" in plain(side_finding(found))


def test_the_headline_goes_by_what_is_net_of_damage():
    """Transfer as it is says the opposite."""
    found = changed("side_transfer", "index", (0.9, 0.8, 1.0), **EDITED)

    assert "Less than half of an edit" in side_finding(found)
    assert "ROME 0.90 [0.80, 1.00] (net of damage 0.34 [0.26, 0.42])" in transfer_says(found)


def test_without_net_transfer_it_is_said_that_damage_is_not_taken_off():
    frame = MADE_UP["side_transfer"].assign(net=NAN, net_low=NAN, net_high=NAN)
    old = frame.drop(columns=["net", "net_low", "net_high", "n_none"])

    for table in (frame, old):
        told = transfer_says(results(side_transfer=table))
        assert "MEMIT 0.41 [0.33, 0.49]: some of it shows, less than half (damage not" in told
        assert "net of damage" not in told


@pytest.mark.parametrize(
    ("n_none", "words"),
    [(24, "it shows in none of 24 facts"), (20, "none of it shows on average")],
)
def test_what_is_zero_everywhere_is_not_undecided(n_none: int, words: str):
    frame = MADE_UP["side_transfer"].copy()
    frame[["index", "low", "high"]] = 0.0
    told = side_finding(results(side_transfer=frame.assign(n_none=n_none)))

    assert f"FT 0.00 [0.00, 0.00] (net of damage 0.40 [0.32, 0.48]): {words}" in told
    assert "Less than half of an edit of one side shows" in told
    assert "undecided" not in told.split("Published")[0]


def test_without_facts_shown_from_both_sides_all_arms_are_told():
    frame = MADE_UP["side_transfer"].query("arm == 'all'")

    assert "facts of all arms (n = 60): ROME 0.18" in side_finding(results(side_transfer=frame))


def test_an_index_that_is_not_defined_is_said_to_be_not():
    nowhere = dict.fromkeys(("index", "low", "high", "net", "net_low", "net_high"), NAN)
    frame = MADE_UP["side_transfer"]
    others = frame[frame["editor"] != "rome"]
    rome = frame[frame["editor"] == "rome"].assign(**nowhere)
    told = transfer_says(results(side_transfer=pd.concat([rome, others])))

    assert "ROME –: not defined, as edits of that side itself gain less than 2 points" in told
    everywhere = frame.assign(**nowhere)
    headline = plain(side_finding(results(side_transfer=everywhere)))
    assert "How much of an edit shows on a fact's other side is not defined:" in headline
    assert "nan" not in headline


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0.0, -0.1, 0.1), "ROME 0.38 [0.30, 0.46] (net of damage 0.00 [−0.10, 0.10])"),
        ((0.0, 0.0, 0.0), "nothing shows"),
        ((0.0, -0.1, 0.1), "whether any of it shows is undecided, surely less than half"),
        ((0.3, -0.4, 1.1), ": undecided;"),
        ((-0.3, -0.4, -0.1), "it shows the other way round"),
        ((0.9, 0.7, 1.1), "most of the edit shows"),
        ((0.3, NAN, NAN), "FT 0.44 [0.36, 0.52] (net of damage 0.30): undecided (no interval)"),
    ],
)
def test_transfer_is_judged_by_its_interval(bounds: Bounds, words: str):
    assert words in transfer_says(changed("side_transfer", "net", bounds, **EDITED))


def test_resamples_without_an_index_are_told():
    unstable = MADE_UP["side_transfer"].assign(undefined=0.12)

    assert "0.42]; not defined in 12.0 % of resamples)" in transfer_says(
        results(side_transfer=unstable)
    )


def test_other_arms_are_told_for_the_leading_editor_alone():
    told = transfer_says(results())

    assert "(entity_only) (n = 18): ROME 0.00 [−0.08, 0.08] (net of damage −0.04" in told
    assert told.count("MEMIT") == 2


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0.97, 0.95, 0.99), "saturated: values under an edit say nothing about transfer"),
        ((0.7, 0.55, 0.85), "partly there already"),
        ((0.5, NAN, NAN), "partly there already"),
        ((0.2, 0.1, 0.3), "room to rise"),
    ],
)
def test_a_probe_is_saturated_where_the_untouched_model_succeeds(bounds: Bounds, words: str):
    found = changed("cross_side", "value", bounds, moment="pre", probe="relation")

    assert f"({words}, n = 60)" in saturation_says(found)
    assert words in side_finding(found)


@pytest.mark.parametrize(
    ("arm", "said"),
    [("both_sides", {"entity", "relation", "removal"}), ("entity_only", {"entity"}),
     ("relation_only", {"relation", "removal"}), ("all", set())],
)  # fmt: skip
def test_values_before_that_follow_from_the_choice_of_facts_are_said_to(arm: str, said: set[str]):
    told = saturation_says(changed("cross_side", "value", (0.0, 0.0, 0.0), moment="pre"), arm)

    for probe in ("entity", "relation", "removal"):
        words = f"{probe} probe 0 % before, by choice of facts (these are known, n ="
        assert (words in told) == (probe in said)
    assert "by choice" not in saturation_says(results(), arm)


def test_damage_is_told_of_editors_that_take():
    told = damage_says(results(), "both_sides")

    assert told.startswith(
        "Damage, as no edit asks for it: a third object is likelier than the old one: 1.0 % "
        "[0.0, 2.0] before (n = 24), under entity edits ROME 6.0 % [2.0, 10.0], MEMIT 6.0 %"
    )
    assert "a third object is answered by the relation's name: 2.0 % [1.0, 3.0] before" in told
    assert "FT 6.0 %" in told
    assert "KN" not in told
    assert "FT-L" not in told


def test_the_subjects_other_facts_are_told():
    told = kept_says(results(), "both_sides")

    assert "still answered right: 100.0 % [99.0, 101.0] before (n = 23), under entity" in told
    assert "under relation edits ROME 80.0 % [76.0, 84.0], MEMIT" in told


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0.06, 0.02, 0.1), "surely less"),
        ((0.4, 0.3, 0.5), "undecided which is more"),
        ((0.9, 0.8, 1.0), "surely more"),
        ((0.06, NAN, NAN), "undecided which is more"),
    ],
)
def test_controls_stand_beside_the_edit_and_are_judged_by_intervals(bounds: Bounds, words: str):
    of = {"control": "mismatched", "moment": "post", "arm": "both_sides"}
    told = controls_say(changed("cross_side", "value", bounds, **of), "both_sides")

    start = "entity edits asked from the relation side: ROME 42.6 % [38.6, 46.6] (edit of another"
    assert start in told
    assert words in told.split("; edit turned in a random direction 4.0 % [0.0, 8.0], surely")[0]
    assert "KN" not in told


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0.99, 0.95, 1.0), "(it takes)"),
        ((0.9, 0.85, 0.95), "(undecided whether it takes)"),
        ((0.5, 0.4, 0.6), "(it does not take on all facts, and no more can show elsewhere)"),
        ((0.9, NAN, NAN), "(undecided whether it takes)"),
    ],
)
def test_rome_takes_on_its_own_side_by_its_interval(bounds: Bounds, words: str):
    of = {"editor": "rome", "edit_side": "relation", "probe": "relation", "moment": "post"}

    assert words in own_says(changed("cross_side", "value", bounds, **of)).split("relation edit")[1]


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0.2, 0.1, 0.3), "attention carries more of it when the relation is corrupted"),
        ((-0.2, -0.3, -0.1), "attention carries less of it when the relation is corrupted"),
        ((0.1, -0.1, 0.3), "+10.0 points [−10.0, +30.0]: undecided (n = 78)"),
        ((0.1, NAN, NAN), "+10.0 points: undecided (n = 78)"),
        ((0.001, 0.0005, 0.002), "surely less than 2 points, none to speak of (n = 78)"),
        ((0.02, 0.01, 0.03), "attention carries more of it when the relation is corrupted"),
    ],
)
def test_attentions_share_is_judged_by_the_paired_difference(bounds: Bounds, words: str):
    assert words in share_says(changed("attention_shares", "value", bounds, **CONTRAST))


def test_shares_without_a_difference_are_told_and_not_judged():
    frame = MADE_UP["attention_shares"].query("corrupt == 'subject'")
    told = share_says(results(attention_shares=frame))

    assert "Best role and layer: subject 30.0 % [23.0, 37.0]. Last corrupted" in told
    assert "attention carries" not in told


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0.06, 0.01, 0.11), "Noise on the relation surely takes more than on neutral words"),
        ((0.7, 0.66, 0.75), "Noise on the relation surely takes less than on neutral words"),
        ((0.38, 0.3, 0.46),
         "Whether noise on the relation takes more than on neutral words is undecided"),
    ],
)  # fmt: skip
def test_the_neutral_control_is_judged_by_intervals(bounds: Bounds, words: str):
    assert words in neutral_says(
        changed("tracing_totals", "total_effect", bounds, corrupt="neutral")
    )


def test_without_the_neutral_control_nothing_is_judged():
    bare = MADE_UP["tracing_totals"].query("setting == 'bare'")
    told = neutral_says(results(tracing_totals=bare))

    assert "subject 62.0 % [57.0, 67.0] (n = 90)" in told
    assert "was not measured" in told
    assert "surely" not in told


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0.2, 0.1, 0.3), "held, 20.0 % [13.0, 27.0] when attention outputs are held: which more"),
        ((0.9, 0.8, 1.0), "MLPs surely matter more"),
        ((0.05, 0.0, 0.1), "5.0 % [0.0, 10.0] when MLP outputs are held, undecided"),
        ((0.05, 0.0, 0.1), "attention surely matters more"),
        ((-0.2, -0.3, -0.1), "when MLP outputs are held, surely more with them held"),
        ((-0.2, NAN, NAN), "−20.0 % (no interval) when MLP outputs are held, undecided"),
    ],
)
def test_severing_is_judged_by_intervals(bounds: Bounds, words: str):
    of = {"corrupt": "subject", "measure": "loss_mlp_severed"}
    told = severing_says(changed("attention_shares", "value", bounds, **of))

    assert words in told.split("; noise on relation")[0]


def test_ratios_without_interval_say_why():
    of = {"corrupt": "subject", "site": "corrupted"}
    found = changed("attention_shares", "value", (0.3, NAN, NAN), **of)

    assert share_says(found).endswith("No interval: what is divided by may be 0.")
    assert severing_says(found).endswith("No interval: what is divided by may be 0.")
    assert "No interval" not in share_says(results()) + severing_says(results())


def test_peaks_are_not_of_roles_that_few_prompts_have():
    frame = MADE_UP["tracing_effects"].copy()
    few = (frame["role"] == "further") & (frame["layer"] == 3)
    frame.loc[few, "aie"], frame.loc[few, "n"] = 0.95, 9

    assert "95.0" not in peaks_say(results(tracing_effects=frame))
    assert "95.0" in peaks_say(results(tracing_effects=frame.assign(n=80)))


def test_peaks_leave_cut_windows_and_the_last_token_aside():
    frame = MADE_UP["tracing_effects"].copy()
    frame.loc[(frame["layer"] == 0) & (frame["kind"] == "mlp"), "aie"] = 0.99
    told = peaks_say(results(tracing_effects=frame))

    assert "noise on subject: residual after one layer 50.0 % [48.0, 52.0] (last subject" in told
    assert "MLP outputs 25.0 % [23.0, 27.0] (last subject token, layer 2, n = 80)" in told
    assert "99.0" not in told


@pytest.mark.parametrize("says", EVERY, ids=lambda f: f.__name__)
def test_without_tables_nothing_is_said(says):
    assert says(NOTHING) == ""


@pytest.mark.parametrize("says", EVERY, ids=lambda f: f.__name__)
def test_what_is_undefined_is_never_told_as_a_number(says):
    kept = {"n", "n_total", "n_kept", "seed", "layer", "place", "window"}
    hollow = {
        name: frame.assign(**dict.fromkeys(set(frame.select_dtypes("number")) - kept, NAN))
        for name, frame in MADE_UP.items()
    }
    told = says(results(**hollow))

    assert "nan" not in told.split()
    if says is not side_finding and says is not transfer_says:  # these say that it is undefined
        assert told == ""


def test_controls_beside_published_rows():
    assert side_controls(NOTHING) == tracing_controls(NOTHING) == []
    assert plain(side_controls(results())[0]) == (
        "before the edit, entity edit, efficacy: 2.9 % [-0.1, 5.9]"
    )
    told = tracing_controls(results())
    assert "noise on both, bare prompts: 80.0 % [75.0, 85.0] (n = 90)" in told
    assert "noise on relation, lost when MLP outputs are held: 50.0 % [43.0, 57.0]" in told
    assert (
        "noise on subject, highest effect before the last token: MLP outputs 25.0 % [23.0, 27.0] "
        "(last subject token, layer 2, n = 80)"
    ) in told
