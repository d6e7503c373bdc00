"""Does each reader say what its data set holds? On files written by us."""

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from coemerge.worlds.readers import READERS
from coemerge.worlds.readers.records import RelationInfo, Triple
from tests.worlds.readers.support import (
    COLUMNS,
    FACTS,
    PATTERNS,
    edit,
    known,
    pair,
    passage,
    relation,
    row,
    table,
    write,
    write_json,
    write_lines,
)


def counted(reading, words: str) -> int:
    return sum(n for reason, n in reading.notes.items() if words in reason)


# ParaRel


def pararel(folder, facts="facts", patterns="patterns", name="P36"):
    write_lines(folder / facts / f"{name}.jsonl", *FACTS)
    write_lines(folder / patterns / f"{name}.jsonl", *PATTERNS)
    return folder


@pytest.mark.parametrize(
    ("facts", "patterns"),
    [("facts", "patterns"), ("trex_lms_vocab", "pattern_data/graphs_json"), ("a/b/one", "two")],
)
def test_pararel_in_any_layout(facts, patterns, tmp_path):
    reading = READERS["pararel"](pararel(tmp_path / "data", facts, patterns))
    path = tmp_path / "data" / facts / "P36.jsonl"
    assert reading.triples == [
        Triple("P36", "Orvania", "Telk", f"{path}:1"),
        Triple("P36", "Suneth", "Port Amel", f"{path}:2"),
    ]
    statements = ("The seat of [X] is [Y].", "[Y] is the seat of [X].")
    assert reading.wordings["P36"].statements == statements
    assert reading.relations == {"P36": RelationInfo("seat of")}
    assert sum(reading.notes.values()) == 1  # the space before a period


@pytest.mark.parametrize("patterns", ["patterns", "pattern_data/graphs_json"])
def test_pararel_finds_the_patterns_of_one_file(patterns, tmp_path):
    pararel(tmp_path / "data", "facts", patterns)
    pararel(tmp_path / "data", "facts", patterns, name="P37")
    write(tmp_path / "data" / "broken" / "P36.jsonl", "{")
    reading = READERS["pararel"](tmp_path / "data" / "facts" / "P36.jsonl")
    assert {t.relation_id for t in reading.triples} == set(reading.wordings) == {"P36"}
    assert len(reading.triples) == 2


def test_pararel_takes_no_copy_of_the_facts_beside_the_file_named(tmp_path):
    pararel(tmp_path / "data")
    write_lines(tmp_path / "data" / "facts_backup" / "P36.jsonl", *FACTS)
    reading = READERS["pararel"](tmp_path / "data" / "facts" / "P36.jsonl")
    assert len(reading.triples) == 2


def test_pararel_finds_the_patterns_in_the_present_folder(tmp_path, monkeypatch):
    pararel(tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data" / "facts")
    reading = READERS["pararel"](Path("P36.jsonl"))
    assert len(reading.triples) == 2
    assert len(reading.wordings["P36"].statements) == 2


def test_pararel_ignores_and_counts_other_files(tmp_path):
    pararel(tmp_path / "data", "trex_lms_vocab", "graphs_json")
    write_lines(tmp_path / "data" / "relations.jsonl", {"relation": "P36", "template": "[X] [Y]"})
    write(tmp_path / "data" / "graphs" / "P36.graph", "pickled")
    write(tmp_path / "data" / "LICENSE", "free")
    write_lines(tmp_path / "data" / "TREx" / "P36.jsonl", *FACTS, FACTS[0] | {"obj_label": "Q"})
    reading = READERS["pararel"](tmp_path / "data")
    assert len(reading.triples) == 2
    assert counted(reading, "ignored") == 4


def test_pararel_patterns(tmp_path):
    given = ["[X] is.", "[X] or [X] is [Y].", "[X] is [Y].", "[X] is [Y] .", "by [Y], [X]"]
    write_lines(tmp_path / "a" / "patterns" / "P1.jsonl", *({"pattern": p} for p in given))
    write_lines(tmp_path / "a" / "facts" / "P1.jsonl", *FACTS)
    write_lines(tmp_path / "a" / "facts" / "P2.jsonl", *FACTS)
    write_lines(tmp_path / "a" / "patterns" / "P3.jsonl", *PATTERNS)
    reading = READERS["pararel"](tmp_path / "a")
    assert reading.wordings["P1"].statements == ("[X] is [Y].", "by [Y], [X]")
    assert counted(reading, "without exactly one") == 2
    assert counted(reading, "more than once") == 1
    assert counted(reading, "without facts") == 1
    assert reading.relations["P1"].name == "P1"
    assert "P2" not in reading.wordings
    assert {t.relation_id for t in reading.triples} == {"P1", "P2"}


@pytest.mark.parametrize(
    ("lemmas", "name"),
    [
        (["capital-city-of", "capital-of", "capital-of"], "capital of"),
        (["'s-area-of-work"], "area of work"),
        (["is-the-official-language"], "official language"),
        (["occupation-is"], "occupation"),
        ([""], "P1"),
    ],
)
def test_pararel_names_a_relation_for_people(lemmas, name, tmp_path):
    records = [{"pattern": f"{k} [X] [Y]", "extended_lemma": x} for k, x in enumerate(lemmas)]
    write_lines(tmp_path / "a" / "patterns" / "P1.jsonl", *records)
    assert READERS["pararel"](tmp_path / "a").relations["P1"].name == name


def test_pararel_refuses_a_file_of_another_kind(tmp_path):
    path = write_lines(tmp_path / "a" / "P1.jsonl", {"other": 1})
    with pytest.raises(ValueError, match="sub_label"):
        READERS["pararel"](path)
    with pytest.raises(ValueError, match="sub_label"):
        READERS["pararel"](tmp_path / "a")


# LRE


def test_lre(tmp_path):
    path = write_json(tmp_path / "factual" / "seat.json", relation())
    write_json(tmp_path / "bias" / "b.json", relation(name="Past tense!", properties=None))
    reading = READERS["lre"](tmp_path)
    seat = "country_seat_of_power"
    assert reading.triples[-2:] == [
        Triple(seat, "Orvania", "Telk", f"{path}: record 1"),
        Triple(seat, "Suneth", "Port Amel", f"{path}: record 2"),
    ]
    assert reading.relations[seat] == RelationInfo("country seat of power", "country", "city")
    assert reading.relations["past_tense"] == RelationInfo("Past tense!")
    assert reading.wordings[seat].statements == (
        "[X] is ruled from [Y].",
        "The seat of [X] is [Y].",
        "Where is the seat of [X]? It is in [Y].",
    )
    assert reading.wordings[seat].questions == ()


def test_lre_templates(tmp_path):
    templates = ["What is {}?", "no slot", "{} and {}", "{},", "{},"]
    path = write_json(tmp_path / "a.json", relation(prompt_templates=templates))
    reading = READERS["lre"](path)
    found = reading.wordings["country_seat_of_power"]
    assert found.questions == ("What is [X]?",)
    assert found.statements == ("[X], [Y].", "Where is the seat of [X]? It is in [Y].")
    assert counted(reading, "without exactly one") == 2
    assert counted(reading, "more than once") == 1


def test_lre_decodes_what_was_escaped_twice(tmp_path):
    samples = [
        {"subject": "Bras\\u00edlia", "object": "a\\u0301\\u00e9"},
        {"subject": "\\ud83d\\ude00", "object": "half \\ud83d"},
        {"subject": "plain \\x", "object": "é"},
    ]
    reading = READERS["lre"](write_json(tmp_path / "a.json", relation(samples=samples)))
    assert [(t.subject, t.object) for t in reading.triples] == [
        ("Brasília", "a\u0301é"),
        ("\U0001f600", "half \\ud83d"),
        ("plain \\x", "é"),
    ]
    assert reading.notes["doubly escaped characters decoded"] == 4
    assert all(t.object.encode() for t in reading.triples)


def test_lre_types_of_subjects_and_objects(tmp_path):
    named = relation(properties={"symmetric": True}, domain="land", range="town")
    listed = relation(domain=["Orvania"], range=["Telk", "Port Amel"])
    for content, expected in (
        (named, RelationInfo("country seat of power", "land", "town", symmetric=True)),
        (listed, RelationInfo("country seat of power", "country", "city")),
    ):
        reading = READERS["lre"](write_json(tmp_path / "a.json", content))
        assert list(reading.relations.values()) == [expected]


def test_lre_merges_files_of_one_relation(tmp_path):
    write_json(tmp_path / "a.json", relation())
    other = relation(prompt_templates=["{} obeys"], samples=[{"subject": "Ul", "object": "Ox"}])
    write_json(tmp_path / "b.json", other)
    reading = READERS["lre"](tmp_path)
    assert len(reading.triples) == 3
    assert {"The seat of [X] is [Y].", "[X] obeys [Y]."} <= set(
        reading.wordings["country_seat_of_power"].statements
    )


# CounterFact and RaKE


def test_counterfact(tmp_path):
    rare = edit(8, prompt="{} is ruled from", subject="Suneth")
    path = write_json(tmp_path / "a.json", [rare, edit(), edit(9, subject="Ul")])
    reading = READERS["counterfact"](path)
    assert reading.triples[1] == Triple("P36", "Orvania", "Telk", f"{path}: record 2")
    statements = ("The seat of [X] is [Y].", "[X] is ruled from [Y].")
    assert reading.wordings["P36"].statements == statements
    assert reading.relations["P36"].name == "P36"
    case = reading.cases[1]
    assert (case.case_id, case.relation_id, case.subject) == ("7", "P36", "Orvania")
    assert (case.prompt, case.target_true, case.target_new) == (
        "The seat of [X] is",
        "Telk",
        "Amel",
    )
    assert case.paraphrase_prompts == ("Orvania is ruled from",)
    assert case.neighborhood_prompts == ("The seat of Suneth is",)
    assert case.attribute_prompts == ()
    assert case.generation_prompts == ("Orvania's rulers live in",)
    assert (case.relation_names, case.relation_prompts) == ((), ())
    assert (case.add_relation_prompt, case.remove_relation_prompt) == ("", "")


def test_rake_extends_counterfact(tmp_path):
    extra = {
        "relation": {"strs": ["seat", "capital"]},
        "add_rel_prompt": "{} and Telk are linked by",
        "rm_rel_prompt": "{} and Telk are not linked by",
    }
    first = edit(1, **extra) | {"rel_prompts": ["{} has Telk as its"]}
    second = edit(2, **extra | {"relation": {"strs": ["capital"]}})
    reading = READERS["counterfact"](write_json(tmp_path / "a.json", [first, second]))
    case = reading.cases[0]
    assert case.relation_names == ("seat", "capital")
    assert case.relation_prompts == ("Orvania has Telk as its",)
    assert case.add_relation_prompt == "Orvania and Telk are linked by"
    assert case.remove_relation_prompt == "Orvania and Telk are not linked by"
    assert reading.relations["P36"].name == "capital"


def test_counterfact_without_a_slot(tmp_path):
    path = write_json(tmp_path / "a.json", [edit(), edit(8, prompt="It is")])
    reading = READERS["counterfact"](path)
    assert len(reading.cases) == 1
    assert reading.wordings["P36"].statements == ("The seat of [X] is [Y].",)
    assert sum(reading.notes.values()) >= 1


def test_counterfact_relation_ids_are_safe(tmp_path):
    path = write_json(tmp_path / "a.json", [edit(relation_id="../seat of")])
    assert READERS["counterfact"](path).triples[0].relation_id == "seat_of"


@pytest.mark.parametrize("prompts", ["text", [1], [{"prompt": "x"}]])
def test_counterfact_refuses_prompts_that_are_no_texts(prompts, tmp_path):
    path = write_json(tmp_path / "a.json", [edit() | {"paraphrase_prompts": prompts}])
    with pytest.raises(ValueError, match=r"record 1: .*paraphrase_prompts"):
        READERS["counterfact"](path)


# PopQA


def test_popqa(tmp_path):
    rows = [
        row(subj="Bo", question="Where was Bo born?"),
        row(),
        row(subj="Cy Dal", question="In what city was Cy Dal born?", obj="Ox"),
        row(prop="sport", question="What does he play?"),
        row(prop="sport", subj="It", question="What sport does It play? It plays"),
    ]
    path = write(tmp_path / "a.tsv", table(*rows))
    reading = READERS["popqa"](path)
    assert reading.triples[1] == Triple("place_of_birth", "Ada Vorn", "Telk", f"{path}:3")
    assert reading.relations["place_of_birth"].name == "place of birth"
    questions = ("In what city was [X] born?", "Where was [X] born?")
    assert reading.wordings["place_of_birth"].questions == questions
    assert reading.wordings["place_of_birth"].statements == ()
    assert counted(reading, "answers") == 1
    assert counted(reading, "questions without") == 2
    assert len(reading.triples) == 5


def test_popqa_keeps_the_ten_most_frequent_questions(tmp_path):
    rows = [row(question=f"{k}: where was Ada Vorn born?") for k in range(12) for _ in range(k + 1)]
    reading = READERS["popqa"](write(tmp_path / "a.tsv", table(*rows)))
    questions = reading.wordings["place_of_birth"].questions
    assert [int(q.split(":")[0]) for q in questions] == list(range(11, 1, -1))


def test_popqa_without_optional_columns(tmp_path):
    few = {k: v for k, v in row().items() if k in ("subj", "prop", "obj", "question")}
    reading = READERS["popqa"](write(tmp_path / "a.tsv", table(few)))
    assert len(reading.triples) == 1


@pytest.mark.parametrize("column", ["subj", "prop", "obj", "question"])
def test_popqa_names_missing_columns(column, tmp_path):
    path = write(tmp_path / "a.tsv", table({k: v for k, v in row().items() if k != column}))
    with pytest.raises(ValueError, match=rf"a\.tsv:1: .*\b{column}\b"):
        READERS["popqa"](path)


@pytest.mark.parametrize("column", ["possible_answers", "s_aliases", "o_aliases"])
@pytest.mark.parametrize("field", ["[", "Telk", '"Telk"', "[1]", "{}"])
def test_popqa_refuses_lists_that_are_none(column, field, tmp_path):
    path = write(tmp_path / "a.tsv", table(row(), row(**{column: field})))
    with pytest.raises(ValueError, match=rf"a\.tsv:3: .*{column}"):
        READERS["popqa"](path)


def test_popqa_refuses_rows_that_do_not_fit(tmp_path):
    text = table(row(), row())
    short = write(tmp_path / "a.tsv", text + "Bo\tborn\n")
    with pytest.raises(ValueError, match=rf"a\.tsv:4: .*2 .*{len(COLUMNS)}"):
        READERS["popqa"](short)
    open_quote = write(tmp_path / "b.tsv", text + text.splitlines()[1].replace("Telk", '"Telk', 1))
    with pytest.raises(ValueError, match=r"b\.tsv:4: "):
        READERS["popqa"](open_quote)


def test_popqa_counts_lines_not_rows(tmp_path):
    rows = [row(s_wiki_title='Ada\n"Vorn"'), row(), row()]
    path = write(tmp_path / "a.tsv", table(*rows).replace("\n1\t", "\n\n1\t"))
    assert [t.where for t in READERS["popqa"](path).triples] == [
        f"{path}:{line}" for line in (3, 6, 8)
    ]


def test_popqa_quoted_names_come_through(tmp_path):
    rows = [row(subj='"Ada" Vorn', question='Where was "Ada" Vorn born?')]
    reading = READERS["popqa"](write(tmp_path / "a.tsv", table(*rows)))
    assert reading.triples[0].subject == '"Ada" Vorn'
    assert reading.wordings["place_of_birth"].questions == ("Where was [X] born?",)


# Known facts


def test_known_facts(tmp_path):
    records = [known(template="{}'s seat is", subject="Ul"), known(), known(subject="Suneth")]
    path = write_json(tmp_path / "a.json", [*records, known(template="It is")])
    reading = READERS["known_facts"](path)
    assert reading.triples[1] == Triple("P36", "Orvania", "Telk", f"{path}: record 2")
    statements = ("The seat of [X] is [Y].", "[X]'s seat is [Y].")
    assert reading.wordings["P36"].statements == statements
    assert len(reading.triples) == 4
    assert sum(reading.notes.values()) == 1


# Fictional Knowledge


def test_fictional_knowledge(tmp_path):
    path = write_json(tmp_path / "a.json", [passage(), passage("Bo fell.", paraphrases=None)])
    reading = READERS["fictional_knowledge"](path)
    first, second = reading.passages
    assert first.text == "Telk rose in 3012. It rules Orvania."
    assert first.paraphrases == ("In 3012 Telk rose; it rules Orvania.",)
    assert first.memorization == (("Telk rose in", "3012"), ("It rules", "Orvania"))
    assert first.generalization == (("The year of Telk's rise was", "3012"),)
    assert first.hard_generalization == (("Since 3012 Orvania may be ruled from", "Telk"),)
    assert second.paraphrases == ()
    counts = Counter(t.relation_id for t in reading.triples)
    assert counts == {"memorization": 4, "generalization": 2, "hard_generalization": 2}
    assert reading.triples[0] == Triple("memorization", "Telk rose in", "3012", f"{path}: record 1")
    assert set(reading.wordings) == set(reading.relations) == set(reading.formats) == set(counts)
    assert {w.statements for w in reading.wordings.values()} == {("[X] [Y]",)}
    assert set(reading.formats.values()) == {("completion",)}


def test_fictional_knowledge_with_and_without_rewordings_in_one_folder(tmp_path):
    write_json(tmp_path / "plain.json", [passage(paraphrases=[])])
    write_json(tmp_path / "reworded.json", [passage()])
    reading = READERS["fictional_knowledge"](tmp_path)
    assert [len(p.paraphrases) for p in reading.passages] == [1]


@pytest.mark.parametrize("depth", ["mem", "gen", "hard_gen"])
def test_fictional_knowledge_refuses_unequal_lists(depth, tmp_path):
    path = write_json(tmp_path / "a.json", [passage(), passage(**{f"{depth}_target": ["x"] * 3})])
    with pytest.raises(ValueError, match=rf"record 2: .*{depth}_input.*3"):
        READERS["fictional_knowledge"](path)


# BLiMP


def blimp(tmp_path, *records):
    return READERS["blimp"](write_lines(tmp_path / "a.jsonl", *records))


def test_blimp_takes_the_words_that_the_file_gives(tmp_path):
    given = {
        "one_prefix_prefix": "Some girls",
        "one_prefix_word_good": "see",
        "one_prefix_word_bad": "sees",
        "one_prefix_method": True,
    }
    reading = blimp(
        tmp_path,
        pair("Some girls see old Bo.", "Some girls sees old Bo.", **given),
        pair("Some girls see.", "Some girls sees.", **given),
    )
    first, second = reading.pairs
    assert (first.phenomenon, first.word_class) == ("some_agreement_1", "")
    assert (first.prefix, first.good, first.bad) == ("Some girls", "see", "sees")
    assert first.suffix == "old Bo."
    assert (second.good, second.bad, second.suffix) == ("see", "sees", ".")
    assert not first.cue_follows
    assert not second.cue_follows
    assert [(t.relation_id, t.subject, t.object) for t in reading.triples] == [
        ("some_agreement_1", "Some girls", "see")
    ] * 2
    assert reading.wordings["some_agreement_1"].statements == ("[X] [Y]",)
    assert reading.formats == {"some_agreement_1": ("completion",)}


@pytest.mark.parametrize(
    ("good", "bad"),
    [("Bo isn't here.", "Bo aren't here."), ("Bo was here.", "Bo were here.")],
)
def test_blimp_given_words_that_do_not_fit(good, bad, tmp_path):
    given = dict(zip(("prefix", "word_good", "word_bad"), ("Bo", "is", "are"), strict=True))
    fields = {f"one_prefix_{k}": v for k, v in given.items()}
    reading = blimp(tmp_path, pair(good, bad, one_prefix_method=True, **fields))
    assert (reading.pairs[0].good, reading.pairs[0].bad) == (good.split()[1], bad.split()[1])
    assert not reading.pairs[0].cue_follows
    assert sum(reading.notes.values()) == 1


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ("A b c d.", "A x c d.", ("A", "b", "x", "c d.")),
        ("A b b2 c.", "A x y c.", ("A", "b b2", "x y", "c.")),
        ("A b c d.", "A b x c d.", ("A b", "c", "x c", "d.")),
        ("A b x c.", "A b c.", ("A b", "x c.", "c.", "")),
        ("A b", "A b c", ("A", "b", "b c", "")),
        ("b c", "A b c", ("", "b", "A b", "c")),
        ("b", "b b", ("", "b", "b b", "")),
        ("No b c.", "A b c.", ("", "No", "A", "b c.")),
        ("A b a b c", "A b c", ("A b", "a b c", "c", "")),
    ],
)
def test_blimp_splits_by_words(good, bad, expected, tmp_path):
    (found,) = blimp(tmp_path, pair(good, bad)).pairs
    assert (found.prefix, found.good, found.bad, found.suffix) == expected


def test_blimp_any_split_gives_both_sentences_back(tmp_path):
    """Every pair of sentences of up to four words over two words."""
    sentences = [" ".join(s) for n in (1, 2, 3, 4) for s in itertools.product("ab", repeat=n)]
    pairs = [(g, b) for g, b in itertools.product(sentences, repeat=2) if g != b]
    reading = blimp(tmp_path, *(pair(g, b) for g, b in pairs))
    assert len(reading.pairs) == len(pairs)
    for (good, bad), found in zip(pairs, reading.pairs, strict=True):
        assert found.good
        assert found.bad
        for span, sentence in ((found.good, good), (found.bad, bad)):
            assert " ".join(filter(None, (found.prefix, span, found.suffix))) == sentence


def test_blimp_tells_where_the_cue_follows(tmp_path):
    reading = blimp(
        tmp_path,
        pair("Bo saw this dog.", "Bo saw these dog."),
        pair("Bo hurt himself.", "Bo hurt itself."),
        pair("Bo saw a dog.", "Bo saw an dog.", one_prefix_method=True),
        pair("No dog ran.", "A dog ran.", one_prefix_method=True),
    )
    assert [p.cue_follows for p in reading.pairs] == [True, False, False, False]
    assert [t.object for t in reading.triples] == ["himself", "a"]
    assert counted(reading, "whole sentences") == 1


def test_blimp_equal_sentences_are_counted(tmp_path):
    reading = blimp(tmp_path, pair("A b.", "A  b."), pair("A b.", "A c."))
    assert len(reading.pairs) == 1
    assert sum(reading.notes.values()) == 1


def test_blimp_optional_fields(tmp_path):
    path = tmp_path / "my_paradigm.jsonl"
    path.write_text(json.dumps({"sentence_good": "A b c.", "sentence_bad": "A x c."}))
    (found,) = READERS["blimp"](path).pairs
    assert found.phenomenon == "my_paradigm"
    with pytest.raises(ValueError, match=r"a\.jsonl:1: .*one_prefix_method"):
        blimp(tmp_path, pair("A b.", "A c.", one_prefix_method="false"))
