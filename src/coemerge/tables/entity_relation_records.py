"""Columns of what entity_relation writes, as in ``records``.

Sides of an edit (``edit_side``): entity (the prompt asks for the object), relation (it asks for the
relation of a subject and an object).

Probes: entity; relation (the subject with its new object, to be answered by the relation's name);
removal (the subject with its old object, to be answered by *none*). Two are controls with a third
object, neither the old nor the new one, which no edit asks for: entity_third (it is likelier than
the old one, as after damage to the old answer alone) and relation_third (the subject with it is
answered by the relation's name). same_subject asks for other facts of the subject, whose answers
should stay the likeliest ones (specificity alone).

Controls of edits (``control``), of which there is efficacy on the entity and the relation probe:
mismatched (the edit of another fact of the relation, asked about this one) and random (the same
edit with its outputs turned in a random direction: the same keys and size). Others are ``none``.

Measures are those of methods 2.10: efficacy (the edited prompt), generalisation (other wordings),
specificity (other subjects, whose answers should stay).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from coemerge.tables.columns import column

LOW = "95 % interval over seeds and facts"
ARM = "arm of the exposure plan, or all"
EDITOR = "rome, memit, ft, ft_l or kn"
EDIT_SIDE = "entity or relation: how the edit was asked for"
PROBE = (
    "entity, relation, removal, entity_third, relation_third or same_subject: how its effect was "
    "asked for"
)
CONTROL = "none, mismatched or random: what was done instead of the edit"
MEASURE = "efficacy, generalisation or specificity"
MOMENT = "pre (of the untouched model) or post (under the edit)"


@dataclass(frozen=True, slots=True)
class SideExclusionsRecord:
    """results/entity_relation/side_exclusions.parquet: facts by what became of them."""

    table: ClassVar[str] = "side_exclusions"
    seed: int = column("seed of the run", key=True)
    relation: str = column("relation", key=True)
    arm: str = column("arm of the exposure plan", key=True)
    reason: str = column("studied (reported), kept for choosing settings, or why not", key=True)
    n: int = column("facts")


@dataclass(frozen=True, slots=True)
class SideEditsRecord:
    """results/entity_relation/side_edits.parquet: one edit, one probe, one measure.

    ``pre``, ``post``: share of the prompts on which the wanted answer is the likelier of the two;
    ``magnitude_*``: mean of e^-NLL(wanted) - e^-NLL(other), NLL per token. NaN without a prompt.
    """

    table: ClassVar[str] = "side_edits"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    relation: str = column("its relation")
    arm: str = column("its arm")
    editor: str = column(EDITOR, key=True)
    edit_side: str = column(EDIT_SIDE, key=True)
    probe: str = column(PROBE, key=True)
    measure: str = column(MEASURE, key=True)
    control: str = column(CONTROL, key=True)
    pre: float = column("share of success, untouched model")
    post: float = column("share of success, under the edit")
    magnitude_pre: float = column("probability gap, untouched model")
    magnitude_post: float = column("probability gap, under the edit")


@dataclass(frozen=True, slots=True)
class EditOutcomesRecord:
    """results/entity_relation/edit_outcomes.parquet: how an edit's optimisation ended."""

    table: ClassVar[str] = "edit_outcomes"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    arm: str = column("its arm")
    editor: str = column(EDITOR, key=True)
    edit_side: str = column(EDIT_SIDE, key=True)
    loss: float = column("after the last step, nats; NaN for edits without optimisation")
    n_steps: int = column("steps taken")
    diverged: bool = column("loss or weights ceased to be finite: the edit does nothing")
    already_answered: bool = column("the untouched model gave the wanted answer")
    size: float = column("norm of the change of weights over the norm of the changed matrices")


@dataclass(frozen=True, slots=True)
class CrossSideRecord:
    """results/entity_relation/cross_side.parquet: mean success over facts (table of methods 4.2).

    ``difference``: post - pre, paired by fact."""

    table: ClassVar[str] = "cross_side"
    arm: str = column(ARM, key=True)
    editor: str = column(EDITOR, key=True)
    edit_side: str = column(EDIT_SIDE, key=True)
    probe: str = column(PROBE, key=True)
    measure: str = column(MEASURE, key=True)
    control: str = column(CONTROL, key=True)
    moment: str = column(MOMENT + ", or difference", key=True)
    value: float = column("mean over facts of the share of success")
    sd: float = column("standard deviation across facts")
    low: float = column(LOW)
    high: float = column(LOW)
    n: int = column("facts for which it is defined")
    n_total: int = column("facts edited")


@dataclass(frozen=True, slots=True)
class SideTransferRecord:
    """results/entity_relation/side_transfer.parquet: how much of an edit shows on the other side.

    TI(e->p) = (post_ep - pre_p) / (post_pp - pre_p) of means over facts (methods 4.2). 1: as much
    as an edit of that side, 0: nothing. NaN where edits of that side gain less than 0.02. ``net``:
    TI of what is beyond damage, with the change of the control with a third object (entity_third or
    relation_third, the probe's own) taken off above and below the fraction line. NaN also without
    a third object.
    """

    table: ClassVar[str] = "side_transfer"
    arm: str = column(ARM, key=True)
    editor: str = column(EDITOR, key=True)
    edit_side: str = column(EDIT_SIDE, key=True)
    probe: str = column("entity or relation", key=True)
    measure: str = column("efficacy or generalisation", key=True)
    index: float = column("TI")
    low: float = column(LOW)
    high: float = column(LOW)
    net: float = column("TI beyond the control with a third object")
    net_low: float = column(LOW)
    net_high: float = column(LOW)
    gain: float = column("post_ep - pre_p")
    own_gain: float = column("post_pp - pre_p")
    n_documents: float = column("documents in the probe's format that training showed per fact")
    n: int = column("facts")
    n_none: int = column("of these, facts of which no prompt's success changed under the edit")
    undefined: float = column("share of resamples in which TI is not defined")


@dataclass(frozen=True, slots=True)
class SideMeansRecord:
    """results/entity_relation/side_means.parquet: harmonic mean of the entity and the relation
    probe's means, as published (methods 4.3)."""

    table: ClassVar[str] = "side_means"
    arm: str = column(ARM, key=True)
    editor: str = column(EDITOR, key=True)
    edit_side: str = column(EDIT_SIDE, key=True)
    measure: str = column(MEASURE, key=True)
    moment: str = column(MOMENT, key=True)
    value: float = column("harmonic mean of the two")
    low: float = column(LOW)
    high: float = column(LOW)
    n: int = column("facts")


@dataclass(frozen=True, slots=True)
class EditChoiceRecord:
    """results/entity_relation/edit_choice.parquet: settings tried on facts kept for it."""

    table: ClassVar[str] = "edit_choice"
    seed: int = column("seed of the run", key=True)
    editor: str = column(EDITOR, key=True)
    edit_side: str = column(EDIT_SIDE, key=True)
    layer: int = column("edited layer; the last of several; -1 where neurons choose", key=True)
    setting: str = column("settings, as key=value", key=True)
    es: float = column("efficacy on the edited side")
    ps: float = column("generalisation")
    ns: float = column("specificity")
    ks: float = column("share of the subject's other facts that stay; NaN without")
    s: float = column("harmonic mean of those of the four that are defined")
    traced: bool = column("the layer that causal tracing points at")
    chosen: bool = column("used for the reported edits")
    n: int = column("facts")


@dataclass(frozen=True, slots=True)
class TracedPromptsRecord:
    """results/entity_relation/traced_prompts.parquet: one prompt under one corruption."""

    table: ClassVar[str] = "traced_prompts"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    arm: str = column("its arm")
    template_id: int = column("wording")
    setting: str = column("bare, or prefixed: behind neutral words", key=True)
    corrupt: str = column("subject, relation, both or neutral", key=True)
    n_corrupted: int = column("tokens that got noise")
    p_clean: float = column("probability of the answer")
    p_corrupted: float = column("mean over noisy copies")
    is_top1: bool = column("the model's own answer is right")
    kept: bool = column("in averages: right, and corruption takes more than min_total_effect")


@dataclass(frozen=True, slots=True)
class TracingTotalsRecord:
    """results/entity_relation/tracing_totals.parquet: mean total effect of prompts answered right,
    whatever their effect."""

    table: ClassVar[str] = "tracing_totals"
    setting: str = column("bare or prefixed", key=True)
    corrupt: str = column("subject, relation, both or neutral", key=True)
    p_clean: float = column("mean")
    p_corrupted: float = column("mean")
    total_effect: float = column("mean of p_clean - p_corrupted (ATE)")
    sd: float = column("standard deviation across facts")
    low: float = column(LOW)
    high: float = column(LOW)
    n_corrupted: float = column("mean number of tokens that got noise")
    n: int = column("prompts answered right")
    n_kept: int = column("of these, with a total effect above min_total_effect")
    n_total: int = column("prompts traced")


@dataclass(frozen=True, slots=True)
class TracingEffectsRecord:
    """results/entity_relation/tracing_effects.parquet: average indirect effect by role and layer of
    prompts with a total effect, bare. Kinds ``resid_mlp_severed`` and ``resid_attn_severed`` exist
    where outputs were held."""

    table: ClassVar[str] = "tracing_effects"
    corrupt: str = column("subject, relation or both", key=True)
    kind: str = column("resid, mlp, attn, resid_mlp_severed, resid_attn_severed", key=True)
    role: str = column("of the token (methods 2.8, 4.4)", key=True)
    layer: int = column("restored layer, the middle of a window", key=True)
    window: int = column("layers restored together; 1 for residuals")
    place: int = column("order of the role in pictures, from 0")
    aie: float = column("mean of P_restored - P_corrupted")
    sd: float = column("standard deviation across facts")
    low: float = column(LOW)
    high: float = column(LOW)
    n: int = column("prompts that have the role")


@dataclass(frozen=True, slots=True)
class AttentionSharesRecord:
    """results/entity_relation/attention_shares.parquet: how much of the effect attention carries.

    ``share_attn``: AIE_attn / (AIE_attn + AIE_mlp). ``loss_mlp_severed``, ``loss_attn_severed``:
    (AIE - AIE_severed) / AIE of residuals. ``site``: best (the role and layer, windows uncut, with
    the highest AIE_attn + AIE_mlp, but for the last token, roles of fewer than half of the prompts,
    and cells where that sum exceeds the total effect; for losses with the highest AIE of residuals
    where outputs were held, the last layer aside), role (that role, mean over the layers: windows
    at the bottom may give all back, whatever they restore), or corrupted (so of the last corrupted
    token).
    """

    table: ClassVar[str] = "attention_shares"
    corrupt: str = column("subject, relation, both, or relation - subject, paired", key=True)
    site: str = column("best, role or corrupted", key=True)
    measure: str = column("share_attn, loss_mlp_severed or loss_attn_severed", key=True)
    role: str = column("of the site; empty for differences")
    layer: int = column("of the site; -1 for means and differences")
    value: float = column("ratio of means over prompts, or difference")
    low: float = column(LOW)
    high: float = column(LOW)
    n: int = column("prompts")


ENTITY_RELATION_RECORDS: tuple[type[Any], ...] = (
    SideExclusionsRecord,
    SideEditsRecord,
    EditOutcomesRecord,
    CrossSideRecord,
    SideTransferRecord,
    SideMeansRecord,
    EditChoiceRecord,
    TracedPromptsRecord,
    TracingTotalsRecord,
    TracingEffectsRecord,
    AttentionSharesRecord,
)
