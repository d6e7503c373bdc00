"""Edits of syntax and of facts as tables: scores, settings tried, what edits imply, and samples."""

import pandas as pd

from coemerge.report.findings import change
from coemerge.report.markup import Html, element, folded, join, lines, number, points, table
from coemerge.report.neuron_rows import (
    ALL,
    CHECKS,
    CONDITIONS,
    EXPECTED,
    FAMILIES,
    KINDS,
    MOMENTS,
    SCORES,
    editors_of,
    families_of,
    rate_rows,
    topic_name,
    topics_of,
)
from coemerge.report.plotting import arm_label
from coemerge.report.query_rows import first
from coemerge.report.results import Results, Row, pick
from coemerge.report.side_choices import edges, setting_values
from coemerge.report.side_rows import arms_of, editor_name

NOBODY = "no such facts"
_KEYS = ("condition", "editor", "check", "moment")
_TRIED = ("es", "ps", "ns", "s")


def score_table(results: Results) -> Html:
    """Every topic and editor: scores before and under edits."""
    frame = results.table("rewrites")
    rows = []
    for kind, topic in topics_of(frame):
        own = frame[(frame["kind"] == kind) & (frame["topic"] == topic)]
        for editor in editors_of(own):
            of_editor = own[own["editor"] == editor]
            cells = [_moments(of_editor[of_editor["measure"] == name]) for name in SCORES]
            last = first(of_editor)
            layer = "chosen by neurons" if last["layer"] < 0 else number(int(last["layer"]))
            rows.append((KINDS[kind].label, topic_name(topic, KINDS[kind].label),
                         editor_name(editor), *cells, layer, last["setting"] or "as they are",
                         last.get("token", "–"), number(int(of_editor["n"].max()))))  # fmt: skip
    header = ("Kind", "Phenomenon or relation", "Editor", *SCORES.values(), "Layer", "Settings",
              "Edited token", "Edits")  # fmt: skip
    note = (
        "Under the edit, and below it before; means over edits with 95 % intervals. What is edited "
        "and what is a neighbour was answered right: by selection ES starts at 0, and NS at 1 or "
        "near it. S is of edits that have ES, PS and NS."
    )
    told = join([element("p", element("small", note)), table(header, rows)])
    return folded("Scores of edits, syntax beside facts", told) if rows else Html("")


def _moments(rows: pd.DataFrame) -> Html:
    """``98.0 % [97.0, 99.0]`` under the edit, below it what was before."""
    pre, post = (first(pick(rows, moment=moment)) for moment in ("pre", "post"))
    return lines([change(post), element("small", f"before {change(pre)}")])


def choice_table(results: Results) -> Html:
    """Every setting tried, those chosen first; means over seeds."""
    frame = results.table("rewrite_choice")
    rows: list[tuple[object, ...]] = []
    n_edges = 0
    for kind in KINDS if len(frame) else ():
        own = frame[frame["kind"] == kind]
        for editor in editors_of(own):
            told, n = _tried(own[own["editor"] == editor], KINDS[kind].label)
            rows, n_edges = [*rows, *told], n_edges + n
    note = (
        "Chosen is what has the highest harmonic mean of ES, PS and NS (those that are defined) on "
        "words and facts kept for it, which are not among those reported. Edge: the best of what "
        "was tried is its largest or smallest, so that something beyond may be better."
    )
    header = ("Kind", "Editor", "Layer", "Settings", "Edited token", "ES", "PS", "NS",
              "Their harmonic mean", "Chosen", "Edits")  # fmt: skip
    title = f"Settings tried on syntax and facts: {len(rows):,}"
    title += f" ({n_edges:,} chosen at an edge)" if n_edges else ""
    shown = join([element("p", element("small", note)), table(header, rows)])
    return folded(title, shown) if rows else Html("")


def _tried(frame: pd.DataFrame, kind: str) -> tuple[list[tuple[object, ...]], int]:
    """Rows of one kind and editor, and how many of those chosen lie at an edge."""
    grouped = frame.groupby(["layer", "setting", "token"], sort=False)
    found = [(int(own["chosen"].sum()), own["s"].mean(), key, own) for key, own in grouped]
    found.sort(key=lambda item: (-item[0], -item[1] if pd.notna(item[1]) else float("inf")))
    tried = [setting_values(int(key[0]), str(key[1])) for _, _, key, _ in found]
    rows: list[tuple[object, ...]] = []
    n_edges = 0
    for chosen, _, (layer, setting, token), own in found:
        edge = edges(setting_values(int(layer), str(setting)), tried) if chosen else []
        n_edges += bool(edge)
        told = "–"
        if chosen:
            seeds = own["seed"].nunique()
            told = "yes" if seeds == 1 else f"in {chosen} of {seeds} seeds"
            told += f" (edge: {', '.join(edge)})" if edge else ""
        rows.append(
            (kind, editor_name(str(own["editor"].iloc[0])),
             "chosen by neurons" if layer < 0 else number(int(layer)), setting or "as they are",
             token, *[number(float(own[name].mean()), percent=True) for name in _TRIED], told,
             number(int(own["n"].sum())))
        )  # fmt: skip
    return rows, n_edges


def implication_tables(results: Results) -> Html:
    """Of each family a table in the open, of all arms by condition; arms and relations folded."""
    rows = results.table("implication_rates")
    parts: list[object] = []
    for family in families_of(rows):
        own = rows[rows["family"] == family]
        parts += [
            element("h3", f"{FAMILIES[family]}: what edits of facts imply, by editor"),
            _table(rate_rows(results, family=family)),
            *[
                folded(f"The same of facts {arm_label(arm, ' ')}", told)
                for arm in arms_of(own)
                if arm != ALL and (told := _table(pick(own, edited=ALL, arm=arm)))
            ],
            *[
                folded(f"The same where {topic_name(str(edited))} is edited", told)
                for edited in sorted(set(own["edited"]) - {ALL})
                if (told := _table(pick(own, edited=edited, arm=ALL)))
            ],
        ]
    if not parts:
        return Html("")
    note = (
        "Edit of s → old object into s → new object. A cell: token agreement under the edit, below "
        "it that of the untouched model; means over facts with 95 % intervals (a fact and "
        "what restates it are one unit). In brackets what a consistent edit would bring. Edits are "
        "of facts answered right: before, old objects are right and new ones wrong by selection, "
        "and so is what restates them where it is known. Which edits take differs by editor. Other "
        "facts of s tell what follows from a change of the subject as a whole. A condition without "
        "facts is no failure of an edit."
    )
    return join([element("p", element("small", note)), *parts], "\n")


def _table(rows: pd.DataFrame) -> Html:
    """A line per condition and editor, a column per check."""
    checks = [name for name in CHECKS if len(rows) and (rows["check"] == name).any()]
    header = ["Facts", "n", "Editor"]
    for check in checks:
        wanted = str(rows[rows["check"] == check]["expected"].iloc[0])
        header.append(f"{CHECKS[check]} ({EXPECTED.get(wanted, wanted)})")
    keyed = {tuple(row[name] for name in _KEYS): row for row in rows.to_dict("records")}
    found: list[tuple[object, ...]] = []
    for condition, words in CONDITIONS.items():
        own = rows[rows["condition"] == condition] if len(rows) else rows
        if own.empty:
            continue
        if not own["n"].max():
            found.append((words, "0", "–", *[NOBODY] * len(checks)))
            continue
        counts = own.groupby("editor")["n"].agg(["min", "max"])
        for editor in editors_of(own):
            cells = [_cell(keyed, (condition, editor, check)) for check in checks]
            found.append((words, _range(*counts.loc[editor]), editor_name(editor), *cells))
    return table(header, found)


def _cell(rows: dict[tuple[str, ...], Row], key: tuple[str, ...]) -> Html | str:
    pre, post, difference = (rows.get((*key, name), {}) for name in (*MOMENTS, "difference"))
    if not post.get("n"):
        return NOBODY
    told: list[object] = [change(post), element("small", f"before {change(pre)}")]
    if difference and pd.notna(difference["value"]):
        told.append(element("small", _points(difference)))
    return lines(told)


def _points(row: Row) -> str:
    return points(row["value"], row["low"], row["high"])


def _range(low: int, high: int) -> str:
    return number(int(high)) if low == high else f"{number(int(low))} to {number(int(high))}"


def completion_table(results: Results) -> Html:
    """What the model says before and under one edit: of the first editor in the open."""
    frame = results.table("completions")
    parts: list[object] = []
    for k, editor in enumerate(editors_of(frame)):
        told = _completions(frame[frame["editor"] == editor])
        name = editor_name(editor)
        title = f"What the model says before and after one edit ({name})"
        parts += [element("h3", title), told] if not k else [folded(f"The same with {name}", told)]
    note = "The first facts in the order of the tables, not chosen; greedy continuations."
    return join([*parts, element("p", element("small", note))], "\n") if parts else Html("")


def _completions(frame: pd.DataFrame) -> Html:
    rows = [
        (FAMILIES.get(row["family"], row["family"]), row["edit"].replace("->", "→"), row["prompt"],
         CHECKS.get(row["check"], row["check"]), row["expected"], row["pre"], row["post"])
        for row in frame.to_dict("records")
    ]  # fmt: skip
    header = ("Family", "Edit", "Prompt", "Asks for", "A consistent edit brings", "Before",
              "Under the edit")  # fmt: skip
    return table(header, rows)
