"""Data sets that bring no edit requests are asked in the usual formats: are the prompts that the
study of a fact's two sides takes there, as a base model reads them?"""

import dataclasses
from pathlib import Path

import pytest

from coemerge.corpus.builder import DatasetBuilder
from coemerge.prompts.build import Prompt
from coemerge.prompts.encoding import Encoder
from coemerge.prompts.generic import left_to_right
from tests.bases import make_tokenizer
from tests.worlds.readers.support import real, relation, write_json

PAIRS = [(f"Vorn {k} Land", f"Town {chr(65 + k % 9)}{k % 9}") for k in range(12)]
OPENING = "The seat of"


@pytest.fixture
def builder_of(compose_settings, tmp_path):
    """Of an LRE file or folder, with a tokenizer trained on its words."""

    def build(path: Path) -> DatasetBuilder:
        settings = compose_settings(
            "experiment=smoke",
            "logger=none",
            "world=lre",
            f"world.path={path}",
            "world.facts_per_relation=20",
        )
        files = [path] if path.is_file() else sorted(path.glob("*.json"))
        words = [file.read_text(encoding="utf-8") for file in files]
        tokenizer = make_tokenizer([*words, *["yes, no, A, B, C, D"] * 100], with_bos=False)
        tokenizer.save_pretrained(tmp_path / "tokenizer")
        folder = str(tmp_path / "tokenizer")
        return DatasetBuilder(dataclasses.replace(settings.dataset, tokenizer_dir=folder))

    return build


def completions(builder: DatasetBuilder) -> list[Prompt]:
    prompts = builder.prompts(Encoder(builder.tokenizer()))
    return [prompt for prompt in prompts if prompt.task == "completion"]


def check(builder: DatasetBuilder) -> None:
    """Every fact is completed, its subject is where the span says, the answer is its object."""
    tokenizer = builder.tokenizer()
    facts = {fact.fact_id: fact for fact in builder.world.facts}
    found = completions(builder)
    assert {prompt.fact_id for prompt in found} == set(facts)
    for prompt in found:
        fact = facts[prompt.fact_id]
        assert tokenizer.decode(prompt.ids[slice(*prompt.subject_span)]).strip() == fact.subject
        assert tokenizer.decode(prompt.answer_ids).strip() == fact.object
        assert prompt.relation_spans


def test_lre_has_completions_with_spans(builder_of, tmp_path):
    samples = [{"subject": subject, "object": obj} for subject, obj in PAIRS]
    builder = builder_of(write_json(tmp_path / "lre" / "a.json", relation(samples=samples)))
    check(builder)
    assert builder.world.edit_cases == {}


def test_the_first_completions_are_the_sets_own_statements(builder_of, tmp_path):
    """Others put openings before them, which are no other wording."""
    samples = [{"subject": subject, "object": obj} for subject, obj in PAIRS]
    builder = builder_of(write_json(tmp_path / "lre" / "a.json", relation(samples=samples)))
    (wordings,) = builder.world.wordings.values()
    own = [s.replace(" [Y].", "") for s in left_to_right(wordings)]
    first = builder.world.facts[0]
    texts = [p.text for p in completions(builder) if p.fact_id == first.fact_id]
    assert len(own) == 3
    assert [t.split(": ", 1)[1] for t in texts[:3]] == [
        s.replace("[X]", first.subject) for s in own
    ]


def test_real_lre_has_completions_with_spans(builder_of):
    check(builder_of(real("lre")))
