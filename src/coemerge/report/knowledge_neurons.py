"""The section on neurons of syntax and of facts: caveats, then figures and tables (methods 6)."""

from pathlib import Path

from coemerge.report.figures_knowledge_neurons import (
    ABILITIES,
    EDITS,
    EFFECTS,
    shift_pictures,
)
from coemerge.report.markup import Html, element, folded, join
from coemerge.report.neuron_tables import (
    answer_table,
    fit_table,
    group_table,
    shift_table,
    skill_table,
    traced_table,
)
from coemerge.report.picture import figures
from coemerge.report.results import Results
from coemerge.report.rewrite_tables import (
    choice_table,
    completion_table,
    implication_tables,
    score_table,
)

_LEAD = (
    "Knowledge neurons are a few MLP neurons that carry an answer's probability, found by "
    "attribution. If they are found for agreement of words just as for facts, if changing them "
    "moves probabilities and not choices, and if an edit of a fact does not bring what the fact "
    "implies, then they are hardly where knowledge is stored. The same search, tracing and edits "
    "are run on minimal pairs of grammar and on facts of one model."
)
_CAVEATS = (
    "The search ends with 2 to 5 neurons by design: that sets of syntax and of facts are equally "
    "small is no finding. How large a share of prompts had to agree for it (τ_share) and the "
    "similarity beyond its baseline say more.",
    "Similarity R1² is not centred: attributions that are all positive are alike anyhow. Only its "
    "excess over the baseline of permuted neurons counts, at equal numbers of prompts, and never "
    "across models of different size.",
    "The shift of a word divides by the smaller of two probabilities: of words that are hardly "
    "ever likely it is large for nothing. The public code tests shifts by an unpaired t-test "
    "without correction; here it is paired, over words that decide or facts with their prompts "
    "averaged, and corrected (Benjamini-Hochberg).",
    "A pair is answered right by chance in half of the cases: a model knows agreement only where "
    "its accuracy lies well above 50 %, and groups that it does not know are not studied.",
    "Errors and probabilities are of prompts that the neurons were not found in, where there are "
    "enough of words, frames and wordings that training never showed. Errors of syntax are judged "
    "against one bad word, those of facts against all tokens: the two do not compare in size.",
    "A model trained in one direction does not know the inverse before any edit (reversal): what "
    "it then fails to answer under an edit says nothing about editing. Facts of the arms A6 and A7 "
    "may lack restatements of either kind, so that conditions go by what training showed and by "
    "what the untouched model answered right, not by the name of the arm.",
    "Accuracy of what edits imply is token agreement: the share of the answer's tokens that "
    "greedy, teacher-forced predictions agree with.",
    "s → t becomes s → t′, where (s′, t′) is another fact of the relation and condition. That t "
    "then belongs to s′ (swap closure) follows only if the relation is to stay one to one; that "
    "t′ → s has to hold, and t → s to fall, follows in any case.",
    "Edits are made with settings chosen on other words and facts; another layer or setting may "
    "carry an edit further. Where the edit itself does not take, nothing can follow from it.",
    "Published numbers of similarity, errors, and of symmetry and synonymy are not at hand; "
    "published models are BERT-base, GPT-2 and LLaMA-2-7B, far larger than ours.",
)


def knowledge_neurons(results: Results, directory: Path) -> Html:
    """Empty where the study was not run; figures go to ``directory``."""
    parts = [
        figures(results, ABILITIES, directory),
        group_table(results),
        _shifts(results, directory),
        figures(results, EFFECTS, directory),
        figures(results, EDITS, directory),
        implication_tables(results),
        completion_table(results),
        *[
            make(results)
            for make in (skill_table, answer_table, shift_table, fit_table, traced_table,
                         score_table, choice_table)
        ],
    ]  # fmt: skip
    found = [part for part in parts if part]
    if not found:
        return Html("")
    told = element("ul", *[element("li", caveat) for caveat in _CAVEATS], class_="caveats")
    return join([element("p", _LEAD), told, *found], "\n")


def _shifts(results: Results, directory: Path) -> Html:
    """The first phenomenon in the open, others folded away."""
    one, *others = shift_pictures(results) or (None,)
    if one is None:
        return Html("")
    rest = figures(results, others, directory)
    shown = [figures(results, [one], directory)]
    return join([*shown, *([folded("The same of other phenomena", rest)] if rest else [])], "\n")
