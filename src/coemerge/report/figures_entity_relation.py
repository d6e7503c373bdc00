"""The figures of the study ``entity_relation`` (methods 4.5)."""

from coemerge.report.figure_sides import draw_sides, draw_transfer
from coemerge.report.figure_tracing import (
    draw_attention,
    draw_effects,
    draw_neutral,
    draw_severed,
)
from coemerge.report.findings_sides import own_says, saturation_says, transfer_says
from coemerge.report.findings_tracing import (
    neutral_says,
    peaks_say,
    severing_says,
    share_says,
)
from coemerge.report.picture import Picture
from coemerge.report.results import Results
from coemerge.report.side_rows import (
    KINDS,
    bounded_attention,
    cross_rows,
    drawn_transfer,
    effect_rows,
    main_arm,
    severed_rows,
    total_rows,
)


def _before_and_own(results: Results) -> str:
    arm = main_arm(results)
    return f"{saturation_says(results, arm)} {own_says(results, arm)}".strip()


PICTURES: tuple[Picture, ...] = (
    Picture(
        "side_efficacy",
        "Edits of one side, asked from both: the edited prompts",
        "Each line goes from the untouched model (hollow) to the model under the edit (filled), "
        "means over facts with 95 % intervals. Blue: asked from the edited side. Orange: from "
        "the other; if a fact were one thing, orange would go as far as blue. Grey: whether the "
        "subject and its old object are called unrelated, which an edit of the relation asks for "
        "too. Crosses: the same of a third object under the edit, which no edit asks for: as much "
        "of a line as lies left of its cross may be damage. Read where a line starts: a probe that "
        "is answered so before any edit shows nothing.",
        ("cross_side",),
        lambda r: cross_rows(r, "efficacy"),
        lambda r: draw_sides(cross_rows(r, "efficacy"), "efficacy"),
        _before_and_own,
    ),
    Picture(
        "side_generalisation",
        "The same in other wordings",
        "As above, of wordings that were not edited.",
        ("cross_side",),
        lambda r: cross_rows(r, "generalisation"),
        lambda r: draw_sides(cross_rows(r, "generalisation"), "generalisation"),
    ),
    Picture(
        "side_transfer",
        "How much of an edit shows on the other side, by what training showed",
        "Transfer index: what an edit changes on the side asked, of what an edit of that side "
        "changes there; 1, dashed: as much, 0: nothing. Hollow: as it is. Filled: net of damage, "
        "with the change of a third object, which no edit asks for, taken off both. Groups stand "
        "in the order of the documents that training showed in formats of the side asked. Where "
        "training showed none, an edit of that side itself may not work: look at the figure above. "
        "A point is missing where edits of that side gain less than 2 points. Intervals may leave "
        "the panel.",
        ("side_transfer",),
        drawn_transfer,
        lambda r: draw_transfer(drawn_transfer(r)),
        transfer_says,
    ),
    Picture(
        "tracing_effects",
        "Where restoring one state brings the answer back",
        "Tokens get noise, then one state is restored: how much of the answer's probability comes "
        "back, mean over prompts that the model answers right and that noise takes more than a "
        "bound from. One colour scale for all panels. Hatched: windows cut by the first or last "
        "layer, which hold fewer layers than the others and cannot be compared with them. The "
        "number is the highest effect of whole windows before the last token; grey: no such token.",
        ("tracing_effects",),
        lambda r: effect_rows(r, *KINDS),
        lambda r: draw_effects(effect_rows(r, *KINDS)),
        peaks_say,
    ),
    Picture(
        "tracing_severed",
        "What restored states need of later MLPs and attention",
        "The residual of one token is restored after one layer; held: outputs of all MLPs, or of "
        "all attention, stay at their values under noise at that token. What an effect loses went "
        "through them. 95 % intervals. Shown: the token before the last where restoring gives most "
        "back. Missing: corruptions without such a token with a role of its own; the figure on "
        "attention's share has their losses.",
        ("tracing_effects", "attention_shares"),
        severed_rows,
        lambda r: draw_severed(severed_rows(r)),
        severing_says,
    ),
    Picture(
        "tracing_neutral",
        "The neutral control",
        "Relation words stand all over a prompt, so that noise on them may only show that noise "
        "disturbs. Control: other statements before the prompt, and noise on as many of their "
        "tokens as the relation has. Mean over prompts answered right, 95 % intervals; prompts "
        "behind neutral words are those still answered right behind them.",
        ("tracing_totals",),
        total_rows,
        lambda r: draw_neutral(total_rows(r)),
        neutral_says,
    ),
    Picture(
        "attention_share",
        "Attention's share of the effect",
        "Ratios of means over prompts. The best site is chosen by its effect; the mean over layers "
        "of the last corrupted token is not. Right: the same prompts under both corruptions. 95 % "
        "intervals, which may leave the panel; ratios without one, as what they are divided by may "
        "be 0, are left out.",
        ("attention_shares",),
        bounded_attention,
        lambda r: draw_attention(bounded_attention(r)),
        share_says,
    ),
)
