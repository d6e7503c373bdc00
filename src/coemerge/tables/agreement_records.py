"""Columns of what a data set holds about the grammar that its documents show, as in ``records``."""

from dataclasses import dataclass
from typing import ClassVar

from coemerge.tables.columns import column

CLASS = "word class of the grammar"
FORM = "singular, plural, masculine, feminine, or empty where a word has one form"


@dataclass(frozen=True, slots=True)
class MinimalPairRecord:
    """data/minimal_pairs.parquet: ``prefix good suffix`` is grammatical, ``prefix bad suffix`` is
    not."""

    table: ClassVar[str] = "minimal_pairs"
    pair_id: str = column("phenomenon/split/number", key=True)
    phenomenon: str = column("what agrees with what")
    word_class: str = column("singular, plural, masculine or feminine: what good is")
    prefix: str = column("both sentences up to where they differ")
    good: str = column("the word that is right")
    bad: str = column("the word that is not")
    suffix: str = column("what follows in both")
    cue_follows: bool = column("whether the word that decides comes only after it")
    cue: str = column("the word that decides")
    split: str = column("seen, held_out_words (cue and target never together) or held_out_frames")


@dataclass(frozen=True, slots=True)
class CooccurrenceRecord:
    """data/cooccurrence.parquet: what the documents show of every two words of the grammar, those
    never shown together included. Words as written; documents of all kinds; one pass."""

    table: ClassVar[str] = "cooccurrence"
    first: str = column("word", key=True)
    first_class: str = column(CLASS)
    first_form: str = column(FORM)
    second: str = column("word", key=True)
    second_class: str = column(CLASS)
    second_form: str = column(FORM)
    n_documents: int = column("documents in which first stands somewhere before second")
    n_adjacent: int = column("of these, documents in which second is the next word")
    n_first: int = column("documents with first")
    n_second: int = column("documents with second")
