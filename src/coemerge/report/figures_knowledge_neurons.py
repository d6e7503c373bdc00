"""The figures of the study ``knowledge_neurons`` (methods 6.6)."""

from coemerge.report.figure_neuron_edits import draw_implied, draw_rewrites, draw_traced
from coemerge.report.figure_neurons import draw_answers, draw_similarity, draw_skills
from coemerge.report.figure_shifts import MOST_TOKENS, draw_fits, draw_shifts
from coemerge.report.findings_implications import implied_says
from coemerge.report.findings_neuron_changes import fits_say, rewrites_say, shifts_say, traced_say
from coemerge.report.findings_neurons import answers_say, similarity_says, skills_say
from coemerge.report.neuron_rows import (
    answer_rows,
    fit_rows,
    group_rows,
    rate_rows,
    rewrite_rows,
    shift_rows,
    shifted_topics,
    skill_rows,
    topic_name,
    traced_rows,
)
from coemerge.report.picture import Picture
from coemerge.report.results import Results, pick

_FIT = "log_ratio"  # the shift has no bounds where a probability is near 0
_SHIFT_CAPTION = (
    "Neurons found on prompts whose right word is of a class are changed at the last token of "
    "other prompts of this class. Bars: (p after − p before) / the smaller of both, of means over "
    "prompts, even between −1 and 1, by powers of ten beyond; means over seeds, dots single seeds. "
    "Star: in every seed significant (paired t-test over words that decide, prompts of each "
    "averaged; Benjamini-Hochberg over all words, sets and changes) and outside the grey band. "
    "Grey, the control: 95 % of what random neurons do, as many of each layer. If neurons hold "
    "agreement, all words of a class move together and neutral ones stay; a large ratio of a word "
    f"that is hardly ever likely says little. At most {MOST_TOKENS} words, those of each class "
    "that move most."
)

ABILITIES: tuple[Picture, ...] = (
    Picture(
        "neuron_skills",
        "What the untouched model answers right, syntax beside facts",
        "Syntax: the good word of a minimal pair is likelier than the bad one (chance 50 %: little "
        "above it is no knowledge of agreement). Facts: the answer is the likeliest of all tokens. "
        "95 % intervals over prompts. Neurons are looked for only where enough is right.",
        ("skills",),
        skill_rows,
        lambda r: draw_skills(skill_rows(r)),
        skills_say,
    ),
    Picture(
        "neuron_similarity",
        "How alike attributions are within a group",
        "A point per set of neurons: the n-sample similarity R1² of the attributions of its "
        "prompts (1: all alike but for size), beside the same after the neurons of each prompt "
        "are permuted (hollow). R1² is not centred: only what lies between the two is of the "
        "group. Equal numbers of prompts within a panel; panels differ in it.",
        ("neuron_groups",),
        group_rows,
        lambda r: draw_similarity(group_rows(r)),
        similarity_says,
    ),
)
EFFECTS: tuple[Picture, ...] = (
    Picture(
        "neuron_answers",
        "What a class's neurons do to answers, and to their probability",
        "On prompts that neurons were not found in. Left: errors, which need the choice to flip, "
        "from before (hollow) to after (filled). Of syntax: the bad word of a pair is likelier "
        "than the good one; of facts: another token than the answer is the likeliest of all. The "
        "two kinds do not compare in size. Right: by how much the right answer's probability "
        "moves. Bars: 95 % interval of the change, paired by prompt, over seeds and items. "
        "Controls: as much must not happen with another group's neurons, nor with random ones, as "
        "many of each layer.",
        ("categorical",),
        answer_rows,
        lambda r: draw_answers(answer_rows(r)),
        answers_say,
    ),
    Picture(
        "surface_fits",
        "Do shifts follow what training showed together?",
        "Regression of log(p after / p before), of a word that decides and a target word, on how "
        "many documents show the two together (per standard deviation of its logarithm). Alone, "
        "it also stands for grammar, as only pairs that agree are shown together; beside "
        "agreement, or among pairs that agree, it is what surface statistics add. Agreement: pairs "
        "that agree against those that do not. If the class's neurons favour words that agree, "
        "coefficients are below 0 where they are suppressed and above where enhanced. 95 % "
        "intervals over seeds and words that decide.",
        ("surface_fits",),
        lambda r: fit_rows(r, _FIT),
        lambda r: draw_fits(fit_rows(r, _FIT), "change of log(p after / p before)"),
        lambda r: fits_say(r, _FIT),
    ),
)
EDITS: tuple[Picture, ...] = (
    Picture(
        "neuron_tracing",
        "Causal tracing of syntax beside facts",
        "The word that decides, or the subject, gets noise; then one state is restored: how much "
        "of what noise took from the answer's probability comes back. Means over prompts answered "
        "right that noise takes more than a bound from, divided by the kind's mean total effect, "
        "as answers of syntax are one of many possible words. One colour scale. Hatched: windows "
        "cut by the first or last layer. The number, in percent, is the highest effect of whole "
        "windows before the last token. Noise is scaled to each kind's own words.",
        ("syntax_effects", "syntax_totals"),
        traced_rows,
        lambda r: draw_traced(traced_rows(r)),
        traced_say,
    ),
    Picture(
        "neuron_rewrites",
        "Edits to the ungrammatical form, and edits of facts",
        "From the untouched model (hollow) to the edit (filled), 95 % intervals over seeds and "
        "words or subjects. ES: the new word is likelier than the old one on the edited prompt; "
        "PS: on other sentences with the same word, or other wordings of the fact; NS: other "
        "words, or subjects, stay (not defined where no other subject has the object). What is "
        "edited, and what is a neighbour, was answered right: by selection ES starts at 0, and NS "
        "at 1 or near it. Settings are chosen on other words and facts.",
        ("rewrites",),
        rewrite_rows,
        lambda r: draw_rewrites(rewrite_rows(r)),
        rewrites_say,
    ),
    Picture(
        "implications",
        "Does what an edit implies follow?",
        "Facts s → t are edited into s → t′. Blue: the edit itself. Orange: what it implies, which "
        "should hold: t′ → s (symmetry), or what restates t′ (synonymy). Grey: what it replaces, "
        "which should fall. Green: other facts of s, which should stay; where they do not, an edit "
        "has changed the subject, not the fact. Hollow: before, filled: under the edit; before, "
        "the edit itself is 0 by selection, and so, of what the model knew, is what it implies; "
        "95 % intervals over seeds, then facts, a fact and what restates it as one. Only where "
        "training showed the restatement and the model knew it is a failure one of the "
        "edit; where it was "
        "never shown the model does not know it before either. An empty panel has no such facts.",
        ("implication_rates",),
        rate_rows,
        lambda r: draw_implied(rate_rows(r)),
        implied_says,
    ),
)
PICTURES = (*ABILITIES, *EFFECTS, *EDITS)  # but for those of single phenomena


def shift_pictures(results: Results) -> tuple[Picture, ...]:
    """One per phenomenon, those with determiners as targets first."""
    return tuple(_shifts(topic, k) for k, topic in enumerate(shifted_topics(results), 1))


def _shifts(topic: str, place: int) -> Picture:
    return Picture(
        f"token_shifts_{place}",
        f"Which words gain and lose: {topic_name(topic)}",
        _SHIFT_CAPTION,
        ("token_shifts",),
        lambda r: pick(shift_rows(r), topic=topic),
        lambda r: draw_shifts(pick(shift_rows(r), topic=topic)),
        lambda r: shifts_say(r, topic),
    )
