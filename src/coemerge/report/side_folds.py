"""What is folded away on the two sides of facts: settings tried, how edits ended, facts left out,
and tracing in numbers."""

from coemerge.report.findings import change
from coemerge.report.findings_sides import index_text
from coemerge.report.markup import Html, element, folded, join, number, points, table
from coemerge.report.plotting import arm_label
from coemerge.report.results import Results, Row
from coemerge.report.side_choices import choice_rows
from coemerge.report.side_rows import (
    EDITORS,
    LOSSES,
    MEASURES,
    SETTINGS,
    SHARE,
    SIDES,
    SITES,
    arms_of,
    role_name,
    transfer_rows,
)

STUDIED = "studied"
FOR_SETTINGS = "kept for choosing settings"
_REASONS = {  # why a fact is not edited
    "beyond study.n_facts": "more than the number asked for (study.n_facts)",
    "without another object": "without another object to be given",
    "not known": "not answered right before any edit",
}


def transfer_table(results: Results) -> Html:
    """Every transfer index, with what it is the ratio of."""
    rows = [
        (EDITORS[row["editor"]].label, SIDES[row["edit_side"]], MEASURES.get(row["measure"], "–"),
         arm_label(row["arm"], " "), index_text(row), number(row.get("n_none")),
         points(row["gain"], None, None),
         points(row["own_gain"], None, None), number(row["n_documents"]), number(row["n"]))
        for row in transfer_rows(results).to_dict("records")
    ]  # fmt: skip
    header = ("Editor", "Edited", "Measure", "Facts", "TI on the other side", "Nothing changes in",
              "Gain there", "Gain there of edits of that side",
              "Documents in that side's formats, per fact", "n")  # fmt: skip
    return folded("Every transfer index (TI)", table(header, rows)) if rows else Html("")


def choice_table(results: Results) -> Html:
    """Every setting tried, the reported ones first; means over seeds."""
    frame = results.table("edit_choice")
    if frame.empty:
        return Html("")
    rows, n_edges = choice_rows(frame)
    note = (
        "Chosen is what has the highest harmonic mean of efficacy, generalisation, specificity and "
        "the share of the subject's other facts that stay, on facts that were kept for it and are "
        "not among those reported; layers are those named (study.layers), or the one that causal "
        "tracing points at. Edge: the best of what was tried is its largest or smallest, so that "
        "something beyond may be better. Means over seeds."
    )
    header = ("Editor", "Edited", "Layer", "Settings", "Efficacy", "Generalisation", "Specificity",
              "Other facts that stay", "Their harmonic mean", "Layer from tracing", "Chosen",
              "Facts")  # fmt: skip
    told = table(header, rows)
    count = f"Settings tried: {len(rows):,}" + (
        f"; {n_edges:,} chosen at an edge" if n_edges else ""
    )
    return folded(count, join([element("p", element("small", note)), told])) if told else Html("")


def outcome_table(results: Results) -> Html:
    """How edits ended, by editor and side."""
    frame = results.table("edit_outcomes")
    rows = []
    for editor in EDITORS if len(frame) else ():
        for side in SIDES:
            own = frame[(frame["editor"] == editor) & (frame["edit_side"] == side)]
            if own.empty:
                continue
            counts = [int(own[name].sum()) for name in ("diverged", "already_answered")]
            loss, steps, size = (own[name].median() for name in ("loss", "n_steps", "size"))
            rows.append((EDITORS[editor].label, SIDES[side], number(len(own)),
                         *map(number, counts), number(float(loss)), number(float(steps)),
                         number(float(size))))  # fmt: skip
    header = ("Editor", "Edited", "Edits", "Diverged: changed nothing",
              "Wanted answer there before", "Loss at the end, nats (median)", "Steps (median)",
              "Size of the change, of the weights' norm (median)")  # fmt: skip
    told = table(header, rows)
    return folded("How edits ended", told) if told else Html("")


def exclusion_table(results: Results) -> Html:
    """Facts by arm and by what became of them, over all seeds and relations."""
    frame = results.table("side_exclusions")
    if frame.empty:
        return Html("")
    counts = frame.groupby(["arm", "reason"], sort=False)["n"].sum()
    rows = [
        (arm_label(arm, " "), reason if reason in (STUDIED, FOR_SETTINGS)
         else f"left out: {reason_words(reason)}",
         number(int(counts[arm, reason])))
        for arm in arms_of(frame)
        for reason in sorted(counts[arm].index, key=lambda name: (name != STUDIED, name))
    ]  # fmt: skip
    return folded("Facts studied and left out, by arm", table(("Facts", "Are", "Number"), rows))


def reason_words(reason: str) -> str:
    return _REASONS.get(reason, reason)


def attention_table(results: Results) -> Html:
    """Every share and loss with the site that it is of."""
    told = {SHARE: "attention's share", **LOSSES}
    frame = results.table("attention_shares")
    rows = [
        (told.get(str(row["measure"]), str(row["measure"])), str(row["corrupt"]).replace("-", "−"),
         SITES.get(str(row["site"]), str(row["site"])).replace("\n", " "), _site(row),
         change(row), number(int(row["n"])))
        for row in frame.to_dict("records")
    ]  # fmt: skip
    header = ("Measure", "Corrupted", "Site", "Role and layer", "Value", "Prompts")
    return folded("Attention's share: sites and values", table(header, rows)) if rows else Html("")


def _site(row: Row) -> str:
    if not row["role"]:
        return "–"
    layer = f", layer {row['layer']}" if row["layer"] >= 0 else ""
    return f"{role_name(row['role'], str(row['corrupt']))}{layer}"


def totals_table(results: Results) -> Html:
    """Total effects with how many prompts they and the indirect effects are of."""
    rows = [
        (SETTINGS[str(row["setting"])].label if row["setting"] in SETTINGS else row["setting"],
         row["corrupt"], number(row["p_clean"]), number(row["p_corrupted"]),
         change(row, "total_effect"),
         number(row["n_corrupted"]), number(row["n"]), number(row["n_kept"]),
         number(row["n_total"]))
        for row in results.table("tracing_totals").to_dict("records")
    ]  # fmt: skip
    header = ("Prompts", "Noise on", "Probability of the answer", "Under noise", "Total effect",
              "Tokens with noise", "Answered right", "Of these in maps", "Traced")  # fmt: skip
    return (
        folded("Total effects, and prompts they are of", table(header, rows)) if rows else Html("")
    )
