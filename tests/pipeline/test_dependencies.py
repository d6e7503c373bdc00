"""Stages depend on what decides their output: on all of it, and on nothing else."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.pipeline.stages import (
    CONF,
    Stage,
    path_of,
    reached,
    read_settings,
    stages,
    values,
)

PROFILES = sorted((CONF / "pipeline").glob("*.yaml"))
# What stages import though it decides nothing of what DVC keeps of them; "": all stages.
NO_PART: dict[str, set[str]] = {
    "": {
        "inputs",  # refuses
        "units",  # who computes, not what
        "tracking",  # W&B
        *(f"app.{name}" for name in ("cli", "hints", "wandb_choice", "continued")),  # tell, refuse
        *(f"app.{name}" for name in ("identity", "run_directory", "kept_results")),  # what is there
        *(f"app.{name}" for name in ("queues", "shards", "processes", "ranks")),  # who computes
        *(f"app.{name}" for name in ("sweep", "several", "following")),
    },
    "build": {"lm", "scoring", "callbacks"},  # settings of trainings are checked as well
    "train": {
        "app.closing",
        "app.co_emergence",
        "report",
    },  # prints, draws; not with end.study=false
    "study": {
        *(f"app.{name}" for name in ("settings", "study_settings", "supported", "all_studies")),
        *("report", "app.closing"),  # the page is the report's
        "app.elsewhere",  # there is a run
        "studies.chain_of_thought.config",  # what a run may be asked
    },
    "report": {
        *(f"app.{name}" for name in ("analysis", "sources", "study_results", "schema", "closing")),
        "app.settings",
        "app.study_settings",
    },
}
# Groups of settings that decide nothing of it.
NO_SAY: dict[str, set[str]] = {
    "": {"hydra", "logger", "paths"},
    "build": {"callbacks", "model", "optimizer", "trainer"},
    "study": {"prompts"},  # of models from elsewhere
    "report": {"prompts"},
}


@pytest.fixture(scope="module", params=PROFILES, ids=lambda path: path.stem)
def profile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    found = stages(request.param, tmp_path_factory.mktemp("dvc"))
    assert {stage.kind for stage in found} == {"build", "train", "study", "report"}
    return found


@pytest.fixture(scope="module")
def main_profile(tmp_path_factory: pytest.TempPathFactory) -> list[Stage]:
    return stages(CONF / "pipeline" / "fact_injection.yaml", tmp_path_factory.mktemp("dvc"))


def is_left_out(kind: str, module: str) -> bool:
    if module == "coemerge.report.published":
        return False
    named = {f"coemerge.{name}" for name in NO_PART[""] | NO_PART[kind]}
    return any(module == name or module.startswith(f"{name}.") for name in named)


def code_of(stage: Stage) -> set[Path]:
    """All that a stage's command runs, also what its settings name (``_target_``)."""
    _, settings = read_settings(stage)
    targets = [value.rpartition(".")[0] for key, value in values(settings) if key == "_target_"]
    ours = [m for m in targets if m.startswith("coemerge.") and not is_left_out(stage.kind, m)]
    starts = [stage.script, *(path_of(module) for module in ours)]
    return reached(starts, lambda module: is_left_out(stage.kind, module))


def test_a_stage_depends_on_all_code_that_decides_its_output(main_profile: list[Stage]):
    for stage in main_profile:
        missing = [path for path in code_of(stage) if not stage.covers(path)]
        told = sorted(str(path.relative_to(ROOT)) for path in missing)
        assert not told, f"{stage.name}: name these in dvc.yaml, or in NO_PART with why: {told}"


def test_a_stage_depends_on_no_code_that_nothing_of_its_kind_imports(main_profile: list[Stage]):
    used: dict[str, set[Path]] = {}
    for stage in main_profile:
        used.setdefault(stage.kind, set()).update(code_of(stage))
    for stage in main_profile:
        for dep in stage.deps:
            if dep.startswith("src/"):
                place = ROOT / dep
                assert any(path == place or place in path.parents for path in used[stage.kind]), (
                    f"{stage.name} depends on {dep}, which it does not import"
                )


def test_a_stage_depends_on_all_settings_that_decide_its_output(main_profile: list[Stage]):
    for stage in main_profile:
        files, settings = read_settings(stage)
        silent = NO_SAY[""] | NO_SAY.get(stage.kind, set())
        read = [path for path in files if path.relative_to(CONF).parts[0] not in silent]
        named = (Path(value) for _, value in values(_without(settings, silent)))
        read += [path for path in named if path.is_absolute() and CONF in path.parents]
        missing = sorted({str(path.relative_to(ROOT)) for path in read if not stage.covers(path)})
        assert len(read) >= 2
        assert not missing, f"{stage.name}: {missing}"


def _without(settings: dict[str, Any], groups: set[str]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in groups}


@pytest.mark.parametrize(
    ("changed", "kinds"),
    [
        ("conf/study/task_localization.yaml", {"study@task_localization"}),
        ("conf/study/report.yaml", {"report"}),
        ("conf/pipeline/fact_injection.yaml", set()),
        ("conf/logger/wandb.yaml", set()),
        ("conf/experiment/real_facts.yaml", set()),
        ("conf/experiment/fact_injection.yaml", {"build@fact_injection", "train@fact_injection"}),
        ("src/coemerge/report/style.py", {"report"}),
        ("src/coemerge/tracking/names.py", set()),
        ("src/coemerge/app/cli.py", set()),
        ("src/coemerge/app/knowledge_neurons.py", {"study@knowledge_neurons"}),
        ("src/coemerge/studies/co_emergence/pairs.py", {"study@co_emergence"}),
    ],
)
def test_what_a_changed_file_repeats(main_profile: list[Stage], changed: str, kinds: set[str]):
    """Of itself; what comes after is repeated where the output is another."""
    assert (ROOT / changed).is_file()
    assert {stage.name for stage in main_profile if stage.covers(ROOT / changed)} == kinds


def test_every_dependency_is_there_or_made_by_another_stage(profile: list[Stage]):
    made = {out for stage in profile for out in stage.outs} | {"data"}
    for stage in profile:
        for dep in set(stage.deps) - made:
            assert (ROOT / dep).exists(), f"{stage.name}: {dep}"


def test_studies_read_the_runs_that_trainings_make(profile: list[Stage]):
    made = {out for stage in profile if stage.kind == "train" for out in stage.outs}
    for stage in profile:
        if stage.kind == "study":
            (run,) = (o.removeprefix("run=") for o in stage.overrides if o.startswith("run="))
            assert f"{run}/checkpoints" in made
            assert stage.outs == (f"{run}/results/{stage.name.split('@')[1]}",)


def test_commands_are_kept_by_the_lock_file_as_they_are(profile: list[Stage]):
    """Its lines are folded at spaces: of two in a row one is lost, and the stage runs again."""
    for stage in profile:
        assert stage.command == " ".join(stage.command.split())
