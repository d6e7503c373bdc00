"""Builds a data set directory from its settings, and opens one that fits them.

``facts.parquet, plan.parquet, prompts.parquet, tokenizer/, tokens.bin, marks.bin, documents.bin,
store.json`` and, written last, ``manifest.json`` with the settings' fingerprint and every file's
hash. The same settings give the same bytes.
"""

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Encoding
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from coemerge.corpus.background import DRILL, Background
from coemerge.corpus.config import DATA_SCHEMA, DatasetSpec, file_digest
from coemerge.corpus.documents import Document, DocumentStream
from coemerge.corpus.packing import RowPacker, document_marks
from coemerge.corpus.plan import TASK_NAMES, TIMINGS, Plan, answer_counts, build_plan
from coemerge.corpus.store import TokenStore, TokenStoreWriter
from coemerge.corpus.tokenizer import train_tokenizer
from coemerge.files import write_json
from coemerge.prompts.build import Prompt, PromptBuilder
from coemerge.prompts.encoding import check_single_tokens
from coemerge.prompts.options import MIN_CANDIDATES, OptionSets
from coemerge.prompts.render import Renderer, Span
from coemerge.prompts.tasks import get_task
from coemerge.tables.store import read_table, write_table
from coemerge.worlds.facts import World

_CHUNK = 2048


@dataclass(frozen=True)
class Dataset:
    """An opened data set. Tables are pyarrow tables (columns: ``tables.records``)."""

    directory: Path
    manifest: dict[str, Any]
    facts: pa.Table
    plan: pa.Table
    prompts: pa.Table
    tokenizer: PreTrainedTokenizerFast
    store: TokenStore

    @property
    def content_hash(self) -> str:
        return str(self.manifest["content_hash"])


class DatasetBuilder:
    """Holds what the steps of a build share."""

    def __init__(self, spec: DatasetSpec) -> None:
        spec.check()
        self.spec = spec
        self.world: World = spec.world.build()
        self.plan: Plan = build_plan(self.world, spec.corpus.plan, spec.seed)
        counts = answer_counts(self.world, self.plan)
        fixed = spec.corpus.option_sets == "fixed"
        self.options = OptionSets(self.world, fixed, spec.seed, counts)
        self.book = spec.prompts.book([*self.world.relations, DRILL])
        self.renderer = Renderer(self.world, self.book, spec.prompts.frames())
        self._check_answer_sets()

    def documents(self) -> DocumentStream:
        background = Background(
            self.spec.corpus.background,
            self.world,
            self.book,
            self.renderer,
            self.options,
            self.spec.prompts.list_cue,
        )
        return DocumentStream(
            self.world,
            self.book,
            self.renderer,
            self.options,
            background,
            self.plan,
            self.spec.seed,
        )

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Trained on the stream's beginning; every answer is checked to be one token."""
        answers = sorted({o for objects in self.world.candidates.values() for o in objects})
        words = [*answers, *self.spec.prompts.answer_words()]
        texts = (document.text for document in self.documents())
        tokenizer = train_tokenizer(texts, words, self.spec.corpus.tokenizer)
        check_single_tokens(tokenizer, words)
        return tokenizer

    def write_rows(
        self, directory: Path, tokenizer: PreTrainedTokenizerFast, progress: bool
    ) -> TokenStoreWriter:
        packer = RowPacker(self.spec.corpus.row_length)
        pad, eos = int(tokenizer.pad_token_id), int(tokenizer.eos_token_id)
        bar = tqdm(self.documents(), desc="documents", unit="doc", disable=not progress)
        with TokenStoreWriter(directory, packer.row_length, len(tokenizer), pad) as store:
            for chunk in _chunks(bar):
                for document, ids, marks in _encode(tokenizer, eos, chunk):
                    for row in packer.add(document, ids, marks):
                        store.append(row)
            for row in packer.finish():
                store.append(row)
        return store

    def prompts(self, tokenizer: PreTrainedTokenizerFast) -> Iterator[Prompt]:
        """Prompts of the main relations' facts. Call after the documents were drawn: the option
        sets that count as seen are those that were shown."""
        builder = PromptBuilder(self.world, self.book, self.renderer, self.options, tokenizer)
        tasks = [get_task(name) for name in self.spec.corpus.plan.tasks]
        limit = self.spec.prompts.facts_per_relation
        for relation in self.world.main_relations():
            positions = self.world.positions[relation][:limit]
            can_ask = [
                t for t in tasks if t.base != "multihop" or self.world.relations[relation].bridge
            ]
            yield from builder.build([self.world.facts[i] for i in positions], can_ask)

    def _check_answer_sets(self) -> None:
        """Of every relation that is shown or scored with letters, auxiliary ones included."""
        plan = self.spec.corpus.plan
        lettered = [t for t in (*plan.tasks, *plan.auxiliary) if get_task(t).n_options]
        small = [
            r for r in self.world.relations if not self.options.supports(r) and self._letters(r)
        ]
        if small:
            raise ValueError(
                f"relations {small} have fewer than {MIN_CANDIDATES} objects: {lettered} cannot "
                "set option sets aside for scoring; enlarge world.types or drop these tasks"
            )

    def _letters(self, relation_id: str) -> bool:
        """Whether a relation is scored or shown in a lettered format."""
        positions, cells = self.world.positions[relation_id], self.plan.cells
        own = (cells["fact"] >= positions.start) & (cells["fact"] < positions.stop)
        tasks = [TASK_NAMES[code] for code in np.unique(cells["task"][own])]
        if relation_id in self.world.main_relations():
            tasks += self.spec.corpus.plan.tasks
        return any(get_task(task).n_options for task in tasks)


def build_dataset(spec: DatasetSpec, directory: Path, progress: bool = True) -> Dataset:
    """Builds beside ``directory`` and renames at the end; an older data set there is replaced."""
    builder = DatasetBuilder(spec)
    temporary = directory.with_name(f".{directory.name}.building")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        tokenizer = builder.tokenizer()
        tokenizer.save_pretrained(temporary / "tokenizer")
        store = builder.write_rows(temporary, tokenizer, progress)
        provenance = {"fingerprint": spec.fingerprint()}
        _write_facts(temporary, builder, provenance)
        _write_plan(temporary, builder, provenance)
        write_prompts(temporary / "prompts.parquet", builder.prompts(tokenizer), provenance)
        counts = {
            "facts": len(builder.world.facts),
            "documents": store.n_documents,
            "background_documents": store.n_background,
            "rows": store.n_rows,
            "tokens": store.n_tokens,
        }
        _write_manifest(temporary, spec, counts)
        shutil.rmtree(directory, ignore_errors=True)
        os.replace(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return open_dataset(directory, spec)


def open_dataset(directory: Path, spec: DatasetSpec | None = None) -> Dataset:
    """Opens and verifies. Raises ValueError if files were changed, or if ``spec`` implies another
    data set than the one found."""
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    if spec is not None and manifest["fingerprint"] != spec.fingerprint():
        raise ValueError(
            f"{directory} holds the data set {manifest['fingerprint']}, but the configuration "
            f"implies {spec.fingerprint()}: remove the directory or build another one"
        )
    for name, digest in manifest["files"].items():
        if file_digest(directory / name) != digest:
            raise ValueError(
                f"{directory / name} was changed after it was built (expected hash {digest[:12]}): "
                f"remove {directory} and build again"
            )
    return Dataset(
        directory,
        manifest,
        read_table(directory / "facts.parquet"),
        read_table(directory / "plan.parquet"),
        read_table(directory / "prompts.parquet"),
        PreTrainedTokenizerFast.from_pretrained(directory / "tokenizer"),
        TokenStore(directory),
    )


def write_prompts(path: Path, prompts: Iterable[Prompt], provenance: dict[str, Any]) -> None:
    """Writes the prompts table."""
    items = list(prompts)
    columns: dict[str, Any] = {
        name: [getattr(p, name) for p in items]
        for name in (
            "prompt_id fact_id task template_id split options variant text answer ids answer_ids "
            "candidate_ids option_order polarity answer_pos chance"
        ).split()
    }
    columns["relation"] = [p.relation_id for p in items]
    columns["subject_start"] = [p.subject_span[0] for p in items]
    columns["subject_stop"] = [p.subject_span[1] for p in items]
    columns["relation_spans"] = [list(itertools.chain(*p.relation_spans)) for p in items]
    write_table(path, "prompts", columns, provenance)


def _encode(
    tokenizer: PreTrainedTokenizerFast, eos: int, documents: list[Document]
) -> Iterator[tuple[Document, list[int], list[int]]]:
    """(document, ids with the closing token, marks)."""
    backend = tokenizer.backend_tokenizer
    encodings = backend.encode_batch([d.text for d in documents], add_special_tokens=False)
    for document, encoding in zip(documents, encodings, strict=True):
        ids = [*encoding.ids, eos]
        spans = [_token_span(encoding, document, answer) for answer in document.answers]
        yield document, ids, document_marks(len(ids), spans)


def _token_span(encoding: Encoding, document: Document, characters: Span) -> Span:
    first = encoding.char_to_token(characters[0])
    last = encoding.char_to_token(characters[1] - 1)
    if first is None or last is None:
        raise ValueError(f"an answer in {document.text!r} has no token of its own")
    return first, last + 1


def _chunks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    iterator = iter(documents)
    while chunk := list(itertools.islice(iterator, _CHUNK)):
        yield chunk


def _write_facts(directory: Path, builder: DatasetBuilder, provenance: dict[str, Any]) -> None:
    facts = list(builder.world.facts)
    columns = {
        "fact_index": range(len(facts)),
        "fact_id": [f.fact_id for f in facts],
        "relation": [f.relation_id for f in facts],
        "subject": [f.subject for f in facts],
        "object": [f.object for f in facts],
        "arm": [builder.plan.arm(i) for i in range(len(facts))],
        "detail": [builder.plan.detail(i) for i in range(len(facts))],
        "root_id": [f.root_id for f in facts],
    }
    write_table(directory / "facts.parquet", "facts", columns, provenance)


def _write_plan(directory: Path, builder: DatasetBuilder, provenance: dict[str, Any]) -> None:
    cells, facts = builder.plan.cells, builder.world.facts
    columns = {
        "fact_id": [facts[int(i)].fact_id for i in cells["fact"]],
        "task": [TASK_NAMES[i] for i in cells["task"]],
        "n_documents": cells["n_documents"],
        "timing": [TIMINGS[i] for i in cells["timing"]],
        "wording": cells["wording"],
        "start": cells["start"],
        "stop": cells["stop"],
    }
    write_table(directory / "plan.parquet", "plan", columns, provenance)


def _write_manifest(directory: Path, spec: DatasetSpec, counts: dict[str, int]) -> None:
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
        "files": files,
    }
    write_json(directory / "manifest.json", manifest)


def _content_hash(files: dict[str, str]) -> str:

    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
