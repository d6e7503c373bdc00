"""Phrasings made from a data set's own wordings, and a data set built with them from end to end."""

import itertools
import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from coemerge.corpus.dataset import Dataset, build_dataset
from coemerge.corpus.tokenizer import train_tokenizer
from coemerge.corpus.tokenizer_config import TokenizerConfig
from coemerge.prompts.config import PromptsConfig
from coemerge.prompts.encoding import Encoder, encode_documents
from coemerge.prompts.generic import phrasings_from
from coemerge.prompts.options import OptionSets
from coemerge.prompts.render import Rendered
from coemerge.prompts.tasks import CORE_TASKS, TASKS, get_task
from coemerge.prompts.templates import TemplateBook, slot_problem
from coemerge.worlds.facts import Relation, Wordings, World
from coemerge.worlds.public import PublicWorldConfig
from tests.documents import shown_options, stored_texts

KEYS = [get_task(name).phrasing for name in CORE_TASKS]
RIVER = Relation("main_river", "city", "river", label="main river")
ENDING = [
    "The river of [X] is [Y].",
    "[X] lies on the [Y]",
    "In [X], ships sail on the [Y].",
]
OTHERS = ["[Y] is the river of [X].", "The [Y] flows through [X]."]
QUESTIONS = ["On what river does [X] lie?", "Which river crosses [X]?"]
KINDS = {
    "many": Wordings(tuple(f"The river of [X] in {1900 + n} was [Y]." for n in range(14))),
    "few": Wordings(tuple(ENDING)),
    "one": Wordings((ENDING[0],)),
    "none": Wordings(),
    "questions only": Wordings(questions=tuple(QUESTIONS)),
    "one question": Wordings(questions=(QUESTIONS[0],)),
    "many questions": Wordings(questions=tuple(f"In {n}, on what lay [X]?" for n in range(14))),
    "none that ends in the object": Wordings(tuple(OTHERS)),
    "some that end in the object": Wordings((*OTHERS, *ENDING)),
    "statements and questions": Wordings(tuple(ENDING), tuple(QUESTIONS)),
    "a beginning and an ending": Wordings(("[X] [Y]",)),
    "two that differ in case": Wordings(("The river of [X] is [Y].", "the river of [X] is [Y].")),
}
kinds = pytest.mark.parametrize("wordings", KINDS.values(), ids=KINDS)
keys = pytest.mark.parametrize("key", KEYS)


def book_of(wordings: Wordings, n_held_out: int = 3) -> TemplateBook:
    return TemplateBook({"main_river": phrasings_from(RIVER, wordings)}, n_held_out)


def task_of(key: str):
    return next(task for task in TASKS.values() if task.phrasing == key and not task.route)


@kinds
def test_every_format_but_two_hops_has_phrasings(wordings):
    assert set(phrasings_from(RIVER, wordings)) == set(KEYS)


@keys
@kinds
def test_there_are_ten_different_phrasings(wordings, key):
    phrasings = phrasings_from(RIVER, wordings)[key]
    assert len(phrasings) == len(set(phrasings)) == 10


@keys
@kinds
def test_every_phrasing_has_the_right_slots(wordings, key):
    phrasings = phrasings_from(RIVER, wordings)[key]
    assert [slot_problem(key, entry) for entry in phrasings] == [None] * 10


@keys
@kinds
def test_held_out_phrasings_differ_from_the_seen_ones(wordings, key):
    book, task = book_of(wordings), task_of(key)
    phrasings = book.phrasings["main_river"][key]
    seen = {phrasings[k] for k in book.seen("main_river", task)}
    held_out = {phrasings[k] for k in book.held_out("main_river", task)}
    assert (len(seen), len(held_out)) == (7, 3)
    assert not seen & held_out


@kinds
def test_held_out_completions_differ_from_the_seen_ones_up_to_the_object(wordings):
    assert_distinct_beginnings(wordings)


def test_statements_that_differ_after_the_object_only_are_no_two_completions():
    assert_distinct_beginnings(Wordings(("The river of [X] is [Y].", "The river of [X] is [Y]")))


def assert_distinct_beginnings(wordings: Wordings) -> None:
    """Else a held-out prompt were the very text of training (T-D3)."""
    statements = phrasings_from(RIVER, wordings)["statement"]
    beginnings = [entry[: entry.index("[Y]")].rstrip() for entry in statements]
    assert not set(beginnings[:7]) & set(beginnings[7:])


@pytest.mark.parametrize("name", ["few", "one", "statements and questions"])
@pytest.mark.parametrize("key", ["statement", "cloze", "claim"])
def test_statements_of_the_set_come_first_and_unchanged(name, key):
    own = KINDS[name].statements
    assert phrasings_from(RIVER, KINDS[name])[key][: len(own)] == own


@pytest.mark.parametrize("key", ["statement", "cloze", "claim"])
def test_where_the_set_has_enough_statements_there_are_no_others(key):
    own = KINDS["many"].statements
    assert phrasings_from(RIVER, KINDS["many"])[key] == own[:10]


def test_blanks_and_claims_serve_statements_that_do_not_end_in_the_object():
    made = phrasings_from(RIVER, KINDS["some that end in the object"])
    assert made["cloze"][:5] == (*OTHERS, *ENDING)
    assert made["claim"][:5] == (*ENDING, *OTHERS)
    assert made["statement"][:3] == tuple(ENDING)


def test_blanks_start_with_the_sets_statements_even_if_none_ends_in_the_object():
    made = phrasings_from(RIVER, KINDS["none that ends in the object"])
    assert made["cloze"][:2] == tuple(OTHERS)


def test_claims_start_with_the_sets_statements_even_if_none_ends_in_the_object():
    made = phrasings_from(RIVER, KINDS["none that ends in the object"])
    assert made["claim"][:2] == tuple(OTHERS)


@pytest.mark.parametrize("name", ["none", "questions only", "none that ends in the object"])
def test_without_a_statement_that_ends_in_the_object_the_label_makes_one(name):
    assert phrasings_from(RIVER, KINDS[name])["statement"][0] == "The main river of [X] is [Y]."


def test_a_relation_without_a_label_is_named_by_its_id():
    bare = Relation("main_river", "city", "river")
    assert phrasings_from(bare, Wordings())["statement"][0] == "The main river of [X] is [Y]."


@pytest.mark.parametrize("name", ["questions only", "one question", "statements and questions"])
def test_questions_of_the_set_come_first_and_unchanged(name):
    own = KINDS[name].questions
    made = phrasings_from(RIVER, KINDS[name])["question"]
    assert made[: len(own)] == own
    assert all(entry.endswith(own) for entry in made)


def test_without_questions_a_statements_beginning_is_asked_for():
    made = phrasings_from(RIVER, KINDS["one"])["question"]
    assert all('"The river of [X] is"' in entry for entry in made)


@pytest.mark.parametrize("key", ["choice", "negated"])
def test_choices_quote_a_statements_beginning(key):
    made = phrasings_from(RIVER, KINDS["few"])[key]
    quoted = {re.search('"(.*)"', entry)[1] for entry in made}
    assert quoted == {
        "The river of [X] is",
        "[X] lies on the",
        "In [X], ships sail on the",
    }


def test_a_statement_behind_an_opening_starts_in_lower_case():
    made = phrasings_from(RIVER, KINDS["one"])["statement"]
    assert made[0] == "The river of [X] is [Y]."
    assert all(entry.endswith(" the river of [X] is [Y].") for entry in made[1:])


def test_a_subject_behind_an_opening_keeps_its_slot():
    made = phrasings_from(RIVER, Wordings(("[X] lies on the [Y].",)))["statement"]
    assert all("[X] lies on the [Y]." in entry for entry in made)


@kinds
@pytest.mark.parametrize("key", ["statement", "cloze", "question", "claim"])
def test_the_phrasings_of_one_format_are_none_of_another_kind(wordings, key):
    """A choice is told from a question, and both from its negation."""
    made = phrasings_from(RIVER, wordings)
    assert not set(made["choice"]) & {*made["negated"], *made[key]}


def test_a_book_takes_own_wordings_before_files(tmp_path):
    world = World("w", {"main_river": RIVER}, [], {}, {}, {"main_river": KINDS["few"]})
    book = PromptsConfig(templates_dir=str(tmp_path)).book(world)
    assert book.phrasings["main_river"] == phrasings_from(RIVER, KINDS["few"])


def test_a_book_wants_files_for_relations_without_wordings(tmp_path):
    world = World("w", {"main_river": RIVER}, [], {}, {})
    with pytest.raises(ValueError, match=r"main_river\.yaml: missing"):
        PromptsConfig(templates_dir=str(tmp_path)).book(world)


# A data set from a small public world, from end to end.

RIVERS = "Sorn Tolm Birrel Kess Vand Orl Mirrow Adde Fenn Great_Ostra Lower_Kell Great_Hask".split()
TONGUES = "Ostric Kellish Sornic Tolmish Vandic Orlish Addic Fennish Haskan Mirric".split()
CITIES = "Velmar New_Kell Port_Sind St._Ann Ada's_Rest Tarn Ulm-Ost Quell Brack Wiss Jorn Pell"
WALLS = ("stone", "earth", "old brick", "timber", "flint")


def cities() -> list[str]:
    return [name.replace("_", " ") for name in CITIES.split()]


def relation_files(folder: Path) -> Path:
    """Rivers, each city's one; languages, several of some cities; walls of a few kinds."""
    rivers = [name.replace("_", " ") for name in RIVERS]
    spoken = list(zip(cities(), itertools.cycle(TONGUES), strict=False))
    spoken += [(cities()[0], TONGUES[5]), (cities()[0], TONGUES[7]), (cities()[3], TONGUES[0])]
    walls = zip(cities(), itertools.cycle(WALLS), strict=False)
    templates = {
        "main river": (
            ["The river of {} is the", "{} lies on the"],
            zip(cities(), rivers, strict=True),
        ),
        "spoken language": (["People in {} speak"], spoken),
        "wall": ([], walls),
    }
    folder.mkdir(exist_ok=True)
    for name, (found, pairs) in templates.items():
        content = {
            "name": name,
            "prompt_templates": found,
            "prompt_templates_zs": [],
            "samples": [{"subject": s, "object": o} for s, o in pairs],
        }
        (folder / f"{name.replace(' ', '_')}.json").write_text(json.dumps(content))
    return folder


def public_settings(compose_settings, path: Path, folder: Path):
    return compose_settings(
        "experiment=smoke",
        "world=lre",
        f"world.path={path}",
        "logger=none",
        f"paths.artifacts={folder / 'artifacts'}",
    )


@pytest.fixture(scope="module")
def settings(compose_settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("public")
    return public_settings(compose_settings, relation_files(folder / "lre"), folder)


@pytest.fixture(scope="module")
def world(settings) -> World:
    return settings.dataset.world.build()


@pytest.fixture(scope="module")
def dataset(settings, tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("built") / "d"
    return build_dataset(settings.dataset, folder, progress=False)


@pytest.fixture(scope="module")
def prompts(dataset) -> list[dict]:
    return dataset.prompts.to_pylist()


@pytest.fixture(scope="module")
def facts(dataset) -> dict[str, dict]:
    return {fact["fact_id"]: fact for fact in dataset.facts.to_pylist()}


@pytest.fixture(scope="module")
def right(world) -> dict[tuple[str, str], set[str]]:
    """All right answers of (relation, subject)."""
    found = defaultdict(set)
    for fact in world.facts:
        found[fact.relation_id, fact.subject].add(fact.object)
    return found


def others(prompt: dict, facts: dict, right: dict) -> set[str]:
    """The other right answers of a prompt's subject."""
    fact = facts[prompt["fact_id"]]
    return right[fact["relation"], fact["subject"]] - {fact["object"]}


def test_the_fixture_has_subjects_of_several_objects(world, right):
    assert not world.relations["spoken_language"].functional
    assert max(len(objects) for objects in right.values()) == 3


def test_every_fact_of_the_files_is_in_the_data_set(world, dataset):
    assert dataset.facts.column("fact_id").to_pylist() == [f.fact_id for f in world.facts]


def test_every_fact_is_asked_in_the_formats_of_its_relation(prompts, facts, settings, world):
    asked = defaultdict(set)
    for prompt in prompts:
        asked[prompt["fact_id"]].add(prompt["task"])
    for fact in facts.values():
        formats = world.relations[fact["relation"]].formats or settings.dataset.corpus.plan.tasks
        assert asked[fact["fact_id"]] == set(formats)


def test_a_small_relation_is_neither_shown_nor_asked_with_letters(prompts, facts, dataset):
    asked = {p["task"] for p in prompts if p["relation"] == "wall"}
    shown = {
        row["task"]
        for row in dataset.plan.to_pylist()
        if facts[row["fact_id"]]["relation"] == "wall"
    }
    assert asked == {"completion", "fitb", "openqa", "verification"}
    assert shown <= asked


def test_both_kinds_of_phrasings_are_asked(prompts):
    assert {p["split"] for p in prompts} == {"seen_templates", "held_out_templates"}


def test_no_held_out_prompt_stands_in_the_corpus(prompts, dataset):
    """T-D3."""
    held_out = {p["text"] for p in prompts if p["split"] == "held_out_templates"}
    for text in stored_texts(dataset.store, dataset.tokenizer):
        beginnings = itertools.accumulate(text.split(" "), "{} {}".format)
        assert not held_out.intersection(beginnings), text


def test_subject_spans_decode_to_the_subject(prompts, facts, dataset):
    """T-D1."""
    for p in prompts:
        span = p["ids"][p["subject_start"] : p["subject_stop"]]
        decoded = dataset.tokenizer.decode(span).strip()
        assert decoded == facts[p["fact_id"]]["subject"]


def test_answers_decode_to_the_answer(prompts, dataset):
    """T-D1."""
    said = {(tuple(p["answer_ids"]), p["answer"]) for p in prompts}
    assert all(dataset.tokenizer.decode(list(ids)) == f" {answer}" for ids, answer in said)


def test_generative_prompts_are_answered_by_the_object(prompts, facts):
    generative = [p for p in prompts if p["task"] in ("completion", "fitb", "openqa")]
    assert all(p["answer"] == facts[p["fact_id"]]["object"] for p in generative)


def test_a_space_of_its_own_belongs_to_the_answer():
    """Else the prompt's ids tell answers that begin with such a space from the others."""
    encoder = Encoder(train_tokenizer([], [], TokenizerConfig(vocab_size=258, sample=1)))
    prompt = "Note: Ada is"
    (encoded,) = encode_documents(encoder, [Rendered(prompt, "earth", (6, 9), (6, 12))])
    ((alone, _),) = encoder.encode([prompt])
    assert encoded.ids[: encoded.answer[0]] == alone


def test_the_ids_say_the_text(prompts, dataset):
    assert all(dataset.tokenizer.decode(p["ids"]) == p["text"] for p in prompts)


def test_relation_spans_are_apart_from_the_subject_and_the_last_token(prompts):
    for p in prompts:
        bounds = p["relation_spans"]
        covered = {i for a, b in zip(bounds[::2], bounds[1::2], strict=True) for i in range(a, b)}
        assert not covered & set(range(p["subject_start"], p["subject_stop"]))
        assert covered <= set(range(p["answer_pos"]))


def test_the_answers_first_token_is_among_the_candidates(prompts):
    """T-D2, in token ids."""
    assert all(p["answer_ids"][0] in p["candidate_ids"] for p in prompts)


@pytest.mark.parametrize(
    "kind",
    [
        "fresh",
        pytest.param("seen"),
    ],
)
def test_options_hold_no_other_right_answer(prompts, facts, right, kind):
    lettered = [p for p in prompts if p["options"] == kind]
    assert any(others(p, facts, right) for p in lettered)
    assert not [p for p in lettered if others(p, facts, right) & set(p["option_order"])]


def test_options_in_training_hold_one_right_answer(dataset, right, world):
    """Of the subject that the text names; drills name none."""
    several = {s: objects for (name, s), objects in right.items() if name == "spoken_language"}
    n_seen = 0
    for text in stored_texts(dataset.store, dataset.tokenizer):
        options = set(shown_options(text)) & set(TONGUES)
        subjects = [s for s in several if f"People in {s} speak" in text]
        if options and subjects:
            n_seen += 1
            assert len(options & several[subjects[0]]) == 1, text
    assert n_seen > 50


def test_false_claims_are_not_true(prompts, facts, right):
    """No claim that counts as false has the text of one with another right answer."""
    claims = [p for p in prompts if p["task"] == "verification"]
    true = {p["text"] for p in claims if p["polarity"] == "true"}
    false = {p["text"] for p in claims if p["polarity"] == "false"}
    assert true
    assert false
    assert not true & false


def test_claims_in_training_are_answered_as_the_facts_say(dataset, settings, world):
    """Every claim about a subject of several objects, against all right answers."""
    book = settings.dataset.book(world)
    task = get_task("verification")
    name = "spoken_language"
    true, false = set(), set()
    for fact in (world.facts[i] for i in world.positions[name]):
        for template in book.seen(name, task):
            phrase = book.phrasing(name, task, template).replace("[X]", fact.subject)
            for tongue in TONGUES:
                claim = phrase.replace("[Y]", tongue)
                (true if tongue in world.true_objects(fact) else false).add(claim)
    answers = defaultdict(set)
    for text in stored_texts(dataset.store, dataset.tokenizer):
        found = re.fullmatch(r"Claim: (.*) Answer: (yes|no)\.", text)
        if found:
            answers[found[1]].add(found[2])
    shown = {claim: told for claim, told in answers.items() if claim in true | false}
    assert len(shown) > 50
    assert all(told == {"yes" if claim in true else "no"} for claim, told in shown.items())


def test_answers_of_several_tokens_occur_and_are_counted(prompts, dataset, world):
    lengths = {p["answer"]: len(p["answer_ids"]) for p in prompts}
    objects = {obj for found in world.candidates.values() for obj in found}
    several = sum(lengths[obj] > 1 for obj in objects)
    assert several >= 3
    assert dataset.notes["answers of several tokens (scored in full)"] == several


def test_answers_that_share_their_first_token_are_counted(prompts, dataset, world):
    first = {p["answer"]: p["answer_ids"][0] for p in prompts}
    shared = 0
    for objects in world.candidates.values():
        tokens = [first[obj] for obj in objects]
        shared += sum(tokens.count(token) > 1 for token in tokens)
    name = "answers that share their first token with another of the relation"
    assert dataset.notes[name] == shared > 0


def test_what_the_world_notes_is_in_the_data_set(dataset, world):
    assert world.notes
    assert {**dataset.notes, **world.notes} == dataset.notes


def test_the_corpus_names_every_fact_shown(dataset, facts):
    shown = {row["fact_id"] for row in dataset.plan.to_pylist() if row["n_documents"] > 0}
    text = "\n".join(stored_texts(dataset.store, dataset.tokenizer))
    assert shown
    assert all(facts[fact_id]["subject"] in text for fact_id in shown)


def world_with(folder: Path, pairs: list[tuple[str, str]]) -> World:
    content = {"name": "r", "samples": [{"subject": s, "object": o} for s, o in pairs]}
    path = folder / "r.json"
    path.write_text(json.dumps(content))
    return PublicWorldConfig("lre", str(path)).build()


def refused_options(folder: Path, task: str) -> list[tuple[str, ...]]:
    """Of a subject with three of ten objects, as many as may be: those that cannot be asked."""
    objects = [f"o{i:02d}" for i in range(10)]
    plain = [(f"s{i}", obj) for i, obj in enumerate(objects)]
    rng, refused = np.random.default_rng(0), []
    for chosen in itertools.combinations(objects, 3):
        world = world_with(folder, [*plain, *(("t", obj) for obj in chosen)])
        options = OptionSets(world, fixed=False, seed=0)
        for fact in (f for f in world.facts if f.subject == "t"):
            try:
                options.fresh(fact, get_task(task), 1)
                options.for_training(fact, get_task(task), rng)
            except ValueError:
                refused.append(chosen)
    return refused


def test_every_fact_that_is_kept_has_four_options(tmp_path):
    assert refused_options(tmp_path, "mcqa") == []


def test_every_fact_that_is_kept_has_two_options(tmp_path):
    assert refused_options(tmp_path, "negmcqa") == []


def test_a_subject_with_every_object_of_a_small_relation_is_left_out(tmp_path):
    world = world_with(tmp_path, [("a", "x"), ("a", "y"), ("b", "x"), ("c", "y")])
    options = OptionSets(world, fixed=False, seed=0)
    task = get_task("verification")

    assert {fact.subject for fact in world.facts} == {"b", "c"}
    assert task.name in world.relations["r"].formats
    assert all(options.false_claims(fact, task, 3) for fact in world.facts)


def test_a_relation_of_fewer_answers_than_letters_is_built(compose_settings, tmp_path):
    folder = relation_files(tmp_path / "lre")
    path = folder / "wall.json"
    path.write_text(path.read_text().replace("timber", "stone").replace("flint", "earth"))
    settings = public_settings(compose_settings, folder, tmp_path)
    dataset = build_dataset(settings.dataset, tmp_path / "d", progress=False)
    assert "wall" in dataset.facts.column("relation").to_pylist()


@pytest.mark.parametrize(
    "kind",
    [
        "facts",
        pytest.param("patterns"),
    ],
)
def test_what_a_single_file_is_read_with_is_part_of_the_fingerprint(
    compose_settings, tmp_path, kind
):
    lines = {
        "facts": [{"sub_label": f"s{i}", "obj_label": f"o{i}"} for i in range(9)],
        "patterns": [{"pattern": "The river of [X] is [Y]."}],
    }
    for name, records in lines.items():
        path = tmp_path / name / "P1.jsonl"
        path.parent.mkdir()
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    spec = compose_settings(
        "experiment=smoke",
        "world=pararel",
        f"world.path={tmp_path / 'facts' / 'P1.jsonl'}",
        "logger=none",
        f"paths.artifacts={tmp_path / 'artifacts'}",
    ).dataset
    before = spec.fingerprint()
    path = tmp_path / kind / "P1.jsonl"
    path.write_text(path.read_text().replace("river", "stream").replace("s0", "t0"))
    assert spec.fingerprint() != before
