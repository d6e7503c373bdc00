"""Pools of prompts of random tokens, whose right answers are what a tiny GPT-2 says."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.subject import FACTS, SYNTAX, Pool, Prompt, Subject
from tests.interventions.models import logits_of, tokens
from tests.studies.planted_sides import BOLD, LAYER, model

SEEN, NEW_FRAMES = "seen", "held_out_frames"
SETTINGS: dict[str, Any] = {
    "layers": (LAYER,),
    "edited_token": "last",
    "contexts": ((2, 1),),
    "memit_layers": 2,
    "steps": 4,
    "bootstrap_draws": 100,
    "tracing": {"samples": 2, "min_total_effect": 0.0},
    "grids": {editor: [BOLD[editor]] for editor in ("rome", "memit", "ft", "kn")},
}
SPAN = (1, 3)


def config(**changes: Any) -> KnowledgeNeuronsConfig:
    return KnowledgeNeuronsConfig(**{**SETTINGS, **changes})


def ranked(ids: Sequence[int]) -> list[int]:
    """Tokens that may follow, the likeliest first."""
    return logits_of(model(), torch.tensor([list(ids)]))[0, -1].argsort(descending=True).tolist()


def prompt(name: str, about: int, text: int, **changes: Any) -> Prompt:
    """Of a word of two tokens between two others, answered by what the model says."""
    first, last = tokens(2, seed=1000 + text).tolist()
    ids = (first, *tokens(2, seed=about).tolist(), last)
    usual: dict[str, Any] = {
        "name": name,
        "item": f"item-{about}",
        "about": f"word-{about}",
        "ids": ids,
        "answer": (ranked(ids)[0],),
        "foil": None,
        "span": SPAN,
        "split": SEEN,
    }
    return Prompt(**{**usual, **changes})


def pool(
    kind: str, topic: str, name: str, prompts: Sequence[Prompt], wrong: Sequence[int] = ()
) -> Pool:
    right = np.array([i not in wrong for i in range(len(prompts))], bool)
    return Pool(kind, topic, name, tuple(prompts), right, np.full(len(prompts), np.nan))


def syntax_pool(topic: str, name: str, first: int, n: int = 4, texts: int = 3) -> Pool:
    """``n`` words that decide, each in several texts, the last one new; what has to follow a word
    is what the model says in the first of them."""
    prompts = []
    for about in range(first, first + n):
        made = [prompt(f"{topic}/{name}/{about}/{text}", about, text) for text in range(texts)]
        good, foil = made[0].answer, ranked(made[0].ids)[20]
        for text, one in enumerate(made):
            split = NEW_FRAMES if text == texts - 1 else SEEN
            prompts.append(
                replace(one, answer=good, foil=foil, item=f"good-{good[0]}", split=split)
            )
    return pool(SYNTAX, topic, name, prompts)


def fact_pool(relation: str, first: int, n: int = 4, wordings: int = 3) -> Pool:
    """Facts of ``n`` subjects."""
    prompts = [
        prompt(f"{relation}/{about}/{w}", about, 50 + w, item=f"{relation}-{about}", wording=w)
        for about in range(first, first + n)
        for w in range(wordings)
    ]
    return pool(FACTS, relation, relation, prompts)


def subject(**changes: Any) -> Subject:
    usual: dict[str, Any] = {
        "model": model(),
        "identity": "tiny",
        "seed": 0,
        "pairs": [],
        "words": {},
        "token_ids": {},
        "cooccurrence": None,
        "prompts": pa.table({}),
        "facts": pd.DataFrame(),
        "text": [],
        "decode": str,
        "opening": None,
        "separator": [],
        "start": 0,
    }
    return Subject(**{**usual, **changes})
