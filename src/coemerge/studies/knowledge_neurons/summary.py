"""The figures of knowledge neurons that stand beside published ones (methods 9: P4-a, P4-b)."""

from collections.abc import Iterable
from statistics import median
from typing import Any

from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.subject import KINDS, LEVELS
from coemerge.studies.shared.means import Rows
from coemerge.studies.shared.summarised import estimate, find, number

ALL = "all"
_NAMES = {"rome": "ROME", "memit": "MEMIT", "ft": "FT", "kn": "KN"}
_LEVELS = {"class": "of a class", "item": "of one item"}
_SETS = {  # column of neuron_groups, and what it is
    "size": ("n_neurons", "neurons of a set"),
    "share": ("share", "share of prompts that a neuron had to be found in (τ_share)"),
    "excess": ("excess", "similarity R1² of attributions beyond its baseline"),
}
_CHANGES = ("suppressed", "enhanced")
_OUTCOMES = {"error": "change of the share of errors", "p": "change of the right answer's "
             "probability"}  # fmt: skip
_IMPLIED = {
    "symmetry": ("inverse_new", "the inverse of the new fact holds"),
    "synonymy": ("synonym_new", "the synonym of the new object holds"),
}
_CONDITIONS = {
    ALL: "all facts",
    "stated_known": "facts whose restatement training showed and the model knew",
    "not_stated": "facts whose restatement training never showed",
    "took_stated_known": "facts whose restatement training showed and the model knew, edits that "
    "take",
}
_SHORT = {"took_stated_known": "took"}
_MOMENTS = {"post": "under the edit", "pre": "before it"}


def summary_rows(
    tables: dict[str, Rows], config: KnowledgeNeuronsConfig, seeds: list[int], source: str
) -> Rows:
    """Rows of summary.json: see ``studies.task_localization.summary``. Tables that were not made
    may be missing; what is not in them has None for its value."""
    several = len(seeds) > 1
    rows = [
        *_sets(tables.get("neuron_groups", [])),
        *_effects(tables.get("categorical", []), several),
        *_implied(tables.get("implication_rates", []), config, several),
    ]
    return [{"n_total": None, **row, "seeds": seeds, "source": source} for row in rows]


def _sets(groups: Rows) -> Rows:
    """Medians over sets of neurons, all topics together, with what the sets range over."""
    rows = []
    for level in LEVELS:
        for name, (column, words) in _SETS.items():
            for kind in KINDS:
                own = [row for row in groups if (row["kind"], row["level"]) == (kind, level)]
                rows.append(
                    {
                        "id": "P4-a",
                        "name": f"{name}/{kind}/{level}",
                        "quantity": f"{words}, {kind}, {_LEVELS[level]}: median over sets",
                        **_middle(row[column] for row in own),
                    }
                )
    return rows


def _middle(values: Iterable[object]) -> dict[str, Any]:
    """Median of those that are defined, with the lowest and the highest."""
    known = [value for v in values if (value := number(v)) is not None]
    if not known:
        return {"value": None, "low": None, "high": None, "n": 0, "interval": "not measured"}
    low, high = min(known), max(known)
    label = "lowest to highest set"
    return {"value": median(known), "low": low, "high": high, "n": len(known), "interval": label}


def _effects(categorical: Rows, several: bool) -> Rows:
    """What a group's own neurons do to answers, all topics together."""
    rows = []
    for level in LEVELS:
        for change in _CHANGES:
            for measure, words in _OUTCOMES.items():
                for kind in KINDS:
                    of = {"kind": kind, "level": level, "change": change, "measure": measure}
                    found = find(categorical, topic=ALL, group=ALL, control="none", **of)
                    rows.append(
                        {
                            "id": "P4-a",
                            "name": f"{measure}/{kind}/{level}/{change}",
                            "unit": "points",
                            "quantity": f"{words}, {kind}, neurons {_LEVELS[level]} {change}",
                            **estimate(found, "difference", several),
                        }
                    )
    return rows


def _implied(rates: Rows, config: KnowledgeNeuronsConfig, several: bool) -> Rows:
    """What has to follow from an edit, and the edit itself, by condition and arm."""
    rows = []
    for family, (check, words) in _IMPLIED.items():
        own = [row for row in rates if (row["family"], row["edited"]) == (family, ALL)]
        arms = sorted({row["arm"] for row in own} - {ALL})
        cells = [(name, ALL, _SHORT.get(name, name), facts) for name, facts in _CONDITIONS.items()]
        cells += [(ALL, arm, arm, f"facts of arm {arm}") for arm in arms]
        asked = {f"{family}/": (check, words), f"rewrite/{family}/": ("rewrite", "edits take")}
        for editor in config.editors:
            of_editor = [row for row in own if row["editor"] == editor]
            for condition, arm, name, facts in cells:
                for start, (asks, holds) in asked.items():
                    if name == "took" and asks == "rewrite":  # 1 by selection
                        continue
                    for moment, when in _MOMENTS.items():
                        of = {"condition": condition, "arm": arm, "check": asks}
                        found = find(of_editor, moment=moment, **of)
                        rows.append(
                            {
                                "id": "P4-b",
                                "name": f"{start}{editor}/{name}/{moment}",
                                "quantity": f"{_NAMES[editor]}, {family}: {holds}, {facts}, {when}",
                                **estimate(found, "value", several),
                            }
                        )
    return rows
