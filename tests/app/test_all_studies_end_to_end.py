"""``python analyze.py study=all`` on two small runs of different experiments; slow."""

import json
import re
from pathlib import Path

import pytest

from tests.scripts import run_script

pytestmark = pytest.mark.slow
SMALL = ("trainer.threads=1", "trainer.max_steps=10", "logger=none", "end.study=false")
SIDES = (
    "experiment=entity_relation", "world=synthetic_tiny", "world.use=[birthplace,occupation]",
    "corpus.plan.tasks=[completion,relation_naming]", "model=gpt2_tiny",
    "corpus.plan.documents.completion=20", "corpus.plan.documents.relation_naming=20",
)  # fmt: skip
EDITORS = ("rome", "memit", "ft", "ft_l", "kn")
QUICK = {
    "co_emergence": ("bootstrap_draws=50", "null_draws=5", "checkpoints=2", "answers=false"),
    "query_localization": (
        "only_known=false", "k=2", "n_facts=8", "steps=2", "bootstrap_draws=20", "text_tokens=0",
        "editors=[]", "random_draws=2", "edit_draws=1", "localisers=[gradient]",
        "localiser=gradient", "betas=[0]", "taus=[0.2]",
    ),
    "entity_relation": (
        "only_known=false", "n_facts=6", "bootstrap_draws=20", "steps=2", "tracing.samples=2",
        "key_tokens=500", "editors=[ft]", "layers=[0]", "edited_token=last",
        *(f"grids.{editor}=[{{}}]" for editor in EDITORS),
    ),
}  # fmt: skip
ARGUMENTS = tuple(f"study.{study}.{word}" for study, words in QUICK.items() for word in words)
SECTIONS = (
    "What came out", "Are neurons of the fact or of the query?",
    "Does an edit of one side show on the other?",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    artifacts = tmp_path_factory.mktemp("artifacts")
    for name, arguments in (("facts", ("experiment=smoke",)), ("sides", SIDES)):
        result, _ = run_script(
            "train.py", *arguments, *SMALL, f"run_id={name}", f"paths.artifacts={artifacts}",
            timeout=600,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr[-3000:]
    return [artifacts / "runs" / name for name in ("facts", "sides")]


@pytest.fixture(scope="module")
def told(runs: list[Path]) -> str:
    result, _ = run_script(
        "analyze.py", "study=all", f"run=[{runs[0]},{runs[1]}]", "device=cpu", "logger=none",
        f"paths.artifacts={runs[0].parents[1]}", *ARGUMENTS, timeout=900,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_each_study_ran_on_the_run_made_for_it_or_says_why_not(runs, told: str):
    table = told[told.index("\nstudy ") :]
    rows = re.findall(r"^(\w+) +(done|skipped) +\d+  (\S+)$", table, re.MULTILINE)

    assert rows == [
        ("co_emergence", "done", "facts"),
        ("task_localization", "skipped", "facts"),
        ("chain_of_thought", "skipped", "-"),
        ("query_localization", "done", "facts"),
        ("entity_relation", "done", "sides"),
        ("knowledge_neurons", "skipped", "facts"),
    ]
    assert "learned nothing that can be studied" in " ".join(table.split())
    assert "study.task_localization." in table
    found = [
        {path.parent.name for path in (run / "results").glob("*/summary.json")} for run in runs
    ]
    assert found == [{"co_emergence", "query_localization"}, {"entity_relation"}]


def test_one_page_holds_the_sections_of_both_runs(runs, told: str):
    page = runs[0] / "report" / "index.html"
    text = page.read_text(encoding="utf-8")

    assert told.count(f"report       {page}") >= 1
    assert all(section in text for section in SECTIONS)
    assert text.count("Measured on <strong>sides</strong>") == 1
    again = re.search(r"study=report run='(\[.*\])'", told)
    assert again
    result, _ = run_script("analyze.py", "study=report", f"run={again[1]}", "logger=none")
    assert result.returncode == 0, result.stderr
    assert page.read_text(encoding="utf-8") == text


def test_tables_say_what_they_were_made_with(runs, told: str):
    summary = json.loads((runs[1] / "results/entity_relation/summary.json").read_text())
    assert {row["source"] for row in summary} == {"sides"}
