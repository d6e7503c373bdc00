"""``study=all``: which runs each study gets, what is told of the others, and what stays there."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir

from coemerge.app import all_studies as app
from coemerge.app import kept_results
from coemerge.app.all_studies import DONE, FAILED, SKIPPED, THERE, Outcome, summary_table
from coemerge.app.analysis import Analysis, Series, one_study
from coemerge.app.kept_results import origin, why_anew
from coemerge.app.schema import register
from coemerge.app.study_settings import CONFIGS, check_settings
from coemerge.app.supported import Run, choose, experiments
from coemerge.files import write_json
from coemerge.scoring.config import ScoreConfig
from coemerge.statistics.resampling import hierarchical_rate
from coemerge.tables.store import table_schema, write_table
from tests.conftest import ROOT

STUDIES = list(CONFIGS)
OURS = STUDIES[: STUDIES.index("knowledge_neurons") + 1]  # studies of one's own come after
DIRECT = {"completion": 2, "mcqa": 2}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Series]:
    """A run as far as it is read here: what it was trained on, and no model."""

    def made(
        name: str,
        seed: int = 0,
        experiment: str = "facts",
        asked: dict[str, int] | None = None,
        trained: tuple[str, ...] = (),
        pairs: bool = False,
        restates: bool = False,
    ) -> Series:
        run, data = tmp_path / "runs" / name, tmp_path / "data" / name
        (run / "tables").mkdir(parents=True)
        data.mkdir(parents=True)
        write_json(run / "manifest.json", {"experiment": experiment, "data_directory": str(data)})
        asked = DIRECT if asked is None else asked
        tasks = [*asked, *trained]
        (run / "config.yaml").write_text(yaml.safe_dump({"corpus": {"plan": {"tasks": tasks}}}))
        rows = [
            (fact, task, n, "held_out_templates")
            for fact in ("f0", "f1")
            for task, n_asked in asked.items()
            for n in range(n_asked)
        ]
        columns = ["fact_id", "task", "template_id", "split"]
        pd.DataFrame(rows, columns=columns).to_parquet(data / "prompts.parquet")
        facts = pd.DataFrame(
            {"fact_id": ["f0", "f1"], "root_id": ["f0", "f0" if restates else "f1"]}
        )
        facts.to_parquet(run / "tables" / "facts.parquet")
        if pairs:
            (data / "minimal_pairs.parquet").touch()
        return Series(name, seed, [], ScoreConfig(), run / "results" / "scores", run)

    return made


def analysis_of(*series: Series, name: str | None = None, **settings: dict) -> Analysis:
    runs = [of.run for of in series if of.run]
    asked = {study: {"_target_": f"made.{study}", **settings.get(study, {})} for study in STUDIES}
    wandb = {"mode": "disabled", "project": "none"}
    root = runs[0].parents[1]
    return Analysis("", runs, list(series), runs[0], "cpu", root, asked, wandb,
                    root / "analyses", name)  # fmt: skip


def leave(part: Analysis, study: str) -> None:
    """What a study leaves."""
    home = part.out / "results" / study
    columns = {name: [] for name in table_schema("curves").names}
    write_table(home / "curves.parquet", "curves", columns, origin(part))
    write_json(home / "summary.json", [])


@pytest.fixture
def ran(monkeypatch) -> dict[str, Analysis]:
    """Studies are made up: each notes what it was given and leaves something. Pages are not
    written, but noted as well."""
    noted: dict[str, Analysis] = {}

    def study(name: str) -> Callable[[Analysis], None]:
        def run(part: Analysis) -> None:
            noted[name] = part
            leave(part, name)
            if name == "task_localization":
                for table in ("masks", "mask_units"):
                    (part.out / "results" / name / f"{table}.parquet").touch()

        return run

    module = SimpleNamespace(**{name: study(name) for name in STUDIES})
    monkeypatch.setattr(app, "import_module", lambda name: module)
    monkeypatch.setattr(app, "report", lambda analysis: noted.update(page=analysis))
    monkeypatch.setattr(kept_results, "code_version", lambda root: CLEAN)
    noted["module"] = module  # type: ignore[assignment]
    return noted


CLEAN = {"git_commit": "87bdcbf", "git_dirty": False}


def given(ran: dict[str, Analysis]) -> dict[str, list[str]]:
    return {name: [path.name for path in ran[name].directories] for name in ran if name in STUDIES}


def test_all_studies_are_among_all_with_the_settings_of_each():
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = compose("analyze", ["study=all", "study.co_emergence.thetas=[0.6]"]).study
        each = {name: compose("analyze", [f"study={name}"]).study for name in STUDIES}

    assert [name for name in chosen if name != "_target_"] == STUDIES
    assert chosen.co_emergence.thetas == [0.6]
    for name in STUDIES[1:]:
        assert chosen[name] == each[name]


def test_a_run_gets_the_studies_that_it_supports_in_order_and_reasons_for_the_others(
    make, ran, capsys
):
    app.all_studies(analysis_of(make("one")))

    told = capsys.readouterr().out
    assert [study for study in given(ran) if study in OURS] == [
        "co_emergence", "task_localization", "query_localization", "entity_relation",
        "knowledge_neurons",
    ]  # fmt: skip
    n = len(STUDIES)
    for line in (f"[1/{n}] co_emergence: one", f"[3/{n}] chain_of_thought: no run supports it"):
        assert line in told
    table = told[told.index("study ") :]
    assert "one was trained on no chain of thought" in " ".join(table.split())
    assert ran["page"].out == ran["co_emergence"].out


def test_a_study_gets_the_settings_that_are_its_own(make, ran):
    app.all_studies(analysis_of(make("one"), co_emergence={"seed": 7}))

    assert ran["co_emergence"].settings == {"seed": 7}
    assert ran["co_emergence"].target == "made.co_emergence"
    assert ran["query_localization"].settings == {}


def test_seeds_of_one_experiment_are_one_analysis(make, ran):
    analysis = analysis_of(make("a0", 0), make("a1", 1))
    app.all_studies(analysis)

    assert given(ran)["co_emergence"] == ["a0", "a1"]
    assert ran["co_emergence"].out == analysis.analyses / "a0+a1" == ran["page"].out
    assert ran["page"].directories == [analysis.analyses / "a0+a1"]


def test_of_several_experiments_each_study_gets_the_one_that_suits_it(make, ran, capsys):
    facts = make("facts", asked={**DIRECT, "fitb": 2})
    cot = make("cot", experiment="cot", trained=("cot_completion_mcqa",))
    sides = make("sides", experiment="sides", asked={"completion": 2, "relation_naming": 2})
    syntax = make("syntax", experiment="syntax", asked={"completion": 1}, pairs=True)
    analysis = analysis_of(syntax, facts, cot, sides)
    app.all_studies(analysis)

    assert {study: runs for study, runs in given(ran).items() if study in OURS} == {
        "co_emergence": ["facts"],
        "task_localization": ["cot"],
        "chain_of_thought": ["cot"],
        "query_localization": ["syntax"],
        "entity_relation": ["sides"],
        "knowledge_neurons": ["syntax"],
    }
    assert ran["page"].directories == analysis.directories
    assert ran["page"].out == syntax.run
    again = f"study=report run='[{','.join(map(str, analysis.directories))}]'"
    assert again in capsys.readouterr().out


def test_runs_of_one_seed_or_asked_otherwise_are_no_seeds_of_one_experiment(make):
    series = [make("a", 0), make("b", 0), make("c", 1), make("d", 2, asked={"completion": 2})]
    groups = experiments([Run(of) for of in series])

    assert [[run.directory.name for run in group] for group in groups] == [["a", "c"], ["b"], ["d"]]


def test_an_analysis_of_some_of_the_seeds_does_not_take_the_name_of_all(make):
    series = [make("a0", 0), make("a1", 1, pairs=True), make("a2", 2)]
    analysis = analysis_of(*series, name="mine", knowledge_neurons={"pairs": "blimp"})
    groups = experiments([Run(of) for of in analysis.series])

    some, reasons = choose("knowledge_neurons", groups, analysis)
    every, none = choose("co_emergence", groups, analysis)

    assert some.out == analysis.analyses / "a0+a2"
    assert reasons == [
        "a1: has minimal pairs of its own, so that those of study.pairs are not asked"
    ]
    assert (every.out, none) == (analysis.analyses / "mine", [])


@pytest.mark.parametrize(
    ("asked", "study", "reason"),
    [
        ({"completion": 2}, "co_emergence", "asked in completion alone; it takes two"),
        ({"completion": 2, "mcqa": 1}, "task_localization",
         "fewer than two held-out wordings in mcqa"),
        ({"mcqa": 2}, "knowledge_neurons", "not asked in completion, but in mcqa"),
        ({"mcqa": 2}, "query_localization", "not asked in completion, but in mcqa"),
        ({}, "entity_relation", "the data set that it was trained on is not there any more"),
    ],
)  # fmt: skip
def test_what_a_run_lacks_is_told(make, asked, study, reason):
    series = make("one", asked=asked)
    assert choose(study, [[Run(series)]], analysis_of(series)) == (None, [f"one: {reason}"])


def test_what_a_study_refuses_is_told_and_the_next_one_runs(make, ran, capsys):
    def refuse(part: Analysis) -> None:
        check_settings("co_emergence", {"min_fact": 3})

    ran["module"].co_emergence = refuse
    app.all_studies(analysis_of(make("one")))

    told = capsys.readouterr().out
    assert "unknown key study.co_emergence.min_fact" in told
    assert "query_localization" in given(ran)


def test_a_study_that_breaks_does_not_take_the_others_with_it_but_is_no_success(
    make, ran, capsys, caplog
):
    def fall(part: Analysis) -> None:
        raise RuntimeError("out of memory")

    ran["module"].task_localization = fall
    with pytest.raises(SystemExit) as stopped:
        app.all_studies(analysis_of(make("one")))

    assert stopped.value.code == 1
    assert "RuntimeError: out of memory" in capsys.readouterr().out
    assert "Traceback" in caplog.text
    assert "entity_relation" in given(ran)
    assert "page" in ran


def _into_one(part: Analysis) -> None:
    np.stack([np.ones(2), np.ones(3)])


def _compiled(part: Analysis) -> None:
    np.ones(2) + np.ones(3)


def _from_our_lines(part: Analysis) -> None:
    hierarchical_rate([np.ones(3)])  # sums along an axis that is not there


@pytest.mark.parametrize("fault", [_into_one, _compiled, _from_our_lines])
def test_a_value_error_that_no_check_raises_is_a_fault(make, ran, capsys, caplog, fault):
    ran["module"].task_localization = fault
    with pytest.raises(SystemExit):
        app.all_studies(analysis_of(make("one")))

    assert f"task_localization   {FAILED}" in capsys.readouterr().out
    assert "Traceback" in caplog.text
    assert "entity_relation" in given(ran)


def test_runs_that_support_nothing_are_refused(make, ran):
    with pytest.raises(ValueError, match="no study could be run"):
        app.all_studies(analysis_of(make("one", asked={})))
    assert "page" not in ran


def test_results_of_the_same_settings_are_not_computed_again(make, ran, capsys):
    analysis = analysis_of(make("one"))
    app.all_studies(analysis)
    first = given(ran)
    for study in first:
        del ran[study]
    app.all_studies(analysis)

    assert given(ran) == {}
    assert capsys.readouterr().out.count(f"  {THERE} ") == len(first)
    assert "page" in ran

    changed = analysis_of(analysis.series[0], co_emergence={"seed": 7}, entity_relation={"seed": 0})
    app.all_studies(changed)
    assert list(given(ran)) == ["co_emergence"]
    assert "computed again: other settings" in capsys.readouterr().out


def test_results_are_computed_again_where_what_they_are_made_of_is_another(make, monkeypatch):
    monkeypatch.setattr(kept_results, "code_version", lambda root: CLEAN)
    series = make("one", trained=("cot_completion_mcqa",))
    part = one_study(analysis_of(series), "chain_of_thought", [series], None)
    assert why_anew(part, "chain_of_thought") == ""
    leave(part, "chain_of_thought")
    assert why_anew(part, "chain_of_thought") is None

    summary = part.out / "results" / "chain_of_thought" / "summary.json"
    later = summary.stat().st_mtime + 10
    masks = write_json_at(part.out / "results/task_localization/summary.json", later)
    assert why_anew(part, "chain_of_thought") == "runs, masks or files named are newer"
    masks.unlink()
    os.utime(part.out / "manifest.json", (later, later))
    assert why_anew(part, "chain_of_thought") == "runs, masks or files named are newer"
    os.utime(summary, (later, later))

    other = Series("one", 0, [], ScoreConfig(base="first"), series.cache, series.run)
    scored = one_study(analysis_of(other), "chain_of_thought", [other], None)
    assert why_anew(scored, "chain_of_thought") == "other scores"
    for code in ({**CLEAN, "git_commit": "other"}, {**CLEAN, "git_dirty": True}):
        monkeypatch.setattr(kept_results, "code_version", lambda root, code=code: code)
        assert "other code" in str(why_anew(part, "chain_of_thought"))


def test_files_that_settings_name_count_as_what_results_are_made_of(make, monkeypatch, tmp_path):
    monkeypatch.setattr(kept_results, "code_version", lambda root: CLEAN)
    series, study = make("one"), "knowledge_neurons"
    inner = tmp_path / "blimp" / "agreement" / "pairs.jsonl"
    inner.parent.mkdir(parents=True)
    text = tmp_path / "some.txt"
    for path in (inner, text):
        path.touch()
    named = {"pairs": str(tmp_path / "blimp"), "text": str(text)}
    part = one_study(analysis_of(series, knowledge_neurons=named), study, [series], None)
    leave(part, study)
    assert why_anew(part, study) is None

    summary = part.out / "results" / study / "summary.json"
    now = summary.stat().st_mtime
    for path in (inner, inner.parent, text):
        os.utime(path, (now + 10, now + 10))
        assert why_anew(part, study) == "runs, masks or files named are newer"
        os.utime(path, (now - 10, now - 10))
        assert why_anew(part, study) is None


def write_json_at(path: Path, time: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([]))
    os.utime(path, (time, time))
    return path


def test_the_table_names_studies_runs_states_and_reasons():
    part = analysis_of(Series("a", 0, [], ScoreConfig(), Path("c"), Path("x/runs/a")))
    lines = summary_table(
        [
            Outcome("co_emergence", DONE, part, 12.4),
            Outcome("chain_of_thought", SKIPPED, note="a: " + "no masks " * 20),
            Outcome("entity_relation", FAILED, part, 3.0, "OSError: disk full"),
        ]
    ).splitlines()

    assert lines[0].split() == ["study", "status", "seconds", "runs"]
    assert lines[1].split() == ["co_emergence", "done", "12", "a"]
    assert lines[2].split() == ["chain_of_thought", "skipped", "0", "-"]
    assert lines[3].startswith("    a: no masks")
    assert lines[-1] == "    OSError: disk full"
    assert max(map(len, lines)) <= 100
