"""A run's scores as arrays [facts, tasks, paraphrases, checkpoints].

Training scores little at each checkpoint, to stay fast. What a study needs beyond that is scored
from the checkpoints, kept by the hash of weights and prompts, and never scored twice.
"""

import hashlib
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM

from coemerge.lm.checkpoints import CheckpointManifest, list_checkpoints, read_manifest
from coemerge.prompts.tasks import TASKS
from coemerge.scoring.acquisition import prompt_score_columns
from coemerge.scoring.config import ScoreConfig
from coemerge.scoring.metrics import score_probe
from coemerge.scoring.probe import Probe, cell_chance, make_probe, select_prompts
from coemerge.tables.store import read_table, write_table

log = logging.getLogger(__name__)
_CELL = ["fact_id", "task", "template_id", "split", "options"]


@dataclass(frozen=True)
class Scores:
    """One run. ``facts`` has one row per fact, in the order of the arrays' first axis.

    ``score`` [F, K, P, Q]: held-out paraphrases, fresh option sets; ``probability`` likewise;
    ``seen`` [F, K]: the mean score with option sets that training showed, at the last checkpoint
    (as ``score`` where a task has none); ``exposures`` [F, K, Q]: documents shown.
    """

    run_id: str
    seed: int
    steps: np.ndarray
    tasks: list[str]
    facts: pd.DataFrame
    score: np.ndarray
    probability: np.ndarray
    seen: np.ndarray
    exposures: np.ndarray

    @cached_property
    def mean(self) -> np.ndarray:
        """Over paraphrases, [F, K, Q]."""
        return self.score.mean(axis=2)


def score_checkpoints(
    run: Path, prompts: pa.Table, config: ScoreConfig, device: str, paraphrases: int = 3
) -> pd.DataFrame:
    """Rows like prompt_scores for every checkpoint of a run: held-out paraphrases with fresh option
    sets, at the last checkpoint with seen ones too.

    Raises ValueError where there is no checkpoint.
    """
    checkpoints = list_checkpoints(run / "checkpoints")
    if not checkpoints:
        raise ValueError(f"{run / 'checkpoints'}: no finished checkpoint; callbacks.checkpoints?")
    wanted = select_prompts(prompts, ["held_out_templates"], ["fresh"], paraphrases)
    more = select_prompts(prompts, ["held_out_templates"], ["seen", "fresh"], paraphrases)
    known = _known_scores(run / "tables" / "prompt_scores.parquet")
    cache = run / "results" / "scores"
    frames = []
    for checkpoint in tqdm(checkpoints, desc="scoring checkpoints", unit="ckpt"):
        manifest = read_manifest(checkpoint)
        table = more if checkpoint == checkpoints[-1] else wanted
        done = known[known["step"] == manifest.step]
        probe = make_probe(_without(table, done), config.chance)
        frames.append(done.merge(_cells(table), on=_CELL))
        if len(probe):
            frames.append(_scored(cache, checkpoint, manifest, probe, config, device))
    return pd.concat(frames, ignore_index=True)


def _scored(
    cache: Path,
    checkpoint: Path,
    manifest: CheckpointManifest,
    probe: Probe,
    config: ScoreConfig,
    device: str,
) -> pd.DataFrame:
    """From the cache, or by a forward pass over the checkpoint."""
    questions = hashlib.sha256(repr([(q.ids, q.answer_ids) for q in probe.questions]).encode())
    key = (manifest.weights_sha256[:16], questions.hexdigest()[:16], config.base, config.chance)
    path = cache / f"{'-'.join(key)}.parquet"
    if not path.is_file():
        model: torch.nn.Module = AutoModelForCausalLM.from_pretrained(
            checkpoint, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        model.to(device)
        means = score_probe(model, probe, config.base)
        columns = prompt_score_columns(manifest.step, probe.cells, cell_chance(probe), means)
        write_table(path, "prompt_scores", columns, {"weights": manifest.weights_sha256})
    return read_table(path).to_pandas()


def read_scores(run: Path, manifest: dict, rows: pd.DataFrame) -> Scores:
    """Arrays out of rows. Facts that were not asked in every task are left out (and told)."""
    facts = pq.read_table(run / "tables" / "facts.parquet").to_pandas()
    tasks = [task for task in TASKS if task in set(rows["task"])]
    steps = np.sort(rows["step"].unique())
    fresh = rows[rows["options"] != "seen"]
    rank = fresh.groupby(["step", "fact_id", "task"])["template_id"].rank("dense").astype(int) - 1
    wide = fresh.assign(paraphrase=rank).set_index(["fact_id", "task", "paraphrase", "step"])
    asked = fresh.groupby("fact_id")["task"].nunique()
    kept = facts[facts["fact_id"].isin(asked[asked == len(tasks)].index)].reset_index(drop=True)
    if len(kept) < len(asked):
        log.warning("%d facts are not asked in every task: left out", len(asked) - len(kept))
    n_paraphrases = int(rank.max()) + 1
    index = pd.MultiIndex.from_product(
        [kept["fact_id"], tasks, range(n_paraphrases), steps],
        names=["fact_id", "task", "paraphrase", "step"],
    )
    shape = (len(kept), len(tasks), n_paraphrases, len(steps))
    score, p = (wide[c].reindex(index).to_numpy().reshape(shape) for c in ("score", "p_full"))
    if np.isnan(score).any():
        raise ValueError(f"{run}: some prompts were not scored at every checkpoint")
    return Scores(
        run_id=manifest["run_id"],
        seed=manifest["seed"],
        steps=steps,
        tasks=tasks,
        facts=kept,
        score=score,
        probability=p,
        seen=_seen(rows, kept, tasks, score),
        exposures=_exposures(run, kept, tasks, steps),
    )


def _seen(
    rows: pd.DataFrame, facts: pd.DataFrame, tasks: list[str], score: np.ndarray
) -> np.ndarray:
    last = rows[(rows["step"] == rows["step"].max()) & (rows["options"] == "seen")]
    means = last.groupby(["fact_id", "task"])["score"].mean()
    index = pd.MultiIndex.from_product([facts["fact_id"], tasks])
    seen = means.reindex(index).to_numpy().reshape(len(facts), len(tasks))
    lettered = np.isin(tasks, last["task"].unique())
    return np.where(lettered, seen, score[..., -1].mean(axis=2))


def _exposures(run: Path, facts: pd.DataFrame, tasks: list[str], steps: np.ndarray) -> np.ndarray:
    """Documents shown by each checkpoint, from the ledger that training kept."""
    table = pq.read_table(run / "tables" / "exposure.parquet").to_pandas()
    counts = table.groupby(["fact_id", "task", "step"])["n_documents"].sum().unstack("step")
    logged = counts.columns.to_numpy()
    nearest = logged[np.clip(np.searchsorted(logged, steps, side="right") - 1, 0, None)]
    index = pd.MultiIndex.from_product([facts["fact_id"], tasks])
    values = counts.reindex(index)[nearest].fillna(0).to_numpy(copy=True)
    values[:, steps < logged.min()] = 0
    return values.reshape(len(facts), len(tasks), len(steps))


def _known_scores(path: Path) -> pd.DataFrame:
    if path.is_file():
        return pq.read_table(path).to_pandas()
    return pd.DataFrame(columns=[*_CELL, "step"])


def _cells(prompts: pa.Table) -> pd.DataFrame:
    return prompts.select(_CELL).to_pandas().drop_duplicates()


def _without(prompts: pa.Table, done: pd.DataFrame) -> pa.Table:
    """The prompts of cells that were not scored yet."""
    frame = prompts.select(_CELL).to_pandas()
    known = frame.merge(done[_CELL].assign(done=True), on=_CELL, how="left")["done"].notna()
    return prompts.filter(pa.array(~known.to_numpy()))
