"""``python analyze.py study=knowledge_neurons world=blimp``: a tiny model that agrees, on files in
BLiMP's layout; slow."""

import itertools
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tests.scripts import run_script
from tests.worlds.readers.support import pair, write_lines

pytestmark = pytest.mark.slow
NOUNS = {n: f"{n}s" for n in ("girl", "boy", "dog", "car", "actor", "nurse")}
VERBS = {f"{v}s": v for v in ("see", "hear", "help", "like", "know")}
NAMES = {"himself": ("Bo", "Tim", "Carl", "Ed"), "herself": ("Ann", "Sue", "Kim", "Beth")}
DETERMINERS = {"this": "singular", "that": "singular", "these": "plural", "those": "plural"}
SUBJECT_VERB = "regular_plural_subject_verb_agreement_1"
GENDER, DETERMINER_NOUN = "anaphor_gender_agreement", "determiner_noun_agreement_1"
CLASSES = {
    SUBJECT_VERB: {"singular", "plural"},
    GENDER: {"masculine", "feminine"},
    DETERMINER_NOUN: {"singular", "plural"},
}
QUICK = (
    "study.bootstrap_draws=50", "study.n_prompts=10", "study.n_items=2", "study.item_prompts=3",
    "study.steps=4", "study.similarity_draws=3", "study.random_draws=2", "study.traced=4",
    "study.tracing.samples=2", "study.edits=6", "study.paraphrases=2", "study.neighbours=2",
    "study.key_tokens=200", "study.layers=[0]", "study.edited_token=last",
    *(f"study.grids.{editor}=[{{}}]" for editor in ("rome", "memit", "ft", "kn")),
    "device=cpu", "logger=none",
)  # fmt: skip
Pair = tuple[str, str, str, str, str]


def subject_verb() -> Iterator[Pair]:
    for name, (one, many), (sees, see) in itertools.product(
        ("Bo", "Ann"), NOUNS.items(), VERBS.items()
    ):
        for determiner, noun, good, bad in (("the", one, sees, see), ("some", many, see, sees)):
            yield SUBJECT_VERB, f"{determiner} {noun}", good, bad, f"{name} ."


def gender() -> Iterator[Pair]:
    (himself, men), (herself, women) = NAMES.items()
    for verb in VERBS:
        for good, bad, names in ((himself, herself, men), (herself, himself, women)):
            for name in names:
                yield GENDER, f"{name} {verb}", good, bad, "."


def determiner_noun() -> Iterator[Pair]:
    names = [name for of in NAMES.values() for name in of[:2]]
    for name, verb, (determiner, number), (one, many) in itertools.product(
        names, list(VERBS)[:2], DETERMINERS.items(), NOUNS.items()
    ):
        good, bad = (one, many) if number == "singular" else (many, one)
        yield DETERMINER_NOUN, f"{name} {verb} {determiner}", good, bad, "."


def record(pairs: Pair) -> dict[str, object]:
    paradigm, prefix, good, bad, rest = pairs
    given = {"one_prefix_prefix": prefix, "one_prefix_word_good": good, "one_prefix_word_bad": bad}
    return pair(f"{prefix} {good} {rest}", f"{prefix} {bad} {rest}", UID=paradigm,
                one_prefix_method=True, **given)  # fmt: skip


RECORDS = [record(made) for made in (*subject_verb(), *gender(), *determiner_noun())]


@pytest.fixture(scope="module")
def blimp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file per paradigm."""
    folder = tmp_path_factory.mktemp("blimp")
    for paradigm in CLASSES:
        of = [record for record in RECORDS if record["UID"] == paradigm]
        write_lines(folder / f"{paradigm}.jsonl", *of)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2, a word a token, that has read the good sentences for some seconds."""
    folder = tmp_path_factory.mktemp("model")
    sentences = [str(record["sentence_good"]).split() for record in RECORDS]
    words = dict.fromkeys(itertools.chain(["<|end|>", "<unk>"], *sentences))
    vocabulary = {word: k for k, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    network = GPT2LMHeadModel(
        GPT2Config(vocab_size=len(vocabulary), n_positions=32, n_embd=32, n_layer=2, n_head=4,
                   resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0)
    )  # fmt: skip
    longest = max(map(len, sentences)) + 1
    ids = torch.zeros(len(sentences), longest, dtype=torch.long)
    for row, sentence in enumerate(sentences):
        ids[row, : len(sentence)] = torch.tensor([vocabulary[word] for word in sentence])
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    order = random.Random(0)
    for _ in range(400):
        rows = order.sample(range(len(ids)), 64)
        network(input_ids=ids[rows], labels=ids[rows]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    network.save_pretrained(folder)
    return folder


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_script("analyze.py", "study=knowledge_neurons", *arguments, timeout=600)[0]


def bytes_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def home(blimp: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    artifacts, before = tmp_path_factory.mktemp("artifacts"), bytes_of(model)
    result = analyze(
        "world=blimp", f"world.path={blimp}", f"model.path={model}", "name=syntax",
        f"paths.artifacts={artifacts}", *QUICK,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert bytes_of(model) == before
    return artifacts / "analyses" / "syntax"


def table(home: Path, name: str) -> pd.DataFrame:
    return pq.read_table(home / "results" / "knowledge_neurons" / f"{name}.parquet").to_pandas()


def test_every_class_of_every_paradigm_is_asked_and_known(home: Path):
    skills = table(home, "skills")

    assert set(skills["kind"]) == {"syntax"}
    found = skills.groupby("topic")["group"].agg(set).to_dict()
    assert found == CLASSES
    assert (skills["accuracy"] > 0.8).all()


def test_neurons_are_found_without_a_grammar_that_anybody_counted(home: Path):
    groups = table(home, "neuron_groups")

    assert set(groups["kind"]) == {"syntax"}
    assert set(groups["topic"]) == set(CLASSES)
    assert set(groups["level"]) == {"class", "item"}
    shifts = table(home, "token_shifts")
    assert {"himself", "herself", "sees", "see", "girls"} <= set(shifts["token"])
    assert set(table(home, "rewrites")["kind"]) == {"syntax"}


def test_the_page_and_the_figures_beside_published_ones_are_there(home: Path):
    summary = json.loads((home / "results/knowledge_neurons/summary.json").read_text())
    page = (home / "report" / "index.html").read_text(encoding="utf-8")

    assert "P4-a" in {row["id"] for row in summary}
    assert "What have knowledge neurons to do with knowledge?" in page


def test_a_paradigm_that_only_whole_sentences_tell_is_refused_by_name(model: Path, tmp_path: Path):
    later = pair("Bo sees this dog .", "Bo sees these dog .", UID="determiner_noun_agreement_2")
    path = write_lines(tmp_path / "later.jsonl", later)

    result = analyze(
        "world=blimp", f"world.path={path}", f"model.path={model}", f"paths.artifacts={tmp_path}",
        *QUICK,
    )  # fmt: skip

    assert result.returncode == 2
    assert "determiner_noun_agreement_2: the word that decides comes after" in result.stderr
    assert "Traceback" not in result.stderr
    assert "attributing" not in result.stderr
    assert not (tmp_path / "analyses").exists()
