"""What came out, in plain words; every word that judges follows from numbers by a rule here."""

from coemerge.report.findings import finding, share
from coemerge.report.findings_implications import implication_finding
from coemerge.report.findings_masks import mask_finding, reasoning_finding
from coemerge.report.findings_neurons import neuron_finding
from coemerge.report.findings_queries import query_finding
from coemerge.report.findings_sides import side_finding
from coemerge.report.markup import Html, number, points
from coemerge.report.results import Results, Row
from coemerge.statistics.thresholds import THETA

# Beside a published difference of tens of points, one that is surely smaller than this is none.
MARGIN = 0.10
NEAR_ZERO = 0.05  # of a failure rate, and of a score (T-X1)
_WITHIN = ("generative/generative", "discriminative/discriminative")
_ACROSS = ("generative/discriminative", "discriminative/generative")


def judge(low: float | None, high: float | None) -> str:
    """Whether the published direction, a difference above 0, shows in an interval of ours."""
    if low is None or high is None:
        return "undecided (no interval)"
    if low > -MARGIN and high < MARGIN:
        return f"does not replicate (the difference is below {100 * MARGIN:.0f} points)"
    if low > 0:
        return "replicates"
    if high < 0:
        return "does not replicate (it is the other way round)"
    return "undecided (interval includes 0)"


def is_at_chance(score: float, low: float, high: float) -> bool:
    """T-X1: no further from 0 than 0.05 or two standard errors, and 0 inside the interval. Half an
    interval of 95 % is about two standard errors."""
    return abs(score) <= max(NEAR_ZERO, (high - low) / 2) and low <= 0 <= high


def verdict(results: Results) -> list[Html]:
    """One paragraph per finding, the main one first; empty without a study."""
    parts = (_asymmetry, _kinds, _across, _failures, _interaction, _never, mask_finding,
             reasoning_finding, query_finding, side_finding, neuron_finding,
             implication_finding)  # fmt: skip
    return [found for part in parts if (found := part(results))]


def _asymmetry(results: Results) -> Html:
    """From which kind of source facts get into other generative formats: luck plays no part."""
    published = (
        "Published: from generative sources 40–90 % of facts show in another format, from "
        "discriminative ones 3–42 %."
    )
    one, other = (
        results.named(f"transfer/exposed/fresh/{kind}/generative")
        for kind in ("generative", "discriminative")
    )
    contrast = results.named("difference/into_generative/fresh")
    if contrast:
        return finding(
            f"The published asymmetry: {judge(contrast.get('low'), contrast.get('high'))}.",
            published,
            "Here, of facts shown in one format alone (arm A2), generative → another generative "
            f"format {share(one)}, discriminative → generative {share(other)}: a difference of "
            f"{_points(contrast)}.",
        )
    if results.named(f"failure/{THETA:g}/A2_single_source"):
        why = "not testable: the model is not competent at formats of one kind."
    else:
        why = "not tested: no facts were shown in one format alone."
    known = [results.named(f"transfer/emerged/fresh/{kinds}") for kinds in _ACROSS]
    told = (
        f"Of facts known in a source, generative → discriminative {share(known[0])}, "
        f"discriminative → generative {share(known[1])}."
    )
    return finding(f"The published asymmetry: {why}", published, told) if all(known) else Html("")


def _across(results: Results) -> Html:
    """From one kind to the other both ways lose: by how much more the one than the other."""
    one, other = (results.named(f"transfer/exposed/fresh/{kinds}") for kinds in _ACROSS)
    raw = results.named("difference/exposed/fresh")
    if not (one and other and raw):
        return Html("")
    beyond = results.named("difference/beyond_never/fresh")
    luck = results.named("transfer/never/fresh/nothing/discriminative")
    seen = results.named("difference/exposed/seen")
    last = beyond or raw
    what = "beyond luck" if beyond else "as it is"
    return finding(
        "From one kind to the other, generative sources further than discriminative ones: "
        f"{judge(last.get('low'), last.get('high'))}.",
        f"Generative → discriminative {share(one)}, discriminative → generative {share(other)}: "
        f"{_points(raw)}, with answer options that training showed together {_points(seen)}.",
        f"But {share(luck)} of discriminative pairs of facts never shown pass by luck: {what} it "
        f"is {_points(beyond)}." if beyond and luck else "",
    )  # fmt: skip


def _kinds(results: Results) -> Html:
    """Whether facts stay within the kind of format that showed them, where it is clear."""
    within, across = (
        [results.named(f"transfer/exposed/fresh/{kinds}") for kinds in pairs]
        for pairs in (_WITHIN, _ACROSS)
    )
    lows = [row["low"] for row in within if row.get("low") is not None]
    highs = [row["high"] for row in across if row.get("high") is not None]
    if len(lows) + len(highs) < 4:
        return Html("")
    apart = min(lows) > max(highs)
    headline = "Facts stay within their kind of format." if apart else "Within a kind of format:"
    return finding(
        headline,
        f"From one generative format to another: {share(within[0])}; from one discriminative "
        f"format to another: {share(within[1])}.",
    )


def _failures(results: Results) -> Html:
    all_arms, everywhere, single = (
        results.named(f"failure/{THETA:g}/{arm}") for arm in ("all", "A0_full", "A2_single_source")
    )
    if all_arms.get("value") is None:
        return Html("")
    shown = single_text = ""
    if (rate := everywhere.get("value")) is not None:
        near = "near 0, as it should be" if rate <= NEAR_ZERO else "not near 0: not all was learned"
        shown = f"Shown in every format (control, A0): {share(everywhere)}, {near}."
    if single.get("value") is not None:
        single_text = f"Shown in one format alone (A2): {share(single)}."
    return finding(
        f"{share(all_arms)} of {number(all_arms.get('n'))} testable pairs fail to co-emerge.",
        "Published: 47.9 %.", shown, single_text,
    )  # fmt: skip


def _interaction(results: Results) -> Html:
    row = results.named("interaction/raw/total")
    if row.get("value") is None:
        return Html("")
    null = results.null("interaction_share", "permutation")
    expected = (
        f"It would be {number(null['value'], percent=True)} if formats had nothing of a fact in "
        "common."
        if null else ""
    )  # fmt: skip
    return finding(
        f"The pair of fact and format explains {share(row)} of the variance of scores.",
        "Published: 23 %.", expected,
    )  # fmt: skip


def _never(results: Results) -> Html:
    null = results.null("score", "never_shown")
    if not null or null["low"] != null["low"]:  # NaN: a single fact
        return Html("")
    value, low, high = (float(null[name]) for name in ("value", "low", "high"))
    where = "at chance" if is_at_chance(value, low, high) else "not at chance"
    told = f"{value:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")
    return finding(
        f"Facts that were never shown (control, A5) score {where}:",
        f"{told}, where 0 is chance and 1 is certain ({number(null['n'])} facts).",
    )


def _points(row: Row) -> str:
    return points(row.get("value"), row.get("low"), row.get("high"))
