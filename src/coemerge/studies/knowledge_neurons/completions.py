"""What a model says before and under one edit, in words (methods 6.6)."""

from collections.abc import Collection, Mapping, Sequence

import pandas as pd
import torch

from coemerge.interventions.edits import Edit
from coemerge.interventions.weight_edits import edited_rows
from coemerge.scoring.generation import generate
from coemerge.studies.knowledge_neurons.checks import CHECKS, FALLS
from coemerge.studies.knowledge_neurons.families import Planned
from coemerge.studies.knowledge_neurons.subject import Subject
from coemerge.studies.shared.wordings import Wording

SHOWN = ("rewrite", "inverse_new", "inverse_old", "synonym_new")
N_TOKENS = 5


def examples(plans: Sequence[Planned], right: Collection[str], n: int) -> list[int]:
    """Places of ``n`` edits of each family: what was stated and is known first, relations in
    turn."""
    frame = pd.DataFrame({"family": [p.family for p in plans], "edited": [p.edited for p in plans]})
    known = [one.restated in right and one.donor_restated in right for one in plans]
    frame["later"] = [
        2 - is_known - (one.stated == "yes") for one, is_known in zip(plans, known, strict=True)
    ]
    frame["turn"] = frame.groupby(["family", "edited", "later"]).cumcount()
    order = frame.sort_values(["family", "later", "turn"], kind="stable")
    return order.groupby("family").head(n).index.tolist()


def completions(
    subject: Subject,
    plans: Sequence[Planned],
    prompts: Mapping[str, Wording],
    edits: Sequence[Edit],
) -> pd.DataFrame:
    """``CompletionsRecord`` but for seed and editor, of ``plans`` under an edit of each."""
    named = {row["fact_id"]: row for row in subject.facts.to_dict("records")}
    rows, ids, under = [], [], []
    for number, one in enumerate(plans):
        old, new = named[one.fact], named[one.donor]["object"]
        edit = f"{old['subject']} -> {new} (was: {old['object']})"
        for check in SHOWN:
            asked = CHECKS[one.family].get(check)
            prompt = prompts.get(getattr(one, asked.prompt_of)) if asked else None
            if asked is None or prompt is None:
                continue
            answer = named[getattr(one, asked.answer_of)]["object"]
            rows.append(
                {
                    "family": one.family,
                    "fact_id": one.fact,
                    "edit": edit,
                    "check": check,
                    "prompt": prompt.text,
                    "expected": f"not {answer}" if asked.expected == FALLS else answer,
                }
            )
            ids.append(prompt.ids)
            under.append(number)
    which = torch.tensor(under, dtype=torch.long)
    before = generate(subject.model, ids, N_TOKENS)
    after = generate(
        subject.model, ids, N_TOKENS, within=lambda i: edited_rows(subject.model, edits, which[i])
    )
    said = {
        name: [subject.decode(row).strip() for row in tokens.tolist()]
        for name, tokens in (("pre", before), ("post", after))
    }
    return pd.DataFrame(rows).assign(**said)
