"""The few figures of reasoning that stand beside published ones (methods 9, rows P1-g and P1-h)."""

from typing import Any

from coemerge.studies.shared.summarised import estimate, find, number

Rows = list[dict[str, Any]]
ALL = "all"
_PROMPTINGS = {"direct": "direct", "cot": "chain of thought"}
_MASKS = {
    "own": ("P1-g", "mask of the answered format"),
    "other_worst": ("P1-h", "worst mask of the fact's other formats"),
    "other_mean": ("P1-h", "mean over masks of the fact's other formats"),
    "route": ("P1-h", "mask of the format that restates the fact"),
}


def summary_rows(tables: dict[str, Rows], seeds: list[int], source: str) -> Rows:
    """Rows of summary.json, all formats first, then each: drops of accuracy, and beside each its
    ``floor``, what random units of equal size cost when the same statistic (the mean, or the worst
    of as many) is taken of them. The value of what was not measured is None.

    Of ``tables`` the one named cot_drops counts.
    """
    drops = [row for row in tables.get("cot_drops", []) if row["route"] == ALL]
    tasks = sorted({row["task"] for row in drops} - {ALL})
    rows = [
        _figure(drops, masks, prompting, task, len(seeds) > 1)
        for masks in _MASKS
        for task in (ALL, *tasks)
        for prompting in _PROMPTINGS
    ]
    return [{"n_total": None, **row, "seeds": seeds, "source": source} for row in rows]


def _figure(drops: Rows, masks: str, prompting: str, task: str, several: bool) -> dict[str, Any]:
    row = find(drops, masks=masks, prompting=prompting, task=task)
    identity, words = _MASKS[masks]
    of = "all formats" if task == ALL else task
    return {
        "id": identity,
        "name": f"cot/{masks}/{prompting}/{task}",
        "quantity": f"drop of accuracy, {_PROMPTINGS[prompting]}, {words}, {of}",
        **estimate(row, "drop", several),
        "floor": number(row.get("floor")),
        "floor_high": number(row.get("floor_high")),
        "n_draws": int(row.get("n_draws") or 0),
    }
