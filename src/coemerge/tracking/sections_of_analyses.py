"""Sections of the dashboard on what analyses of single checkpoints log."""

from itertools import permutations

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from coemerge.tracking import names
from coemerge.tracking.panels import Names, Panel, at_the_end, section

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
KINDS = ("syntax", "facts")
CHANGES = ("suppressed", "enhanced")
NEURON_EDITORS = ("rome", "memit", "ft", "kn")
SCORES = ("es", "ps", "ns", "top1", "s")
IMPLIED = {"symmetry": "inverse_new", "synonymy": "synonym_new"}
_FITS = ("alone", "with_agreement", "within")


def queries(tasks: Names, arms: Names) -> ws.Section:
    inconsistent = [names.query_localization("inconsistent", name) for name in ("all", *LOCALISERS)]
    cs2 = [names.query_localization("cs2", f"joint_{control}") for control in CONTROLS]
    edits = [
        at_the_end(
            f"{edit.capitalize()}: mean of Rel, Gen and Loc, by whose neurons",
            [names.query_localization(edit, edited) for edited in kinds],
        )
        for edit, kinds in (("erase", EDITED), ("update", UPDATED))
    ]
    return section(
        "Queries (analyses)",
        [
            at_the_end("Facts with inconsistent neurons, by localiser", inconsistent),
            at_the_end("CS2 of a fact's queries, beside nulls", cs2),
            *edits,
        ],
    )


def reasoning(tasks: Names, arms: Names) -> ws.Section:
    panels = [
        at_the_end(
            f"Drop of accuracy, {words}, by whose units are ablated",
            [
                names.chain_of_thought(prompting, name)
                for masks in MASKS
                for name in (masks, f"{masks}_floor")
            ],
        )
        for prompting, words in (("direct", "asked directly"), ("cot", "with reasoning"))
    ]
    return section("Reasoning (analyses)", panels)


def sides(tasks: Names, arms: Names) -> ws.Section:
    transfer, net = (
        [
            names.entity_relation(group, f"{editor}_{side}_to_{probe}")
            for editor in EDITORS
            for side, probe in permutations(SIDES)
        ]
        for group in ("transfer", "net_transfer")
    )
    success = [
        at_the_end(
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
    return section(
        "Two sides (analyses)",
        [
            wr.BarPlot(title="Transfer of edits to the other side", metrics=list(transfer)),
            wr.BarPlot(title="Transfer to the other side, net of damage", metrics=list(net)),
            *success,
            wr.BarPlot(
                title="Lost of the answer's probability, by what gets noise", metrics=list(noise)
            ),
            at_the_end("Attention's share of the effect, by what gets noise", shares),
        ],
    )


def neurons(tasks: Names, arms: Names) -> ws.Section:
    by_level = [f"{kind}_{level}" for level in ("class", "item") for kind in KINDS]
    by_change = [f"{kind}_{change}" for change in CHANGES for kind in KINDS]
    sets = {"n_neurons": "Neurons of a set", "excess": "Similarity beyond its baseline"}
    effects = {"error_change": "Change of errors", "p_change": "Change of the right answer's p"}
    fits = [f"{change}_{model}" for change in CHANGES for model in _FITS]
    return section(
        "Knowledge neurons (analyses)",
        [
            *[bars(title, group, by_level) for group, title in sets.items()],
            *[bars(f"{title}, neurons changed", group, by_change)
              for group, title in effects.items()],
            bars("Total effect of noise", "total_effect", KINDS),
            bars("Coefficient of co-occurrence on shifts", "cooccurrence", fits),
            *_rewritten(),
            *_implied(),
        ],
    )  # fmt: skip


def _rewritten() -> list[Panel]:
    """Scores under edits, syntax beside facts."""
    return [
        at_the_end(
            f"{score.upper()} under edits, syntax beside facts",
            [
                names.knowledge_neurons(score, f"{kind}_{editor}")
                for editor in NEURON_EDITORS
                for kind in KINDS
            ],
        )
        for score in SCORES
    ]


def _implied() -> list[Panel]:
    """Edits themselves and what has to follow, of all facts and of those that say most."""
    facts = {"": "all facts", "stated_known_": "restatement shown and known"}
    return [
        at_the_end(
            f"{family.capitalize()}, {words}: the edit, and what it implies",
            [
                names.knowledge_neurons(f"{start}{moment}", f"{family}_{editor}_{check}")
                for check in ("rewrite", implied)
                for editor in NEURON_EDITORS
                for moment in ("pre", "post")
            ],
        )
        for family, implied in IMPLIED.items()
        for start, words in facts.items()
    ]


def bars(title: str, group: str, found: Names) -> Panel:
    """Bars of what knowledge neurons give, on an axis of their own."""
    return wr.BarPlot(title=title, metrics=[names.knowledge_neurons(group, name) for name in found])
