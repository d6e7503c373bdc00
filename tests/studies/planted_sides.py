"""Facts of random tokens, to be edited from both sides in a tiny GPT-2.

Its MLPs are random; its attention is uniform and hands residuals on as they are, so that what is
written at a subject reaches the answer.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pandas as pd
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from coemerge.editing.counterfact_scores import CounterfactTrial
from coemerge.editing.requests import Goal, Request
from coemerge.interventions.edits import Edit
from coemerge.studies.entity_relation.cases import ENTITY, RELATION, REMOVAL, Case
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.judging import Judge
from coemerge.studies.shared.editors import Editors
from tests.interventions.models import logits_of, tokens

D_VOCAB, N_LAYERS = 60, 4
LAYER = 1  # edited: there is attention above it
BOLD: dict[str, dict[str, float]] = {  # settings under which a random model's answers change
    "rome": {"lr": 1.0, "steps": 20, "max_norm": 50, "weight_decay": 0},
    "memit": {"lr": 1.0, "steps": 20, "max_norm": 50, "weight_decay": 0, "weight": 0.01},
    "ft": {"lr": 0.05, "steps": 20},
    "ft_l": {"lr": 0.05, "steps": 20, "max_change": 0.1},
    "kn": {"tau": 0.1, "erased": 10.0, "written": 10.0},
}
SETTINGS: dict[str, Any] = {
    "layers": (LAYER,),
    "edited_token": "last",
    "traced_facts": 0,
    "contexts": ((2, 1),),
    "memit_layers": 2,
    "steps": 4,
    "bootstrap_draws": 100,
    "grids": {editor: [setting] for editor, setting in BOLD.items()},
}
NONE = [7]


def config(**changes: Any) -> EntityRelationConfig:
    return EntityRelationConfig(**{**SETTINGS, **changes})


def make_model() -> GPT2LMHeadModel:
    shape = {"n_embd": 32, "n_layer": N_LAYERS, "n_head": 2, "n_positions": 16}
    special = {"bos_token_id": None, "eos_token_id": None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = GPT2Config(vocab_size=D_VOCAB, initializer_range=0.2, **shape, **special)
        found = GPT2LMHeadModel(made).eval()
    with torch.no_grad():
        for block in found.transformer.h:
            block.attn.c_attn.weight.zero_()
            block.attn.c_attn.weight[:, -32:] = torch.eye(32)  # values; queries and keys are 0
            block.attn.c_proj.weight.copy_(torch.eye(32))
    return found


@cache
def model() -> GPT2LMHeadModel:
    """For all tests, which must leave it as it is."""
    return make_model()


def _ranked(ids: Sequence[int]) -> list[int]:
    """Answers to a prompt, the likeliest first."""
    return logits_of(model(), torch.tensor([list(ids)]))[0, -1].argsort(descending=True).tolist()


def some_cases(n: int = 4, arms: Sequence[str] = ("both_sides",)) -> list[Case]:
    """Each of a subject of two tokens and two objects, asked in three wordings: the model says the
    old object, and anything rather than the relation's name. Arms take turns."""
    cases = []
    for f in range(n):
        a, b, *around = tokens(10, seed=f).tolist()
        asked = [[around[t], a, b, around[t + 3]] for t in range(3)]
        near = [[around[0], *tokens(2, seed=100 + 2 * f + i).tolist(), around[3]] for i in range(2)]
        likely = [token for token in _ranked(asked[0]) if [token] != NONE]
        old, new = likely[0], likely[20]
        entity = Request(Goal(asked[0], (1, 3), [new]), [old])
        with_new = [[*ids, new, around[6]] for ids in asked]
        with_old = [[*ids, old, around[6]] for ids in asked]
        name = next(token for token in reversed(_ranked(with_new[0])) if [token] != NONE)
        relation = Request(
            Goal(with_new[0], (1, 3), [name]), NONE, also=Goal(with_old[0], (1, 3), NONE)
        )
        trials = {
            ENTITY: CounterfactTrial.of(entity, asked[1:], near),
            RELATION: CounterfactTrial.of(
                relation, with_new[1:], [[*ids, new, around[6]] for ids in near]
            ),
            REMOVAL: CounterfactTrial(
                with_old[0], with_old[1:], [[*ids, old, around[6]] for ids in near], [name], NONE
            ),
        }
        requests = {ENTITY: entity, RELATION: relation}
        cases.append(Case(f"fact-{f}", f"r{f % 2}", arms[f % len(arms)], requests, trials))
    return cases


def judge(cases: Sequence[Case], **changes: Any) -> Judge:
    return Judge(Editors(changes.pop("model", model()), config(**changes), {}, start=0), cases)


def side_edits(cases: Sequence[Case], editor: str = "ft", seed: int = 0) -> pd.DataFrame:
    """Every case edited from both sides."""
    of = judge(cases)
    frames = [
        of.side_edits(side, of.edit(editor, side, LAYER, BOLD[editor]))
        for side in (ENTITY, RELATION)
    ]
    return pd.concat(frames, ignore_index=True).assign(seed=seed, editor=editor)


def size_of(edit: Edit, untouched: dict[int, torch.Tensor]) -> float:
    """Norm of the change over that of the changed matrices, each written out."""
    change = sum(float((d.left @ d.right.T).norm() ** 2) for d in edit.deltas.values())
    return float((change / sum(float(untouched[n].norm() ** 2) for n in edit.deltas)) ** 0.5)
