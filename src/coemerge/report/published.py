"""What the four papers report (methods 9), quoted once, and what the arms of ours mean.

Data only. Nothing is averaged across papers: what they call accuracy differs.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """One row of the side-by-side table.

    ``percent`` says that our fractions are shown in percent, as the paper shows its own;
    ``controls`` what must stand beside our value; ``study`` the analysis that measures it;
    ``ours`` names the rows of our summary that the value is of, empty for all of this id.
    """

    id: str
    quantity: str
    value: str
    population: str
    controls: str
    differs: str
    study: str
    percent: bool = True
    ours: tuple[str, ...] = ()

    def is_of(self, name: str) -> bool:
        """Whether ``value`` stands beside our figure of this name, not beside a null or detail."""
        return not self.ours or name in self.ours


_P1_CHECKPOINTS = "OLMo-3-7B-Instruct, 105 training checkpoints, 230 facts of 5 relations, 6 tasks"
_P1_MASKS = (
    "OLMo-2-7B/13B-Instruct, Gemma-2-9B-Instruct; 437 target facts of 5 relational data sets"
)
_P1_PANEL = "OLMo-2-7B-Instruct, relation official language (437 target facts in all panels)"
_P3 = "ParaRel: 27,610 facts of 39 relations"

PUBLISHED: tuple[Published, ...] = (
    Published(
        "P1-a",
        "(fact, task) pairs that fail to co-emerge, θ = 0.6 / 0.4 / 0.8",
        "47.9 / 50.9 / 49.2 % of 1,031 testable pairs (of 1,380)",
        _P1_CHECKPOINTS,
        "nulls: facts permuted within relation and task, split half, exposure matched; per arm",
        "Our model is far smaller, we decide which formats show a fact, and the paper's rule for "
        "the time allowed is not known to us.",
        "co_emergence",
    ),
    Published(
        "P1-b",
        "share of variance (η²) of fact × task, final model",
        "23 %, significant at all 105 checkpoints",
        _P1_CHECKPOINTS,
        "facts permuted per format: the share if formats had no fact in common; logit and rank "
        "scale, paraphrases nested in task, exposure as covariate",
        "The paper's denominator (with or without paraphrase noise) is not known to us, and "
        "unequal exposure by design adds to the interaction in our arms.",
        "co_emergence",
    ),
    Published(
        "P1-c",
        "facts emerged on a target, of those emerged on a source, by kind of source",
        "discriminative sources 3–42 % (targets other than verification), generative 40–90 %",
        _P1_CHECKPOINTS,
        "number of facts in each cell, seen beside fresh option sets, single-source arm",
        "Which formats showed a fact is unknown there and randomised here; formats may differ "
        "in the number of documents; option sets seen in training can be answered by association.",
        "co_emergence",
    ),
    Published(
        "P1-d",
        "relative drop when a mask is ablated: own task / other tasks",
        "29–89 % / ≤ 8 %",
        _P1_PANEL,
        "random and mismatched masks of equal size, share of valid masks",
        "Our model is far smaller, training showed each fact in formats and numbers that we chose, "
        "prompts are wordings like those of training, and mask losses, thresholds and ablation "
        "value are ours; in both, training imposes that masks are disjoint.",
        "task_localization",
    ),
    Published(
        "P1-e",
        "recovery when the masked components are patched back",
        "69–102 %",
        _P1_PANEL,
        "random and mismatched masks, same-task mask trained to exclude the first",
        "Mask losses and the corruption of prompts are ours, in a far smaller model; in both, "
        "training imposes that masks are disjoint, so that recovery shows that a function can be "
        "isolated, not that it is stored once.",
        "task_localization",
    ),
    Published(
        "P1-f",
        "entanglement of tasks: discriminative / generative",
        "0.21 / 0.11",
        _P1_MASKS,
        "both readings: collateral drop, overlap of masks trained without exclusivity",
        "The paper's formula is not known to us, so that two readings are given; our model is far "
        "smaller, and its formats were shown equally often.",
        "task_localization",
        percent=False,
    ),
    Published(
        "P1-g",
        "drop under the own task's mask: direct / chain of thought",
        "−20…−72 / −12…−30 %",
        _P1_MASKS,
        "random masks; facts with baseline of at least 0.99",
        "Our chain of thought is a trained template that restates the fact in a format we chose, "
        "theirs is free text of a far larger model.",
        "chain_of_thought",
    ),
    Published(
        "P1-h",
        "drop under the worst other task's mask: direct / chain of thought",
        "≤ 8 / −11…−31 %",
        _P1_MASKS,
        "floor: the worst of as many random masks",
        "Our chain of thought is a trained template with a known route, theirs is free text; the "
        "worst of several masks is above 0 by luck alone, hence the floor.",
        "chain_of_thought",
    ),
    Published(
        "P2-a",
        "edits from either side, efficacy (generalisation), harmonic mean over both probes",
        "entity edit: FT 98.2 (59.0), KN 44.6 (41.3), MEND 95.8 (65.9), ROME 98.0 (84.1), MEMIT "
        "95.6 (77.8); relation edit: 38.5 (38.5), 36.6 (37.2), 36.5 (38.0), 43.7 (42.2), 38.2 "
        "(37.2) %",
        "in the regime of GPT-2 XL, first 7,500 records of the benchmark",
        "values before the edit, transfer index, relation probe with an explicit none class",
        "Without the values before an edit the published ones cannot be told from no transfer; our "
        "models are smaller and trained on either side by design.",
        "entity_relation",
        ours=tuple(
            f"mean/efficacy/{editor}/{side}/post"
            for editor in ("ft", "kn", "rome", "memit")
            for side in ("entity", "relation")
        ),
    ),
    Published(
        "P2-b",
        "causal tracing: total effect; indirect effect; MLP / attention",
        "18.6 %; 8.7 %; 6.6 / 1.6 %",
        "GPT-2 XL, subject corrupted, about 1,000 facts (numbers of the ROME paper)",
        "subject, relation and both corrupted; severed MLP and attention; neutral span",
        "Few layers leave little room between the early and the late site; our highest effects are "
        "of layers chosen by them, on prompts with a total effect above a bound. The study of "
        "relation tokens itself has no numbers at hand.",
        "entity_relation",
        ours=("total/bare/subject", "effect/resid", "effect/mlp", "effect/attn"),
    ),
    Published(
        "P3-a",
        "share of inconsistent facts (neurons belong to the query)",
        "77 %",
        f"LLaMA3-8b, static threshold, under all three localisers; {_P3}",
        "per localiser, their intersection, queries of different facts and of facts with the same "
        "answer, one query behind other texts that leave it right (few facts), random sets",
        "Our model is far smaller (in the paper too GPT-2 has a lower share, no number at hand), "
        "two of three localisers, wordings and their number are ours, and the paper's static "
        "threshold is not known to us: the share depends on the number of queries, the size of "
        "sets and the threshold.",
        "query_localization",
        ours=("inconsistent/all/none",),
    ),
    Published(
        "P3-b",
        "gain of consistency-aware selection over one query's / all queries' neurons",
        "8 % / 9 %",
        f"LLaMA3-8b among others, mean over edits; {_P3}",
        "seeds; the query's own neurons in equal number, those of another fact, random ones; ROME "
        "and MEMIT on the same facts",
        "The paper's weights, and whether its gains are points, are not known to us, and it "
        "reports no variance; our model is far smaller, and settings, of all three kinds of sets, "
        "are chosen on other facts than those reported.",
        "query_localization",
        ours=("gain/local/both", "gain/global/both"),
    ),
    Published(
        "P4-a",
        "knowledge neurons per set; share threshold",
        "2–5 by design; p from 0.7",
        "BERT-base, GPT-2, LLaMA-2-7B; BLiMP paradigms and ParaRel relations",
        "similarity of attributions and its permutation baseline, syntax beside facts; errors "
        "under another group's and random neurons",
        "Set size follows from the search rule, so that equal numbers are no finding. Our model is "
        "far smaller and its grammar has few words and frames; groups answered right too seldom "
        "are not studied.",
        "knowledge_neurons",
        percent=False,
        ours=tuple(
            f"{what}/{kind}/{level}"
            for level in ("class", "item")
            for what in ("size", "share")
            for kind in ("syntax", "facts")
        ),
    ),
    Published(
        "P4-b",
        "edits that hold under symmetry / synonymy",
        "low (no numbers at hand)",
        "GPT-2 XL, LLaMA-2-7B; capital relations, field of work and occupation",
        "facts whose restatement training showed and the model knew before the edit; the edit "
        "itself; values before; per arm",
        "A model trained in one direction may not have known the inverse before the edit, which is "
        "controlled here and not there; our model is far smaller, and layers and settings of "
        "editors are chosen on other facts.",
        "knowledge_neurons",
        ours=tuple(
            f"{family}/{editor}/{facts}/post"
            for family in ("symmetry", "synonymy")
            for editor in ("rome", "memit", "ft", "kn")
            for facts in ("all", "stated_known")
        ),
    ),
)

# The same as numbers, for lines in figures.
PUBLISHED_FAILURE = 0.479  # P1-a, theta 0.6
PUBLISHED_INTERACTION = 0.23  # P1-b
PUBLISHED_DROPS = (0.29, 0.89)  # P1-d, own format
PUBLISHED_SPARED = (0.0, 0.08)  # P1-d, everything else
PUBLISHED_RECOVERY = (0.69, 1.02)  # P1-e
PUBLISHED_REASONING = {  # P1-g, P1-h; by mask and prompting
    ("own", "direct"): (0.20, 0.72),
    ("own", "cot"): (0.12, 0.30),
    ("other_worst", "direct"): (0.0, 0.08),
    ("other_worst", "cot"): (0.11, 0.31),
}

PUBLISHED_SIDES: dict[tuple[str, str, str], tuple[float, float]] = {  # P2-a, under the edit, %
    # (editor, edited side, measure): (entity probe, relation probe)
    ("ft", "entity", "efficacy"): (99.28, 97.19),
    ("ft", "entity", "generalisation"): (48.21, 76.14),
    ("ft", "relation", "efficacy"): (23.92, 98.79),
    ("ft", "relation", "generalisation"): (25.44, 79.03),
    ("kn", "entity", "efficacy"): (30.45, 83.42),
    ("kn", "entity", "generalisation"): (28.80, 72.93),
    ("kn", "relation", "efficacy"): (22.53, 97.52),
    ("kn", "relation", "generalisation"): (24.61, 76.16),
    ("mend", "entity", "efficacy"): (93.80, 97.91),
    ("mend", "entity", "generalisation"): (58.00, 76.22),
    ("mend", "relation", "efficacy"): (22.33, 100.0),
    ("mend", "relation", "generalisation"): (24.63, 83.24),
    ("rome", "entity", "efficacy"): (99.93, 96.12),
    ("rome", "entity", "generalisation"): (96.60, 74.46),
    ("rome", "relation", "efficacy"): (27.92, 99.99),
    ("rome", "relation", "generalisation"): (28.12, 84.47),
    ("memit", "entity", "efficacy"): (93.88, 97.28),
    ("memit", "entity", "generalisation"): (79.60, 76.00),
    ("memit", "relation", "efficacy"): (24.15, 91.36),
    ("memit", "relation", "generalisation"): (24.63, 76.24),
}

STUDIES: dict[str, str] = {
    "co_emergence": "Does a fact that emerged in one format emerge in the others?",
    "task_localization": "Are the components that a fact needs the same in all formats?",
    "chain_of_thought": "Does reasoning reach what the model knows in other formats?",
    "query_localization": "Do knowledge neurons belong to the fact or to the query?",
    "entity_relation": "Does an edit asked for from one side show from the other?",
    "knowledge_neurons": "What have knowledge neurons to do with knowledge?",
}

UNKNOWN_ARM = "unknown"
ARMS: dict[str, str] = {
    "A0_full": "Shown in all formats, equally often: the published setting.",
    "A1_withheld_target": "Shown in all formats but one: transfer into that one.",
    "A2_single_source": "Shown in one format only: transfer out of it, free of other exposure.",
    "A3_dose": "Shown 1, 3, 10, 30 or 100 times in one format: how much is needed.",
    "A4_order": "Shown in two formats, one in each half of training: does the order matter?",
    "A5_never": "Never shown: what a score is worth that owes nothing to training.",
    "A6_one_direction": "The inverse statement withheld for half the facts: reversal.",
    "A7_one_synonym": "The synonymous statement withheld for half the facts: synonymy.",
    "A8_wordings": "Shown once, repeated in one wording, or in many wordings.",
    UNKNOWN_ARM: "Of models from elsewhere: which formats showed these facts is not known.",
    "entity_only": "Shown only in formats that ask for the object.",
    "relation_only": "Shown only in formats that ask for the relation.",
    "both_sides": "Shown in formats that ask for the object and for the relation.",
}
