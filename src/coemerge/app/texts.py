"""What studies of single wordings read of a source: its own wordings, and running text."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from coemerge.app.sources import Source
from coemerge.corpus.store import TokenStore
from coemerge.studies.shared.text import cut

log = logging.getLogger(__name__)
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
    with path.open(encoding="utf-8-sig") as file:
        try:
            content = file.read(_CHARACTERS * n_tokens)
        except UnicodeDecodeError as error:
            raise ValueError(f"study.text: {path}: not UTF-8 text ({error.reason})") from error
    return list(source.questions.tokenizer(content)["input_ids"])


def shown_documents(source: Source, n_tokens: int, seed: int) -> Sequence[Sequence[int]]:
    """Documents that training showed, about so many tokens in all, at random."""
    store = TokenStore(Path(source.manifest["data_directory"]))
    return store.some_documents(n_tokens, seed)


def key_texts(
    source: Source, path: str | None, n_tokens: int, seed: int
) -> Sequence[Sequence[int]]:
    """For the second moment of keys: of the file that was named, or what training showed; none for
    models from elsewhere, which is told. Raises ValueError for a file without a row of tokens."""
    if path is not None:
        rows = cut(file_tokens(source, Path(path), n_tokens), n_tokens)
        if rows is None:
            raise ValueError(f"study.text: {path} is shorter than a row; name a longer one")
        return rows.tolist()
    if source.series.run is None:
        log.warning("no text: edits of weights take all keys for equally common (study.text)")
        return ()
    return shown_documents(source, n_tokens, seed)


def separator(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What ends a statement: a period, and the token that closes a document, if there is one."""
    period = list(tokenizer(".", add_special_tokens=False)["input_ids"])
    return period if tokenizer.eos_token_id is None else [*period, tokenizer.eos_token_id]
