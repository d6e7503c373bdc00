"""Results of mask localization and of chain of thought that were never measured, of the shape in
which the studies write them."""

import json
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coemerge.studies.chain_of_thought.summary import summary_rows as reasoning_summary
from coemerge.studies.task_localization.summary import summary_rows as mask_summary
from tests.report.made_up import GENERATIVE, TASKS, Tables, manifest

SIX, SEVEN = TASKS, (*GENERATIVE, "multihop", *TASKS[3:])
CONTROLS = ("none", "random", "mismatched")
_MEANS = {  # target, other formats, other facts, recovery
    ("exclusive", "none"): (0.53, 0.04, 0.06, 0.8),
    ("free", "none"): (0.58, 0.12, 0.07, 0.84),
    ("remask", "none"): (0.41, 0.05, 0.05, 0.66),
    ("exclusive", "random"): (0.04, 0.03, 0.03, 0.05),
    ("exclusive", "mismatched"): (0.09, 0.05, 0.06, 0.12),
}
_MEASURES = ("target_drop", "tasks_drop", "facts_drop", "recovery")


def mask_tables(tasks: tuple[str, ...] = SIX, n_facts: int = 24) -> Tables:
    """All tables of the study that the page reads, plausible and repeatable."""
    rng = np.random.default_rng(0)
    return {
        "drop_matrix": _drop_matrix(tasks, n_facts, rng),
        "mask_measures": _measures(tasks, n_facts, rng),
        "mask_layers": _layers(tasks, n_facts, rng),
        "mask_overlap": _overlap(tasks, n_facts, rng),
        "entanglement": _entanglement(tasks, n_facts),
        "order_effect": _frame(
            "measure rho low high first last n",
            [
                ("target_drop", -0.18, -0.31, -0.04, 0.61, 0.47, n_facts),
                ("recovery", -0.05, -0.2, 0.1, 0.82, 0.79, n_facts),
                ("n_heads", 0.02, -0.11, 0.16, 2.1, 2.2, n_facts),
                ("n_neurons", 0.33, 0.2, 0.45, 31.0, 44.5, n_facts),
            ],
        ),
    }


def reasoning_tables(tasks: tuple[str, ...] = ("openqa", "mcqa", "verification")) -> Tables:
    rng = np.random.default_rng(1)
    rows = []
    means = {"own": (0.46, 0.22), "route": (0.03, 0.27), "other_mean": (0.02, 0.08),
             "other_worst": (0.07, 0.29)}  # fmt: skip
    for task, route, (masks, drops) in product(
        ("all", *tasks), ("completion", "all"), means.items()
    ):
        for prompting, drop in zip(("direct", "cot"), drops, strict=True):
            drop += 0.0 if task == "all" else float(rng.normal(0, 0.02))
            floor = 0.06 if masks == "other_worst" else 0.02
            rows.append((task, route, prompting, masks, drop, 0.2, drop - 0.04, drop + 0.05,
                         floor, 1.6 * floor, 40, 20))  # fmt: skip
    names = "task route prompting masks drop sd low high floor floor_high n n_draws"
    return {"cot_drops": _frame(names, rows)}


def training_tables(tasks: tuple[str, ...] = SIX, n_facts: int = 4) -> Tables:
    rng = np.random.default_rng(2)
    masks, overlaps = [], []
    for step, fact in product((418, 836, 1672, 2508, 3345), range(n_facts)):
        grown = step / (step + 500)
        known = [task for k, task in enumerate(tasks) if step > 250 * k]
        for task in known:
            values = np.array([0.6 * grown, 0.08, 0.12, 0.9 * grown]) + 0.05 * rng.normal(size=4)
            masks.append((step, f"fact-{fact}", task, *values, 2, 40, 0.02 + 0.02 / (1 + grown)))
        for one, other in combinations(known, 2):
            overlaps.append((step, f"fact-{fact}", one, other, 0.1 + 0.1 * float(rng.random())))
    names = (
        "step fact_id task necessity specificity_facts specificity_tasks sufficiency n_heads "
        "n_neurons density"
    )
    return {
        "localization": _frame(names, masks),
        "localization_overlaps": _frame("step fact_id task other_task jaccard", overlaps),
    }


def write_masks(
    directory: Path, masks: Tables, reasoning: Tables, training: Tables, n_seeds: int = 1
) -> Path:
    """A run's directory with these tables, and the summaries that the studies make of them."""
    seeds, source = list(range(n_seeds)), "fact_injection-seed0"
    homes = {
        "results/task_localization": (masks, mask_summary(_rows(masks), seeds, source)),
        "results/chain_of_thought": (reasoning, reasoning_summary(_rows(reasoning), seeds, source)),
        "tables": (training, None),
    }
    for home, (tables, summary) in homes.items():
        if not tables:
            continue
        (directory / home).mkdir(parents=True, exist_ok=True)
        for name, frame in tables.items():
            frame.to_parquet(directory / home / f"{name}.parquet")
        if summary is not None:
            (directory / home / "summary.json").write_text(json.dumps(summary))
    (directory / "manifest.json").write_text(json.dumps(manifest(0)))
    return directory


def _rows(tables: Tables) -> dict[str, list[dict[str, Any]]]:
    return {name: frame.to_dict("records") for name, frame in tables.items()}


def _frame(names: str, rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=names.split())


def _drop_matrix(tasks: tuple[str, ...], n: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for variant, reference, masks, one, other in product(
        ("exclusive", "free", "remask"), ("mean", "zero"), ("all", "valid"), tasks, tasks
    ):
        for whose in ("own", "other"):
            if whose == "other" and one != other:
                continue
            target = whose == "own" and one == other
            drop = float(rng.normal(0.53 if target else 0.03, 0.12 if target else 0.03))
            drop += 0.08 * (variant == "free" and not target)
            rows.append((variant, masks, reference, one, other, whose, drop, 0.2, drop - 0.05,
                         drop + 0.05, n if masks == "all" else n // 2))  # fmt: skip
    names = "variant masks reference mask_task eval_task eval_facts drop sd low high n"
    return _frame(names, rows)


def _measures(tasks: tuple[str, ...], n: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for reference, masks, task in product(("mean", "zero"), ("all", "valid"), ("all", *tasks)):
        n_here = n if masks == "all" else n // 2
        for (variant, control), means in _MEANS.items():
            values = dict(zip(_MEASURES, means, strict=True))
            if control == "none":
                values |= {"valid": 0.45, "n_heads": 2.1, "n_neurons": 38.0}
            for measure, value in values.items():
                if task != "all":
                    value *= float(rng.uniform(0.7, 1.3))
                rows.append((variant, masks, reference, control, task, measure, value, 0.2,
                             0.9 * value, 1.1 * value, n_here))  # fmt: skip
    names = "variant masks reference control task measure value sd low high n"
    return _frame(names, rows)


def _layers(tasks: tuple[str, ...], n: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for variant, task, layer, kind in product(
        ("exclusive", "free"), tasks, range(4), ("head", "neuron")
    ):
        density = 0.05 * (layer + 1) * float(rng.uniform(0.6, 1.4)) * (2 if kind == "head" else 1)
        rows.append((variant, task, layer, kind, density, 0.8 * density, 1.2 * density, n))
    return _frame("variant task layer kind density low high n", rows)


def _overlap(tasks: tuple[str, ...], n: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for one, other in product(tasks, tasks):
        between = "facts" if one == other else "tasks"
        jaccard = (0.31 if one == other else 0.12) + 0.04 * float(rng.random())
        rows.append((between, one, other, jaccard, 0.02, jaccard - 0.03, jaccard + 0.03, n))
    return _frame("between task other_task jaccard expected low high n", rows)


def _entanglement(tasks: tuple[str, ...], n: int) -> pd.DataFrame:
    kinds = {"generative": 0.11, "discriminative": 0.21}
    values = {**kinds, **{task: 0.1 + 0.02 * k for k, task in enumerate(tasks)}}
    rows = [
        (reading, task, value * scale, value * scale - 0.03, value * scale + 0.03, n)
        for reading, scale in (("drop", 1.0), ("overlap", 0.6))
        for task, value in values.items()
    ]
    return _frame("reading task value low high n", rows)
