"""What a study reads: the scores of a run's checkpoints, or of models from elsewhere."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from coemerge.app.analysis import Series
from coemerge.app.elsewhere import ask_world
from coemerge.app.run_directory import data_of_run, read_run_manifest
from coemerge.corpus.builder import load_tokenizer
from coemerge.corpus.dataset import open_dataset
from coemerge.interventions.architecture import LAYOUTS
from coemerge.lm.series import Member
from coemerge.prompts.edit_prompts import EncodedEdits
from coemerge.prompts.tasks import TASKS
from coemerge.scoring.config import ScoreConfig
from coemerge.studies.shared.scored import Scores, arrange
from coemerge.studies.shared.scoring import Questions, SeriesScorer, known_scores
from coemerge.tables.store import table_schema
from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.public import PublicWorldConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A series with what to ask it. ``facts``: columns of ``FactRecord`` and their arms;
    ``exposure``: the ledger that training kept; ``manifest``: the report's row on it.
    ``n_wordings``: of models from elsewhere, how many left-to-right statements the data set has of
    each relation; the first completions are these, others put openings before them. ``edits``: what
    the data set asks to be edited, if it does; ``pairs``: the minimal pairs of the grammar that
    training showed, or of the world; ``cooccurrence``: columns of ``CooccurrenceRecord``, of a run
    that was shown a grammar."""

    series: Series
    questions: Questions
    facts: pd.DataFrame
    manifest: dict[str, Any]
    known: pd.DataFrame | None = None
    exposure: pd.DataFrame | None = None
    n_wordings: Mapping[str, int] | None = None
    edits: EncodedEdits | None = None
    pairs: Sequence[MinimalPair] = ()
    cooccurrence: pd.DataFrame | None = None

    @property
    def run_id(self) -> str:
        return self.series.name

    @property
    def seed(self) -> int:
        return self.series.seed

    @cached_property
    def tasks(self) -> list[str]:
        asked = set(self.questions.fresh["task"].to_pylist())
        return [task for task in TASKS if task in asked]


def open_source(series: Series, paraphrases: int, tasks: Sequence[str] | None) -> Source:
    """For studies that compare task formats. Raises ValueError naming what is missing or was
    changed; scores nothing."""
    opened = open_questions(series, paraphrases, tasks)
    if len(opened.tasks) < 2:
        raise ValueError(f"{series.name} is asked {opened.tasks}: it takes two tasks")
    frame = opened.questions.fresh.select(["fact_id", "task", "template_id"]).to_pandas()
    asked = frame.groupby(["fact_id", "task"])["template_id"].nunique()
    if asked.min() < 2:
        fact, task = asked.idxmin()
        raise ValueError(
            f"{series.name}: {fact} has {asked.min()} held-out paraphrase in {task}; the study "
            "needs two: train with prompts.n_held_out=3, or leave the task out (study.tasks)"
        )
    return opened


def open_questions(series: Series, paraphrases: int, tasks: Sequence[str] | None) -> Source:
    """Raises ValueError for tasks that are not asked, and naming what is missing or was changed."""
    source = _of_run if series.run else _elsewhere
    opened = source(series, paraphrases, tasks)
    unknown = set(tasks or ()) - set(opened.tasks)
    if unknown:
        asked = set(opened.questions.prompts["task"].to_pylist())
        raise ValueError(
            f"study.tasks: {series.name} is not asked {', '.join(sorted(unknown))}, but "
            f"{', '.join(task for task in TASKS if task in asked)}"
        )
    return opened


def open_pairs_and_facts(series: Series, paraphrases: int, tasks: Sequence[str]) -> Source:
    """As ``open_questions``, but a world of minimal pairs has these alone: no fact and no prompt,
    whatever other studies make of the beginnings of sentences."""
    world = series.questions.world if series.questions else None
    if not isinstance(world, PublicWorldConfig) or not world.holds_pairs:
        return open_questions(series, paraphrases, tasks)
    pairs, notes = world.pairs()
    for reason, count in notes.items():
        log.info("minimal pairs: %s: %s", reason, f"{count:,}")
    return _of_pairs(series, pairs)


def read_scores(source: Source, device: str, n_checkpoints: int | None) -> Scores:
    """Scores the models that were not scored yet, ``n_checkpoints`` of them at most."""
    members = spread(source.series.members, n_checkpoints)
    rows = _scorer(source, device).scores(members, source.known)
    facts = source.facts[["fact_id", "relation", "arm"]]
    return arrange(source.series.name, source.series.seed, facts, rows, source.exposure)


def read_answers(source: Source, device: str, n_checkpoints: int | None) -> pd.DataFrame:
    """What models say by themselves (``AnswersRecord``): a run's last checkpoint, or each model
    from elsewhere."""
    members = source.series.members[-1:]
    if source.series.run is None:
        members = spread(source.series.members, n_checkpoints)
    return _scorer(source, device).answers(members).assign(seed=source.series.seed)


def spread(members: list[Member], n: int | None) -> list[Member]:
    """At most ``n`` of them, evenly over the series, first and last included."""
    if n is None or n >= len(members):
        return members
    picked = np.unique(np.linspace(0, len(members) - 1, n).round().astype(int))
    return [members[i] for i in picked]


def check_seeds(sources: list[Source]) -> None:
    """Raises ValueError for two runs of one seed: rows of tables are told apart by the seed."""
    for source in sources:
        same = [other.run_id for other in sources if other.seed == source.seed]
        if len(same) > 1:
            raise ValueError(
                f"run: {' and '.join(same)} have the same seed, {source.seed}: analyse them one "
                "by one"
            )


def check_facts(source: Source, facts: Sequence[str] | None) -> None:
    """Raises ValueError for facts asked for by name that there are not."""
    known = set(source.facts["fact_id"])
    unknown = [fact for fact in facts or () if fact not in known]
    if unknown:
        raise ValueError(
            f"study.facts: {', '.join(map(repr, unknown))}: not among the {len(known)} facts of "
            f"{source.run_id}, such as {', '.join(map(repr, source.facts['fact_id'][:3]))}"
        )


def check_architecture(checkpoint: Path) -> None:
    """Raises ValueError, before weights are read, for one that interventions do not know."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    model_type = config.get("model_type")
    if model_type not in LAYOUTS:
        raise ValueError(
            f"{checkpoint}: interventions do not know the architecture {model_type!r}, only "
            f"{', '.join(sorted(LAYOUTS))}: add it to LAYOUTS in "
            "src/coemerge/interventions/architecture.py"
        )


def members_at(
    sources: list[Source], facts: Sequence[str] | None, step: int | None
) -> list[Member]:
    """Of each source the checkpoint of a step, None for the last, for studies that intervene on
    ``facts``. Raises ValueError, before weights are read, for sources of one seed, facts or steps
    that there are not, and architectures that interventions do not know."""
    check_seeds(sources)
    for source in sources:
        check_facts(source, facts)
    members = [member_at(source, step) for source in sources]
    for member in members:
        check_architecture(member.directory)
    return members


def member_at(source: Source, step: int | None) -> Member:
    """The checkpoint of a step, None for the last. Raises ValueError naming the nearest."""
    members = source.series.members
    if step is None:
        return members[-1]
    found = [member for member in members if member.step == step]
    if not found:
        steps = np.array([member.step for member in members])
        nearest = members[int(np.abs(steps - step).argmin())].step
        raise ValueError(
            f"study.checkpoint: {source.run_id} has no checkpoint of step {step}; the nearest is "
            f"that of step {nearest}"
        )
    return found[0]


def _scorer(source: Source, device: str) -> SeriesScorer:
    return SeriesScorer(source.questions, source.series.cache, device)


def _of_run(series: Series, paraphrases: int, tasks: Sequence[str] | None) -> Source:
    assert series.run is not None
    manifest = read_run_manifest(series.run) or {}
    where = data_of_run(series.run)
    if not where.is_dir():
        raise ValueError(
            f"{where}: the data set of {series.run} is not there any more; train.py with the run's "
            "settings builds it again, or put it back"
        )
    dataset = open_dataset(where)
    if dataset.content_hash != manifest["data_hash"]:
        raise ValueError(
            f"{dataset.directory} is not the data set of {series.run} any more (hash "
            f"{dataset.content_hash}, expected {manifest['data_hash']}): build it again"
        )
    manifest["data_directory"] = str(where)
    trained = ScoreConfig(**manifest.get("score", {}))
    tables = series.run / "tables"
    for name, callback in (("facts", "any"), ("exposure", "exposure")):
        if not (tables / f"{name}.parquet").is_file():
            raise ValueError(
                f"{tables / name}.parquet: missing; train again with callbacks ({callback})"
            )
    has_grammar = (dataset.directory / "minimal_pairs.parquet").is_file()
    return Source(
        series=series,
        questions=Questions(dataset.prompts, dataset.tokenizer, series.score, paraphrases, tasks),
        facts=pq.read_table(tables / "facts.parquet").to_pandas(),
        manifest=manifest,
        known=known_scores(series.run) if series.score == trained else None,
        exposure=pq.read_table(tables / "exposure.parquet").to_pandas(),
        pairs=dataset.minimal_pairs if has_grammar else (),
        cooccurrence=dataset.cooccurrence.to_pandas() if has_grammar else None,
    )


def _elsewhere(series: Series, paraphrases: int, tasks: Sequence[str] | None) -> Source:
    asked = ask_world(series, tasks)
    return Source(
        series=series,
        questions=Questions(asked.prompts, asked.tokenizer, series.score, paraphrases, tasks),
        facts=asked.facts,
        manifest=_manifest_of(series),
        n_wordings=asked.n_wordings,
        edits=asked.edits,
    )


def _of_pairs(series: Series, pairs: Sequence[MinimalPair]) -> Source:
    """Nothing is asked but these."""
    assert series.questions is not None
    prompts, facts = (table_schema(name).empty_table() for name in ("prompts", "facts"))
    tokenizer = load_tokenizer(series.questions.tokenizer_dir)
    return Source(
        series=series,
        questions=Questions(prompts, tokenizer, series.score, 1),
        facts=facts.to_pandas(),
        manifest=_manifest_of(series),
        pairs=pairs,
    )


def _manifest_of(series: Series) -> dict[str, Any]:
    """Of models from elsewhere."""
    return {
        "run_id": series.name,
        "seed": series.seed,
        "steps": series.members[-1].step,
        "models": [f"{member.name} ({member.directory})" for member in series.members],
    }
