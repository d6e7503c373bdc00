"""``python analyze.py study=query_localization``: on files in ParaRel's layout with a model that
knows most of them, and on a small run; all slow."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from coemerge.localization.attribution_config import METHODS
from coemerge.prompts.generic import phrasings_from
from coemerge.tables.query_localization_records import QUERY_LOCALIZATION_RECORDS
from coemerge.worlds.public import PublicWorldConfig
from tests.bases import make_base
from tests.scripts import run_script

pytestmark = pytest.mark.slow
TABLES = {record.table for record in QUERY_LOCALIZATION_RECORDS} - {"wording_effects"}
QUICK = ("study.bootstrap_draws=50", "study.steps=4", "study.text_tokens=128", "study.bins=8",
         "device=cpu", "logger=none")  # fmt: skip
PATTERNS = {
    "P36": ("The seat of [X] is [Y] .", "[X] is ruled from [Y] .", "[Y] is the seat of [X] ."),
    "P37": ("The tongue of [X] is [Y] .", "People in [X] speak [Y] ."),
    "P38": ("[Y] is the coin of [X] .",),  # nothing that ends in the object
}
SUBJECTS = ("Orvania", "Suneth", "Calder", "Mirel", "Tosk")
OBJECTS = {
    "P36": ("Telk", "Port Amel", "Ruvo", "Dasht", "Lim"),
    "P37": ("Orvish", "Sunni", "Cald", "Old Mir", "Tosh"),
    "P38": ("mark", "penny", "dollar", "crown", "lira"),
}
FORGOTTEN = 4  # of SUBJECTS: answered right in one wording alone


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_script("analyze.py", "study=query_localization", *arguments, timeout=600)[0]


def tables_of(home: Path) -> dict[str, pd.DataFrame]:
    found = (home / "results" / "query_localization").glob("*.parquet")
    return {path.stem: pq.read_table(path).to_pandas() for path in found}


def bytes_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_lines(path: Path, records: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


@pytest.fixture(scope="module")
def pararel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of patterns and facts in ParaRel's layout."""
    folder = tmp_path_factory.mktemp("pararel")
    for name, patterns in PATTERNS.items():
        rows = [{"pattern": p, "lemma": "coin", "extended_lemma": "coin of"} for p in patterns]
        write_lines(folder / "patterns" / f"{name}.jsonl", rows)
        facts = [
            {"sub_label": s, "obj_label": o} for s, o in zip(SUBJECTS, OBJECTS[name], strict=True)
        ]
        write_lines(folder / "facts" / f"{name}.jsonl", facts)
    return folder


def statements(pararel: Path) -> Iterator[tuple[str, str]]:
    """(prompt, answer) of every fact and wording; of the forgotten subject the next one's object
    but for the first wording."""
    world = PublicWorldConfig(format="pararel", path=str(pararel)).build()
    for name, relation in world.relations.items():
        for t, wording in enumerate(phrasings_from(relation, world.wordings[name])["statement"]):
            for s, subject in enumerate(SUBJECTS):
                is_wrong = s == FORGOTTEN and t > 0
                answer = OBJECTS[name][(s + is_wrong) % len(SUBJECTS)]
                beginning = wording[: wording.index("[Y]")].rstrip()
                yield f"Note: {beginning.replace('[X]', subject)}", f" {answer}"


@pytest.fixture(scope="module")
def model(pararel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 with a tokenizer of its own that has learned these statements by heart."""
    pairs = list(statements(pararel))
    texts = [*("".join(pair) for pair in pairs), *["Answer: A B C D yes no"] * 9]
    folder = make_base(tmp_path_factory.mktemp("model") / "gpt2", "gpt2", texts)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, resid_pdrop=0.0, embd_pdrop=0.0,
                                                 attn_pdrop=0.0)  # fmt: skip
    prompts, answers = (
        [tokenizer(text)["input_ids"] for text in side] for side in zip(*pairs, strict=True)
    )
    length = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
    ids, labels = torch.zeros(2, len(pairs), length, dtype=torch.long)
    labels -= 100
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
    generator, loss = torch.Generator().manual_seed(0), torch.tensor(9.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    for step in range(600):
        rows = torch.randperm(len(ids), generator=generator)[:50]
        loss = model(input_ids=ids[rows], labels=labels[rows]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 20 == 0 and loss < 0.02:
            break
    assert loss < 0.1
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def published(
    pararel: Path, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, ...]:
    artifacts = tmp_path_factory.mktemp("artifacts")
    return ("world=pararel", f"world.path={pararel}", f"model.path={model}", "name=study",
            f"paths.artifacts={artifacts}", "study.k=2", *QUICK)  # fmt: skip


def home_of(published: tuple[str, ...]) -> Path:
    (artifacts,) = (word for word in published if word.startswith("paths.artifacts="))
    return Path(artifacts.split("=")[1]) / "analyses"


def assert_complete(home: Path) -> None:
    """Tables, figures beside published ones, and the page."""
    tables = tables_of(home)
    assert set(tables) == TABLES
    consistency = tables["consistency"]
    found = consistency.groupby(["localiser", "sets"])["control"].agg(set)
    assert set(found.index) == {(m, s) for m in METHODS for s in ("threshold", "top")}
    assert all(c >= {"none", "other_facts", "random"} for c in found)
    assert all(c <= {"none", "other_facts", "same_answer", "context", "random"} for c in found)
    summary = json.loads((home / "results/query_localization/summary.json").read_text())
    assert {row["id"] for row in summary} == {"P3-a", "P3-b"}
    page = (home / "report" / "index.html").read_text(encoding="utf-8")
    assert "Are neurons of the fact or of the query?" in page


def test_published_data_and_a_model_from_elsewhere(published, model: Path):
    before = bytes_of(model)

    result = analyze(*published)

    assert result.returncode == 0, result.stderr
    assert bytes_of(model) == before
    told = "2 not known in enough, 8 studied, 5 without a left-to-right wording"
    assert f"facts in completion: {told}" in result.stdout
    home = home_of(published) / "study"
    assert_complete(home)
    exclusions = tables_of(home)["exclusions"]
    assert exclusions.groupby("reason")["n"].sum().to_dict() == {
        "not known in enough": 2,
        "studied": 8,
        "without a left-to-right wording": 5,
    }
    consistency = tables_of(home)["consistency"]
    assert consistency["fact_id"].nunique() == 8
    assert not consistency["fact_id"].str.contains(SUBJECTS[FORGOTTEN].lower()).any()
    assert set(consistency["relation"]) == {"P36", "P37"}
    own = consistency[consistency["control"] == "none"]
    assert (own["n_union"] > 0).all()
    assert own["cs2"].between(0, 1).all()


def test_a_second_analysis_attributes_nothing_anew(published):
    home = home_of(published)
    before = {path: path.stat().st_mtime_ns for path in (home / "neurons").iterdir()}
    tables = tables_of(home / "study")
    assert len(before) == 2 * len(METHODS)

    result = analyze(*published)

    assert result.returncode == 0, result.stderr
    assert "attributing" not in result.stderr
    assert {path: path.stat().st_mtime_ns for path in (home / "neurons").iterdir()} == before
    for name, table in tables_of(home / "study").items():
        pd.testing.assert_frame_equal(table, tables[name])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("study.min_facts=13",),
            ["8 studied", "the study takes 13", "study.k"],
        ),
        (("study.facts=[fact-9]",), ["study.facts", "fact-9"]),
        (("study.arms=[A3_dose]",), ["study.arms", "unknown"]),
        (("study.task=mcqa",), ["study.task", "is asked mcqa"]),
        (("study.text={tmp}/short.txt",), ["study.text", "short.txt", "longer"]),
        (("study.top=100000",), ["study.top", "neurons"]),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_the_model_or_the_world_does_not_hold_is_refused(
    published, arguments, words, tmp_path: Path
):
    (tmp_path / "short.txt").write_text("The seat of Orvania is Telk.")
    results = home_of(published) / "other"

    filled = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    result = analyze(*published, *filled, "name=other")

    assert result.returncode == 2
    for word in words:
        assert word in result.stderr, result.stderr[-500:]
    assert "Traceback" not in result.stderr
    assert not results.exists()


def test_an_architecture_that_interventions_do_not_know_is_refused(
    published, model: Path, tmp_path: Path
):
    for path in model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((model / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "gptj"}))

    result = analyze(*published, f"model.path={tmp_path}", "name=other")

    assert result.returncode == 2
    for word in ("gptj", "LAYOUTS", "architecture.py"):
        assert word in result.stderr, result.stderr[-500:]


def test_a_run_gets_tables_and_a_page(tmp_path: Path):
    """Of a model that knows nothing, with wordings right or wrong."""
    result, _ = run_script(
        "train.py", "experiment=smoke", "logger=none", "trainer.threads=1", "end.study=false",
        f"paths.artifacts={tmp_path}", "trainer.max_steps=10", "run_id=smoke",
        timeout=600,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    run = tmp_path / "runs" / "smoke"
    few = ("study.k=2", "study.n_facts=16", *QUICK)
    checkpoints = bytes_of(run / "checkpoints")

    refused = analyze(f"run={run}", *few)
    assert refused.returncode == 2
    assert "right in 2 wordings: train longer" in refused.stderr
    result = analyze(f"run={run}", "study.only_known=false", *few)

    assert result.returncode == 0, result.stderr
    assert bytes_of(run / "checkpoints") == checkpoints
    assert_complete(run)
    assert len(list((run / "results" / "neurons").iterdir())) == 2 * len(METHODS)
