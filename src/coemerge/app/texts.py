"""What studies of single wordings read of a source: its own wordings, and running text."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from coemerge.app.sources import Source
from coemerge.corpus.store import TokenStore

_CHARACTERS = 16  # read per token that is wanted: more than any language needs


def own_wordings(source: Source) -> pa.Table:
    """Without phrasings that a data set's wordings were given to fill a list up: an opening before
    a statement is no other wording."""
    prompts = source.questions.prompts
    if not source.n_wordings:
        return prompts
    pairs = zip(prompts["relation"].to_pylist(), prompts["template_id"].to_pylist(), strict=True)
    kept = [template < source.n_wordings.get(relation, 0) for relation, template in pairs]
    return prompts.filter(pa.array(kept, pa.bool_()))


def file_tokens(source: Source, path: Path, n_tokens: int) -> list[int]:
    """Of a file's beginning, ``n_tokens`` or more if it holds them."""
    with path.open(encoding="utf-8") as file:
        content = file.read(_CHARACTERS * n_tokens)
    return list(source.questions.tokenizer(content)["input_ids"])


def shown_documents(source: Source, n_tokens: int, seed: int) -> Sequence[Sequence[int]]:
    """Documents that training showed, about so many tokens in all, at random."""
    store = TokenStore(Path(source.manifest["data_directory"]))
    return store.some_documents(n_tokens, seed)


def separator(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What ends a statement: a period, and the token that closes a document, if there is one."""
    period = list(tokenizer(".", add_special_tokens=False)["input_ids"])
    return period if tokenizer.eos_token_id is None else [*period, tokenizer.eos_token_id]
