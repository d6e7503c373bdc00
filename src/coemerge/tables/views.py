"""Views of tables that more than one reader needs."""

import pandas as pd

_CELL = ["fact_id", "task", "template_id", "split", "options"]


def steady_scores(prompt_scores: pd.DataFrame) -> pd.DataFrame:
    """One score per (step, fact, task) that is comparable between steps: held-out paraphrases with
    option sets that training never showed, and only those that were asked at every step.

    Columns: step, fact_id, task, score.
    """
    held_out = prompt_scores[
        (prompt_scores["split"] == "held_out_templates") & (prompt_scores["options"] != "seen")
    ]
    n_steps = held_out["step"].nunique()
    asked = held_out.groupby(_CELL)["step"].transform("nunique")
    always = held_out[asked == n_steps]
    return always.groupby(["step", "fact_id", "task"], as_index=False)["score"].mean()
