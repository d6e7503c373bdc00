"""The dashboard draws what runs log, and nothing else; no network here."""

import json
import re
from itertools import combinations, permutations, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import wandb
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from coemerge.callbacks.localization import localization_metrics
from coemerge.callbacks.localizing import Localized
from coemerge.localization.attribution_config import METHODS
from coemerge.prompts.tasks import CORE_TASKS
from coemerge.studies.chain_of_thought.drops import STATISTICS
from coemerge.studies.chain_of_thought.questions import COT, DIRECT
from coemerge.studies.query_localization.config import EDITORS
from coemerge.studies.query_localization.edits import EDITS, SETS
from coemerge.tracking.analysis_run import log_analysis
from coemerge.tracking.chain_of_thought import chain_of_thought_metrics
from coemerge.tracking.co_emergence import co_emergence_metrics
from coemerge.tracking.dashboard import (
    ARMS,
    build_workspace,
    metric_keys,
    metrics_of,
    save_workspace,
)
from coemerge.tracking.entity_relation import entity_relation_metrics
from coemerge.tracking.knowledge_neurons import knowledge_neurons_metrics
from coemerge.tracking.query_localization import query_localization_metrics
from tests.conftest import ComposeSettings
from tests.report.made_up_neurons import neuron_tables
from tests.report.made_up_sides import side_tables
from tests.tracking.conftest import Logged, read_back

# Sets, effects, noise, co-occurrence, scores of edits, and what edits imply.
N_NEURON_METRICS = 2 * 4 + 2 * 4 + 2 + 2 * 3 + 5 * 2 * 4 + 2 * 2 * 2 * 2 * 4


@pytest.fixture
def workspace() -> ws.Workspace:
    return build_workspace("me", "coemerge", "Emergence")


@pytest.fixture(scope="module")
def analysis_log(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """What an analysis logs of tables in which every pair of tasks has a value."""
    failure = {"theta": 0.6, "window": -1, "sustained": "any", "arm": "all", "rate": 0.5}
    alone = {"basis": "exposed", "theta": 0.6, "arm": "A2_single_source", "options": "fresh"}
    share = {"component": "interaction", "model": "plain", "scale": "raw", "denominator": "total"}
    tables = {
        "failure": [failure],
        "matrix": [
            {**alone, "source": s, "target": t, "rate": 0.5} for s, t in permutations(CORE_TASKS, 2)
        ],
        "variance": [{**share, "step": step, "eta_squared": 0.1} for step in (0, 2)],
    }
    directory = tmp_path_factory.mktemp("analysis")
    summary, series = co_emergence_metrics(tables)
    log_analysis(directory, "smoke-seed0-co_emergence", "smoke", {}, summary, series, {})
    return read_back(directory)


@pytest.fixture(scope="module")
def studies_log(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """What analyses of single checkpoints log of tables such as studies write."""
    shares = {"threshold": "0.3", "sets": "threshold", "control": "none", "share": 0.5}
    means = {"relation": "all", "sets": "threshold", "measure": "cs2", "value": 0.5}
    tables = {
        "class_shares": [{**shares, "localiser": name} for name in ("all", *METHODS)],
        "consistency_means": [
            {**means, "localiser": "joint", "control": control}
            for control in ("none", "other_facts", "same_answer", "context", "random")
        ],
        "edit_scores": [
            {"cls": "all", "measure": "avg", "edit": edit, "neurons": neurons, "value": 0.5}
            for edit, neurons in (*product(EDITS, SETS), *product(("update",), EDITORS))
        ],
        "cot_drops": [
            {"task": "all", "route": "all", "prompting": prompting, "masks": masks, "drop": 0.5,
             "floor": 0.1}
            for prompting, masks in product((DIRECT, COT), STATISTICS)
        ],
    }  # fmt: skip
    sides = {name: frame.to_dict("records") for name, frame in side_tables().items()}
    found = query_localization_metrics(tables, 0.3) | chain_of_thought_metrics(tables)
    neurons = {name: frame.to_dict("records") for name, frame in neuron_tables().items()}
    found |= entity_relation_metrics(sides) | knowledge_neurons_metrics(neurons)
    directory = tmp_path_factory.mktemp("studies")
    log_analysis(directory, "smoke-seed0-studies", "smoke", {}, found, [], {})
    return read_back(directory)


@pytest.fixture(scope="module")
def masks_log(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """What the localization callback logs at a step at which a fact is known in every task."""
    measured = dict.fromkeys(
        ("necessity", "specificity_facts", "specificity_tasks", "sufficiency", "density"), 0.5
    )
    masks = pd.DataFrame([{"fact_id": "f", "task": task, **measured} for task in CORE_TASKS])
    pairs = [(*pair, 0.1) for pair in combinations(CORE_TASKS, 2)]
    overlaps = pd.DataFrame(pairs, columns=["task", "other_task", "jaccard"])
    metrics = localization_metrics(Localized(masks, overlaps.assign(fact_id="f")))
    directory = tmp_path_factory.mktemp("masks")
    series = [{"step": 2, **metrics}]
    log_analysis(directory, "smoke-seed0-masks", "smoke", {}, {}, series, {})
    return read_back(directory)


def saved_json(workspace: ws.Workspace) -> dict[str, Any]:
    return json.loads(workspace._to_model().model_dump_json(by_alias=True, exclude_none=True))


# --- what it draws ---------------------------------------------------------------------------


def test_every_metric_it_draws_is_logged(
    workspace: ws.Workspace,
    training_log: Logged,
    analysis_log: Logged,
    masks_log: Logged,
    studies_log: Logged,
):
    logs = (training_log, analysis_log, masks_log, studies_log)

    assert metric_keys(workspace) - set().union(*(log.keys for log in logs)) == set()


def test_it_draws_whatever_those_studies_log(workspace: ws.Workspace, studies_log: Logged):
    logged = {key for key in studies_log.keys if "/" in key}

    assert (
        len(logged)
        == 4 + 5 + 2 * 6 + 2 + 2 * 4 * 2 + (2 * 5 * 2 + 2 * 5 * 2 * 5 + 6 + 3) + N_NEURON_METRICS
    )
    assert logged - metric_keys(workspace) == set()


def test_it_draws_whatever_the_localization_callback_logs(
    workspace: ws.Workspace, masks_log: Logged
):
    logged = {key for key in masks_log.keys if key.startswith("localization/")}

    assert len(logged) == 6 * 4 + 15
    assert logged - metric_keys(workspace) == set()


def test_lines_have_points_over_steps(
    workspace: ws.Workspace, training_log: Logged, analysis_log: Logged, masks_log: Logged
):
    """In the history, not only in the summary, together with the x axis."""
    lines = [p for s in workspace.sections for p in s.panels if isinstance(p, wr.LinePlot)]

    for panel in lines:
        assert panel.x == "step"
        for name in metrics_of(panel):
            logs = (training_log, analysis_log, masks_log)
            assert any(log.values(name) for log in logs), name


def test_it_draws_whatever_a_smoke_training_logs(workspace: ws.Workspace, training_log: Logged):
    logged = {key for key in training_log.keys if "/" in key and not key.startswith("trainer/")}

    assert len(logged) > 20
    assert logged - metric_keys(workspace) == set()


def test_every_task_and_arm_of_the_main_experiment_appears(
    workspace: ws.Workspace, compose_settings: ComposeSettings
):
    plan = compose_settings("experiment=fact_injection", "logger=none").config.corpus.plan
    arms = {arm for arm, weight in plan.arms.shares.items() if weight}
    tasks = {task for task, number in plan.documents.items() if number}

    assert arms == set(ARMS)
    assert tasks == set(CORE_TASKS)
    keys = metric_keys(workspace)
    for task in tasks:
        assert {f"acquisition/{task}/emerged_fraction", f"acquisition/{task}/score"} <= keys
        assert {f"acquisition/{arm}/{task}/emerged_fraction" for arm in arms} <= keys
    assert {f"co_emergence/{s}_to_{t}" for s, t in permutations(tasks, 2)} <= keys
    assert {"train/loss", "train/lr", "train/grad_norm", "train/tokens_per_s"} <= keys
    assert {"exposure/n_documents", "co_emergence/failure_rate"} <= keys


def test_other_tasks_and_arms_can_be_asked_for():
    keys = metric_keys(build_workspace("me", tasks=("completion", "mcqa"), arms=("A3_dose",)))

    assert "acquisition/A3_dose/mcqa/emerged_fraction" in keys
    assert not {key for key in keys if re.search("fitb|A0_full", key)}


def test_a_panel_of_another_kind_is_not_passed_over(workspace: ws.Workspace):
    workspace.sections[0].panels.append(wr.ScalarChart(metric="train/loss"))

    with pytest.raises(TypeError, match="ScalarChart"):
        metric_keys(workspace)


# --- how it is stored ------------------------------------------------------------------------


def test_what_would_be_sent_holds_sections_panels_and_metrics(workspace: ws.Workspace):
    saved = saved_json(workspace)

    assert (saved["entity"], saved["project"]) == ("me", "coemerge")
    assert saved["displayName"] == "Emergence"
    sections = saved["spec"]["section"]["panelBankConfig"]["sections"]
    assert [s["name"] for s in sections] == [s.name for s in workspace.sections]
    configs = [panel["config"] for section in sections for panel in section["panels"]]
    sent = {name for config in configs for name in config["metrics"]}
    assert sent | {"step"} == metric_keys(workspace)
    assert all(config["chartTitle"] for config in configs)
    assert {config["xAxis"] for config in configs if "xAxis" in config} == {"step"}


class Server:
    """Stands in for W&B: answers the two requests that saving makes."""

    def __init__(self) -> None:
        self.app_url = "https://wandb.ai"
        self.views: dict[str, dict[str, Any]] = {}

    def execute_graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "upsertView" in query:
            view = {**variables, "id": variables.get("id", f"id{len(self.views)}")}
            self.views[view["id"]] = view
            return {"upsertView": {"view": {"id": view["id"], "name": view["name"]}}}
        found = [v for v in self.views.values() if v["name"] == variables["viewName"]]
        nodes = [{"node": {k: v[k] for k in ("id", "displayName", "spec")}} for v in found]
        return {"project": {"allViews": {"edges": nodes}}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(wandb, "Api", lambda: SimpleNamespace(_service_api=server))
    return server


def test_saving_makes_a_new_view_and_tells_where(workspace: ws.Workspace, server: Server):
    urls = {save_workspace(workspace), save_workspace(build_workspace("me", "coemerge"))}

    assert len(server.views) == len(urls) == 2
    assert all(re.fullmatch(r"https://wandb\.ai/me/coemerge\?nw=\w+", url) for url in urls)


def test_saving_to_a_url_replaces_the_sections_of_that_view(
    workspace: ws.Workspace, server: Server
):
    old = ws.Workspace(
        entity="me", project="coemerge", name="old", sections=[ws.Section(name="mine")]
    )
    url = save_workspace(old)
    save_workspace(build_workspace("me", "coemerge", "another"))

    assert save_workspace(workspace, url) == url

    assert [view["displayName"] for view in server.views.values()] == ["Emergence", "another"]
    spec = json.loads(server.views["id0"]["spec"])["section"]
    names = [section["name"] for section in spec["panelBankConfig"]["sections"]]
    assert names == [section.name for section in workspace.sections]
    assert spec["settings"]["xAxis"] == "step"


@pytest.mark.parametrize(
    "url",
    [
        "https://wandb.ai/me/coemerge",
        "https://wandb.ai/me/coemerge?nw=nwuserme",
        "https://wandb.ai/me/other?nw=abc",
        "https://wandb.ai/you/coemerge?nw=abc",
        "coemerge",
    ],
)
def test_a_url_that_is_no_saved_view_of_the_project_is_refused(
    workspace: ws.Workspace, server: Server, url: str
):
    with pytest.raises(ValueError, match=r"https://wandb\.ai/me/coemerge\?nw=NAME"):
        save_workspace(workspace, url)

    assert not server.views


def test_a_view_that_is_gone_is_named(workspace: ws.Workspace, server: Server):
    with pytest.raises(ValueError, match="abc"):
        save_workspace(workspace, "https://wandb.ai/me/coemerge?nw=abc")


def test_without_network_the_remedy_is_named(
    workspace: ws.Workspace, monkeypatch: pytest.MonkeyPatch
):
    def unreachable() -> None:
        raise wandb.errors.CommError("cannot be reached")

    monkeypatch.setattr(wandb, "Api", unreachable)

    with pytest.raises(ConnectionError, match=r"cannot be reached\. .*`wandb login`"):
        save_workspace(workspace)


def test_nothing_is_asked_of_the_network_to_build_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr(wandb, "Api", refuse)

    assert saved_json(build_workspace("me"))["spec"]
