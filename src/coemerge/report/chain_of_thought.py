"""The section on reasoning: what ablation costs answers given at once and after restating."""

from pathlib import Path

from coemerge.report.figure_reasoning import draw_reasoning, reasoning_rows
from coemerge.report.markup import Html, element, join
from coemerge.report.picture import Picture, figures
from coemerge.report.results import Results

_LEAD = (
    "A model that restates a fact in one format before it answers in another may reach what it "
    "knows in the first. If so, the units of the restating format matter to the answer when it "
    "reasons, and not when it answers at once."
)
_CAVEATS = (
    "Small models have no free chain of thought: they were trained to restate a fact in a given "
    "format and then answer, on other facts than those asked. The route is ours, not the model's.",
    "The worst of several masks hurts by luck alone. Its floor is the worst of as many sets of "
    "random units of equal size: only what exceeds it counts.",
    "Facts asked are those that the untouched model answers nearly always (at least 99 %); masks "
    "are those of the study of task localization, with all that holds of them.",
)
PICTURES = (
    Picture(
        "reasoning",
        "Answers given at once, and after the fact was restated",
        "Drop of accuracy, base − ablated, with 95 % intervals over facts, and seeds where there "
        "are several; ablation acts on every token, the restated ones too. Black ticks: floor, "
        "mean over random draws. Dotted boxes: published ranges of the same cells.",
        ("cot_drops",),
        reasoning_rows,
        lambda r: draw_reasoning(reasoning_rows(r)),
    ),
)


def chain_of_thought(results: Results, directory: Path) -> Html:
    """Empty where the study was not run; the figure goes to ``directory``."""
    drawn = figures(results, PICTURES, directory)
    if not drawn:
        return Html("")
    caveats = element("ul", *[element("li", told) for told in _CAVEATS], class_="caveats")
    return join([element("p", _LEAD), caveats, drawn], "\n")
