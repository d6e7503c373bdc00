"""Which prompts and facts masks are trained on: the best-answered phrasings, the facts that a model
knows in every task (methods 3.5, step 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from coemerge.localization.prompts import EVAL, TRAIN, stable_seed

_CELL = ["relation", "task", "split", "template_id"]


@dataclass(frozen=True)
class SelectionConfig:
    """``threshold``: strict accuracy on held-out prompts that a fact needs in every task;
    ``train_prompts``, ``eval_prompts``: phrasings kept of each (relation, task); ``facts``: those
    named, or all; ``n_facts`` of them at most; ``min_facts``: fewer are refused."""

    threshold: float = 0.8
    train_prompts: int = 5
    eval_prompts: int = 2
    facts: Sequence[str] | None = None
    n_facts: int | None = 20
    min_facts: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Selected:
    """``prompts``: of all facts asked about, phrasings that were dropped left out; ``targets``:
    facts to localize, relations taking turns; ``known``: all facts that passed, which serve as
    controls; ``accuracy``: of each fact asked about (rows) in each task (columns)."""

    prompts: pa.Table
    targets: list[str]
    known: list[str]
    accuracy: pd.DataFrame


def asked_directly(table: pa.Table) -> pa.Table:
    """Without two-step forms (``cot_...``), and without option sets that training has shown where
    a format has fresh ones: knowing a fact is not recognising a list."""
    pairs = list(zip(table["task"].to_pylist(), table["options"].to_pylist(), strict=True))
    fresh = {task for task, options in pairs if options == "fresh"}
    kept = [
        not task.startswith("cot_") and (options != "seen" or task not in fresh)
        for task, options in pairs
    ]
    return table.filter(pa.array(kept, pa.bool_()))


def with_eval_split(table: pa.Table, config: SelectionConfig) -> pa.Table:
    """Where no phrasing was seen in training (or all were), each (relation, task) is split by
    seed: ``eval_prompts`` of the phrasings kept are evaluated, in proportion of those dropped."""
    if {TRAIN, EVAL} <= set(table["split"].unique().to_pylist()):
        return table
    frame = table.select(["relation", "task", "template_id"]).to_pandas()
    share = config.eval_prompts / (config.train_prompts + config.eval_prompts)
    split = pd.Series(TRAIN, index=frame.index)
    for (relation, task), rows in frame.groupby(["relation", "task"]):
        templates = np.sort(rows["template_id"].unique())
        rng = np.random.default_rng(stable_seed(config.seed, "split", str(relation), str(task)))
        n_held_out = max(1, round(share * len(templates)))
        held_out = rng.permutation(templates)[:n_held_out]
        split[rows.index[rows["template_id"].isin(held_out)]] = EVAL
    place = table.schema.get_field_index("split")
    return table.set_column(place, table.schema.field("split"), pa.array(split.tolist()))


def select_facts(
    table: pa.Table, correct: np.ndarray, tasks: Sequence[str], config: SelectionConfig
) -> Selected:
    """``table``: prompts of the facts to choose from; ``correct`` bool [N]: answered right.

    Of each (relation, task) the phrasings with the highest mean accuracy over facts are kept.
    Raises ValueError for a fact asked for by name that is not there or not known, saying in which
    task, and where fewer facts than ``min_facts`` pass, saying which task stops how many.
    """
    columns = ["fact_id", *_CELL]
    frame = table.select(columns).to_pandas().assign(correct=correct.astype(float))
    kept = _best_phrasings(frame, config) & frame["task"].isin(tasks).to_numpy()
    held_out = frame[kept & (frame["split"] == EVAL).to_numpy()]
    accuracy = held_out.groupby(["fact_id", "task"])["correct"].mean().unstack()
    accuracy = accuracy.reindex(columns=list(tasks))
    # A task that a fact's relation does not have (multihop) is not asked of it.
    passes = (accuracy >= config.threshold) | accuracy.isna()
    known = accuracy.index[passes.all(axis=1) & (accuracy.notna().sum(axis=1) > 1)]
    relation_of = frame.drop_duplicates("fact_id").set_index("fact_id")["relation"]
    targets = _named(config, accuracy) if config.facts else _in_turn(known, relation_of)
    _check_enough(targets, accuracy, config)
    return Selected(
        prompts=table.filter(pa.array(kept)),
        targets=targets[: None if config.facts else config.n_facts],
        known=sorted(known),
        accuracy=accuracy,
    )


def _best_phrasings(frame: pd.DataFrame, config: SelectionConfig) -> np.ndarray:
    """bool [N]; ties go to the earlier phrasing."""
    means = frame.groupby(_CELL)["correct"].mean().reset_index()
    order = means.sort_values(["correct", "template_id"], ascending=[False, True])
    rank = order.groupby(["relation", "task", "split"]).cumcount()
    limit = np.where(order["split"] == EVAL, config.eval_prompts, config.train_prompts)
    best = order[rank < limit][_CELL].assign(kept=True)
    return frame.merge(best, on=_CELL, how="left")["kept"].notna().to_numpy()


def _in_turn(known: pd.Index, relation_of: pd.Series) -> list[str]:
    """One fact of each relation, then the next of each; only relations with two facts or more,
    since the others are controls."""
    frame = pd.DataFrame({"fact": known, "relation": relation_of.reindex(known).to_numpy()})
    turn = frame.groupby("relation").cumcount()
    enough = frame.groupby("relation")["fact"].transform("size") > 1
    chosen = frame.assign(turn=turn)[enough].sort_values(["turn", "relation"])
    return [str(fact) for fact in chosen["fact"]]


def _named(config: SelectionConfig, accuracy: pd.DataFrame) -> list[str]:
    assert config.facts is not None
    for fact in config.facts:
        if fact not in accuracy.index:
            raise ValueError(
                f"study.facts: {fact!r} is not among the {len(accuracy)} facts to choose from, "
                f"such as {', '.join(map(repr, accuracy.index[:3]))}"
            )
        weak = accuracy.loc[fact][accuracy.loc[fact] < config.threshold]
        if len(weak):
            values = ", ".join(f"{task} {value:.2f}" for task, value in weak.items())
            raise ValueError(
                f"study.facts: {fact!r} is not known in every task: accuracy {values}, below "
                f"study.threshold={config.threshold:g}"
            )
    return list(config.facts)


def _check_enough(targets: list[str], accuracy: pd.DataFrame, config: SelectionConfig) -> None:
    if config.facts or len(targets) >= config.min_facts:
        return
    passing = (accuracy >= config.threshold).sum()
    asked = accuracy.notna().sum()
    per_task = ", ".join(f"{task} {passing[task]} of {asked[task]}" for task in accuracy)
    raise ValueError(
        f"{len(targets)} facts are known in every task (and have another one of their relation as "
        f"control), {config.min_facts} are needed. Facts known: {per_task}. Train longer, name "
        "fewer tasks (study.tasks), or lower study.threshold or study.min_facts"
    )
