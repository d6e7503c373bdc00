"""Builds a data set directory from its settings, and opens one that fits them.

``facts.parquet, plan.parquet, prompts.parquet, tokenizer/, tokens.bin, marks.bin, documents.bin,
store.json``, with a grammar to be studied ``cooccurrence.parquet, minimal_pairs.parquet``, and,
written last, ``manifest.json`` with the settings' fingerprint and every file's hash. The same
settings give the same bytes.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from coemerge.corpus.builder import DatasetBuilder
from coemerge.corpus.config import DATA_SCHEMA, DatasetSpec
from coemerge.corpus.manifest import (
    MANIFEST,
    check_data_files,
    check_replaceable,
    read_data_manifest,
)
from coemerge.corpus.records import (
    read_pairs,
    write_cooccurrence,
    write_facts,
    write_pairs,
    write_plan,
    write_prompts,
)
from coemerge.corpus.store import TokenStore
from coemerge.files import file_digest, write_json, writing
from coemerge.prompts.encoding import Encoder
from coemerge.tables.store import read_table
from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.grammar_sentences import grammar_pairs


@dataclass(frozen=True)
class Dataset:
    """An opened data set. Tables are pyarrow tables (columns: ``tables.records``)."""

    directory: Path
    manifest: dict[str, Any]
    facts: pa.Table
    prompts: pa.Table
    tokenizer: PreTrainedTokenizerFast
    store: TokenStore

    @cached_property
    def plan(self) -> pa.Table:
        return read_table(self.directory / "plan.parquet")

    @cached_property
    def cooccurrence(self) -> pa.Table:
        """How often training showed two words of the grammar together (``CooccurrenceRecord``)."""
        return read_table(self._of_grammar("cooccurrence.parquet"))

    @cached_property
    def minimal_pairs(self) -> list[MinimalPair]:
        """Of the grammar that training showed, to be scored (``prompts.minimal_pairs``)."""
        return read_pairs(self._of_grammar("minimal_pairs.parquet"))

    def _of_grammar(self, name: str) -> Path:
        if not (self.directory / name).is_file():
            raise ValueError(
                f"{self.directory} has no {name}: it shows no grammar to be studied; train with "
                "experiment=syntax_and_facts, or set corpus.background.grammar_path"
            )
        return self.directory / name

    @property
    def content_hash(self) -> str:
        return str(self.manifest["content_hash"])

    @property
    def notes(self) -> dict[str, int]:
        """What was dropped, flagged or left out when it was built, and how often."""
        return dict(self.manifest["notes"])


def build_dataset(spec: DatasetSpec, directory: Path, progress: bool = True) -> Dataset:
    """Builds beside ``directory`` and renames at the end; an older data set there is replaced."""
    check_replaceable(directory)
    builder = DatasetBuilder(spec)
    temporary = directory.with_name(f".{directory.name}.building")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        tokenizer = builder.tokenizer()
        tokenizer.save_pretrained(temporary / "tokenizer")
        with writing(directory):
            store = builder.write_rows(temporary, tokenizer, progress)
        provenance = {"fingerprint": spec.fingerprint()}
        write_facts(temporary / "facts.parquet", builder.world, builder.plan, provenance)
        write_plan(temporary / "plan.parquet", builder.world, builder.plan, provenance)
        prompts = builder.prompts(Encoder(tokenizer))
        write_prompts(temporary / "prompts.parquet", prompts, provenance)
        if builder.grammar is not None:
            pairs = list(grammar_pairs(builder.grammar, spec.seed))
            write_pairs(temporary / "minimal_pairs.parquet", pairs, provenance)
            shown = temporary / "cooccurrence.parquet"
            write_cooccurrence(shown, builder.cooccurrence, provenance)
        counts = {
            "facts": len(builder.world.facts),
            "documents": store.n_documents,
            "background_documents": store.n_background,
            "rows": store.n_rows,
            "tokens": store.n_tokens,
        }
        notes = {reason: count for reason, count in builder.notes.items() if count}
        _write_manifest(temporary, spec, counts, notes)
        _replace(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    del builder
    return open_dataset(directory, spec)


def _replace(temporary: Path, directory: Path) -> None:
    """A kill leaves the older data set, none, or the new one; never a part of one."""
    old = directory.with_name(f".{directory.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        os.replace(directory, old)
    os.replace(temporary, directory)
    shutil.rmtree(old, ignore_errors=True)


def open_dataset(directory: Path, spec: DatasetSpec | None = None) -> Dataset:
    """Opens and verifies. Raises ValueError if files were changed, or if ``spec`` implies another
    data set than the one found."""
    manifest = read_data_manifest(directory)
    if spec is not None and manifest["fingerprint"] != spec.fingerprint():
        raise ValueError(
            f"{directory} holds the data set {manifest['fingerprint']}, but the configuration "
            f"implies {spec.fingerprint()}: remove the directory or build another one"
        )
    check_data_files(directory)
    return Dataset(
        directory,
        manifest,
        read_table(directory / "facts.parquet"),
        read_table(directory / "prompts.parquet"),
        PreTrainedTokenizerFast.from_pretrained(directory / "tokenizer"),
        TokenStore(directory),
    )


def _write_manifest(
    directory: Path, spec: DatasetSpec, counts: dict[str, int], notes: dict[str, int]
) -> None:
    files = {
        str(path.relative_to(directory)): file_digest(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    manifest = {
        "schema": DATA_SCHEMA,
        "fingerprint": spec.fingerprint(),
        "content_hash": _content_hash(files),
        "counts": counts,
        "notes": notes,
        "files": files,
    }
    write_json(directory / MANIFEST, manifest)


def _content_hash(files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
