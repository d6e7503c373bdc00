"""The few figures of masks that stand beside published ones (methods 9, rows P1-d to P1-f)."""

from typing import Any

from coemerge.studies.shared.summarised import estimate, find, number, spread

Rows = list[dict[str, Any]]
_DROPS = {
    "target_drop": "relative drop on the mask's own fact and format",
    "tasks_drop": "relative drop on the fact's other formats",
    "facts_drop": "relative drop on other facts, same format",
}
_CONTROLS = {
    "random": "random units, equal in number per layer",
    "mismatched": "the mask of another fact",
}
_REMASK = "second mask for the same fact and format, without the first's units"
_READINGS = {
    "drop": "damage to other formats per intended damage",
    "overlap": "overlap (Jaccard) with masks of other formats, trained freely",
}


def summary_rows(tables: dict[str, Rows], seeds: list[int], source: str) -> Rows:
    """Rows of summary.json: ids of methods 9, ``name`` for programs, quantity for readers, value
    with what its ``interval`` is, n of n_total; the value of what was not measured is None.

    Of ``tables`` those named mask_measures, drop_matrix and entanglement count.
    """
    several = len(seeds) > 1
    measures, matrix = (_main(tables.get(name, [])) for name in ("mask_measures", "drop_matrix"))
    rows = [
        *_drops(measures, several),
        *_matrix(matrix),
        *_recovery(measures, several),
        *_entanglement(tables.get("entanglement", []), several),
    ]
    return [{"n_total": None, **row, "seeds": seeds, "source": source} for row in rows]


def _main(rows: Rows) -> Rows:
    """Of the first reference (what ablated units become), which is that of mask training."""
    return [row for row in rows if row["reference"] == rows[0]["reference"]]


def _drops(measures: Rows, several: bool) -> Rows:
    """What masks do to their own format and to what they should spare, controls, validity."""
    rows = [
        _measure(measures, several, "P1-d", measure, f"{words}, {masks} masks", masks=masks)
        for masks in ("all", "valid")
        for measure, words in _DROPS.items()
    ]
    rows += [
        _measure(measures, several, "P1-d", "target_drop", f"the same, {words}", control=control)
        for control, words in _CONTROLS.items()
    ]
    valid = "masks that are valid: necessary, specific and sufficient"
    return [*rows, _measure(measures, several, "P1-d", "valid", valid)]


def _recovery(measures: Rows, several: bool) -> Rows:
    recovered = "recovery, masked units patched back"
    rows = [_measure(measures, several, "P1-e", "recovery", f"{recovered}, all masks")]
    rows += [
        _measure(measures, several, "P1-e", "recovery", f"{recovered}, {words}", control=control)
        for control, words in _CONTROLS.items()
    ]
    for measure, words in (("recovery", recovered), ("target_drop", _DROPS["target_drop"])):
        quantity = f"{words}, {_REMASK}"
        rows.append(_measure(measures, several, "P1-e", measure, quantity, variant="remask"))
    return rows


def _measure(
    measures: Rows,
    several: bool,
    identity: str,
    measure: str,
    quantity: str,
    *,
    variant: str = "exclusive",
    masks: str = "all",
    control: str = "none",
) -> dict[str, Any]:
    """One figure of all formats; n facts of those that have masks."""
    where = {"variant": variant, "task": "all", "measure": measure}
    row = find(measures, masks=masks, control=control, **where)
    everything = find(measures, masks="all", control=control, **where)
    none_valid = {"interval": "no mask is valid"} if everything and not row else {}
    return {
        "id": identity,
        "name": f"mask/{variant}/{masks}/{control}/{measure}",
        "quantity": quantity,
        **estimate(row, "value", several),
        **none_valid,
        "n_total": int(everything["n"]) if everything else None,
    }


def _matrix(matrix: Rows) -> Rows:
    """Format by format, as the published panel: its diagonal, and all that masks should spare."""
    cells = [
        row for row in matrix
        if row["variant"] == "exclusive" and row["masks"] == "all"
        and number(row["drop"]) is not None
    ]  # fmt: skip
    own = [row for row in cells if row["eval_facts"] == "own" and _is_target(row)]
    spared = [row for row in cells if row["eval_facts"] != "own" or not _is_target(row)]
    if not cells:
        return []
    return [
        {
            "id": "P1-d",
            "name": f"matrix/{name}",
            "quantity": f"relative drop, format by format: {words}",
            **spread([row["drop"] for row in chosen], of),
            "n": len(chosen),
        }
        for name, words, of, chosen in (
            ("own", "own format (diagonal of the heat map)", "formats", own),
            ("spared", "what masks should spare (all other cells)", "cells", spared),
        )
    ]


def _is_target(row: dict[str, Any]) -> bool:
    return bool(row["mask_task"] == row["eval_task"])


def _entanglement(entanglement: Rows, several: bool) -> Rows:
    return [
        {
            "id": "P1-f",
            "name": f"entanglement/{reading}/{kind}",
            "quantity": f"{kind} formats: {words}",
            **estimate(find(entanglement, reading=reading, task=kind), "value", several),
        }
        for reading, words in _READINGS.items()
        for kind in ("discriminative", "generative")
    ]
