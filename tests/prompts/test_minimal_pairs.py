"""Minimal pairs as tokens: one token differs, or the pair is skipped, counted, or refused."""

import pytest

from coemerge.prompts.encoding import Encoder
from coemerge.prompts.minimal_pairs import (
    CUE_FOLLOWS,
    NO_PROMPT,
    SEVERAL_TOKENS,
    pair_prompts,
    pair_sentences,
)
from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.public import PublicWorldConfig
from tests.bases import make_tokenizer
from tests.worlds.readers.support import pair as line
from tests.worlds.readers.support import write_lines

SENTENCES = [f"Some girls see this old dog {end}" for end in ("today .", "near dogs .", "himself.")]
WHOLE = MinimalPair("det_2", "", "Some girls see", "this", "these", "old dog.", cue_follows=True)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "with BOS"])
def encoder(request) -> Encoder:
    """Words of these sentences are one token each; any other word is several."""
    words = "Some girls girl see sees this these old dog dogs himself herself today near . :"
    return Encoder(
        make_tokenizer([words, f" {words}", "this", "these"] * 50 + SENTENCES, request.param)
    )


def agreement(**changes: object) -> MinimalPair:
    fields = {"phenomenon": "sv", "word_class": "plural", "prefix": "Some girls", "good": "see",
              "bad": "sees", "suffix": "this dog.", "cue": "girls"}  # fmt: skip
    return MinimalPair(**fields | changes)


def text_of(encoder: Encoder, text: str) -> list[int]:
    ((ids, _),) = encoder.encode([text])
    return ids


def test_a_prompt_ends_where_the_sentences_differ(encoder):
    ((prompt,), notes) = pair_prompts(encoder, [agreement()])
    ids = list(prompt.ids)
    good, bad = (text_of(encoder, f"Some girls {word} this dog.") for word in ("see", "sees"))
    assert ids == text_of(encoder, "Some girls")
    assert [*ids, prompt.good_id] == good[: len(ids) + 1]
    assert [*ids, prompt.bad_id, *good[len(ids) + 1 :]] == bad
    assert prompt.answer_pos == len(ids) - 1
    assert not notes


def test_the_cue_is_found_as_a_token_span(encoder):
    ((prompt,), _) = pair_prompts(encoder, [agreement()])
    start, stop = prompt.cue
    assert list(prompt.ids[:stop]) == text_of(encoder, "Some girls")
    assert list(prompt.ids[:start]) == text_of(encoder, "Some")


def test_the_cue_is_the_last_of_its_kind_before_the_difference(encoder):
    pair = agreement(prefix="Some girls see old girls", suffix="girls.")
    ((prompt,), _) = pair_prompts(encoder, [pair])
    assert prompt.cue[1] == len(prompt.ids)


@pytest.mark.parametrize("cue", ["", "boys", "girl"])
def test_an_unknown_cue_is_none(encoder, cue):
    ((prompt,), _) = pair_prompts(encoder, [agreement(cue=cue)])
    assert prompt.cue is None


def test_pairs_that_differ_in_several_tokens_are_skipped_and_counted(encoder):
    pairs = [agreement(), agreement(bad="zqxjv"), agreement(good="see", bad="see old")]
    prompts, notes = pair_prompts(encoder, pairs)
    assert [prompt.pair for prompt in prompts] == pairs[:1]
    assert notes == {SEVERAL_TOKENS: 2}


def test_without_a_prefix_of_the_tokenizer_the_first_token_cannot_be_asked_for(encoder):
    pairs = [agreement(), agreement(prefix="", good="this", bad="these", cue="")]
    prompts, notes = pair_prompts(encoder, pairs)
    if encoder.prefix:
        assert list(prompts[1].ids) == encoder.prefix
    else:
        assert notes == {NO_PROMPT: 1}


def test_a_paradigm_whose_cue_follows_is_refused(encoder):
    with pytest.raises(ValueError, match=r"^det_2: the word that decides comes after .* whole sen"):
        pair_prompts(encoder, [agreement(), WHOLE])


def test_single_pairs_whose_cue_follows_are_skipped_and_counted(encoder):
    prompts, notes = pair_prompts(encoder, [agreement(), agreement(cue_follows=True)])
    assert len(prompts) == 1
    assert notes == {CUE_FOLLOWS: 1}


def test_whole_sentences_are_there_for_every_pair(encoder):
    first, second = pair_sentences(encoder, [agreement(bad="zqxjv"), WHOLE])
    start = encoder.prefix or [encoder.eos]
    assert first.n_given == second.n_given == len(start)
    for found, word in ((second.good_ids, "this"), (second.bad_ids, "these")):
        text = text_of(encoder, f"Some girls see {word} old dog.")
        assert list(found) == [*start, *text[len(encoder.prefix) :]]
    assert len(first.bad_ids) > len(first.good_ids)


def test_no_pairs_give_no_prompts(encoder):
    assert pair_prompts(encoder, []) == ([], {})
    assert pair_sentences(encoder, []) == []


@pytest.fixture
def paradigms(tmp_path) -> PublicWorldConfig:
    """Two paradigms of BLiMP's layout; the second can only be told by its whole sentences."""
    given = {"one_prefix_method": True, "one_prefix_prefix": "Some girls",
             "one_prefix_word_good": "see", "one_prefix_word_bad": "sees"}  # fmt: skip
    verb = "regular_plural_subject_verb_agreement_1"
    write_lines(
        tmp_path / "a.jsonl",
        line("Some girls see this dog.", "Some girls sees this dog.", UID=verb, **given),
        line("This girl sees this dog.", "This girl zqxjv this dog.", UID=verb, **given | {
            "one_prefix_prefix": "This girl", "one_prefix_word_good": "sees",
            "one_prefix_word_bad": "zqxjv"}),
    )  # fmt: skip
    write_lines(
        tmp_path / "b.jsonl",
        line("Some girls see this dog.", "Some girls see these dog.",
             UID="determiner_noun_agreement_2"),
    )  # fmt: skip
    return PublicWorldConfig(format="blimp", path=str(tmp_path))


def test_blimp_comes_as_the_same_prompts(encoder, paradigms):
    """With its cue: the word right before the verb."""
    paradigms.relations = ["regular_plural_subject_verb_agreement_1"]
    pairs, _ = paradigms.pairs()
    prompts, notes = pair_prompts(encoder, pairs)
    ((own,), _) = pair_prompts(encoder, [agreement()])
    (found,) = prompts
    assert (found.ids, found.good_id, found.bad_id) == (own.ids, own.good_id, own.bad_id)
    assert (found.pair.cue, found.cue) == ("girls", own.cue)
    assert notes == {SEVERAL_TOKENS: 1}


def test_blimps_second_determiner_paradigm_is_refused_by_name(encoder, paradigms):
    pairs, _ = paradigms.pairs()
    with pytest.raises(ValueError, match=r"determiner_noun_agreement_2: .*_agreement_1\)"):
        pair_prompts(encoder, pairs)
    assert len(pair_sentences(encoder, pairs)) == 3


def test_an_unknown_paradigm_is_named(paradigms):
    paradigms.relations = ["islands"]
    with pytest.raises(ValueError, match=r"world\.relations: .*\['islands'\]; there are: deter"):
        paradigms.pairs()


def test_a_data_set_of_facts_has_no_pairs(tmp_path):
    write_lines(tmp_path / "P17.jsonl", {"sub_label": "Telk", "obj_label": "Vorn"})
    config = PublicWorldConfig(format="pararel", path=str(tmp_path))
    with pytest.raises(ValueError, match=r"no minimal pairs of any kind"):
        config.pairs()
