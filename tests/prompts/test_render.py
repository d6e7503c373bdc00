"""The text of a question, its right answer, and the frames that tell the formats apart."""

import dataclasses

import pytest

from coemerge.prompts.render import Question, check_frames
from coemerge.prompts.tasks import CORE_TASKS, TASKS, get_task

DIRECT = [*CORE_TASKS, "multihop"]
TWO_STEP = [t.name for t in TASKS.values() if t.route]


@pytest.fixture
def ask(linked_world, birth):
    """A question about one fact with everything that its format needs."""
    others = [o for o in linked_world.candidates["birthplace"] if o != birth.object]

    def question(name: str, position: int = 0, true: bool = True, template_id: int = 0):
        task = get_task(name)
        options = others[: max(task.n_options - 1, 0)]
        options.insert(position, birth.object)
        claimed = birth.object if true else others[0]
        return Question(birth, task, template_id, options, claimed)

    return question


@pytest.mark.parametrize("position", range(4))
def test_the_mcqa_letter_is_that_of_the_objects_place(renderer, ask, position):
    assert renderer.render(ask("mcqa", position)).answer == "ABCD"[position]


@pytest.mark.parametrize(("position", "letter"), [(0, "B"), (1, "A")])
def test_the_negmcqa_letter_is_that_of_the_distractor(renderer, ask, position, letter):
    assert renderer.render(ask("negmcqa", position)).answer == letter


@pytest.mark.parametrize(("true", "answer"), [(True, "yes"), (False, "no")])
def test_a_claim_is_answered_by_its_truth(renderer, ask, true, answer):
    assert renderer.render(ask("verification", true=true)).answer == answer


@pytest.mark.parametrize("task", ["completion", "fitb", "openqa"])
def test_generative_tasks_answer_the_object(renderer, ask, birth, task):
    assert renderer.render(ask(task)).answer == birth.object


def test_two_hop_questions_answer_the_object_beyond_the_bridge(renderer, ask, birth, linked_world):
    region_of = {
        f.subject: f.object
        for f in (linked_world.facts[i] for i in linked_world.positions["located_in"])
    }
    assert renderer.render(ask("multihop")).answer == region_of[birth.object]


def test_a_two_hop_question_without_a_bridge_is_refused(renderer, linked_world):
    fact = linked_world.facts[linked_world.positions["occupation"][0]]
    with pytest.raises(ValueError, match=r"'occupation' has no bridge"):
        renderer.answer(Question(fact, get_task("multihop"), 0))


@pytest.mark.parametrize("task", ["completion", "fitb", "openqa", "multihop"])
def test_the_prompt_of_a_generative_task_does_not_give_the_object_away(renderer, ask, birth, task):
    assert birth.object not in renderer.render(ask(task)).prompt


@pytest.mark.parametrize("name", [*DIRECT, *TWO_STEP])
def test_the_subject_span_holds_the_subject(renderer, ask, birth, name):
    for template_id in range(10):
        rendered = renderer.render(ask(name, template_id=template_id))
        assert rendered.prompt[slice(*rendered.subject)] == birth.subject


@pytest.mark.parametrize("name", [*DIRECT, *TWO_STEP])
def test_the_phrase_span_holds_the_subject_span(renderer, ask, name):
    rendered = renderer.render(ask(name))
    assert rendered.phrase[0] <= rendered.subject[0] < rendered.subject[1] <= rendered.phrase[1]


@pytest.mark.parametrize("name", DIRECT)
def test_a_prompt_opens_with_the_cue_of_its_format(renderer, ask, name, smoke_spec):
    assert renderer.render(ask(name)).prompt.startswith(smoke_spec.prompts.cues[name] + " ")


@pytest.mark.parametrize("name", ["mcqa", "negmcqa"])
def test_lettered_options_come_right_after_the_cue(renderer, ask, name, smoke_spec):
    question = ask(name)
    listed = ", ".join(f"{a} {b}" for a, b in zip("ABCD", question.options, strict=False))
    head = f"{smoke_spec.prompts.cues[name]} {listed}. "
    assert renderer.render(question).prompt.startswith(head)


@pytest.mark.parametrize("name", TWO_STEP)
def test_a_two_step_form_restates_the_fact_before_the_answer(
    renderer, ask, birth, name, smoke_spec
):
    prompt = renderer.render(ask(name)).prompt
    restatement = prompt.split(f" {smoke_spec.prompts.cot_reason} ")[1]
    assert birth.subject in restatement
    assert birth.object in restatement


@pytest.mark.parametrize(
    ("route", "key"), [("completion", "statement"), ("fitb", "cloze"), ("openqa", "question")]
)
def test_the_restatement_is_in_the_routes_wording(renderer, ask, birth, book, route, key):
    question = dataclasses.replace(ask(f"cot_{route}_mcqa"), route_template_id=2)
    wording = book.phrasings["birthplace"][key][2]
    filled = wording.replace("[X]", birth.subject).replace("[Y]", birth.object)
    filled += f" {birth.object}." if route == "openqa" else ""
    assert filled in renderer.render(question).prompt


@pytest.mark.parametrize("name", TWO_STEP)
def test_a_two_step_form_is_answered_as_its_last_step(renderer, ask, name):
    direct = get_task(name).base
    assert renderer.render(ask(name)).answer == renderer.render(ask(direct)).answer


def test_a_claim_without_an_object_is_refused(renderer, birth):
    with pytest.raises(ValueError, match="claimed"):
        renderer.render(Question(birth, get_task("verification"), 0))


@pytest.mark.parametrize("name", ["mcqa", "negmcqa"])
def test_options_that_lack_the_object_are_refused(renderer, birth, linked_world, name):
    others = [o for o in linked_world.candidates["birthplace"] if o != birth.object]
    task = get_task(name)
    with pytest.raises(ValueError, match=birth.object):
        renderer.render(Question(birth, task, 0, options=others[: task.n_options]))


def test_the_shipped_formats_open_with_words_of_their_own(smoke_spec):
    prompts = smoke_spec.prompts
    openings = [*prompts.cues.values(), prompts.cot_cue, prompts.list_cue]
    first_words = [cue.split()[0] for cue in openings]
    assert len(set(first_words)) == len(first_words) == 9


@pytest.fixture
def frames(smoke_spec):
    return smoke_spec.prompts.frames()


def test_two_formats_with_one_opening_word_are_refused(frames):
    cues = {**frames.cues, "fitb": "Note: fill in"}
    with pytest.raises(ValueError, match=r"prompts\.cues\.\w+: the first word 'Note:'"):
        check_frames(dataclasses.replace(frames, cues=cues))


def test_a_two_step_cue_that_opens_like_a_format_is_refused(frames):
    with pytest.raises(ValueError, match="first word 'Claim:'"):
        check_frames(dataclasses.replace(frames, cot_cue="Claim: think"))


def test_an_empty_cue_is_refused(frames):
    with pytest.raises(ValueError, match=r"prompts\.cues\.mcqa"):
        check_frames(dataclasses.replace(frames, cues={**frames.cues, "mcqa": ""}))


def test_a_missing_cue_is_named(frames):
    cues = {k: v for k, v in frames.cues.items() if k != "mcqa"}
    with pytest.raises(ValueError, match=r"prompts\.cues: missing \['mcqa'\]"):
        check_frames(dataclasses.replace(frames, cues=cues))


def test_a_list_cue_that_opens_like_a_format_is_refused(smoke_spec):
    prompts = dataclasses.replace(smoke_spec.prompts, list_cue="Options: words")
    with pytest.raises(ValueError, match=r"prompts\.list_cue"):
        prompts.frames()


def test_fewer_letters_than_options_are_refused(frames):
    with pytest.raises(ValueError, match=r"prompts\.letters"):
        check_frames(dataclasses.replace(frames, letters=("A", "B")))


def test_a_letter_used_twice_is_refused(frames):
    with pytest.raises(ValueError, match=r"prompts\.letters"):
        check_frames(dataclasses.replace(frames, letters=("A", "B", "B", "D")))


def test_one_word_for_yes_and_no_is_refused(frames):
    with pytest.raises(ValueError, match=r"prompts\.(yes|no)"):
        check_frames(dataclasses.replace(frames, no=frames.yes))
