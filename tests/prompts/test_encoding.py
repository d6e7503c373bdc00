"""Token ids and token spans, with the tokenizer of the smoke data set and with others."""

import copy

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from coemerge.prompts.encoding import (
    Encoder,
    check_first_tokens,
    check_single_tokens,
    encode_documents,
)
from coemerge.prompts.render import Question, Rendered
from coemerge.prompts.tasks import get_task
from tests.bases import make_tokenizer


@pytest.fixture(scope="module")
def tokenizer(smoke_dataset) -> PreTrainedTokenizerFast:
    return smoke_dataset.tokenizer


@pytest.fixture(scope="module")
def encoder(tokenizer) -> Encoder:
    return Encoder(tokenizer)


def words_split_at(split_at: str | Regex, behavior: str = "isolated") -> Encoder:
    """Every piece between ``split_at`` is one token, known or not."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(split_at, behavior)
    return Encoder(
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<unk>", pad_token=None
        )
    )


def rendered(prompt: str, answer: str, subject: str) -> Rendered:
    start = prompt.index(subject)
    return Rendered(prompt, answer, (start, start + len(subject)), (0, len(prompt)))


def test_prompt_answer_and_full_stop_are_encoded_as_one_text(encoder, tokenizer):
    (encoded,) = encode_documents(encoder, [rendered("Note: Ann was born in", "Rome", "Ann")])
    assert encoded.ids == tokenizer.encode("Note: Ann was born in Rome.", add_special_tokens=False)


def test_the_answer_span_holds_the_answer_with_its_space(encoder, tokenizer):
    (encoded,) = encode_documents(encoder, [rendered("Note: Ann was born in", "Rome", "Ann")])
    assert tokenizer.decode(encoded.ids[slice(*encoded.answer)]) == " Rome"


def test_a_subject_that_recurs_is_found_where_the_template_put_it(encoder, tokenizer):
    prompt = "Claim: Ann says that Ann was born in Rome. Answer:"
    second = prompt.rindex("Ann")
    item = Rendered(prompt, "yes", (second, second + 3), (7, 42))
    (encoded,) = encode_documents(encoder, [item])
    before = tokenizer.decode(encoded.ids[: encoded.subject[0]])
    assert before == "Claim: Ann says that"


def test_a_subject_with_a_genitive_does_not_swallow_it(encoder, tokenizer):
    item = rendered("Question: What is Ann's birthplace? Answer:", "Rome", "Ann")
    (encoded,) = encode_documents(encoder, [item])
    assert tokenizer.decode(encoded.ids[slice(*encoded.subject)]) == " Ann"


def test_relation_spans_leave_out_the_token_that_predicts_the_answer(encoder):
    (encoded,) = encode_documents(encoder, [rendered("Note: Ann was born in", "Rome", "Ann")])
    covered = {i for span in encoded.relation_spans for i in range(*span)}
    assert encoded.answer[0] - 1 not in covered


def test_relation_spans_and_the_subject_share_no_token(encoder):
    (encoded,) = encode_documents(encoder, [rendered("Note: Ann was born in", "Rome", "Ann")])
    covered = {i for span in encoded.relation_spans for i in range(*span)}
    assert not covered & set(range(*encoded.subject))


def test_a_tokenizer_that_joins_prompt_and_answer_is_refused():
    with pytest.raises(ValueError, match="joins the answer 'Rome'"):
        list(encode_documents(words_split_at("."), [rendered("Ann was in", "Rome", "Ann")]))


def test_a_tokenizer_that_joins_answer_and_full_stop_is_refused():
    with pytest.raises(ValueError, match="joins the answer 'Rome'"):
        list(encode_documents(words_split_at(" "), [rendered("Ann was in", "Rome", "Ann")]))


TEXT = "Question: What is Ann's birthplace? Answer: Rome."


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "with a first token"])
def foreign(request, smoke_dataset) -> PreTrainedTokenizerFast:
    """A tokenizer that a base model would bring."""
    return make_tokenizer([*smoke_dataset.prompts["text"].to_pylist()[::50], TEXT], request.param)


def test_texts_start_with_what_the_tokenizer_puts_before_them(foreign):
    encoder = Encoder(foreign)
    ((ids, offsets),) = encoder.encode([TEXT])
    assert ids == foreign(TEXT)["input_ids"]
    assert encoder.prefix == ([] if foreign.bos_token_id is None else [foreign.bos_token_id])
    assert offsets[: len(encoder.prefix)] == [(0, 0)] * len(encoder.prefix)
    assert len(offsets) == len(ids)
    assert (encoder.size, encoder.eos) == (len(foreign), foreign.eos_token_id)


def test_answers_have_the_ids_that_a_document_gives_them(foreign):
    encoder = Encoder(foreign)
    words = ["Rome", "yes", "A"]
    for word, ids in zip(words, encoder.answer_ids(words), strict=True):
        item = rendered("Question: What is Ann's birthplace? Answer:", word, "Ann")
        (encoded,) = encode_documents(encoder, [item])
        assert encoded.ids[slice(*encoded.answer)] == ids
        assert foreign.decode(ids).strip() == word


def test_spans_count_the_first_token(foreign):
    encoder = Encoder(foreign)
    item = rendered("Question: What is Ann's birthplace? Answer:", "Rome", "Ann")
    (encoded,) = encode_documents(encoder, [item])
    assert foreign.decode(encoded.ids[slice(*encoded.subject)]).strip() == "Ann"


def test_rows_are_padded_with_the_closing_token_where_there_is_no_other(foreign):
    assert foreign.pad_token_id is None
    assert Encoder(foreign).pad == foreign.eos_token_id
    padded = copy.deepcopy(foreign)
    padded.pad_token = "<unk>"
    assert Encoder(padded).pad == padded.pad_token_id != padded.eos_token_id


def test_a_tokenizer_without_a_closing_token_is_refused_with_the_remedy(foreign):
    silent = copy.deepcopy(foreign)
    silent.eos_token = None
    with pytest.raises(ValueError, match=r"no end-of-sequence token.*eos_token"):
        Encoder(silent)


def test_a_space_that_is_a_token_of_its_own_belongs_to_the_answer():
    """The prompt's ids are then those of its text alone, whatever the answer is."""
    encoder = words_split_at(Regex("[ .]"))
    (encoded,) = encode_documents(encoder, [rendered("Ann was in", "Rome", "Ann")])
    ((alone, _),) = encoder.encode(["Ann was in"])
    assert encoded.ids[: encoded.answer[0]] == alone
    assert encoded.answer == (5, 7)
    assert encoder.answer_ids(["Rome"]) == [encoded.ids[5:7]]


@pytest.mark.parametrize("name", ["completion", "mcqa", "verification", "cot_openqa_mcqa"])
def test_every_kind_of_prompt_can_be_encoded(
    encoder, tokenizer, renderer, linked_world, birth, name
):
    task = get_task(name)
    options = linked_world.candidates["birthplace"][: task.n_options]
    options = (*[o for o in options if o != birth.object][: task.n_options - 1], birth.object)
    item = renderer.render(Question(birth, task, 0, options, claimed=birth.object))
    (encoded,) = encode_documents(encoder, [item])
    assert tokenizer.decode(encoded.ids[slice(*encoded.subject)]).strip() == birth.subject


def test_every_answer_of_the_data_set_is_one_token(encoder, smoke_dataset, smoke_spec):
    words = {*smoke_dataset.facts["object"].to_pylist(), *smoke_spec.prompts.answer_words()}
    check_single_tokens(encoder, sorted(words))


def test_an_answer_of_several_tokens_is_refused_with_the_remedy(encoder):
    with pytest.raises(ValueError, match=r"Xyzzyquux.*corpus\.tokenizer\.vocab_size"):
        check_single_tokens(encoder, ["A", "Xyzzyquux"])


def test_answers_that_share_a_token_are_refused_by_name():
    with pytest.raises(ValueError, match=r"share a first token: Rome, Oslo"):
        check_single_tokens(words_split_at(" ", "merged_with_next"), ["Rome", "Oslo"])


def test_a_tokenizer_that_joins_words_is_refused_before_any_document_is_made():
    with pytest.raises(ValueError, match="Rome"):
        words_split_at(".").answer_ids(["Rome"])


def test_words_that_share_their_first_token_are_named_together(encoder):
    check_first_tokens(encoder, ["A", "B", "yes", "no"])
    with pytest.raises(ValueError, match=r"share a first token: yes, yes"):
        check_first_tokens(encoder, ["A", "yes", "no", "yes"])


CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


@pytest.fixture
def chatting() -> PreTrainedTokenizerFast:
    tokenizer = make_tokenizer(["Question: Where was Ann born? Rome yes no"] * 20, with_bos=False)
    tokenizer.chat_template = CHAT
    return tokenizer


def test_in_a_chat_the_answer_is_how_the_assistant_begins(chatting):
    encoder = Encoder(chatting, chat=True)
    item = rendered("Question: Where was Ann born?", "Rome", "Ann")
    (encoded,) = encode_documents(encoder, [item])

    prompt = chatting.decode(encoded.ids[: encoded.answer[0]])
    expected = chatting.apply_chat_template(
        [{"role": "user", "content": item.prompt}], tokenize=True, add_generation_prompt=True
    )["input_ids"]
    assert encoded.ids[: encoded.answer[0]] == expected
    assert prompt.endswith("<|assistant|>\n")
    assert chatting.decode(encoded.ids[slice(*encoded.answer)]) == "Rome"
    assert chatting.decode(encoded.ids[slice(*encoded.subject)]).strip() == "Ann"


def test_in_a_chat_candidates_are_tokenised_as_the_answer_is(chatting):
    encoder = Encoder(chatting, chat=True)
    (encoded,) = encode_documents(encoder, [rendered("Where was Ann born?", "Rome", "Ann")])

    assert encoder.answer_ids(["Rome"]) == [encoded.ids[slice(*encoded.answer)]]
    assert Encoder(chatting).answer_ids(["Rome"]) != encoder.answer_ids(["Rome"])


def test_a_space_at_the_end_of_the_template_belongs_to_the_answer(chatting):
    chatting.chat_template = "[INST] {{ messages[0]['content'] }} [/INST] "
    (encoded,) = encode_documents(
        Encoder(chatting, chat=True), [rendered("Where was Ann born?", "Rome", "Ann")]
    )

    assert chatting.decode(encoded.ids[slice(*encoded.answer)]) == " Rome"


def test_a_chat_without_a_template_is_refused(chatting):
    chatting.chat_template = None
    with pytest.raises(ValueError, match="no chat template"):
        Encoder(chatting, chat=True)


def test_a_template_that_drops_the_question_is_refused(chatting):
    chatting.chat_template = "<|assistant|>"
    with pytest.raises(ValueError, match="drops what a user says"):
        Encoder(chatting, chat=True)
