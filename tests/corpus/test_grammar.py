"""A data set that shows a grammar to be studied: counted exactly, with its minimal pairs beside."""

import copy
import re
from collections import Counter
from collections.abc import Callable

import pytest
import yaml

from coemerge.corpus.builder import DatasetBuilder
from coemerge.corpus.config import DatasetSpec
from coemerge.corpus.cooccurrence import Cooccurrence
from coemerge.corpus.dataset import Dataset, build_dataset
from coemerge.prompts.encoding import Encoder
from coemerge.prompts.minimal_pairs import pair_prompts
from coemerge.worlds.grammar_sentences import SPLITS, grammar_pairs
from tests.conftest import ROOT
from tests.documents import stored_texts

PATH = ROOT / "conf" / "world" / "grammar" / "default.yaml"
TABLES = {"cooccurrence.parquet", "minimal_pairs.parquet"}
Changed = Callable[[Callable[[DatasetSpec], object]], DatasetSpec]


@pytest.fixture(scope="module")
def spec(smoke_spec) -> DatasetSpec:
    spec = copy.deepcopy(smoke_spec)
    background = spec.corpus.background
    background.grammar_path = str(PATH)
    background.share = background.early_share = 0.5
    background.mix = {"grammar": 3, "lists": 1}
    spec.corpus.plan.documents = dict.fromkeys(spec.corpus.plan.documents, 4)
    spec.corpus.tokenizer.sample = 2000
    spec.prompts.facts_per_relation = 2
    return spec


@pytest.fixture(scope="module")
def dataset(spec, tmp_path_factory) -> Dataset:
    return build_dataset(spec, tmp_path_factory.mktemp("data") / "syntax", progress=False)


@pytest.fixture(scope="module")
def texts(dataset) -> list[str]:
    """What training shows, read back from the tokens."""
    return stored_texts(dataset.store, dataset.tokenizer)


@pytest.fixture(scope="module")
def words() -> dict[str, tuple[str, str]]:
    """Read from the file: form -> (class, form's name)."""
    content = yaml.safe_load(PATH.read_text())
    names = {"number": ("singular", "plural"), "gender": ("masculine", "feminine")}
    marked = {
        form: (kind, names[feature][value])
        for feature in names
        for kind, rows in content[feature].items()
        for row in rows
        for value, form in enumerate(row)
    }
    return marked | {w: (kind, "") for kind, row in content["plain"].items() for w in row}


def test_counts_equal_a_count_over_the_stored_documents(dataset, texts, words):
    """Brute force, one pair of places at a time; documents of all kinds."""
    before, adjacent, total = Counter(), Counter(), Counter()
    for text in texts:
        said = re.findall(r"\w+(?:'\w+)*", text.replace("_", " "))
        total.update(set(said) & set(words))
        places = range(len(said))
        before.update({(said[i], said[j]) for i in places for j in places if i < j})
        adjacent.update({(said[i], said[i + 1]) for i in places[:-1]})
    rows = {(r["first"], r["second"]): r for r in dataset.cooccurrence.to_pylist()}
    assert set(rows) == {(a, b) for a in words for b in words}
    for (first, second), row in rows.items():
        found = (row["n_documents"], row["n_adjacent"], row["n_first"], row["n_second"])
        pair = (first, second)
        assert found == (before[pair], adjacent[pair], total[first], total[second]), pair
    assert total["the"] > 50
    assert before["these", "wugs"] > 0


def test_every_word_is_listed_with_its_class_and_form(dataset, words):
    for row in dataset.cooccurrence.to_pylist():
        assert (row["first_class"], row["first_form"]) == words[row["first"]]
        assert (row["second_class"], row["second_form"]) == words[row["second"]]


def test_agreement_is_in_the_counts(dataset):
    """No determiner precedes a noun of the other number."""
    count = Counter()
    for row in dataset.cooccurrence.to_pylist():
        if (row["first_class"], row["second_class"]) == ("determiner", "noun"):
            count[row["first_form"] == row["second_form"]] += row["n_documents"]
    assert count[True] > 100
    assert count[False] == 0


def test_words_held_out_never_met(dataset):
    count = {(r["first"], r["second"]): r["n_documents"] for r in dataset.cooccurrence.to_pylist()}
    of_split = {
        split: [count[p.cue, p.good] for p in dataset.minimal_pairs if p.split == split]
        for split in SPLITS
    }
    assert set(of_split["held_out_words"]) == {0}
    assert sum(n > 0 for n in of_split["seen"]) > len(of_split["seen"]) / 2


def test_no_held_out_pair_is_in_the_training_corpus(dataset, texts):
    """T-D3."""
    corpus = "\n".join(texts)
    held_out = [p for p in dataset.minimal_pairs if p.split != "seen"]
    assert not [p for p in held_out if f"{p.prefix} {p.good}" in corpus]
    assert any(f"{p.prefix} {p.good}" in corpus for p in dataset.minimal_pairs)


def test_pairs_come_back_as_they_were_made(dataset, spec):
    grammar = spec.corpus.background.grammar()
    assert grammar is not None
    assert dataset.minimal_pairs == list(grammar_pairs(grammar, spec.seed))


def test_every_pair_differs_in_exactly_one_token(dataset):
    """And its cue is one token: every word of the grammar is taught to the tokenizer as one."""
    encoder = Encoder(dataset.tokenizer)
    prompts, notes = pair_prompts(encoder, dataset.minimal_pairs)
    assert not notes
    decode = dataset.tokenizer.decode
    for prompt in prompts:
        pair = prompt.pair
        assert decode(list(prompt.ids)) == pair.prefix
        assert (decode([prompt.good_id]), decode([prompt.bad_id])) == (
            f" {pair.good}",
            f" {pair.bad}",
        )
        assert decode(list(prompt.ids[slice(*prompt.cue)])) == f" {pair.cue}"


def test_building_twice_gives_the_same_bytes(dataset, spec, tmp_path):
    again = build_dataset(spec, tmp_path / "again", progress=False)
    assert again.content_hash == dataset.content_hash


def test_the_tables_are_part_of_what_is_verified(dataset):
    assert set(dataset.manifest["files"]) >= TABLES


def test_without_a_grammar_nothing_of_it_is_written(smoke_dataset):
    assert not TABLES & {p.name for p in smoke_dataset.directory.iterdir()}
    for what in ("cooccurrence", "minimal_pairs"):
        with pytest.raises(ValueError, match=r"experiment=syntax_and_facts"):
            getattr(smoke_dataset, what)


def test_a_data_set_without_a_grammar_is_what_it_was_before(changed, smoke_spec):
    """Its fingerprint does not know the key; with a grammar, the file's content counts."""
    before = smoke_spec.fingerprint()
    with_grammar = changed(lambda s: setattr(s.corpus.background, "grammar_path", str(PATH)))
    assert smoke_spec.corpus.background.grammar_path == ""
    assert with_grammar.fingerprint() != before


def test_the_content_of_the_grammar_counts_and_its_place_does_not(spec, tmp_path):
    moved = copy.deepcopy(spec)
    path = tmp_path / "mine.yaml"
    path.write_bytes(PATH.read_bytes())
    moved.corpus.background.grammar_path = str(path)
    assert moved.fingerprint() == spec.fingerprint()
    path.write_text(path.read_text() + "# one more line\n")
    assert moved.fingerprint() != spec.fingerprint()


def own_grammar(path, edit: Callable[[dict], object]) -> str:
    content = yaml.safe_load(PATH.read_text())
    edit(content)
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_a_grammar_that_is_never_drawn_from_is_refused(spec):
    own = copy.deepcopy(spec)
    own.corpus.background.mix = {"grammar": 0, "lists": 1}
    with pytest.raises(ValueError, match=r"grammar_path: .* is never drawn from: .*mix\.grammar"):
        own.check()


def test_an_opening_that_another_format_has_is_refused(spec, tmp_path):
    own = copy.deepcopy(spec)
    path = own_grammar(tmp_path / "own.yaml", lambda c: c.update(opening="Claim: so"))
    own.corpus.background.grammar_path = path
    with pytest.raises(ValueError, match=r"own\.yaml: opening: 'Claim: so' opens another format"):
        own.check()


def test_words_that_are_answers_to_facts_are_refused(spec, tmp_path):
    own = copy.deepcopy(spec)
    answer = DatasetBuilder(spec).world.candidates["occupation"][0]
    noun = [answer, f"{answer}s"]
    path = own_grammar(tmp_path / "own.yaml", lambda c: c["number"]["noun"].append(noun))
    own.corpus.background.grammar_path = path
    with pytest.raises(ValueError, match=rf"\['{answer}'\] are answers to facts or formats too"):
        DatasetBuilder(own)


def test_counting_needs_no_more_memory_for_more_documents():
    counts = Cooccurrence({"this": ("determiner", "singular"), "dax": ("noun", "singular")})
    size = counts.before.nbytes
    counts.add(f"this dax {k}" for k in range(1000))
    assert counts.before.tolist() == [[0, 1000], [0, 0]]
    assert counts.before.nbytes == size
    assert not [name for name, value in vars(counts).items() if isinstance(value, list)]


def test_a_word_counts_once_in_a_document_and_in_its_order():
    counts = Cooccurrence({"this": ("", ""), "dax": ("", "")})
    counts.add(["this dax, this dax", "dax", "daxes this", "This dax"])
    assert counts.before.tolist() == [[1, 1], [1, 1]]
    assert counts.adjacent.tolist() == [[0, 1], [1, 0]]
    assert counts.total.tolist() == [2, 3]
