"""A data set: the same bytes from the same settings, verified when opened, no held-out text."""

import copy
import json
import shutil

import pytest

from coemerge.corpus.builder import DatasetBuilder
from coemerge.corpus.dataset import build_dataset, open_dataset
from coemerge.corpus.packing import ANSWER, START, TOKEN
from coemerge.tables.store import read_metadata
from tests.documents import stored_documents, stored_texts

FILES = {
    "facts.parquet",
    "plan.parquet",
    "prompts.parquet",
    "tokens.bin",
    "marks.bin",
    "documents.bin",
    "store.json",
    "manifest.json",
    "tokenizer",
}


@pytest.fixture
def copied(smoke_dataset, tmp_path):
    """The smoke data set in a directory of this test's own."""
    return shutil.copytree(smoke_dataset.directory, tmp_path / "copy")


@pytest.fixture
def unbuildable(smoke_spec):
    """Fails after the tokenizer was trained: its documents fit no row."""
    spec = copy.deepcopy(smoke_spec)
    spec.corpus.row_length = 16
    return spec


def contents(directory) -> dict[str, bytes]:
    return {
        str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()
    }


def test_building_twice_gives_the_same_bytes(smoke_dataset, smoke_spec, tmp_path):
    again = build_dataset(smoke_spec, tmp_path / "again", progress=False)
    assert contents(again.directory) == contents(smoke_dataset.directory)


def test_another_seed_gives_another_content_hash(smoke_dataset, smoke_spec, tmp_path):
    spec = type(smoke_spec)(
        smoke_spec.world, smoke_spec.prompts, smoke_spec.corpus, smoke_spec.seed + 1
    )
    other = build_dataset(spec, tmp_path / "other", progress=False)
    assert other.content_hash != smoke_dataset.content_hash


def test_the_directory_holds_what_is_documented(smoke_dataset):
    assert {p.name for p in smoke_dataset.directory.iterdir()} == FILES


def test_the_counts_of_the_manifest_are_those_of_the_files(smoke_dataset):
    counts = smoke_dataset.manifest["counts"]
    n_texts = len(stored_texts(smoke_dataset.store, smoke_dataset.tokenizer))
    assert counts["facts"] == len(smoke_dataset.facts)
    assert counts["documents"] + counts["background_documents"] == n_texts
    assert counts["rows"] == len(smoke_dataset.store.tokens)


def test_the_stored_texts_are_the_documents_of_the_stream(smoke_dataset, smoke_spec):
    texts = stored_texts(smoke_dataset.store, smoke_dataset.tokenizer)
    emitted = [d.text for d in DatasetBuilder(smoke_spec).documents()]
    assert sorted(texts) == sorted(emitted)


def test_every_stored_document_ends_with_the_closing_token(smoke_dataset):
    eos = smoke_dataset.tokenizer.eos_token_id
    for tokens, marks in zip(smoke_dataset.store.tokens, smoke_dataset.store.marks, strict=True):
        starts = [i for i, mark in enumerate(marks) if mark & START]
        assert all(tokens[i - 1] == eos for i in starts if i)


def test_answer_marks_sit_on_the_answers(smoke_dataset, smoke_spec):
    store, decode = smoke_dataset.store, smoke_dataset.tokenizer.decode
    expected = {
        d.text: [d.text[slice(*span)] for span in d.answers]
        for d in DatasetBuilder(smoke_spec).documents()
    }
    for ids, marks in zip(stored_documents(store), stored_marks(store), strict=True):
        marked = [t for t, mark in zip(ids, marks, strict=False) if mark & ANSWER]
        assert [decode([t]).strip() for t in marked] == expected[decode(ids)]


def stored_marks(store) -> list[list[int]]:
    """Marks of every stored document, the closing token included."""
    documents = []
    for row in store.marks.tolist():
        for mark in row:
            if mark & START and mark & TOKEN:
                documents.append([])
            if mark & TOKEN:
                documents[-1].append(mark)
    return documents


def test_no_held_out_prompt_occurs_in_the_training_corpus(smoke_dataset):
    """T-D3."""
    held_out = {
        p["text"] for p in smoke_dataset.prompts.to_pylist() if p["split"] == "held_out_templates"
    }
    corpus = "\n".join(stored_texts(smoke_dataset.store, smoke_dataset.tokenizer))
    assert len(held_out) > 1000
    assert [text for text in held_out if text in corpus] == []


def test_no_held_out_wording_occurs_in_the_training_corpus(smoke_dataset, smoke_spec):
    """T-D3 without the options, which would differ anyway: the wording with any subject."""
    subjects = sorted(set(smoke_dataset.facts["subject"].to_pylist()))
    corpus = "\n".join(stored_texts(smoke_dataset.store, smoke_dataset.tokenizer))
    for subject in subjects:
        corpus = corpus.replace(subject, "[X]")
    book = smoke_spec.book(smoke_spec.world.build())
    leaked = [
        entry
        for lists in book.phrasings.values()
        for key in ("question", "choice", "negated")
        for entry in lists[key][-book.n_held_out :]
        if entry in corpus
    ]
    assert leaked == []


def test_many_seen_prompts_do_occur_in_the_training_corpus(smoke_dataset):
    """The tests above can fail."""
    seen = {p["text"] for p in smoke_dataset.prompts.to_pylist() if p["split"] == "seen_templates"}
    corpus = "\n".join(stored_texts(smoke_dataset.store, smoke_dataset.tokenizer))
    assert sum(text in corpus for text in seen) > 300


def test_prompts_are_those_of_the_main_relations(linked_dataset):
    assert set(linked_dataset.prompts["relation"].to_pylist()) == {"birthplace", "occupation"}


def test_tables_carry_the_fingerprint(smoke_dataset, smoke_spec):
    for table in (smoke_dataset.facts, smoke_dataset.plan, smoke_dataset.prompts):
        assert read_metadata(table)["fingerprint"] == smoke_spec.fingerprint()


def test_tables_of_a_data_set_say_nothing_of_when_or_where(smoke_dataset):
    """So that their bytes repeat (design 5)."""
    assert set(read_metadata(smoke_dataset.facts)) == {"table", "schema_version", "fingerprint"}


def test_an_unchanged_data_set_opens(copied, smoke_spec, smoke_dataset):
    assert open_dataset(copied, smoke_spec).content_hash == smoke_dataset.content_hash


@pytest.mark.parametrize("name", ["tokens.bin", "facts.parquet", "tokenizer/tokenizer.json"])
def test_a_changed_byte_is_refused_by_file_name(copied, smoke_spec, name):
    path = copied / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=rf"{name} was changed after it was built"):
        open_dataset(copied, smoke_spec)


def test_a_missing_file_is_refused_by_name(copied, smoke_spec):
    (copied / "marks.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"marks\.bin"):
        open_dataset(copied, smoke_spec)


def test_another_spec_is_refused_with_both_hashes_and_the_remedy(copied, smoke_spec, changed):
    other = changed(lambda spec: setattr(spec.corpus, "row_length", 64))
    pattern = rf"{smoke_spec.fingerprint()}.*{other.fingerprint()}: remove"
    with pytest.raises(ValueError, match=pattern):
        open_dataset(copied, other)


def test_a_directory_without_a_manifest_is_no_data_set(copied, smoke_spec):
    (copied / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"manifest\.json"):
        open_dataset(copied, smoke_spec)


def test_a_document_longer_than_a_row_is_refused_by_its_text(unbuildable, tmp_path):
    with pytest.raises(ValueError, match=r"corpus\.row_length=16: '"):
        build_dataset(unbuildable, tmp_path / "data", progress=False)


def test_a_failed_build_leaves_nothing_behind(unbuildable, tmp_path):
    with pytest.raises(ValueError, match="row_length"):
        build_dataset(unbuildable, tmp_path / "data", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_build_keeps_the_older_data_set(copied, unbuildable):
    before = contents(copied)
    with pytest.raises(ValueError, match="row_length"):
        build_dataset(unbuildable, copied, progress=False)
    assert contents(copied) == before


def test_a_build_replaces_an_older_data_set(tmp_path, smoke_dataset, smoke_spec):
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "stray.txt").write_text("old")
    (directory / "manifest.json").write_text('{"fingerprint": "old", "files": {}}')
    build_dataset(smoke_spec, directory, progress=False)
    assert contents(directory) == contents(smoke_dataset.directory)


def test_a_folder_of_other_things_is_never_built_over(tmp_path, smoke_spec):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"no data set.*name another"):
        build_dataset(smoke_spec, tmp_path, progress=False)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_small_answer_sets_are_refused_where_letters_are_asked(changed):
    spec = changed(lambda s: setattr(s.world.types["company"], "size", 7))
    with pytest.raises(ValueError, match=r"\['employer'\] have fewer than 8 objects.*mcqa"):
        DatasetBuilder(spec)


def test_small_answer_sets_of_auxiliary_relations_are_refused_too(changed):
    def edit(spec):
        spec.world.use = ["birthplace", "located_in"]
        spec.world.types["region"].size = 4
        spec.corpus.plan.auxiliary = {"mcqa": 3}

    with pytest.raises(ValueError, match="located_in"):
        DatasetBuilder(changed(edit))


def test_small_answer_sets_are_fine_without_letters(changed):
    def edit(spec):
        spec.world.types["company"].size = 5
        spec.corpus.plan.tasks = ["completion", "openqa"]

    assert DatasetBuilder(changed(edit)).plan.n_documents > 0


def test_a_vocabulary_too_small_for_the_answers_is_refused_with_the_remedy(changed):
    spec = changed(lambda s: setattr(s.corpus.tokenizer, "vocab_size", 310))
    with pytest.raises(ValueError, match=r"raise corpus\.tokenizer\.vocab_size"):
        DatasetBuilder(spec).tokenizer()


def test_the_manifest_lists_every_file_with_its_hash(smoke_dataset):
    manifest = json.loads((smoke_dataset.directory / "manifest.json").read_text())
    assert set(manifest["files"]) == set(contents(smoke_dataset.directory)) - {"manifest.json"}
