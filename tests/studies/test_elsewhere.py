"""Models from elsewhere: a series of local folders, analysed as a hub series would be."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.bases import make_base
from tests.conftest import ROOT
from tests.scripts import run_script

SMALL = (
    "study=co_emergence", "world=real_facts", "world.use=[capital_city,currency]",
    "study.paraphrases=2", "study.bootstrap_draws=50", "study.null_draws=5",
    "logger=none", "device=cpu",
)  # fmt: skip
WORDS = " ".join(
    path.read_text(encoding="utf-8")
    for folder in ("world/real", "prompts/templates")
    for path in sorted((ROOT / "conf" / folder).glob("c*.yaml"))
)


def analyse(*arguments: str) -> str:
    """What was printed. Fails where the analysis did."""
    result, _ = run_script("analyze.py", *SMALL, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(*arguments: str) -> str:
    result, _ = run_script("analyze.py", *SMALL, *arguments)
    assert result.returncode == 2, result.stdout
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four models of one shape and tokenizer; only the first was saved with the tokenizer."""
    root = tmp_path_factory.mktemp("models")
    texts = [WORDS[i : i + 400] for i in range(0, len(WORDS), 400)]
    folders = [make_base(root / "step10", "gpt2", texts, n_positions=320)]
    for step in (20, 30, 40):
        model = AutoModelForCausalLM.from_pretrained(folders[0])
        generator = torch.Generator().manual_seed(step)
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(0.3 * torch.randn(weights.shape, generator=generator))
        model.save_pretrained(root / f"step{step}")
        folders.append(root / f"step{step}")
    return folders


def named(models: list[Path]) -> str:
    return f"model.path=[{','.join(map(str, models))}]"


@pytest.fixture(scope="module")
def artifacts(models, tmp_path_factory) -> Path:
    """With an analysis of the first three."""
    path = tmp_path_factory.mktemp("artifacts")
    analyse(named(models[:3]), "name=series", f"paths.artifacts={path}")
    return path


def table(artifacts: Path, name: str, analysis: str = "series") -> pd.DataFrame:
    folder = artifacts / "analyses" / analysis / "results" / "co_emergence"
    return pq.read_table(folder / f"{name}.parquet").to_pandas()


def test_a_series_gets_tables_and_a_page(artifacts):
    pairs, curves = table(artifacts, "pairs"), table(artifacts, "curves")
    page = (artifacts / "analyses/series/report/index.html").read_text(encoding="utf-8")

    assert sorted(curves["step"].unique()) == [10, 20, 30]
    assert set(pairs["arm"]) == {"unknown"}
    assert "series" in page
    assert (artifacts / "analyses/series/results/co_emergence/summary.json").is_file()


def test_three_accuracies_are_reported_for_each_model(artifacts):
    answers = table(artifacts, "answers")

    assert sorted(answers["step"].unique()) == [10, 20, 30]
    shares = answers[["first_token", "full_answer", "tolerant"]]
    assert shares.min().min() >= 0
    assert shares.max().max() <= 1
    assert (answers["full_answer"] <= answers["first_token"]).all()
    assert (answers["first_token"] <= answers["tolerant"]).all()


def test_a_model_added_later_is_the_only_one_scored(artifacts, models):
    cache = artifacts / "analyses" / "scores"
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}

    analyse(named(models), "name=longer", f"paths.artifacts={artifacts}")

    after = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert {path: after[path] for path in before} == before
    new = [path for path in after if path not in before]
    assert len({path.name.split("-")[0] for path in new}) == 1
    longer, short = table(artifacts, "curves", "longer"), table(artifacts, "curves")
    pd.testing.assert_frame_equal(
        longer[longer["step"] < 40].reset_index(drop=True), short, check_like=True
    )


def test_a_folder_of_models_and_revisions_in_it(artifacts, models):
    arguments = (f"model.path={models[0].parent}", "model.revisions=[step20,step10]", "name=some")
    analyse(*arguments, f"paths.artifacts={artifacts}")

    rows = json.loads((artifacts / "analyses/some/runs.json").read_text())
    assert [name.split()[0] for name in rows[0]["models"]] == ["step10", "step20"]
    assert rows[0]["steps"] == 20


@pytest.mark.slow
def test_models_are_left_as_they_were(models, tmp_path):
    digest = {path: path.read_bytes() for path in models[0].iterdir()}
    few = ("study.tasks=[completion,openqa]", f"paths.artifacts={tmp_path}")
    analyse(f"model.path={models[0]}", *few)

    assert {path: path.read_bytes() for path in models[0].iterdir()} == digest


@pytest.mark.slow
def test_other_questions_of_the_same_facts_are_answered_anew(models, tmp_path):
    """Option sets of another seed: neither scores nor answers come from the first analysis."""
    few = ("study.tasks=[mcqa,negmcqa]", f"paths.artifacts={tmp_path}", f"model.path={models[0]}")
    analyse(*few, "name=first")
    analyse(*few, "name=second", "seed=5")

    cache = [path.name for path in (tmp_path / "analyses" / "scores").iterdir()]
    assert len([name for name in cache if name.endswith("-answers.parquet")]) == 2
    assert len(cache) == 4


@pytest.mark.slow
def test_a_chat_template_changes_what_is_asked(models, tmp_path):
    chatty = Path(shutil.copytree(models[0], tmp_path / "chatty"))
    template = "<|user|> {{ messages[0]['content'] }} <|assistant|>"
    (chatty / "chat_template.jinja").write_text(template, encoding="utf-8")
    few = ("study.tasks=[completion,openqa]", f"paths.artifacts={tmp_path}", f"model.path={chatty}")

    analyse(*few, "name=plain")
    analyse(*few, "name=chat", "model.chat=true")

    plain, chat = (table(tmp_path, "pairs", name) for name in ("plain", "chat"))
    assert list(plain["fact_id"]) == list(chat["fact_id"])
    assert len(list((tmp_path / "analyses" / "scores").glob("*-full-*"))) == 2
    assert "no chat template" in refused(f"model.path={models[0]}", "model.chat=true")


def test_what_does_not_belong_together_is_refused(models, tmp_path):
    here = f"paths.artifacts={tmp_path}"
    message = refused(f"model.path={models[0].parent}", "model.revisions=[step11]", here)
    assert "model.path" in message
    assert "step11; there are: step10, step20, step30, step40" in message

    assert "context of 64" in refused(
        f"model.path={make_base(tmp_path / 'short', 'gpt2', [WORDS[:2000]], n_positions=64)}", here
    )
    assert "name one of them" in refused(f"model.path={models[0]}", "run=somewhere", here)
    assert "hub.download=true" in refused("model.path=someone/model", here)
    assert "nowhere" in refused("model.path=./nowhere", here)


def test_without_a_world_there_is_nothing_to_ask(models):
    result, _ = run_script("analyze.py", "study=co_emergence", f"model.path={models[0]}")

    assert result.returncode == 2
    assert "world" in result.stderr
    assert "world=real_facts" in result.stderr
