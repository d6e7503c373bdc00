"""``python analyze.py study=entity_relation``: on small runs that know some facts from each side,
and on files in the layouts of CounterFact, RaKE and LRE with a model that knows nothing. Slow."""

import json
import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from coemerge.studies.entity_relation.cases import PROBES, SAME_SUBJECT
from coemerge.studies.entity_relation.config import EDITORS
from coemerge.tables.entity_relation_records import ENTITY_RELATION_RECORDS
from tests.bases import make_base
from tests.scripts import run_script
from tests.studies.test_sides_from_records import RECORDS, rake
from tests.worlds.readers.support import edit, relation, write_json

pytestmark = pytest.mark.slow
TABLES = {record.table for record in ENTITY_RELATION_RECORDS}
TRACED = {"tracing_effects", "attention_shares"}  # of prompts that are answered right
QUICK = (
    "study.bootstrap_draws=50", "study.steps=2", "study.tracing.samples=3",
    "study.key_tokens=500", *(f"study.grids.{editor}=[{{}}]" for editor in EDITORS), "device=cpu",
    "logger=none",
)  # fmt: skip
TRAINING = (
    "experiment=entity_relation", "world=synthetic_tiny", "world.use=[birthplace,occupation]",
    "corpus.plan.tasks=[completion,relation_naming]", "corpus.plan.documents.completion=150",
    "corpus.plan.documents.relation_naming=300", "corpus.background.share=0.1", "model=gpt2_tiny",
    "trainer.max_steps=400", "optimizer.lr=5e-3", "trainer.threads=1", "logger=none",
    "trainer.precision=32-true",
)  # fmt: skip


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_script("analyze.py", "study=entity_relation", *QUICK, *arguments, timeout=600)[0]


def tables_of(home: Path) -> dict[str, pd.DataFrame]:
    found = (home / "results" / "entity_relation").glob("*.parquet")
    return {path.stem: pq.read_table(path).to_pandas() for path in found}


def bytes_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_keys(tables: dict[str, pd.DataFrame]) -> None:
    """Rows are told apart by their keys."""
    for record in ENTITY_RELATION_RECORDS:
        if record.table in tables:
            keys = [field.name for field in fields(record) if field.metadata["key"]]
            assert not tables[record.table].duplicated(keys).any(), record.table


def assert_page(home: Path) -> None:
    summary = json.loads((home / "results/entity_relation/summary.json").read_text())
    assert {row["id"] for row in summary} == {"P2-a", "P2-b"}
    page = (home / "report" / "index.html").read_text(encoding="utf-8")
    assert "Does an edit of one side show on the other?" in page


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def runs(artifacts: Path) -> list[Path]:
    """Of two seeds."""
    for seed in (0, 1):
        result, _ = run_script(
            "train.py", *TRAINING, f"paths.artifacts={artifacts}", f"seed={seed}",
            f"run_id=sides{seed}", timeout=600,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr[-3000:]
    return [artifacts / "runs" / f"sides{seed}" for seed in (0, 1)]


@pytest.fixture(scope="module")
def analysed(runs: list[Path]) -> tuple[Path, str]:
    """(the first run, what its analysis printed)."""
    checkpoints = bytes_of(runs[0] / "checkpoints")
    result = analyze(f"run={runs[0]}")
    assert result.returncode == 0, result.stderr[-3000:]
    assert bytes_of(runs[0] / "checkpoints") == checkpoints
    return runs[0], result.stdout


def test_a_run_gets_tables_figures_beside_published_ones_and_a_page(analysed):
    run, told = analysed
    tables = tables_of(run)
    assert set(tables) == TABLES
    assert_keys(tables)
    assert_page(run)
    choice = tables["edit_choice"]
    assert set(choice["editor"]) == set(EDITORS)
    assert choice["traced"].tolist() == (choice["editor"] != "kn").tolist()
    assert set(choice["setting"]) == {"as published"}
    edits = tables["side_edits"]
    assert set(edits["probe"]) == {*PROBES, SAME_SUBJECT}
    assert set(edits["control"]) == {"none", "mismatched", "random"}
    summary = json.loads((run / "results" / "entity_relation" / "summary.json").read_text())
    assert any("noise on relation" in row["quantity"] for row in summary)
    for line in told.splitlines():
        if "transfer index" in line:
            assert re.match(r"P2-a +(-|-?\d+\.\d\d( \[-?\d+\.\d\d, -?\d+\.\d\d\])?) +n=", line), (
                line
            )


def test_facts_are_counted_and_settings_chosen_on_others_than_those_reported(analysed):
    tables = tables_of(analysed[0])
    excluded = tables["side_exclusions"]
    told = excluded.groupby("reason")["n"].sum()
    assert set(excluded["arm"]) <= {"entity_only", "relation_only", "both_sides"}
    (n_dev,) = set(tables["edit_choice"]["n"])
    assert tables["side_edits"]["fact_id"].nunique() == told["studied"]
    assert told["kept for choosing settings"] == n_dev
    assert set(tables["cross_side"]["arm"]) <= {"all", *excluded["arm"]}
    rows = tables["side_transfer"]
    shown = rows.groupby(["arm", "probe"])["n_documents"].first()
    if ("entity_only", "relation") in shown:
        assert shown["entity_only", "relation"] == 0 < shown["entity_only", "entity"]
    assert shown["all", "entity"] > 0


def test_another_analysis_finds_the_same(analysed):
    run, _ = analysed
    tables = tables_of(run)
    keys = {p: p.stat().st_mtime_ns for p in (run / "results" / "keys").rglob("*") if p.is_file()}
    assert keys

    result = analyze(f"run={run}")

    assert result.returncode == 0, result.stderr[-3000:]
    assert {p: p.stat().st_mtime_ns for p in keys} == keys
    again = tables_of(run)
    assert set(again) == set(tables)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(again[name], table)


def test_two_seeds_are_one_analysis(runs: list[Path], artifacts: Path):
    checkpoints = [bytes_of(run / "checkpoints") for run in runs]

    result = analyze(
        f"run=[{runs[0]},{runs[1]}]", "name=both", f"paths.artifacts={artifacts}",
        "study.editors=[ft,kn]",
    )  # fmt: skip

    assert result.returncode == 0, result.stderr[-3000:]
    assert [bytes_of(run / "checkpoints") for run in runs] == checkpoints
    home = artifacts / "analyses" / "both"
    tables = tables_of(home)
    assert set(tables) == TABLES
    assert_keys(tables)
    assert_page(home)
    for name in ("side_edits", "edit_outcomes", "edit_choice", "side_exclusions", "traced_prompts"):
        assert set(tables[name]["seed"]) == {0, 1}, name
    edits = tables["side_edits"]
    n_facts = len(edits[["seed", "fact_id"]].drop_duplicates())
    transfer = tables["side_transfer"]
    assert set(transfer["n"][transfer["arm"] == "all"]) == {n_facts}
    summary = json.loads((home / "results/entity_relation/summary.json").read_text())
    assert all(row["seeds"] == [0, 1] for row in summary)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("study.layers=[1]", "study.edited_token=last"), ("study.layers", "[1]", "0 to 1")),
        (("study.min_facts=1000",), ("facts:", "the study takes 1000", "study.only_known=false")),
        (("study.facts=[nobody]",), ("study.facts", "nobody")),
        (("study.arms=[A0_full]",), ("study.arms", "both_sides")),
        (("study.task=openqa",), ("openqa", "completion")),
        (("study.checkpoint=7",), ("study.checkpoint", "7")),
        (("study.text={tmp}/short.txt",), ("study.text", "short.txt", "longer")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_the_run_does_not_hold_is_refused(runs, arguments, words, tmp_path: Path):
    (tmp_path / "short.txt").write_text("Note:")
    before = bytes_of(runs[1])

    result = analyze(f"run={runs[1]}", *(a.replace("{tmp}", str(tmp_path)) for a in arguments))

    assert result.returncode == 2
    for word in words:
        assert word in result.stderr, result.stderr[-500:]
    assert "Traceback" not in result.stderr
    assert not (runs[1] / "results" / "entity_relation").exists()
    assert {path: data for path, data in bytes_of(runs[1]).items() if path in before} == before


# --- published data, and models from elsewhere ---

SAMPLES = [
    {"subject": s, "object": o}
    for s, o in zip(
        ("Orvania", "Suneth", "Calder", "Mirel", "Tosk", "Velm"),
        ("Telk", "Port Amel", "Ruvo", "Dasht", "Telk", "Ruvo"),
        strict=True,
    )
]
BOTH_SIDES = [*RECORDS, rake(4, "Calder", "Ruvo", "Telk"), rake(5, "Mirel", "Dasht", "Bor")]
ENTITY_ALONE = [
    edit(k, subject=s["subject"], target_true={"str": s["object"]}, target_new={"str": "Amel"})
    for k, s in enumerate(SAMPLES)
]
PUBLISHED = {
    "rake": ("counterfact", BOTH_SIDES, {"entity", "relation"}),
    "counterfact": ("counterfact", ENTITY_ALONE, {"entity"}),
    "lre": ("lre", relation(samples=SAMPLES), {"entity"}),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [str(BOTH_SIDES), str(SAMPLES), "None seat. Note: Answer: A B C D yes no"] * 3
    return make_base(tmp_path_factory.mktemp("model") / "gpt2", "gpt2", texts)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_data_and_a_model_from_elsewhere(name: str, model: Path, tmp_path: Path):
    world, content, sides = PUBLISHED[name]
    data = write_json(tmp_path / "data" / f"{name}.json", content)
    before = bytes_of(model)

    result = analyze(
        f"world={world}", f"world.path={data}", f"model.path={model}", f"name={name}",
        f"paths.artifacts={tmp_path}", "study.only_known=false", "study.layers=[0]",
        "study.edited_token=last", "study.traced_facts=4", "study.contexts=[[2,1]]",
    )  # fmt: skip

    assert result.returncode == 0, result.stderr[-3000:]
    assert bytes_of(model) == before
    home = tmp_path / "analyses" / name
    tables = tables_of(home)
    two_sided = {"side_means", "side_transfer"} if len(sides) == 2 else set()
    assert TABLES - TRACED - {"side_means", "side_transfer"} <= set(tables) <= TABLES
    assert two_sided <= set(tables)
    assert_keys(tables)
    assert_page(home)
    edits = tables["side_edits"]
    assert set(edits["edit_side"]) == sides
    assert set(edits["editor"]) == set(EDITORS)
    assert set(edits["arm"]) == {"unknown"}
    own = edits[(edits["measure"] == "efficacy") & edits["edit_side"].eq(edits["probe"])]
    own = own[own["control"] == "none"]
    assert (own["magnitude_post"] != own["magnitude_pre"]).any()
    assert (own["magnitude_post"] - own["magnitude_pre"]).mean() > 0
    if two_sided:
        assert tables["side_transfer"]["n_documents"].isna().all()
        assert (
            tables["side_edits"]["pre"][
                edits["measure"].eq("specificity") & edits["probe"].eq("relation")
            ]
            .isna()
            .all()
        )
