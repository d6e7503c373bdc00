"""Scores of a series of models, one row per paraphrase; nothing is scored twice.

Training scores little at each checkpoint, to stay fast. What a study needs beyond that is scored
here, and kept by the hashes of weights and prompts: a model added to a series later is the only one
that is scored then.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from coemerge.lm.build import load_model
from coemerge.lm.series import Member
from coemerge.scoring.acquisition import prompt_score_columns
from coemerge.scoring.config import ScoreConfig
from coemerge.scoring.generation import judge
from coemerge.scoring.metrics import score_probe
from coemerge.scoring.probe import Probe, cell_chance, make_probe, select_prompts
from coemerge.tables.store import read_table, write_table
from coemerge.units import share

_CELL = ["fact_id", "task", "template_id", "split", "options"]


@dataclass(frozen=True)
class Questions:
    """What is asked of each model: ``prompts`` (``tables.records.PromptRecord``), of which the
    first ``paraphrases`` held-out ones of each fact and task."""

    prompts: pa.Table
    tokenizer: PreTrainedTokenizerBase
    config: ScoreConfig
    paraphrases: int
    tasks: Sequence[str] | None = None

    @cached_property
    def fresh(self) -> pa.Table:
        """With option sets that training never showed."""
        return self._select(["fresh"])

    @cached_property
    def all(self) -> pa.Table:
        """With both kinds of option sets."""
        return self._select(["seen", "fresh"])

    def _select(self, options: list[str]) -> pa.Table:
        chosen = select_prompts(self.prompts, ["held_out_templates"], options, self.paraphrases)
        if self.tasks is None:
            return chosen
        return chosen.filter(pa.array(np.isin(chosen["task"].to_pylist(), list(self.tasks))))


class SeriesScorer:
    """Scores models, from ``cache`` where they were scored before."""

    def __init__(self, questions: Questions, cache: Path, device: str) -> None:
        self._questions = questions
        self._cache = cache
        self._device = device
        self._loaded: tuple[Member, PreTrainedModel] | None = None
        self._probes: dict[tuple[int, bytes], tuple[Probe, str]] = {}

    def scores(self, members: Sequence[Member], known: pd.DataFrame | None = None) -> pd.DataFrame:
        """Rows like prompt_scores: fresh option sets, for the last member seen ones too. ``known``
        holds rows that training left."""
        known = pd.DataFrame(columns=[*_CELL, "step"]) if known is None else known
        tables = [self._questions.fresh] * (len(members) - 1) + [self._questions.all]
        done = [known[known["step"] == member.step] for member in members]
        probes = [self._probe(*of) for of in zip(tables, done, strict=True)]
        scored = self._scored(members, probes)
        frames = []
        for i, table in enumerate(tables):
            frames.append(done[i].merge(_cells(table), on=_CELL))
            if i in scored:
                frames.append(scored[i].assign(step=members[i].step))
        return pd.concat(frames, ignore_index=True)

    def answers(self, members: Sequence[Member]) -> pd.DataFrame:
        """Accuracies per step, fact and task (``AnswersRecord``, without the seed), fresh option
        sets."""
        asked = _hash(_asked(self._questions.fresh))
        paths = [self._path(member, "answers", asked) for member in members]

        def make(i: int) -> None:
            frame = self._judged(members[i])
            write_table(paths[i], "answers", {name: frame[name].to_numpy() for name in frame})

        share(paths, make, "reading answers", "ckpt")
        frames = [
            read_table(path).to_pandas().assign(step=member.step)
            for path, member in zip(paths, members, strict=True)
        ]
        return pd.concat(frames, ignore_index=True).drop(columns="seed")

    def _probe(self, table: pa.Table, done: pd.DataFrame) -> tuple[Probe, str]:
        """Of what was not scored yet, and its hash; checkpoints that lack the same have one in
        common."""
        left = _not_in(done, table)
        key = (len(table), left.tobytes())
        if key not in self._probes:
            probe = make_probe(table.filter(pa.array(left)), self._questions.config.chance)
            self._probes[key] = probe, _hash(_asked_of(probe))
        return self._probes[key]

    def _scored(
        self, members: Sequence[Member], probes: Sequence[tuple[Probe, str]]
    ) -> dict[int, pd.DataFrame]:
        """By place, of members with anything left to be asked. ``probes``: with their hashes."""
        config = self._questions.config
        what = f"{config.base}-{config.chance}"
        places = [i for i, (probe, _) in enumerate(probes) if len(probe)]
        paths = [self._path(members[i], what, probes[i][1]) for i in places]

        def make(n: int) -> None:
            member, (probe, _) = members[places[n]], probes[places[n]]
            means = score_probe(self._model(member), probe, config.base)
            columns = prompt_score_columns(member.step, probe.cells, cell_chance(probe), means)
            write_table(paths[n], "prompt_scores", columns, {"weights": member.identity})

        share(paths, make, "scoring checkpoints", "ckpt")
        return {i: read_table(path).to_pandas() for i, path in zip(places, paths, strict=True)}

    def _judged(self, member: Member) -> pd.DataFrame:
        table = self._questions.fresh
        correct = judge(
            self._model(member),
            self._questions.tokenizer,
            *(table[name].to_pylist() for name in ("ids", "answer_ids", "answer")),
        )
        frame = table.select(["fact_id", "task"]).to_pandas()
        frame = frame.assign(
            n_prompts=1,
            first_token=correct.first,
            full_answer=correct.full,
            tolerant=correct.tolerant,
        )
        shares = dict.fromkeys(("first_token", "full_answer", "tolerant"), "mean")
        grouped = frame.groupby(["fact_id", "task"], sort=True)
        means = grouped.agg({"n_prompts": "sum", **shares}).reset_index()
        return means.assign(seed=0, step=member.step)

    def _path(self, member: Member, what: str, questions: str) -> Path:
        return self._cache / f"{member.identity[:16]}-{questions[:16]}-{what}.parquet"

    def _model(self, member: Member) -> PreTrainedModel:
        """The last one is kept: a member may be asked twice."""
        if self._loaded is None or self._loaded[0] != member:
            self._loaded = None
            self._loaded = (member, load_model(member.directory, self._device))
        return self._loaded[1]


def _hash(asked: object) -> str:
    return hashlib.sha256(repr(asked).encode()).hexdigest()


def _asked_of(probe: Probe) -> object:
    """All that its scores depend on, but for model and settings."""
    questions = [(q.ids, q.answer_ids, q.candidate_ids) for q in probe.questions]
    return questions, probe.chance.tolist(), probe.cells.to_pydict()


def _asked(prompts: pa.Table) -> list[list]:
    """All that an answer depends on."""
    names = ("fact_id", "task", "ids", "answer_ids", "answer")
    return [prompts[name].to_pylist() for name in names]


def known_scores(run: Path) -> pd.DataFrame | None:
    """What training has scored, None where it kept nothing."""
    path = run / "tables" / "prompt_scores.parquet"
    return pq.read_table(path).to_pandas() if path.is_file() else None


def _cells(prompts: pa.Table) -> pd.DataFrame:
    return prompts.select(_CELL).to_pandas().drop_duplicates()


def _not_in(done: pd.DataFrame, prompts: pa.Table) -> np.ndarray:
    """bool [N]: which prompts are of cells that were not scored yet."""
    frame = prompts.select(_CELL).to_pandas()
    known = frame.merge(done[_CELL].assign(done=True), on=_CELL, how="left")["done"].notna()
    return ~known.to_numpy()
