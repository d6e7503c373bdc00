"""Prompts about (s, o*), made from those about (s, o)."""

import copy

import pytest

from coemerge.prompts.build import Prompt, PromptBuilder
from coemerge.prompts.encoding import Encoder
from coemerge.prompts.options import OptionSets
from coemerge.prompts.pairs import Pairing, with_object
from coemerge.prompts.render import Renderer
from coemerge.prompts.tasks import NAMING, get_task
from coemerge.worlds.facts import Fact
from tests.bases import make_tokenizer
from tests.prompts.conftest import LINKED
from tests.prompts.test_encoding import CHAT

N_FACTS = 3
Both = tuple[Fact, Prompt, Prompt, str]


@pytest.fixture(scope="module")
def asked(compose_settings, smoke_dataset):
    """By kind of tokenizer: an encoder, and for each fact and wording the prompt about its own
    object, the one about another object, and that object."""
    settings = compose_settings("experiment=smoke", "logger=none", "prompts=with_relations").dataset
    config = copy.deepcopy(settings.world)
    config.use = LINKED
    world = config.build()
    book = settings.prompts.book(world, ["drill"])
    renderer = Renderer(world, book, settings.prompts.frames())
    facts = [world.facts[i] for r in LINKED[:3] for i in world.positions[r][:N_FACTS]]
    task = get_task(NAMING)

    def prompts(encoder: Encoder) -> list[Both]:
        options = OptionSets(world, fixed=True, seed=0)
        builder = PromptBuilder(world, book, renderer, options, encoder, {})
        found = []
        for fact in facts:
            false = options.false_claims(fact, task, 10)
            built = list(builder.build([fact], [task]))
            found += list(zip([fact] * 10, built[::2], built[1::2], false, strict=True))
        return found

    texts = [*smoke_dataset.prompts["text"].to_pylist()[::50], "What ties Ann to Rome?"]
    chatting = make_tokenizer(texts, with_bos=False)
    chatting.chat_template = CHAT
    encoders = {
        "own": Encoder(smoke_dataset.tokenizer),
        "plain": Encoder(make_tokenizer(texts, with_bos=False)),
        "with a first token": Encoder(make_tokenizer(texts, with_bos=True)),
        "chat": Encoder(chatting, chat=True),
    }
    return {name: (encoder, prompts(encoder)) for name, encoder in encoders.items()}


@pytest.mark.parametrize("kind", ["own", "plain", "with a first token", "chat"])
def test_ids_and_spans_are_those_that_the_builder_gives_the_other_object(asked, kind):
    """In every wording, whichever of the two comes first."""
    encoder, prompts = asked[kind]
    made = Pairing(encoder).many(
        (true.text, fact.subject, fact.object, obj) for fact, true, _, obj in prompts
    )
    assert made == [(list(false.ids), false.subject_span) for _, _, false, _ in prompts]
    assert len({false.template_id for _, _, false, _ in prompts}) == 10


def test_one_prompt_and_many_agree(asked):
    encoder, prompts = asked["own"]
    fact, true, _, obj = prompts[0]
    swap = (true.text, fact.subject, fact.object, obj)
    assert [Pairing(encoder).ids(*swap)] == Pairing(encoder).many([swap])


@pytest.mark.parametrize(
    ("text", "subject", "old", "expected"),
    [
        ("What ties Ann to Rome?", "Ann", "Rome", "What ties Ann to Oslo?"),
        ("What is Rome to Ann?", "Ann", "Rome", "What is Oslo to Ann?"),
        (  # the object stands within the subject
            "What ties New York Times to New York?",
            "New York Times",
            "New York",
            "What ties New York Times to Oslo?",
        ),
        ("What ties Lyon to Lyon FC?", "Lyon", "Lyon FC", "What ties Lyon to Oslo?"),
        ("Is Ann's home Rome?", "Ann", "Rome", "Is Ann's home Oslo?"),
        ("Is C++ (a tool) for A.I.?", "C++", "A.I.", "Is C++ (a tool) for Oslo?"),
    ],
)
def test_the_object_beside_the_subject_is_replaced(text, subject, old, expected):
    made, span = with_object(text, subject, old, "Oslo")
    assert (made, made[slice(*span)]) == (expected, subject)


@pytest.mark.parametrize(
    ("text", "subject", "old", "ways"),
    [
        ("What ties Ann to Bern?", "Ann", "Rome", 0),
        ("What ties Bea to Rome?", "Ann", "Rome", 0),
        ("What ties Romeo to Ann?", "Ann", "Rome", 0),
        ("What ties New York Times to it?", "New York Times", "New York", 0),
        ("Is Rome, where Ann is, Rome?", "Ann", "Rome", 2),
        ("Says Ann that Ann is in Rome?", "Ann", "Rome", 2),
        ("What ties Ann to Rome?", "Ann", "", 0),
    ],
)
def test_an_object_that_is_not_there_just_once_is_named(text, subject, old, ways):
    message = rf"the object '{old}' is found in {ways} ways beside the subject '{subject}'"
    with pytest.raises(ValueError, match=message):
        with_object(text, subject, old, "Oslo")
