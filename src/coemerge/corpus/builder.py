"""The parts of a data set, made one after the other as streams: documents, rows, prompts."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from coemerge.corpus.background import Background
from coemerge.corpus.config import DatasetSpec
from coemerge.corpus.cooccurrence import Cooccurrence
from coemerge.corpus.documents import BACKGROUND, Document, DocumentStream
from coemerge.corpus.packing import RowPacker, document_marks
from coemerge.corpus.plan import Plan, answer_counts, available_tasks, build_plan
from coemerge.corpus.store import TokenStoreWriter
from coemerge.corpus.tokenizer import train_tokenizer
from coemerge.prompts.build import Prompt, PromptBuilder
from coemerge.prompts.encoding import (
    Encoder,
    answer_span,
    check_first_tokens,
    check_single_tokens,
    words_sharing_a_start,
)
from coemerge.prompts.naming import Pairs
from coemerge.prompts.options import MIN_CANDIDATES, OptionSets
from coemerge.prompts.render import Renderer
from coemerge.prompts.tasks import get_task
from coemerge.worlds.facts import World

_CHUNK = 2048


class DatasetBuilder:
    """Holds what the steps of a build share. ``notes`` counts what a user should know of: what a
    lenient world dropped or flagged, and answers that are hard to score."""

    def __init__(self, spec: DatasetSpec) -> None:
        spec.check()
        self.spec = spec
        self._given = load_tokenizer(spec.tokenizer_dir) if spec.tokenizer_dir else None
        is_single = None
        if self._given is not None:
            encoder = Encoder(self._given)
            is_single = lambda word: len(encoder.answer_ids([word])[0]) == 1  # noqa: E731
        self.world: World = spec.world.build(is_single)
        self.notes: Counter[str] = Counter(self.world.notes)
        self.plan: Plan = build_plan(self.world, spec.corpus.plan, spec.seed)
        self.counts = answer_counts(self.world, self.plan)
        fixed = spec.corpus.option_sets == "fixed"
        self.options = OptionSets(self.world, fixed, spec.seed, self.counts)
        self.book = spec.book(self.world)
        self.renderer = Renderer(self.world, self.book, spec.prompts.frames())
        self.grammar = spec.corpus.background.grammar()
        self.cooccurrence = Cooccurrence(self.grammar.words if self.grammar else {})
        self._check_answer_sets()
        self._check_grammar()
        if spec.corpus.plan.names_relations:
            Pairs(self.world).check()

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
        """The given one, or one trained on the stream's beginning.

        With a tokenizer of our own, a strict world's answers are checked to be one token each, and
        the words of a grammar that is studied likewise; with
        any, letters, yes and no, and names of relations where they are asked for, are checked to
        differ in their first token.
        """
        answers = sorted({o for objects in self.world.candidates.values() for o in objects})
        words = self.spec.prompts.answer_words()
        if self.spec.corpus.plan.names_relations and self.book.naming:
            words += self.book.naming.answers
        tokenizer = self._given
        taught = [*answers, *words, *(self.grammar.words if self.grammar else ())]
        if tokenizer is None:
            texts = (document.text for document in self.documents())
            tokenizer = train_tokenizer(texts, taught, self.spec.corpus.tokenizer)
        encoder = Encoder(tokenizer)
        if self._given is None and self.world.strict:
            check_single_tokens(encoder, taught)
        check_first_tokens(encoder, words)
        self._note_answers(encoder)
        return tokenizer

    def _note_answers(self, encoder: Encoder) -> None:
        for objects in self.world.candidates.values():
            ids = encoder.answer_ids(objects)
            self.notes["answers of several tokens (scored in full)"] += sum(
                len(pieces) > 1 for pieces in ids
            )
            self.notes["answers that share their first token with another of the relation"] += len(
                words_sharing_a_start(objects, ids)
            )

    def write_rows(
        self, directory: Path, tokenizer: PreTrainedTokenizerFast, progress: bool
    ) -> TokenStoreWriter:
        """Documents, tokenised and packed, straight to disk; words of a grammar are counted."""
        packer = RowPacker(self.spec.corpus.row_length)
        encoder = Encoder(tokenizer)
        stream = self.documents()
        bar = tqdm(
            stream,
            desc="documents",
            unit="doc",
            total=stream.expected_size,
            disable=not progress,
            smoothing=0.05,
        )
        with TokenStoreWriter(directory, packer.row_length, encoder.size, encoder.pad) as store:
            for chunk in _chunks(bar):
                self.cooccurrence.add(document.text for document in chunk)
                for document, ids, marks in _encode(encoder, chunk, packer.row_length):
                    for row in packer.add(document, ids, marks):
                        store.append(row)
            for row in packer.finish():
                store.append(row)
        return store

    def prompts(self, encoder: Encoder) -> Iterator[Prompt]:
        """Prompts of the main relations' facts. Call after the documents were drawn: the option
        sets that count as seen are those that were shown."""
        builder = PromptBuilder(
            self.world, self.book, self.renderer, self.options, encoder, self.counts
        )
        limit = self.spec.prompts.facts_per_relation
        for name in self.world.main_relations():
            positions = self.world.positions[name][:limit]
            tasks = available_tasks(self.world.relations[name], self.spec.corpus.plan.tasks)
            facts = [self.world.facts[i] for i in positions]
            yield from builder.build(facts, [get_task(task) for task in tasks])
            if limit is not None and len(self.world.positions[name]) > limit:
                unasked = len(self.world.positions[name]) - limit
                self.notes[f"facts not scored (prompts.facts_per_relation={limit})"] += unasked

    def _check_grammar(self) -> None:
        """Words that are answers of the world too would tie syntax to facts."""
        objects = {o for objects in self.world.candidates.values() for o in objects}
        both = {*objects, *self.spec.prompts.answer_words()} & set(self.cooccurrence.words)
        if both and self.world.strict:
            raise ValueError(
                f"corpus.background.grammar_path: {self.spec.corpus.background.grammar_path}: "
                f"{sorted(both)} are answers to facts or formats too; take other words"
            )

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
        relation = self.world.relations[relation_id]
        shown = [task for name, task in self.counts if name == relation_id]
        asked = [] if relation.auxiliary else available_tasks(relation, self.spec.corpus.plan.tasks)
        return any(get_task(task).n_options for task in (*shown, *asked))


def load_tokenizer(directory: str) -> PreTrainedTokenizerFast:
    """A folder's tokenizer, never its code. Raises ValueError if it is not a fast one."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # faulty files are told in as many ways
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{directory}: its tokenizer cannot be read; code that comes with one is never run "
            f"({reason})"
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ValueError(f"{directory} has no fast tokenizer (tokenizer.json), which spans need")
    return tokenizer


def _encode(
    encoder: Encoder, documents: list[Document], row_length: int
) -> Iterator[tuple[Document, list[int], list[int]]]:
    """(document, ids with the closing token, marks). Background longer than a row is cut."""
    encodings = encoder.encode([d.text for d in documents])
    for document, (ids, offsets) in zip(documents, encodings, strict=True):
        spans = [answer_span(offsets, a, document.text) for a in document.answers]
        ids = [*ids, encoder.eos]
        if document.fact != BACKGROUND or spans or len(ids) <= row_length:
            yield document, ids, document_marks(len(ids), spans)
            continue
        step = row_length - len(encoder.prefix)
        for start in range(len(encoder.prefix), len(ids), step):
            piece = [*encoder.prefix, *ids[start : start + step]]
            yield document, piece, document_marks(len(piece), [])


def _chunks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    iterator = iter(documents)
    while chunk := list(itertools.islice(iterator, _CHUNK)):
        yield chunk
