"""What the models say by themselves: three accuracies per format (methods 2.5)."""

from coemerge.report.markup import Html, element, join, number, table
from coemerge.report.plotting import tasks_in_order
from coemerge.report.results import Results

_SHARES = {"first_token": "First token", "full_answer": "Whole answer", "tolerant": "Tolerant"}
_NOTE = (
    "Greedy decoding, held-out wordings, fresh option sets, the last model of each series. First "
    "token: the most probable token is the answer's first. Whole answer: all its tokens follow. "
    "Tolerant: the first token begins the answer, or the answer stands within three tokens. These "
    "are accuracies: chance is not taken out. Earlier models: answers.parquet."
)


def answers(results: Results) -> Html:
    """Shares of prompts, all facts and seeds together; empty where nothing was generated."""
    frame = results.table("answers")
    if frame.empty:
        return Html("")
    last = frame[frame["step"] == frame.groupby("seed")["step"].transform("max")]
    rows = []
    for task in tasks_in_order(last["task"]):
        own = last[last["task"] == task]
        n = own["n_prompts"].sum()
        shares = [float((own[name] * own["n_prompts"]).sum() / n) for name in _SHARES]
        rows.append((task, f"{n:,}", *[number(share, percent=True) for share in shares]))
    return join([table(("Format", "Prompts", *_SHARES.values()), rows), element("p", _NOTE)])
