"""What masks and reasoning say, one sentence each; words that judge follow from numbers here."""

from coemerge.report.findings import finding, share, surely_above, surely_below
from coemerge.report.markup import Html
from coemerge.report.results import Results, Row
from coemerge.statistics.thresholds import NECESSARY, SPARED, SUFFICIENT


def mask(results: Results, measure: str, control: str = "none", variant: str = "exclusive") -> Row:
    """A figure of all masks; empty where it was not measured."""
    row = results.named(f"mask/{variant}/all/{control}/{measure}")
    return row if row.get("value") is not None else {}


def mask_finding(results: Results) -> Html:
    """Whether the units found for a format are that format's own; empty without masks."""
    own, others, random = (
        mask(results, "target_drop"),
        mask(results, "tasks_drop"),
        mask(results, "target_drop", "random"),
    )
    if not own or not others:
        return Html("")
    second = remask_says(results)
    return finding(
        f"{_specific(own, others, random)}:",
        f"ablating the units found for one format costs {share(own)} of its answers and "
        f"{share(others)} of the other formats'"
        + (f"; random units of equal number {share(random)}" if random else "")
        + (f"; {second}." if second else "."),
    )


def _specific(own: Row, others: Row, random: Row) -> str:
    more_than_random = not random or surely_above(own, random.get("high") or random["value"])
    if surely_above(own, NECESSARY) and more_than_random and surely_below(others, SPARED):
        return "Units of a fact can be found that serve one format and spare the others"
    if surely_above(own, others.get("high") or others["value"]) and more_than_random:
        return "Units found for one format hurt it most, but others too"
    if own.get("low") is None or others.get("low") is None:
        return "Units found for one format (no intervals, hence no verdict)"
    return "No units were found that serve one format alone"


def remask_says(results: Results) -> str:
    """What a second mask for the same fact and format says about disjointness; empty without."""
    drop, recovery = (mask(results, name, variant="remask") for name in ("target_drop", "recovery"))
    if not drop or not recovery:
        return ""
    told = f"a second mask without the first's units costs {share(drop)} and recovers " + share(
        recovery
    )
    first = "free" if mask(results, "target_drop", variant="free") else "exclusive"
    if not _passes(results, first):
        return f"{told}, which says little, as first masks are not necessary and sufficient either"
    if surely_above(drop, NECESSARY) and surely_above(recovery, SUFFICIENT):
        return f"{told}, so that disjoint masks are no evidence for separate stores"
    if surely_below(drop, NECESSARY) or surely_below(recovery, SUFFICIENT):
        return f"{told}, so that the units are not easily replaced by others"
    return f"{told}, which leaves open whether disjoint masks mean anything"


def _passes(results: Results, variant: str) -> bool:
    """Whether masks are necessary and sufficient in the mean; the second one leaves out the units
    of free masks, where there are such."""
    drop, recovery = (mask(results, name, variant=variant) for name in ("target_drop", "recovery"))
    enough = drop.get("value", 0) >= NECESSARY and recovery.get("value", 0) >= SUFFICIENT
    return bool(enough)


def overlap_means(results: Results) -> dict[str, tuple[float, float]]:
    """Overlap and what chance gives, means over pairs of formats (``tasks``) or formats
    (``facts``)."""
    rows = results.table("mask_overlap")
    if rows.empty:
        return {}
    means = rows.dropna(subset=["jaccard"]).groupby("between")[["jaccard", "expected"]].mean()
    return {str(name): (row["jaccard"], row["expected"]) for name, row in means.iterrows()}


def reasoning_finding(results: Results) -> Html:
    """Whether restating a fact first makes an answer depend on other formats; empty without."""
    names = ("direct", "cot")
    own, worst = (
        [_reasoning(results, masks, name) for name in names] for masks in ("own", "other_worst")
    )
    if not all([*own, *worst]):
        return Html("")
    headline = {
        (False, True): "An answer that reasons first depends on other formats, a direct one does "
        "not",
        (True, True): "Direct answers and answers that reason first both depend on other formats",
        (True, False): "Direct answers depend on other formats, those that reason first do not",
        (False, False): "No dependence on other formats shows beyond what luck explains",
    }[_beyond_floor(worst[0]), _beyond_floor(worst[1])]
    return finding(
        f"{headline}:",
        f"the answered format's own units cost {share(own[0])} of direct answers and "
        f"{share(own[1])} of those that restate the fact first, the worst of the other formats' "
        f"{_with_floor(worst[0])} and {_with_floor(worst[1])}.",
    )


def _reasoning(results: Results, masks: str, prompting: str) -> Row:
    row = results.named(f"cot/{masks}/{prompting}/all")
    return row if row.get("value") is not None else {}


def _beyond_floor(row: Row) -> bool:
    """More than random units of equal size cost, taken in the same way."""
    floor, high = row.get("floor"), row.get("floor_high")
    if floor is None:
        return False
    return surely_above(row, floor) and bool(row["value"] > (floor if high is None else high))


def _with_floor(row: Row) -> str:
    floor = row.get("floor")
    if floor is None:
        return f"{share(row)} (floor not known)"
    return f"{share(row)} (floor {share({'value': floor})})"
