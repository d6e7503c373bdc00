"""Text without facts: what it holds, what it must never show, and the user's own files."""

import copy
import dataclasses
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from coemerge.corpus.background import Background, BackgroundConfig, check_background
from coemerge.corpus.builder import DatasetBuilder
from coemerge.corpus.own_texts import read_texts
from tests.documents import chosen_option, shown_options
from tests.tolerances import STANDARD_ERRORS

N = 400


@pytest.fixture(scope="module")
def builder(smoke_spec) -> DatasetBuilder:
    return DatasetBuilder(smoke_spec)


@pytest.fixture
def background_of(builder, smoke_spec):
    """A background with the given settings, otherwise as configured."""

    def make(**settings) -> Background:
        config = dataclasses.replace(smoke_spec.corpus.background, **settings)
        return Background(
            config,
            builder.world,
            builder.book,
            builder.renderer,
            builder.options,
            smoke_spec.prompts.list_cue,
        )

    return make


@pytest.fixture
def draw(background_of):
    """Texts of one kind."""

    def texts(kind: str, count: int = N, seed: int = 0) -> list[str]:
        background = background_of(mix={kind: 1})
        rng = np.random.default_rng(seed)
        return [background.draw(rng).text for _ in range(count)]

    return texts


@pytest.mark.parametrize(
    "kind", ["lookup", "drill_mcqa", "drill_negmcqa", "drill_cot_completion_mcqa"]
)
def test_lettered_background_never_shows_a_reserved_option_set(draw, builder, kind):
    for text in draw(kind, 1500):
        options = shown_options(text)
        for relation in builder.world.main_relations():
            if set(options) <= set(builder.world.candidates[relation]):
                assert not builder.options.is_reserved(relation, options)


@pytest.mark.parametrize("kind", ["lookup", "drill_mcqa", "drill_negmcqa"])
def test_lettered_background_shows_words_of_one_relation_as_well_as_of_several(draw, builder, kind):
    """A reserved set can only be told from words of one relation, so those must occur."""
    answer_sets = [set(builder.world.candidates[r]) for r in builder.world.main_relations()]
    within = [any(set(shown_options(t)) <= s for s in answer_sets) for t in draw(kind)]
    assert 0.25 < np.mean(within) < 0.9


def asked_part(text: str) -> str:
    """What follows the option list, up to the answer."""
    return text.split(". ", 1)[1].split(" Answer:")[0]


def test_mcqa_drills_are_answered_by_the_letter_of_the_word_asked_for(draw):
    assert all(chosen_option(text) in asked_part(text) for text in draw("drill_mcqa"))


def test_negmcqa_drills_are_answered_by_the_letter_of_the_other_word(draw):
    for text in draw("drill_negmcqa"):
        (asked_for,) = [o for o in shown_options(text) if o != chosen_option(text)]
        assert asked_for in asked_part(text)


def test_verification_drills_say_yes_exactly_if_one_word_is_named_twice(draw, builder):
    words = {o for objects in builder.world.candidates.values() for o in objects}
    for text in draw("drill_verification"):
        named = Counter(w.strip(".,?") for w in text.split() if w.strip(".,?") in words)
        assert (max(named.values()) == 2) == text.endswith("yes.")


def test_verification_drills_are_true_half_of_the_time(draw):
    n_true = sum(text.endswith("yes.") for text in draw("drill_verification"))
    assert abs(n_true - N / 2) < STANDARD_ERRORS * (N / 4) ** 0.5


def test_mcqa_drills_have_each_letter_right_equally_often(draw):
    letters = Counter(text[-2] for text in draw("drill_mcqa"))
    assert all(
        abs(letters[letter] - N / 4) < STANDARD_ERRORS * (N * 3 / 16) ** 0.5 for letter in "ABCD"
    )


@pytest.mark.parametrize("kind", ["drill_mcqa", "drill_negmcqa", "drill_verification"])
def test_a_drill_marks_its_answer(background_of, kind):
    background, rng = background_of(mix={kind: 1}), np.random.default_rng(0)
    for _ in range(20):
        drawn = background.draw(rng)
        (answer,) = drawn.answers
        assert drawn.text[slice(*answer)] == drawn.text.rstrip(".").split()[-1]


MADE_UP = ["drill_cot_completion_mcqa", "drill_cot_openqa_negmcqa", "drill_cot_fitb_verification"]


@pytest.mark.parametrize("kind", MADE_UP)
def test_two_step_drills_are_about_people_of_one_document_alone(draw, builder, kind):
    subjects = {fact.subject for fact in builder.world.facts}
    texts = draw(kind, 200)

    assert not any(subject in text for text in texts for subject in subjects)
    reasons = [text.split(" Think: ")[1].split(" Answer: ")[0] for text in texts]
    assert len(set(reasons)) == len(reasons)


def test_two_step_drills_are_answered_by_what_was_restated(draw, builder):
    """The letter of the object restated; over many texts every letter, and every kind of object."""
    letters = Counter()
    for text in draw("drill_cot_completion_mcqa"):
        question, rest = text.split(" Think: ")
        reason, answer = rest.split(" Answer: ")
        options = shown_options(question)
        letter = builder.renderer.letters.index(answer.rstrip("."))
        assert [option for option in options if option in reason.split(" ")[-1]] == [
            options[letter]
        ]
        letters[letter] += 1
    assert min(letters.values()) > N / 8


def test_two_step_claims_are_right_exactly_if_the_object_is_the_restated_one(draw, builder):
    words = {w for r in builder.world.main_relations() for w in builder.world.candidates[r]}
    verdicts = Counter()
    for text in draw("drill_cot_openqa_verification"):
        claim, rest = text.split(" Think: ")
        reason, answer = rest.split(" Answer: ")
        restated = reason.split(" ")[-1].rstrip(".")
        assert restated in words
        assert (answer == "yes.") == bool(re.search(rf"\b{restated}\b", claim))
        verdicts[answer] += 1
    assert min(verdicts.values()) > N / 3


def test_a_lookup_names_every_option_again_with_its_letter(draw):
    for text in draw("lookup"):
        pairs = text.rstrip(".").split(". ", 1)[1].split(", ")
        found = {letter: word for word, letter in (pair.split(" ") for pair in pairs)}
        assert [found[letter] for letter in "ABCD"] == shown_options(text)


def test_a_lookup_marks_every_letter_as_an_answer(background_of):
    background, rng = background_of(mix={"lookup": 1}), np.random.default_rng(0)
    for _ in range(20):
        drawn = background.draw(rng)
        said = [drawn.text[slice(*span)] for span in drawn.answers]
        assert said == [pair[-1] for pair in drawn.text.rstrip(".").split(". ", 1)[1].split(", ")]


def test_lookups_come_in_any_order(draw):
    orders = {
        tuple(pair[-1] for pair in t[:-1].split(". ", 1)[1].split(", ")) for t in draw("lookup")
    }
    assert len(orders) == 24


def compared(text: str) -> list[list[str]]:
    """The pairs of a comparison, each with its verdict."""
    return [part.split() for part in text.rstrip(".").removeprefix("Claim: ").split(", ")]


def test_a_comparison_says_yes_exactly_where_the_words_are_equal(draw):
    for text in draw("comparison"):
        assert all((a == b) == (verdict == "yes") for a, b, verdict in compared(text))


def test_comparisons_are_true_half_of_the_time(draw):
    verdicts = [verdict for text in draw("comparison") for _, _, verdict in compared(text)]
    n, n_true = len(verdicts), verdicts.count("yes")
    assert abs(n_true - n / 2) < STANDARD_ERRORS * (n / 4) ** 0.5


def test_a_comparison_marks_every_verdict_as_an_answer(background_of):
    background, rng = background_of(mix={"comparison": 1}), np.random.default_rng(0)
    for _ in range(20):
        drawn = background.draw(rng)
        said = [drawn.text[slice(*span)] for span in drawn.answers]
        assert said == [verdict for _, _, verdict in compared(drawn.text)]


def test_comparisons_never_show_a_reserved_pair(draw, builder):
    for text in draw("comparison"):
        for first, second, _ in compared(text):
            for relation in builder.world.main_relations():
                if first != second and {first, second} <= set(builder.world.candidates[relation]):
                    assert not builder.options.is_reserved(relation, [first, second])


@pytest.mark.parametrize(
    "kind",
    [
        "grammar",
        "lists",
        "comparison",
        "lookup",
        "drill_mcqa",
        "drill_negmcqa",
        "drill_verification",
    ],
)
def test_background_names_no_subject(draw, builder, kind):
    subjects = {f.subject for f in builder.world.facts}
    assert not [t for t in draw(kind, 100) for s in subjects if s in t]


def test_lists_repeat_themselves(draw):
    for text in draw("lists", 50):
        first, second = text.rstrip(".").removeprefix("List: ").split("; ")
        assert first == second


def test_texts_without_an_answer_mark_none(background_of):
    background = background_of(mix={"grammar": 1, "lists": 1})
    rng = np.random.default_rng(0)
    assert {background.draw(rng).answers for _ in range(50)} == {()}


def test_kinds_come_in_proportion_to_their_weights(background_of):
    background, rng = background_of(mix={"lists": 3, "grammar": 1}), np.random.default_rng(0)
    n_lists = sum(background.draw(rng).text.startswith("List:") for _ in range(2000))
    assert abs(n_lists - 1500) < STANDARD_ERRORS * (2000 * 0.75 * 0.25) ** 0.5


def test_a_kind_of_weight_zero_never_comes(background_of):
    background = background_of(mix={"lists": 0, "grammar": 1})
    rng = np.random.default_rng(0)
    assert not any(background.draw(rng).text.startswith("List:") for _ in range(300))


def test_the_share_can_differ_early_in_training(background_of):
    background = background_of(share=0.2, early_share=0.6, early_until=0.5)
    assert [background.share_at(t) for t in (0.0, 0.49, 0.5, 0.99)] == [0.6, 0.6, 0.2, 0.2]


@pytest.fixture
def users_text(tmp_path) -> Path:
    path = tmp_path / "mine.txt"
    path.write_text("First line.\n\n  Second line.  \n", encoding="utf-8")
    return path


def test_a_users_text_file_gives_one_text_per_line(users_text):
    assert list(read_texts(users_text)) == ["First line.", "Second line."]


def test_a_users_jsonl_file_gives_one_text_per_record(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"text": "One."}\n\n{"text": "Zwölf.", "id": 3}\n', encoding="utf-8")
    assert list(read_texts(path)) == ["One.", "Zwölf."]


@pytest.mark.parametrize(
    "line", ["{not json", '{"words": "no text"}', '["text"]', "5", '{"text": null}', '{"text": 5}']
)
def test_a_malformed_record_is_named_by_file_and_line(tmp_path, line):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"text": "One."}\n\n' + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"mine\.jsonl:3: "):
        list(read_texts(path))


def test_a_users_file_is_read_line_by_line(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"text": "One."}\n{not json\n', encoding="utf-8")
    assert next(read_texts(path)) == "One."


def test_a_users_file_starts_again_at_its_end(background_of, users_text):
    background = background_of(mix={"files": 1}, path=str(users_text))
    rng = np.random.default_rng(0)
    texts = [background.draw(rng).text for _ in range(3)]
    assert texts == ["First line.", "Second line.", "First line."]


def test_a_file_without_text_is_refused_before_anything_is_drawn(tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text("\n\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"empty\.txt: holds no text"):
        check_background(BackgroundConfig(mix={"files": 1}, path=str(path)))


def test_a_file_that_was_emptied_meanwhile_is_refused_when_drawn_from(background_of, users_text):
    background = background_of(mix={"files": 1}, path=str(users_text))
    users_text.write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"holds no text"):
        background.draw(np.random.default_rng(0))


def test_files_count_only_with_a_path(background_of, users_text):
    """So that a mix may weigh them and leave it to the user to bring some."""
    mix = {"grammar": 1, "files": 1}
    drawn = {}
    for path in (None, str(users_text)):
        background, rng = background_of(mix=mix, path=path), np.random.default_rng(0)
        drawn[path] = [background.draw(rng).text for _ in range(N)]
    own = {"First line.", "Second line."}
    assert not own & set(drawn[None])
    n_own = sum(text in own for text in drawn[str(users_text)])
    assert abs(n_own - N / 2) < STANDARD_ERRORS * (N / 4) ** 0.5


def test_without_a_path_a_weight_of_files_changes_no_document(smoke_spec):
    texts = []
    for weight in (0, 5):
        spec = copy.deepcopy(smoke_spec)
        spec.corpus.background.mix["files"] = weight
        texts.append([document.text for document in DatasetBuilder(spec).documents()])
    assert texts[0] == texts[1]


def test_a_users_texts_reach_the_training_stream(smoke_spec, users_text):
    spec = copy.deepcopy(smoke_spec)
    spec.corpus.background = BackgroundConfig(share=0.3, mix={"files": 1}, path=str(users_text))
    texts = {document.text for document in DatasetBuilder(spec).documents()}
    assert {"First line.", "Second line."} <= texts


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"mix": {"poems": 1}}, r"background\.mix: unknown \['poems'\]"),
        ({"mix": {}}, r"background\.mix"),
        ({"mix": {"lists": -1, "grammar": 2}}, r"background\.mix"),
        ({"mix": {"lists": 1}, "share": 1.0}, r"background\.share"),
        ({"mix": {"lists": 1}, "early_share": -0.1}, r"background\.early_share"),
        ({"mix": {"files": 1}}, r"background\.mix: nothing is left to draw.*path"),
        (
            {"mix": {"lists": 1}, "path": "mine.txt"},
            r"background\.path: mine\.txt is never drawn from: .*mix\.files",
        ),
        ({"mix": {"files": 1}, "path": "absent.txt"}, r"background\.path: absent\.txt: no such"),
        ({"mix": {"lists": 1}, "early_until": 1.5}, r"background\.early_until"),
    ],
)
def test_a_faulty_background_is_refused_by_its_key(settings, key):
    with pytest.raises(ValueError, match=key):
        check_background(BackgroundConfig(**settings))
