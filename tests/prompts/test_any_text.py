"""Whatever facts, phrasings and pairs say, spans lie where they should; files are read or told."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from coemerge.prompts.encoding import Encoder
from coemerge.prompts.generic import phrasings_from
from coemerge.prompts.minimal_pairs import pair_prompts, pair_sentences
from coemerge.prompts.naming import load_naming
from coemerge.prompts.render import Question, Rendered, Renderer
from coemerge.prompts.tasks import CORE_TASKS, TASKS, Task
from coemerge.prompts.templates import (
    OBJECT,
    PHRASINGS,
    SUBJECT,
    TemplateBook,
    load_templates,
    slot_problem,
)
from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.facts import Fact, ListedFacts, Relation, Wordings, World
from tests.bases import make_tokenizer
from tests.conftest import ROOT
from tests.properties import attempted, gone_wrong, often

PROMPTS = ROOT / "conf" / "prompts"
TEMPLATES: dict[str, Any] = yaml.safe_load((PROMPTS / "templates" / "drill.yaml").read_text())
NAMES: dict[str, Any] = yaml.safe_load((PROMPTS / "naming" / "default.yaml").read_text())
ASKED = [t for t in TASKS.values() if t.base in CORE_TASKS]

words = st.text("ab ,'é", max_size=5).map(lambda t: " ".join(t.split()))
odd = st.sampled_from(["[X]", "[Y]", "{}", "$x$", "%s", "\\1", "A", "yes", "___", "Note:", '"'])
labels = st.lists(words | odd, min_size=1, max_size=3).map(" ".join).map(str.strip).filter(bool)


@st.composite
def phrasings(draw: st.DrawFn, key: str) -> str:
    """A sound one: the slots that the key needs among other words."""
    slots = [SUBJECT, OBJECT] if key in ("statement", "cloze", "claim") else [SUBJECT]
    if key != "statement" and draw(st.booleans()):
        slots.reverse()
    parts = [part for slot in slots for part in (draw(words), slot)]
    text = " ".join(filter(None, [*parts, "" if key == "statement" else draw(words)])) + "."
    assume(slot_problem(key, text) is None)
    return text


def world_of(subject: str, obj: str, other: str) -> World:
    facts = [Fact("f", "r", subject, obj), Fact("g", "r", f"{subject} the other", other)]
    positions, candidates = {"r": range(2)}, {"r": (obj, other)}
    listed = ListedFacts(facts, positions, candidates)
    return World("w", {"r": Relation("r", "a", "b")}, listed, positions, candidates)


def check_spans(item: Rendered, fact: Fact) -> None:
    start, stop = item.subject
    assert item.prompt[start:stop] == fact.subject
    assert 0 <= item.phrase[0] <= start < stop <= item.phrase[1] <= len(item.prompt)
    assert item.document.startswith(item.prompt)
    assert item.document[slice(*item.answer_span)] == item.answer
    assert item.answer


@pytest.mark.parametrize("task", ASKED, ids=lambda task: task.name)
def test_names_that_look_like_slots_are_names(smoke_spec, task: Task):
    sound = {key: ["[X] is [Y].", "never shown"] for key in ("statement", "claim", "cloze")}
    sound |= {key: ["What is [X]?", "never shown"] for key in ("question", "choice", "negated")}
    sound["claim"] = sound["cloze"] = ["[Y] is what [X] is.", "never shown"]
    world = world_of("[Y] Smith", "[X]", "{[X]}")
    renderer = Renderer(world, TemplateBook({"r": sound}, 1), smoke_spec.prompts.frames())
    options = ["[X]", "{[X]}", "p", "q"][: task.n_options]

    item = renderer.render(Question(world.facts[0], task, 0, options, claimed="{[X]}"))

    check_spans(item, world.facts[0])


@pytest.mark.parametrize("task", ASKED, ids=lambda task: task.name)
@given(data=st.data())
@often
def test_spans_cover_subject_and_answer(smoke_spec, task: Task, data):
    subject, obj, other = data.draw(st.lists(labels, min_size=3, max_size=3, unique=True))
    given_ = {key: [data.draw(phrasings(key)), "never shown"] for key in PHRASINGS}
    world = world_of(subject, obj, other)
    fact = world.facts[0]
    renderer = Renderer(world, TemplateBook({"r": given_}, 1), smoke_spec.prompts.frames())
    options = [obj, other, "p", "q"][: task.n_options]

    item = renderer.render(Question(fact, task, 0, options, claimed=other))

    check_spans(item, fact)
    check_spans(item.framed("<user> ", " <assistant>", " "), fact)
    phrasing = given_[task.phrasing][0]
    around = item.prompt[: item.phrase[0]] + item.prompt[item.phrase[1] :]
    says_it = any(obj in text for text in (phrasing, subject, around, "___"))
    if task.kind == "generative" and not task.route and not says_it:
        told = item.prompt.replace(subject, "")
        assert obj not in told


@given(
    label=labels,
    statements=st.lists(phrasings("statement") | phrasings("cloze"), max_size=12),
    questions=st.lists(phrasings("question"), max_size=12),
)
@often
def test_phrasings_around_a_sets_own_wordings_are_sound(label, statements, questions):
    wordings = Wordings(tuple(statements), tuple(questions))
    made = phrasings_from(Relation("r", "a", "b", label=label), wordings)

    for key, texts in made.items():
        assert 1 <= len(texts) == len(set(texts)) <= 10
        assert [slot_problem(key, text) for text in texts] == [None] * len(texts)


@given(changed=gone_wrong(TEMPLATES))
@often
def test_template_files_gone_wrong_are_read_or_told(tmp_path_factory, changed):
    path: Path = tmp_path_factory.getbasetemp() / "drill.yaml"
    path.write_text(yaml.safe_dump(changed))

    book = attempted(lambda: load_templates(path.parent, ["drill"], 3), path)
    for key, texts in book.phrasings["drill"].items() if book else ():
        assert [slot_problem(key, text) for text in texts] == [None] * len(texts)
        "".join(texts).encode()


@given(changed=gone_wrong(NAMES))
@often
def test_names_of_relations_gone_wrong_are_read_or_told(tmp_path_factory, changed):
    path: Path = tmp_path_factory.getbasetemp() / "naming.yaml"
    path.write_text(yaml.safe_dump(changed))

    found = attempted(lambda: load_naming(path, list(NAMES["names"]), 3), path)
    for word in found[0].answers if found else ():
        assert len(word.encode().split()) == 1


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "with BOS"])
def encoder(request) -> Encoder:
    text = "A dog dogs sees see this these . , herself himself"
    return Encoder(make_tokenizer([text, f" {text}"] * 20, request.param))


short = st.lists(st.sampled_from("a dog dogs sees this é , . 'x".split()), max_size=4).map(" ".join)
pairs = st.builds(
    MinimalPair,
    phenomenon=st.sampled_from(["p", "q"]),
    word_class=st.just("plural"),
    prefix=short,
    good=short.filter(bool),
    bad=short.filter(bool),
    suffix=short,
    cue_follows=st.booleans(),
    cue=short | labels,
)


@given(given_=st.lists(pairs.filter(lambda p: p.good != p.bad), min_size=1, max_size=4))
@often
def test_pairs_become_prompts_of_their_own_tokens_or_are_counted(encoder, given_):
    kept = [p for p in given_ if not p.cue_follows]
    assume({p.phenomenon for p in given_} == {p.phenomenon for p in kept})

    prompts, notes = pair_prompts(encoder, given_)

    assert len(prompts) + notes.total() == len(given_)
    for prompt in prompts:
        pair, n = prompt.pair, len(prompt.ids)
        for word, last in ((pair.good, prompt.good_id), (pair.bad, prompt.bad_id)):
            ((ids, _),) = encoder.encode([pair.sentence(word)])
            assert ids[: n + 1] == [*prompt.ids, last]
        assert prompt.good_id != prompt.bad_id
        assert prompt.cue is None or 0 <= prompt.cue[0] < prompt.cue[1] <= n


@given(given_=st.lists(pairs, min_size=1, max_size=3))
@often
def test_whole_sentences_keep_all_their_tokens(encoder, given_):
    for item in pair_sentences(encoder, given_):
        for ids, word in ((item.good_ids, item.pair.good), (item.bad_ids, item.pair.bad)):
            ((own, _),) = encoder.encode([item.pair.sentence(word)])
            assert list(ids[len(ids) - len(own) :]) == own
            assert 1 <= item.n_given <= len(ids)
