"""Edit requests as token ids: made-up records, with tokenizers that base models would bring."""

from dataclasses import replace

import pytest
from tokenizers import Regex

from coemerge.prompts.edit_prompts import (
    FURTHER,
    JOINED_SUBJECT,
    JOINED_TARGET,
    NO_PAIR,
    SAME_TARGETS,
    EditPrompts,
    EncodedEdits,
    encode_edits,
)
from coemerge.prompts.encoding import Encoder
from coemerge.worlds.edit_cases import EditCase
from tests.bases import make_tokenizer
from tests.prompts.test_encoding import CHAT, words_split_at

PLAIN = EditCase(
    case_id="7",
    relation_id="P36",
    subject="Upper Orvania",
    prompt="The seat of [X] is",
    target_true="Telk",
    target_new="Port Amel",
    paraphrase_prompts=("Rain fell. Upper Orvania is ruled from", "Upper Orvania's seat is"),
    neighborhood_prompts=("The seat of Suneth is", "Ulm is ruled from"),
)
BOTH = replace(
    PLAIN,
    relation_names=("seat", "capital"),
    add_relation_prompt="Upper Orvania and Port Amel are joined by",
    remove_relation_prompt="Upper Orvania and Telk are joined by",
    relation_prompts=(
        "Port Amel is to Upper Orvania its",
        "What Telk is to Upper Orvania is its",
    ),
)
TEXTS = [
    PLAIN.prompt,
    *PLAIN.paraphrase_prompts,
    *PLAIN.neighborhood_prompts,
    BOTH.add_relation_prompt,
    *BOTH.relation_prompts,
    "The seat is None. Telk Port Amel Bor",
]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "with a first token"])
def tokenizer(request):
    return make_tokenizer(TEXTS * 3, request.param)


def encoded(tokenizer, case: EditCase, *others: EditCase) -> EncodedEdits:
    encoder = tokenizer if isinstance(tokenizer, Encoder) else Encoder(tokenizer)
    return encode_edits(encoder, {"fact": [case, *others]})


def prompts_of(tokenizer, case: EditCase) -> EditPrompts:
    return encoded(tokenizer, case).prompts["fact"]


def test_prompts_have_the_ids_of_their_texts(tokenizer):
    found = prompts_of(tokenizer, BOTH)
    assert found.rewrite.ids == tokenizer("The seat of Upper Orvania is")["input_ids"]
    for made, texts in (
        (found.paraphrases, PLAIN.paraphrase_prompts),
        (found.neighbours, PLAIN.neighborhood_prompts),
    ):
        assert made == [tokenizer(text)["input_ids"] for text in texts]
    assert found.relation.add.ids == tokenizer(BOTH.add_relation_prompt)["input_ids"]
    assert found.relation.remove.ids == tokenizer(BOTH.remove_relation_prompt)["input_ids"]


def test_targets_follow_a_space(tokenizer):
    found = prompts_of(tokenizer, BOTH)
    asked = {
        "The seat of Upper Orvania is Telk": found.rewrite.ids + found.true,
        "The seat of Upper Orvania is Port Amel": found.rewrite.ids + found.new,
        f"{BOTH.add_relation_prompt} seat": found.relation.add.ids + found.relation.name,
        f"{BOTH.remove_relation_prompt} None": found.relation.remove.ids + found.relation.none,
    }
    assert [tokenizer(text)["input_ids"] for text in asked] == list(asked.values())


def test_spans_hold_the_subject_in_each_prompt_that_needs_one(tokenizer):
    found = prompts_of(tokenizer, BOTH)
    for prompt in (found.rewrite, found.relation.add, found.relation.remove):
        assert tokenizer.decode(prompt.ids[slice(*prompt.subject)]).strip() == "Upper Orvania"


def test_wordings_of_the_relations_side_serve_both_objects(tokenizer):
    """Two wordings, one about each object: either gives one about the other."""
    side = prompts_of(tokenizer, BOTH).relation
    for made, obj in ((side.added, "Port Amel"), (side.removed, "Telk")):
        texts = (f"{obj} is to Upper Orvania its", f"What {obj} is to Upper Orvania is its")
        assert made == [tokenizer(text)["input_ids"] for text in texts]


def test_a_wording_that_is_the_edited_prompt_with_the_other_object_is_no_other_wording(tokenizer):
    case = replace(BOTH, relation_prompts=(BOTH.remove_relation_prompt,))
    side = prompts_of(tokenizer, case).relation
    assert (side.added, side.removed) == ([], [])


def test_without_rakes_fields_there_is_no_relations_side(tokenizer):
    found = encoded(tokenizer, PLAIN)
    assert found.prompts["fact"].relation is None
    assert (found.notes, found.skipped) == ({}, {})


def test_without_a_prompt_to_remove_by_there_is_nothing_to_remove(tokenizer):
    side = prompts_of(tokenizer, replace(BOTH, remove_relation_prompt="")).relation
    assert (side.remove, side.removed, len(side.added)) == (None, [], 2)


def test_a_target_equal_to_the_present_answer_is_counted_and_named(tokenizer):
    found = encoded(tokenizer, replace(PLAIN, target_new="Telk"))
    assert (found.prompts, found.skipped) == ({}, {"fact": SAME_TARGETS})
    (line,) = found.lines()
    assert line == f"requests left out: {SAME_TARGETS}: 1, first case 7, 'Upper Orvania'"


def test_the_first_request_that_can_be_used_is(tokenizer):
    unusable = replace(PLAIN, case_id="6", target_new="Telk")
    found = encoded(tokenizer, unusable, PLAIN, replace(PLAIN, target_new="Bor"))
    assert found.prompts["fact"].case_id == "7"
    assert found.skipped == {}
    assert found.notes == {f"requests left out: {SAME_TARGETS}": 1, FURTHER: 1}
    assert found.first[f"requests left out: {SAME_TARGETS}"].startswith("case 6,")


def test_empty_repeated_and_missing_prompts_are_counted(tokenizer):
    case = replace(
        PLAIN,
        paraphrase_prompts=("", "The seat of Upper Orvania is", "It rules", "It rules"),
        neighborhood_prompts=(),
    )
    found = encoded(tokenizer, case)
    assert found.prompts["fact"].paraphrases == [tokenizer("It rules")["input_ids"]]
    assert found.prompts["fact"].neighbours == []
    assert found.notes == {
        "paraphrases left out: empty or repeated": 3,
        "requests without neighbourhood prompts": 1,
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"add_relation_prompt": "Suneth and Port Amel are joined by"}, NO_PAIR),
        ({"add_relation_prompt": "Upper Orvania and Telk are joined by"}, NO_PAIR),
        ({"remove_relation_prompt": "Upper Orvania is joined by"}, NO_PAIR),
        ({"relation_names": ()}, "the relation has no name"),
    ],
)
def test_a_faulty_relations_side_is_left_out_and_the_entitys_kept(tokenizer, change, reason):
    found = encoded(tokenizer, replace(BOTH, **change))
    assert found.prompts["fact"].relation is None
    assert found.notes == {f"requests without their relation's side: {reason}": 1}


def test_wordings_that_name_neither_object_are_counted(tokenizer):
    found = encoded(tokenizer, replace(BOTH, relation_prompts=("Upper Orvania is joined by",)))
    assert found.prompts["fact"].relation.added == []
    assert found.notes == {f"relation prompts left out: {NO_PAIR}": 1}


def test_a_tokenizer_that_joins_the_subject_with_its_neighbours_is_told_of():
    """One token is ``Orvania-born``: its vector is not that of the subject."""
    encoder = words_split_at(Regex(" |\\.$"))
    case = replace(PLAIN, subject="Orvania", prompt="The seat of an [X]-born is")
    found = encoded(encoder, case)
    assert found.skipped == {"fact": JOINED_SUBJECT}
    assert encoded(encoder, replace(case, prompt="The seat of [X] is")).skipped == {}


def test_a_tokenizer_that_joins_a_target_with_the_prompt_is_told_of():
    found = encoded(words_split_at(Regex(" of |Orvania")), PLAIN)
    assert found.skipped == {"fact": JOINED_TARGET}


def test_a_single_prompt_that_is_joined_with_its_target_is_left_out():
    case = replace(PLAIN, paraphrase_prompts=("It is ruled from", "The town is"))
    found = encoded(words_split_at(Regex(" of | is|Amel|\\.$")), case)
    assert len(found.prompts["fact"].paraphrases) == 1
    assert found.notes[f"paraphrases left out: {JOINED_TARGET}"] == 1


def test_in_a_chat_prompts_are_what_a_user_says():
    tokenizer = make_tokenizer(TEXTS * 3, with_bos=False)
    tokenizer.chat_template = CHAT
    found = encoded(Encoder(tokenizer, chat=True), BOTH).prompts["fact"]

    def said(text: str) -> list[int]:
        return tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=True, add_generation_prompt=True
        )["input_ids"]

    assert found.rewrite.ids == said("The seat of Upper Orvania is")
    assert found.neighbours == [said(text) for text in PLAIN.neighborhood_prompts]
    subject = found.relation.add.ids[slice(*found.relation.add.subject)]
    assert tokenizer.decode(subject).strip() == "Upper Orvania"
