"""The project's W&B workspace as code: its sections and panels, one function per section."""

from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from urllib.parse import parse_qs, urlparse

import wandb
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from coemerge.prompts.tasks import CORE_TASKS
from coemerge.tracking import names

NAME = "Co-emergence"
ARMS = ("A0_full", "A1_withheld_target", "A2_single_source", "A5_never")  # of the main experiment
Names = Sequence[str]
Panel = wr.LinePlot | wr.BarPlot
_FRACTION = (0, 1)
LOCALISERS = ("joint", "single", "gradient")
CONTROLS = ("none", "other_facts", "same_answer", "context", "random")
EDITED = ("local", "global", "consistent", "equal", "mismatched", "random")
UPDATED = (*EDITED, "rome", "memit")
MASKS = ("own", "route", "other_mean", "other_worst")  # whose units are ablated while reasoning
EDITORS = ("rome", "memit", "ft", "ft_l", "kn")
SIDES = ("entity", "relation")
PROBES = (*SIDES, "removal", "entity_third", "relation_third")
CORRUPTED = ("subject", "relation", "both")
NOISE = (
    *(f"bare_{name}" for name in CORRUPTED),
    *(f"prefixed_{name}" for name in ("subject", "relation", "neutral")),
)
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
    try:
        target = workspace
        if url:
            target = ws.Workspace.from_url(url)
            target.name = workspace.name
            target.sections = workspace.sections
            target.settings = workspace.settings
        return str(target.save().url)
    except (wandb.Error, WandbApiFailedError) as error:
        raise ConnectionError(
            f"W&B: {str(error).rstrip('.')}. Saving needs an account and the network: run "
            "`wandb login`, or set WANDB_API_KEY, and WANDB_BASE_URL for a server of your own"
        ) from error


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
    panels = [_over_steps(title, [name]) for name, title in names.TRAINING.items()]
    return _section("Training", panels)


def _acquisition(tasks: Names, arms: Names) -> ws.Section:
    emerged = [names.emerged_fraction(task) for task in tasks]
    return _section(
        "Acquisition",
        [
            _over_steps("Facts emerged, by task", emerged, _FRACTION),
            _over_steps("Score, by task", [names.score(task) for task in tasks]),
        ],
    )


def _acquisition_by_arm(tasks: Names, arms: Names) -> ws.Section:
    panels = []
    for task in tasks:
        emerged = [names.emerged_fraction(task, arm) for arm in arms]
        panels.append(_over_steps(f"Facts emerged on {task}, by arm", emerged, _FRACTION))
    return _section("Acquisition by arm", panels)


def _exposure(tasks: Names, arms: Names) -> ws.Section:
    return _section("Exposure", [_over_steps("Documents shown", [names.N_DOCUMENTS])])


def _localization(tasks: Names, arms: Names) -> ws.Section:
    pairs = combinations(sorted(tasks), 2)
    overlaps = [names.localization_overlap(task, other) for task, other in pairs]
    panels = [
        _over_steps(title, [names.localization(task, measure) for task in tasks])
        for measure, title in _MASK_MEASURES.items()
    ]
    return _section(
        "Localization",
        [
            *panels,
            _over_steps("Overlap of a fact's masks for two tasks", overlaps),
            _over_steps("Masks trained", [names.N_MASKS]),
        ],
    )


def _co_emergence(tasks: Names, arms: Names) -> ws.Section:
    panels: list[Panel] = [
        _at_the_end("Pairs that do not co-emerge", [names.FAILURE_RATE]),
        _over_steps("Variance due to fact and task together", [names.INTERACTION_SHARE], _FRACTION),
    ]
    for source in tasks:
        targets = [names.transfer(source, target) for target in tasks if target != source]
        panels.append(_at_the_end(f"Facts shown in {source} alone, emerged on", targets))
    return _section("Co-emergence (analyses)", panels)


def _queries(tasks: Names, arms: Names) -> ws.Section:
    inconsistent = [names.query_localization("inconsistent", name) for name in ("all", *LOCALISERS)]
    cs2 = [names.query_localization("cs2", f"joint_{control}") for control in CONTROLS]
    edits = [
        _at_the_end(
            f"{edit.capitalize()}: mean of Rel, Gen and Loc, by whose neurons",
            [names.query_localization(edit, edited) for edited in kinds],
        )
        for edit, kinds in (("erase", EDITED), ("update", UPDATED))
    ]
    return _section(
        "Queries (analyses)",
        [
            _at_the_end("Facts with inconsistent neurons, by localiser", inconsistent),
            _at_the_end("CS2 of a fact's queries, beside nulls", cs2),
            *edits,
        ],
    )


def _reasoning(tasks: Names, arms: Names) -> ws.Section:
    panels = [
        _at_the_end(
            f"Drop of accuracy, {words}, by whose units are ablated",
            [
                names.chain_of_thought(prompting, name)
                for masks in MASKS
                for name in (masks, f"{masks}_floor")
            ],
        )
        for prompting, words in (("direct", "asked directly"), ("cot", "with reasoning"))
    ]
    return _section("Reasoning (analyses)", panels)


def _sides(tasks: Names, arms: Names) -> ws.Section:
    transfer, net = (
        [
            names.entity_relation(group, f"{editor}_{side}_to_{probe}")
            for editor in EDITORS
            for side, probe in permutations(SIDES)
        ]
        for group in ("transfer", "net_transfer")
    )
    success = [
        _at_the_end(
            f"Efficacy of {side} edits {words}, by editor and probe",
            [
                names.entity_relation(moment, f"{editor}_{side}_on_{probe}")
                for editor in EDITORS
                for probe in PROBES
            ],
        )
        for side in SIDES
        for moment, words in (("pre", "before any"), ("post", "under them"))
    ]
    noise = [names.entity_relation("total_effect", name) for name in NOISE]
    shares = [names.entity_relation("attention_share", name) for name in CORRUPTED]
    return _section(
        "Two sides (analyses)",
        [
            wr.BarPlot(title="Transfer of edits to the other side", metrics=list(transfer)),
            wr.BarPlot(title="Transfer to the other side, net of damage", metrics=list(net)),
            *success,
            wr.BarPlot(
                title="Lost of the answer's probability, by what gets noise", metrics=list(noise)
            ),
            _at_the_end("Attention's share of the effect, by what gets noise", shares),
        ],
    )


# In the order of the page. Whoever adds one shows in tests that its metrics are logged.
SECTIONS: tuple[Callable[[Names, Names], ws.Section], ...] = (
    _training,
    _acquisition,
    _acquisition_by_arm,
    _exposure,
    _localization,
    _co_emergence,
    _reasoning,
    _queries,
    _sides,
)


def _section(name: str, panels: Sequence[Panel]) -> ws.Section:
    return ws.Section(name=name, panels=list(panels), is_open=True)


def _over_steps(
    title: str, metrics: Names, range_y: tuple[float | None, float | None] = (None, None)
) -> Panel:
    return wr.LinePlot(title=title, x="step", y=list(metrics), title_x="step", range_y=range_y)


def _at_the_end(title: str, metrics: Names) -> Panel:
    """Bars of last values, all of them fractions."""
    return wr.BarPlot(title=title, metrics=list(metrics), range_x=_FRACTION)
