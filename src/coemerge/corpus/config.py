"""Settings of a corpus and the identity of the data set that follows from them."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from coemerge.corpus.background import DRILL, BackgroundConfig, check_background
from coemerge.corpus.plan import available_tasks
from coemerge.corpus.plan_config import PlanConfig, check_plan_config
from coemerge.corpus.tokenizer_config import (
    TOKENIZER_FILES,
    TokenizerConfig,
    check_tokenizer_config,
)
from coemerge.files import file_digest
from coemerge.inputs import files_below
from coemerge.prompts.config import PromptsConfig
from coemerge.prompts.tasks import NAMING, get_task
from coemerge.prompts.templates import TemplateBook
from coemerge.worlds.facts import World, WorldConfig

DATA_SCHEMA = 2
_LONGEST_ROW = 1 << 20


@dataclass
class CorpusConfig:
    """``row_length`` is the training context in tokens. ``option_sets``: fresh (drawn anew for each
    document) or fixed (one set per fact)."""

    row_length: int = 128
    option_sets: str = "fresh"
    plan: PlanConfig = field(default_factory=PlanConfig)
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)


@dataclass(frozen=True)
class DatasetSpec:
    """Everything a data set is a function of. ``tokenizer_dir`` is a base model's folder; without
    one, a tokenizer is trained on the corpus."""

    world: WorldConfig
    prompts: PromptsConfig
    corpus: CorpusConfig
    seed: int
    tokenizer_dir: str = ""

    def check(self) -> None:
        """First line of defence; needs neither data nor a model. Raises ValueError."""
        self.world.check()
        check_plan_config(self.corpus.plan)
        check_background(self.corpus.background)
        self.prompts.frames()
        self._check_cues()
        if self.corpus.plan.names_relations and not self.prompts.naming_path:
            raise ValueError(
                f"prompts.naming_path: empty, but corpus.plan shows {NAMING}, which needs names of "
                "relations: add prompts=with_relations"
            )
        if self.corpus.option_sets not in ("fresh", "fixed"):
            raise ValueError(
                f"corpus.option_sets: {self.corpus.option_sets!r} is neither fresh nor fixed"
            )
        if not 16 <= self.corpus.row_length <= _LONGEST_ROW:
            raise ValueError(
                f"corpus.row_length: {self.corpus.row_length} is not in 16..{_LONGEST_ROW} tokens"
            )
        check_tokenizer_config(self.corpus.tokenizer)
        self._check_opening()

    def _check_opening(self) -> None:
        """Sentences of a grammar open with a word of their own, as every format does."""
        grammar, prompts = self.corpus.background.grammar(), self.prompts
        taken = [*prompts.cues.values(), prompts.cot_cue, prompts.list_cue]
        if grammar and grammar.opening.split()[0] in {cue.split()[0] for cue in taken}:
            raise ValueError(
                f"corpus.background.grammar_path: {self.corpus.background.grammar_path}: opening: "
                f"{grammar.opening!r} opens another format too ({taken})"
            )

    def _check_cues(self) -> None:
        """Formats beyond the core ones need a cue where they are shown."""
        plan, cues = self.corpus.plan, self.prompts.cues
        for task in (*plan.tasks, *plan.auxiliary):
            base = get_task(task).base
            if base not in cues and base != NAMING:
                raise ValueError(
                    f"prompts.cues.{base}: missing, but corpus.plan shows {task}: give the word "
                    "that opens this format"
                )

    def check_templates(self) -> None:
        """Raises ValueError naming file and entry, or a format that a relation has none for."""
        world, plan = self.world.build(), self.corpus.plan
        book = self.book(world)
        for name, relation in world.relations.items():
            restates = relation.inverse_of or relation.synonym_of
            helps = relation.auxiliary and not restates
            shown = [*plan.auxiliary] if helps else plan.tasks
            for task in map(get_task, available_tasks(relation, shown)):
                if not book.has(name, task):
                    raise ValueError(
                        f"corpus.plan.tasks: {task.name} needs {task.phrasing!r} phrasings of "
                        f"{name}: add them to {name}.yaml (prompts.own_templates_dir), or leave "
                        "out the task, or the relation (world.use)"
                    )

    def book(self, world: World) -> TemplateBook:
        return self.prompts.book(world, [DRILL])

    def fingerprint(self) -> str:
        """Hash of the settings, with input files by content instead of by path. Formats that a run
        may add, names of relations, phrasings of one's own, and a grammar to be studied, count
        where there are some: without, a data set is what it was before."""
        corpus, prompts = asdict(self.corpus), asdict(self.prompts)
        if not corpus["plan"]["added"]:
            del corpus["plan"]["added"]
        for key in ("naming_path", "own_templates_dir"):
            if not prompts[key]:
                del prompts[key]
        if not corpus["background"]["grammar_path"]:
            del corpus["background"]["grammar_path"]
        content = _with_files_hashed(
            {
                "schema": DATA_SCHEMA,
                "seed": self.seed,
                "world": asdict(self.world),  # type: ignore[call-overload]
                "prompts": prompts,
                "corpus": corpus,
                "tokenizer": self._tokenizer_digest(),
                "inputs": sorted(file_digest(path) for path in self.world.inputs()),
            }
        )
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _tokenizer_digest(self) -> dict[str, str]:
        folder = Path(self.tokenizer_dir)
        found = (folder / name for name in TOKENIZER_FILES) if self.tokenizer_dir else ()
        return {path.name: file_digest(path) for path in found if path.is_file()}


def _with_files_hashed(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: _with_files_hashed(v, k) for k, v in value.items()}
    if key.endswith(("path", "_dir")) and value:
        return path_digest(Path(value))
    return value


def path_digest(path: Path) -> str:
    """sha256 of a file, or of the names and contents of a folder's files, sorted."""
    digest = hashlib.sha256()
    files = [path]
    if path.is_dir():  # an editor's backups and the like are no input
        kept = (p for p in files_below(path) if p.name.strip(".~") == p.name)
        files = sorted(kept)
    for file in files:
        if path.is_dir():
            digest.update(str(file.relative_to(path)).encode())
        digest.update(file_digest(file).encode())
    return digest.hexdigest()
