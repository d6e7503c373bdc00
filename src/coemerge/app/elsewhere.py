"""What models from elsewhere are asked: the questions of a world, in their own tokens."""

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from coemerge.app.analysis import Series
from coemerge.corpus.builder import DatasetBuilder
from coemerge.corpus.records import write_prompts
from coemerge.lm.base import CONTEXT_KEYS
from coemerge.lm.series import Member
from coemerge.prompts.edit_prompts import EncodedEdits, encode_edits
from coemerge.prompts.encoding import Encoder
from coemerge.prompts.generic import left_to_right
from coemerge.report.published import UNKNOWN_ARM
from coemerge.tables.store import read_table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """Parts of a ``Source``."""

    tokenizer: PreTrainedTokenizerFast
    prompts: pa.Table
    facts: pd.DataFrame
    n_wordings: Mapping[str, int]
    edits: EncodedEdits | None


def ask_world(series: Series, tasks: Sequence[str] | None) -> Asked:
    """Every paraphrase counts as held out, and every option set as fresh: these models were not
    trained on ours. Raises ValueError for questions that a model cannot take."""
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
    lengths = zip(prompts["ids"].to_pylist(), prompts["answer_ids"].to_pylist(), strict=True)
    columns = (prompts[name].to_pylist() for name in ("ids", "answer_ids", "candidate_ids"))
    check_fits(
        "model.path",
        series.members,
        max(len(ids) + len(answer) for ids, answer in lengths),
        max(max(ids) for column in columns for ids in column if ids),
    )
    asked = set(prompts["fact_id"].to_pylist())
    facts = [fact for fact in builder.world.facts if fact.fact_id in asked]
    cases = {fact: of for fact, of in builder.world.edit_cases.items() if fact in asked}
    return Asked(
        tokenizer=tokenizer,
        prompts=prompts,
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
        n_wordings={name: len(left_to_right(w)) for name, w in builder.world.wordings.items()},
        edits=encode_edits(encoder, cases) if cases else None,
    )


def check_fits(key: str, members: Sequence[Member], longest: int, largest: int) -> None:
    """Raises ValueError if a question of ``longest`` tokens, or the token ``largest``, does not fit
    a model."""
    for member in members:
        config = json.loads((member.directory / "config.json").read_text(encoding="utf-8"))
        context = next((config[name] for name in CONTEXT_KEYS if name in config), None)
        size = config.get("vocab_size")
        if size is not None and largest >= size:
            raise ValueError(
                f"{key}: {member.directory} knows {size} tokens, the tokenizer makes number "
                f"{largest}: they do not belong together"
            )
        if context is not None and context < longest:
            raise ValueError(
                f"{key}: {member.directory} has a context of {context} tokens, the longest "
                f"question takes {longest}"
            )
