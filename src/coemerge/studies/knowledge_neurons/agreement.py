"""How far a model says an answer: agreement token by token (methods 6.6)."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from coemerge.editing.requests import Ids
from coemerge.editing.rows import read_rows
from coemerge.interventions.edits import Edit

Asked = tuple[Ids, Ids]  # a prompt, and what should follow
Predict = Callable[[Sequence[Ids], np.ndarray, int], np.ndarray]
UNTOUCHED = -1


def predictor(model: nn.Module, edits: Sequence[Edit] = ()) -> Predict:
    """``predict(rows, edit_of_row [R], n)``: the likeliest token after each of the last ``n``
    tokens of every row, [R,n]; row r under ``edits[edit_of_row[r]]``, -1 for none."""

    def predict(rows: Sequence[Ids], edit_of_row: np.ndarray, n: int) -> np.ndarray:
        found = read_rows(
            model, rows, edits, edit_of_row, lambda logits, _tokens: logits.argmax(-1), n_logits=n
        )
        return found.astype(int)

    return predict


def agreements(asked: Sequence[Asked], edit_of_row: np.ndarray, predict: Predict) -> np.ndarray:
    """Share of each answer's tokens that are predicted, each after its prompt and the right tokens
    before it, [R]. What is asked twice under one edit goes through once."""
    value = np.zeros(len(asked))
    lengths = np.array([len(answer) for _, answer in asked], int)
    for n in np.unique(lengths).tolist():
        members = np.flatnonzero(lengths == n)
        rows = [((*asked[i][0], *asked[i][1][:-1]), int(edit_of_row[i])) for i in members.tolist()]
        number = {row: place for place, row in enumerate(dict.fromkeys(rows))}
        distinct, edits = zip(*number, strict=True)
        said = predict(distinct, np.array(edits), n)[[number[row] for row in rows]]
        value[members] = (said == [list(asked[i][1]) for i in members.tolist()]).mean(1)
    return value
