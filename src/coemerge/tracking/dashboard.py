"""The project's W&B workspace as code: its sections and panels, one function per section."""

from collections.abc import Callable
from itertools import combinations
from urllib.parse import parse_qs, urlparse

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from coemerge.prompts.tasks import CORE_TASKS
from coemerge.tracking import names
from coemerge.tracking.panels import FRACTION, Names, Panel, at_the_end, over_steps, section
from coemerge.tracking.sections_of_analyses import neurons, queries, reasoning, sides
from coemerge.tracking.settings import reaching_server

NAME = "Co-emergence"
ARMS = ("A0_full", "A1_withheld_target", "A2_single_source", "A5_never")  # of the main experiment
_MASK_MEASURES = {
    "necessity": "Drop on a mask's own fact and task",
    "specificity": "Drop on other facts and other tasks, mean",
    "sufficiency": "Recovery when a mask is patched in",
    "density": "Share of heads and neurons in a mask",
}


def build_workspace(
    entity: str,
    project: str = "coemerge",
    name: str = NAME,
    tasks: Names = CORE_TASKS,
    arms: Names = ARMS,
) -> ws.Workspace:
    """The workspace, not saved: needs neither account nor network."""
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[make(tasks, arms) for make in SECTIONS],
        settings=ws.WorkspaceSettings(x_axis="step"),
    )


def metric_keys(workspace: ws.Workspace) -> set[str]:
    """Every logged key that panels draw, x axes too. Raises TypeError for an unknown panel."""
    panels = [panel for section in workspace.sections for panel in section.panels]
    axes = {str(panel.x) for panel in panels if isinstance(panel, wr.LinePlot)}
    return axes.union(*map(metrics_of, panels))


def metrics_of(panel: object) -> list[str]:
    """What a panel draws, without the x axis. Raises TypeError for an unknown panel."""
    if isinstance(panel, wr.LinePlot):
        return [str(name) for name in panel.y]
    if isinstance(panel, wr.BarPlot):
        return [str(name) for name in panel.metrics]
    raise TypeError(f"which metrics does a {type(panel).__name__} draw? say so in metrics_of")


def title_of(panel: object) -> str:
    return str(getattr(panel, "title", None) or type(panel).__name__)


def save_workspace(workspace: ws.Workspace, url: str | None = None) -> str:
    """Saves a new view, or replaces the sections of the saved view at ``url``; returns its URL.

    Raises ValueError for a URL that is not a saved view of the project, and ConnectionError with
    the remedy without login or network.
    """
    if url:
        check_url(url, workspace.entity, workspace.project)
    with reaching_server():
        target = workspace
        if url:
            target = ws.Workspace.from_url(url)
            target.name = workspace.name
            target.sections = workspace.sections
            target.settings = workspace.settings
        return str(target.save().url)


def check_url(url: str, entity: str, project: str) -> None:
    """Raises ValueError unless ``url`` is a saved view of the project."""
    parsed = urlparse(url)
    view = parse_qs(parsed.query).get("nw", [""])[0]
    saved = view and not view.startswith("nwuser")
    if parsed.path.strip("/") != f"{entity}/{project}" or not saved:
        raise ValueError(
            f"url: {url!r} is not a saved view of {entity}/{project}, which looks like "
            f"https://wandb.ai/{entity}/{project}?nw=NAME"
        )


def _training(tasks: Names, arms: Names) -> ws.Section:
    panels = [over_steps(title, [name]) for name, title in names.TRAINING.items()]
    return section("Training", panels)


def _acquisition(tasks: Names, arms: Names) -> ws.Section:
    emerged = [names.emerged_fraction(task) for task in tasks]
    return section(
        "Acquisition",
        [
            over_steps("Facts emerged, by task", emerged, FRACTION),
            over_steps("Score, by task", [names.score(task) for task in tasks]),
        ],
    )


def _acquisition_by_arm(tasks: Names, arms: Names) -> ws.Section:
    panels = []
    for task in tasks:
        emerged = [names.emerged_fraction(task, arm) for arm in arms]
        panels.append(over_steps(f"Facts emerged on {task}, by arm", emerged, FRACTION))
    return section("Acquisition by arm", panels)


def _exposure(tasks: Names, arms: Names) -> ws.Section:
    return section("Exposure", [over_steps("Documents shown", [names.N_DOCUMENTS])])


def _localization(tasks: Names, arms: Names) -> ws.Section:
    pairs = combinations(sorted(tasks), 2)
    overlaps = [names.localization_overlap(task, other) for task, other in pairs]
    panels = [
        over_steps(title, [names.localization(task, measure) for task in tasks])
        for measure, title in _MASK_MEASURES.items()
    ]
    return section(
        "Localization",
        [
            *panels,
            over_steps("Overlap of a fact's masks for two tasks", overlaps),
            over_steps("Masks trained", [names.N_MASKS]),
        ],
    )


def _co_emergence(tasks: Names, arms: Names) -> ws.Section:
    panels: list[Panel] = [
        at_the_end("Pairs that do not co-emerge", [names.FAILURE_RATE]),
        over_steps("Variance due to fact and task together", [names.INTERACTION_SHARE], FRACTION),
    ]
    for source in tasks:
        targets = [names.transfer(source, target) for target in tasks if target != source]
        panels.append(at_the_end(f"Facts shown in {source} alone, emerged on", targets))
    return section("Co-emergence (analyses)", panels)


# In the order of the page. Whoever adds one shows in tests that its metrics are logged.
SECTIONS: tuple[Callable[[Names, Names], ws.Section], ...] = (
    _training,
    _acquisition,
    _acquisition_by_arm,
    _exposure,
    _localization,
    _co_emergence,
    reasoning,
    queries,
    sides,
    neurons,
)
