"""What a study reads: the scores of a run's checkpoints, or of models from elsewhere."""

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from coemerge.app.analysis import Series
from coemerge.app.run_directory import read_run_manifest
from coemerge.corpus.builder import DatasetBuilder
from coemerge.corpus.dataset import open_dataset
from coemerge.corpus.records import write_prompts
from coemerge.interventions.architecture import LAYOUTS
from coemerge.lm.base import CONTEXT_KEYS
from coemerge.lm.series import Member
from coemerge.prompts.edit_prompts import EncodedEdits, encode_edits
from coemerge.prompts.encoding import Encoder
from coemerge.prompts.generic import left_to_right
from coemerge.prompts.tasks import TASKS
from coemerge.report.published import UNKNOWN_ARM
from coemerge.scoring.config import ScoreConfig
from coemerge.studies.shared.scored import Scores, arrange
from coemerge.studies.shared.scoring import Questions, SeriesScorer, known_scores
from coemerge.tables.store import read_table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A series with what to ask it. ``facts``: columns of ``FactRecord`` and their arms;
    ``exposure``: the ledger that training kept; ``manifest``: the report's row on it.
    ``n_wordings``: of models from elsewhere, how many left-to-right statements the data set has of
    each relation; the first completions are these, others put openings before them. ``edits``: what
    the data set asks to be edited, if it does."""

    series: Series
    questions: Questions
    facts: pd.DataFrame
    manifest: dict[str, Any]
    known: pd.DataFrame | None = None
    exposure: pd.DataFrame | None = None
    n_wordings: Mapping[str, int] | None = None
    edits: EncodedEdits | None = None

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
    where = Path(manifest["data_directory"])
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
    trained = ScoreConfig(**manifest.get("score", {}))
    tables = series.run / "tables"
    for name, callback in (("facts", "any"), ("exposure", "exposure")):
        if not (tables / f"{name}.parquet").is_file():
            raise ValueError(
                f"{tables / name}.parquet: missing; train again with callbacks ({callback})"
            )
    return Source(
        series=series,
        questions=Questions(dataset.prompts, dataset.tokenizer, series.score, paraphrases, tasks),
        facts=pq.read_table(tables / "facts.parquet").to_pandas(),
        manifest=manifest,
        known=known_scores(series.run) if series.score == trained else None,
        exposure=pq.read_table(tables / "exposure.parquet").to_pandas(),
    )


def _elsewhere(series: Series, paraphrases: int, tasks: Sequence[str] | None) -> Source:
    """Every paraphrase counts as held out, and every option set as fresh: these models were not
    trained on ours."""
    assert series.questions is not None
    builder = DatasetBuilder(series.questions)
    tokenizer = builder.tokenizer()
    encoder = Encoder(tokenizer, series.chat)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.parquet"
        write_prompts(path, builder.prompts(encoder), {})
        prompts = read_table(path)
    for reason, count in builder.notes.items():
        if count:
            log.info("questions: %s: %s", reason, f"{count:,}")
    prompts = prompts.filter(pa.array(np.array(prompts["options"].to_pylist()) != "seen"))
    if not len(prompts):
        raise ValueError(f"study.tasks: no fact of this world is asked {', '.join(tasks or ())}")
    place = prompts.schema.get_field_index("split")
    held_out = pa.array(["held_out_templates"] * len(prompts))
    prompts = prompts.set_column(place, prompts.schema.field("split"), held_out)
    _check_context(prompts, series.members)
    asked = set(prompts["fact_id"].to_pylist())
    facts = [fact for fact in builder.world.facts if fact.fact_id in asked]
    cases = {fact: of for fact, of in builder.world.edit_cases.items() if fact in asked}
    return Source(
        series=series,
        questions=Questions(prompts, tokenizer, series.score, paraphrases, tasks),
        facts=pd.DataFrame(
            {
                "fact_index": np.arange(len(facts)),
                "fact_id": [fact.fact_id for fact in facts],
                "relation": [fact.relation_id for fact in facts],
                "subject": [fact.subject for fact in facts],
                "object": [fact.object for fact in facts],
                "arm": UNKNOWN_ARM,
                "detail": "",
                "root_id": [fact.root_id for fact in facts],
            }
        ),
        manifest={
            "run_id": series.name,
            "seed": series.seed,
            "steps": series.members[-1].step,
            "models": [f"{member.name} ({member.directory})" for member in series.members],
        },
        n_wordings={name: len(left_to_right(w)) for name, w in builder.world.wordings.items()},
        edits=encode_edits(encoder, cases) if cases else None,
    )


def _check_context(prompts: pa.Table, members: Sequence[Member]) -> None:
    """Raises ValueError if the longest question, or a token of it, does not fit a model."""
    lengths = zip(prompts["ids"].to_pylist(), prompts["answer_ids"].to_pylist(), strict=True)
    longest = max(len(ids) + len(answer) for ids, answer in lengths)
    columns = (prompts[name].to_pylist() for name in ("ids", "answer_ids", "candidate_ids"))
    largest = max(max(ids) for column in columns for ids in column if ids)
    for member in members:
        config = json.loads((member.directory / "config.json").read_text(encoding="utf-8"))
        context = next((config[key] for key in CONTEXT_KEYS if key in config), None)
        size = config.get("vocab_size")
        if size is not None and largest >= size:
            raise ValueError(
                f"model.path: {member.directory} knows {size} tokens, the tokenizer makes number "
                f"{largest}: they do not belong together"
            )
        if context is not None and context < longest:
            raise ValueError(
                f"model.path: {member.directory} has a context of {context} tokens, the longest "
                f"question takes {longest}"
            )
