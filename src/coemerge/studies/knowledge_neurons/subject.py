"""What the study asks: minimal pairs and facts as prompts of one form (methods 6.2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from torch import Tensor, nn

from coemerge.prompts.minimal_pairs import PairPrompt
from coemerge.prompts.render import Span

SYNTAX, FACTS = "syntax", "facts"
KINDS = (SYNTAX, FACTS)
CLASS, ITEM = "class", "item"
LEVELS = (CLASS, ITEM)
Ids = Sequence[int]


@dataclass(frozen=True)
class Subject:
    """What is studied: a model, whose weights have the hash ``identity``.

    ``pairs``: minimal pairs that a prompt can tell, none for a world without. ``words``: every word
    of the grammar -> (its class, its form), empty where nobody knows; ``cooccurrence``:
    ``tables.agreement_records.CooccurrenceRecord``, None where nobody counted. ``token_ids``: each
    of ``words`` as it follows a space -> its one token; words of several tokens are not there.
    ``prompts``: ``tables.records.PromptRecord``, about ``facts``: columns fact_id, relation, arm,
    detail, subject, object, root_id, and ``documents``: how many showed each, NaN where nobody
    knows; both empty for a world of syntax alone. ``text``: documents for the second moment of
    keys, none for C = I. ``decode``: tokens in words. ``opening``: the token that opens a document,
    if the prompts have one; ``separator``: what stands between two statements; ``start``: what a
    text may begin with.
    """

    model: nn.Module
    identity: str
    seed: int
    pairs: Sequence[PairPrompt]
    words: Mapping[str, tuple[str, str]]
    token_ids: Mapping[str, int]
    cooccurrence: pd.DataFrame | None
    prompts: pa.Table
    facts: pd.DataFrame
    text: Sequence[Ids]
    decode: Callable[[Ids], str]
    opening: int | None
    separator: Sequence[int]
    start: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question about one item. ``item``: for syntax the target word, for facts the fact_id;
    ``about``: the word that decides, or the fact's subject; ``answer``: token ids, of which the
    first is asked for; ``foil``: the first token that a right answer must be likelier than, None
    where it must be the likeliest of all; ``span``: tokens of ``about``, None where a data set does
    not tell them. ``split``: as in ``SkillsRecord``. ``wording``: the template of a fact, 0 for
    syntax. ``name`` is unique within a kind."""

    name: str
    item: str
    about: str
    ids: tuple[int, ...]
    answer: tuple[int, ...]
    foil: int | None
    span: Span | None
    split: str
    wording: int = 0


@dataclass(frozen=True)
class Pool:
    """All prompts of a class: pairs of a phenomenon with the same class of good word, all facts of
    a relation in all wordings. ``right`` bool [N]: answered right (see ``SkillsRecord``);
    ``margin`` [N]: log p(good) - log p(bad), NaN for facts."""

    kind: str
    topic: str
    name: str
    prompts: tuple[Prompt, ...]
    right: np.ndarray
    margin: np.ndarray


@dataclass(frozen=True, slots=True)
class Word:
    """A token whose probability is looked at. ``word_class``: as in ``TokenShiftsRecord``."""

    text: str
    token: int
    word_class: str


@dataclass(frozen=True)
class Group:
    """Prompts that share a class or an item. Neurons are looked for in ``search`` and tried on
    ``test``; no prompt is in both. ``words``: inspected under changes of a class's neurons, empty
    for items."""

    kind: str
    topic: str
    level: str
    name: str
    search: tuple[Prompt, ...]
    test: tuple[Prompt, ...]
    words: tuple[Word, ...] = ()

    @property
    def keys(self) -> dict[str, str]:
        """Columns that name it."""
        return {"kind": self.kind, "topic": self.topic, "level": self.level, "group": self.name}


@dataclass(frozen=True)
class Found:
    """``sets`` bool [G,L,m] and, in the same order, their ``groups``. ``rows`` and ``units``:
    ``NeuronGroupsRecord`` and ``GroupNeuronsRecord`` but for the seed."""

    groups: list[Group]
    sets: Tensor
    rows: pd.DataFrame
    units: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an editor is used with. ``token``: of the subject the first or last, or the prompt's
    end (``editing.requests.edited_at``)."""

    editor: str
    layer: int
    setting: Mapping[str, Any]
    token: str
