"""What a study asks of a grammar: pairs of a run, of a world, or of a file that it names."""

import json
from pathlib import Path

import pandas as pd
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from coemerge.app.analysis import Series
from coemerge.app.pairs import UNKNOWN_WORD, asked_pairs, grammar_words
from coemerge.app.sources import Source, open_pairs_and_facts
from coemerge.corpus.config import CorpusConfig, DatasetSpec
from coemerge.lm.series import Member
from coemerge.prompts.config import PromptsConfig
from coemerge.prompts.minimal_pairs import ONE_SENTENCE, SEVERAL_TOKENS
from coemerge.scoring.config import ScoreConfig
from coemerge.studies.shared.scoring import Questions
from coemerge.tables.store import table_schema
from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.public import PublicWorldConfig
from tests.bases import make_tokenizer
from tests.worlds.readers.support import pair, write_json, write_lines

SENTENCES = ["Some girls see Bo.", "Some girls sees Bo.", "these dogs this dog wolf"] * 20
SEE = MinimalPair("sv", "plural", "Some girls", "see", "sees", "Bo.", cue="girls")
SPLIT = MinimalPair("sv", "plural", "Some girls", "see", "hippopotamuses", "Bo.")
GIVEN = {"one_prefix_method": True, "UID": "sv", "one_prefix_prefix": "Some girls",
         "one_prefix_word_good": "see", "one_prefix_word_bad": "sees"}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(SENTENCES, with_bos=False)


@pytest.fixture
def model(tokenizer, tmp_path: Path) -> Path:
    """A folder with a tokenizer and no weights: none are needed."""
    tokenizer.save_pretrained(tmp_path / "model")
    write_json(tmp_path / "model" / "config.json", {"n_positions": 64, "vocab_size": 700})
    return tmp_path / "model"


def series_of(model: Path, world: PublicWorldConfig | None = None) -> Series:
    asked = DatasetSpec(world, PromptsConfig(), CorpusConfig(), 0, str(model)) if world else None
    members = [Member("model", 0, model, "id")]
    return Series("mine", 0, members, ScoreConfig(), model, questions=asked)


def source_of(model: Path, tokenizer, *pairs: MinimalPair, **more) -> Source:
    empty = table_schema("prompts").empty_table()
    questions = Questions(empty, tokenizer, ScoreConfig(), 1)
    return Source(series_of(model), questions, pd.DataFrame(), {}, pairs=pairs, **more)


def blimp(folder: Path, *records: dict) -> str:
    return str(write_lines(folder / "pairs.jsonl", *records))


def test_pairs_of_the_source_are_asked_and_skipped_ones_counted(model, tokenizer):
    prompts, notes = asked_pairs(source_of(model, tokenizer, SEE, SPLIT), None)

    assert [prompt.pair for prompt in prompts] == [SEE]
    assert tokenizer.decode(prompts[0].ids) == "Some girls"
    assert prompts[0].cue == (1, len(prompts[0].ids))
    assert notes == {SEVERAL_TOKENS: 1}


def test_a_source_without_pairs_is_asked_none(model, tokenizer):
    assert asked_pairs(source_of(model, tokenizer), None)[0] == []


def test_pairs_of_a_file_are_asked_of_a_source_without(model, tokenizer, tmp_path):
    path = blimp(tmp_path, pair("Some girls see Bo.", "Some girls sees Bo.", **GIVEN))

    (prompt,), _ = asked_pairs(source_of(model, tokenizer), path)
    assert (prompt.pair.good, prompt.pair.bad) == ("see", "sees")

    with pytest.raises(ValueError, match=r"study.pairs: mine has minimal pairs of its own"):
        asked_pairs(source_of(model, tokenizer, SEE), path)


def test_a_paradigm_that_only_whole_sentences_tell_is_refused_by_name(model, tokenizer, tmp_path):
    path = blimp(tmp_path, pair("Bo saw this dog", "Bo saw these dog", UID="dn_2"))

    with pytest.raises(ValueError, match=r"dn_2: the word that decides comes after"):
        asked_pairs(source_of(model, tokenizer), path)


def test_only_phenomena_named_are_asked(model, tokenizer):
    other = MinimalPair("dn_2", "", "Bo saw", "this", "these", "dog", cue_follows=True)
    source = source_of(model, tokenizer, SEE, other)

    assert [p.pair.phenomenon for p in asked_pairs(source, None, ["sv"])[0]] == ["sv"]
    with pytest.raises(ValueError, match=r"study.phenomena: .*'sw', but of sv, dn_2"):
        asked_pairs(source, None, ["sv", "sw"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"n_positions": 2}, "context of 2 tokens"), ({"vocab_size": 30}, "knows 30 tokens")],
)
def test_pairs_that_the_model_cannot_take_are_refused(model, tokenizer, changes, words):
    config = json.loads((model / "config.json").read_text())
    write_json(model / "config.json", {**config, **changes})

    with pytest.raises(ValueError, match=rf"model.path: .*{words}"):
        asked_pairs(source_of(model, tokenizer, SEE), None)


def test_pairs_none_of_which_can_be_asked_are_refused(model, tokenizer):
    with pytest.raises(
        ValueError, match=r"mine: no minimal pair can be asked: 1 pairs that differ"
    ):
        asked_pairs(source_of(model, tokenizer, SPLIT), None)


def test_pairs_of_words_that_the_tokenizer_does_not_know_are_counted(model):
    words = {word: k for k, word in enumerate(("<unk>", "<|end|>", "see", "sees", "Some", "girls"))}
    of_words = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    of_words.pre_tokenizer = pre_tokenizers.Whitespace()
    known = PreTrainedTokenizerFast(
        tokenizer_object=of_words, unk_token="<unk>", eos_token="<|end|>"
    )
    strange = MinimalPair("sv", "plural", "Some sprites", "see", "sees", "Bo.")
    alike = MinimalPair("sv", "plural", "Some girls", "hear", "hears", "Bo.")

    prompts, notes = asked_pairs(source_of(model, known, SEE, strange, alike), None)

    assert [prompt.pair for prompt in prompts] == [SEE]
    assert notes == {UNKNOWN_WORD: 1, ONE_SENTENCE: 1}


def test_words_of_the_grammar_have_a_class_a_form_and_maybe_a_token(model, tokenizer):
    words = [("girls", "noun", "plural"), ("some", "determiner", ""), ("kwyjibo", "noun", "")]
    counted = pd.DataFrame([*words, *words], columns=["first", "first_class", "first_form"])

    known, tokens = grammar_words(source_of(model, tokenizer, cooccurrence=counted))

    assert known == {word: (of, form) for word, of, form in words}
    assert tokens["girls"] == tokenizer.convert_tokens_to_ids("Ġgirls")
    assert "kwyjibo" not in tokens
    assert grammar_words(source_of(model, tokenizer)) == ({}, {})


def test_a_world_of_pairs_holds_no_facts(model, tmp_path):
    path = blimp(tmp_path, pair("Some girls see Bo.", "Some girls sees Bo.", **GIVEN))
    world = PublicWorldConfig(format="blimp", path=path)

    source = open_pairs_and_facts(series_of(model, world), 1, ["completion"])

    assert [found.good for found in source.pairs] == ["see"]
    assert source.facts.empty
    assert {"fact_id", "relation", "arm", "root_id"} <= set(source.facts)
    assert source.questions.prompts.num_rows == source.questions.fresh.num_rows == 0
    assert source.cooccurrence is None
