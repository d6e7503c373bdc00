"""The figures of two sides that stand beside published ones (methods 9, rows P2-a and P2-b)."""

from typing import Any

from coemerge.studies.entity_relation.cases import SIDES
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.shared.means import Rows
from coemerge.studies.shared.summarised import estimate, find, number

ALL = "all"
MEASURES = ("efficacy", "generalisation")
_NAMES = {"rome": "ROME", "memit": "MEMIT", "ft": "FT", "ft_l": "FT-L", "kn": "KN"}
_MOMENTS = {"post": "under the edit", "pre": "before it"}
_KINDS = {"resid": "residual", "mlp": "MLP outputs", "attn": "attention outputs"}
_SITES = {"subject": "last_subject", "relation": "last_corrupted"}  # the last corrupted token
_LAST = "last"  # the token at which the answer is predicted
_SETTINGS = {"bare": "bare prompts", "prefixed": "behind neutral words"}


def summary_rows(
    tables: dict[str, Rows], config: EntityRelationConfig, seeds: list[int], source: str
) -> Rows:
    """Rows of summary.json: see ``studies.task_localization.summary``. Tables that were not made
    may be missing; what is not in them has None for its value."""
    several = len(seeds) > 1
    n_total = sum(int(row["n"]) for row in tables.get("side_exclusions", []))
    edits = [
        *_means(tables.get("side_means", []), config, several),
        *_transfer(tables.get("side_transfer", []), config, several),
    ]
    rows = [
        *({**row, "n_total": n_total} for row in edits),
        *_totals(tables.get("tracing_totals", []), several),
        *_effects(tables, config, several),
        *_peaks(tables, config, several),
    ]
    return [{**row, "seeds": seeds, "source": source} for row in rows]


def _means(means: Rows, config: EntityRelationConfig, several: bool) -> Rows:
    """Harmonic means over both probes, of all arms."""
    rows = []
    for editor in config.editors:
        for side in SIDES:
            for measure in MEASURES:
                for moment, words in _MOMENTS.items():
                    of = {"editor": editor, "edit_side": side, "measure": measure}
                    found = find(means, arm=ALL, moment=moment, **of)
                    rows.append(
                        {
                            "id": "P2-a",
                            "name": f"mean/{measure}/{editor}/{side}/{moment}",
                            "quantity": f"{_NAMES[editor]}, {side} edit: harmonic mean of "
                            f"{measure} over both probes, {words}",
                            **estimate(found, "value", several),
                        }
                    )
    return rows


def _transfer(transfer: Rows, config: EntityRelationConfig, several: bool) -> Rows:
    """To the other side, of all arms together and of each."""
    arms = sorted({row["arm"] for row in transfer} - {ALL})
    return [
        _index(transfer, arm, editor, side, measure, net, several)
        for arm in (ALL, *arms)
        for editor in config.editors
        for side in SIDES
        for measure in MEASURES
        for net in (False, True)
    ]


def _index(
    transfer: Rows, arm: str, editor: str, side: str, measure: str, net: bool, several: bool
) -> dict[str, Any]:
    """Transfer to the other side; ``net``: beyond damage."""
    (probe,) = set(SIDES) - {side}
    of = {"editor": editor, "edit_side": side, "probe": probe, "measure": measure}
    found = find(transfer, arm=arm, **of)
    beyond = {"net": found.get("net"), "low": found.get("net_low"), "high": found.get("net_high")}
    facts = "facts of all arms" if arm == ALL else f"facts of arm {arm}"
    return {
        "id": "P2-a",
        "name": f"{'net' if net else 'transfer'}/{measure}/{editor}/{side}"
        + ("" if arm == ALL else f"/{arm}"),
        "unit": "index",
        "quantity": f"{_NAMES[editor]}, {side} edit: transfer index (TI){' net of damage' * net} "
        f"on the {probe} probe, {measure}, {facts}",
        **estimate({**found, **beyond} if net and found else found, "net" if net else "index",
                   several),
    }  # fmt: skip


def _totals(totals: Rows, several: bool) -> Rows:
    """What noise takes; that on the subject first, also where it was not measured."""
    first = find(totals, setting="bare", corrupt="subject")
    others = [row for row in totals if row is not first]
    return [
        {
            "id": "P2-b",
            "name": f"total/{row['setting']}/{row['corrupt']}",
            "quantity": f"average total effect (ATE) of noise on {row['corrupt']} tokens, "
            f"{_SETTINGS[row['setting']]}",
            **estimate(row if "total_effect" in row else {}, "total_effect", several),
            "n_total": row.get("n_total"),
        }
        for row in (first or {"setting": "bare", "corrupt": "subject"}, *others)
    ]


def _effects(tables: dict[str, Rows], config: EntityRelationConfig, several: bool) -> Rows:
    """At the last corrupted token, by whole windows: the residual's and the MLPs' highest effects,
    and attention's at the layer of the MLPs'."""
    rows = []
    for corrupt, role in _SITES.items():
        if corrupt != "subject" and corrupt not in config.corruptions:
            continue
        found = _early(tables.get("tracing_effects", []), corrupt, role)
        total = find(tables.get("tracing_totals", []), setting="bare", corrupt=corrupt)
        for kind, words in _KINDS.items():
            row = found.get(kind, {})
            layer = f", layer {row['layer']}" if row else ""
            rows.append(
                {
                    "id": "P2-b",
                    "name": f"effect/{kind}" + ("" if corrupt == "subject" else f"/{corrupt}"),
                    "quantity": f"average indirect effect (AIE) of restored {words} at the last "
                    f"{corrupt} token, noise on {corrupt}{layer}",
                    **estimate(row, "aie", several),
                    "n_total": total.get("n_total"),
                }
            )
    return rows


def _peaks(tables: dict[str, Rows], config: EntityRelationConfig, several: bool) -> Rows:
    """The highest effect of each kind before the last token, at whatever role it is; roles of
    fewer than half of the prompts are left out, as they are of other prompts."""
    rows = []
    for corrupt in _SITES:
        if corrupt != "subject" and corrupt not in config.corruptions:
            continue
        effects = [row for row in tables.get("tracing_effects", []) if row["corrupt"] == corrupt]
        total = find(tables.get("tracing_totals", []), setting="bare", corrupt=corrupt)
        for kind, words in _KINDS.items():
            own = [row for row in effects if row["kind"] == kind]
            half = max((row["n"] for row in own), default=0) / 2
            row = _highest([r for r in own if r["role"] != _LAST and r["n"] >= half])
            where = f": {row['role'].replace('_', ' ')}, layer {row['layer']}" if row else ""
            rows.append(
                {
                    "id": "P2-b",
                    "name": f"peak/{kind}" + ("" if corrupt == "subject" else f"/{corrupt}"),
                    "quantity": f"highest average indirect effect (AIE) of restored {words} before "
                    f"the last token, noise on {corrupt}{where}",
                    **estimate(row, "aie", several),
                    "n_total": total.get("n_total"),
                }
            )
    return rows


def _early(effects: Rows, corrupt: str, role: str) -> dict[str, dict[str, Any]]:
    """By kind: its row at the early site."""
    own = [row for row in effects if (row["corrupt"], row["role"]) == (corrupt, role)]
    found = {kind: _highest([row for row in own if row["kind"] == kind]) for kind in _KINDS}
    layer = found["mlp"].get("layer")
    if layer is not None:
        found["attn"] = find(own, kind="attn", layer=layer)
    return found


def _highest(rows: Rows) -> dict[str, Any]:
    """Of windows that no border cuts."""
    known = [row for row in rows if number(row["aie"]) is not None]
    whole = max((row["window"] for row in known), default=0)
    return max(
        (row for row in known if row["window"] == whole), key=lambda row: row["aie"], default={}
    )
