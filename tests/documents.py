"""Reading a training corpus back, independently of the code that wrote it."""

import re
from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerFast

from coemerge.corpus.packing import START, TOKEN
from coemerge.corpus.store import TokenStore

_OPTION_LIST = re.compile(r"^\w+: ((?:[A-Z] [^,.]+, )+[A-Z] [^,.]+)\. ")


def stored_documents(store: TokenStore) -> Iterator[list[int]]:
    """Token ids of every stored document without the closing token, row after row."""
    for tokens, marks in zip(store.tokens, store.marks, strict=True):
        document: list[int] = []
        for token, mark in zip(tokens.tolist(), marks.tolist(), strict=True):
            if mark & START and document:
                yield document[:-1]
                document = []
            if mark & TOKEN:
                document.append(token)
        if document:
            yield document[:-1]


def stored_texts(store: TokenStore, tokenizer: PreTrainedTokenizerFast) -> list[str]:
    return [tokenizer.decode(ids) for ids in stored_documents(store)]


def shown_options(text: str) -> list[str]:
    """The lettered options of a document or prompt, in the order shown; [] if it has none."""
    found = _OPTION_LIST.match(text)
    return [entry.split(" ", 1)[1] for entry in found.group(1).split(", ")] if found else []


def chosen_option(text: str, letters: Sequence[str] = "ABCD") -> str:
    """The option whose letter ends the document."""
    return shown_options(text)[letters.index(text.rstrip(".")[-1])]
