"""Text without facts: grammar, repeated lists, format drills, or the user's own files.

Drills ask the lettered formats and verification about words alone ("which of these is cello?"), so
that a format can be learnt without any fact. A lookup names each option of a list again, directly
followed by its letter, and a comparison two words, directly followed by yes or no: matching words
is then one step of attention instead of two that are useless without each other, and small models
leave chance much sooner (docs/formats.md). None of them shows a reserved option set.

Drills of two-step forms (``drill_cot_<route>_<task>``) restate something about a person made up for
one document, and then answer: nothing but the restatement tells the answer, so that it has to be
read. Documents about facts do not ask for that, since these are known without restating them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from coemerge.corpus.own_texts import check_texts, endless_texts
from coemerge.prompts.options import OptionSets
from coemerge.prompts.render import Question, Renderer, Span
from coemerge.prompts.tasks import TASKS, Task, get_task
from coemerge.prompts.templates import TemplateBook
from coemerge.worlds.agreement import agreement_sentence
from coemerge.worlds.facts import Fact, World
from coemerge.worlds.grammar import Grammar, load_grammar
from coemerge.worlds.grammar_sentences import Sentences
from coemerge.worlds.names import invent_words

DRILL = "drill"  # the pseudo-relation of a word with itself; its template file is drill.yaml
_LIST_LENGTH = 5
_PAIRS = 4


@dataclass
class BackgroundConfig:
    """``share``: share of background documents; ``early_share`` until ``early_until`` (a fraction
    of the fact documents). ``mix`` weighs the kinds: grammar, lists, lookup, comparison,
    drill_<task> (of two-step forms too), files; the last counts when there is a ``path`` (.txt,
    .jsonl). ``grammar_path``: a grammar to be studied (``worlds.grammar``), which takes the place
    of the small built-in one; its counts and minimal pairs are kept with the data set."""

    share: float = 0.25
    early_share: float = 0.25
    early_until: float = 0.0
    mix: dict[str, float] = field(default_factory=dict)
    path: str | None = None
    grammar_path: str = ""

    def grammar(self) -> Grammar | None:
        """Raises ValueError naming the file and what is wrong with it."""
        return load_grammar(Path(self.grammar_path)) if self.grammar_path else None


@dataclass(frozen=True, slots=True)
class Text:
    """A text and the character spans of the answers in it."""

    text: str
    answers: tuple[Span, ...] = ()


class Background:
    """Draws background texts. Raises ValueError for an unknown kind or an empty mix."""

    def __init__(
        self,
        config: BackgroundConfig,
        world: World,
        book: TemplateBook,
        renderer: Renderer,
        option_sets: OptionSets,
        list_cue: str,
    ) -> None:
        self._config = config
        self._world = world
        self._book = book
        self._renderer = renderer
        self._options = option_sets
        self._list_cue = list_cue
        self._relations = world.main_relations()
        self._words = sorted({w for r in self._relations for w in world.candidates[r]})
        check_background(config)
        self._kinds = [k for k in config.mix if self._can_draw(k)] or ["grammar"]
        weights = np.array([config.mix.get(k, 1.0) for k in self._kinds])
        self._bounds = np.cumsum(weights / weights.sum())
        self._file_texts = endless_texts(Path(config.path)) if config.path else None
        grammar = config.grammar()
        self._sentences = Sentences(grammar) if grammar else None

    def _can_draw(self, kind: str) -> bool:
        """Files need a path, lists and letters a world of some words."""
        if kind == "files":
            return bool(self._config.path)
        if kind.startswith("drill_cot_"):
            sizes = [len(self._world.candidates[relation]) for relation in self._relations]
            return min(sizes, default=0) >= _LIST_LENGTH
        few = len(self._words) < _LIST_LENGTH
        return not (few and kind in ("lists", "lookup", "drill_mcqa"))

    def share_at(self, time: float) -> float:
        early = time < self._config.early_until
        return self._config.early_share if early else self._config.share

    @property
    def mean_share(self) -> float:
        """Over the whole corpus, roughly: background documents per document."""
        until = self._config.early_until
        per_fact = [s / (1 - s) for s in (self._config.early_share, self._config.share)]
        ratio = until * per_fact[0] + (1 - until) * per_fact[1]
        return ratio / (1 + ratio)

    def draw(self, rng: np.random.Generator) -> Text:
        kind = self._kinds[int(np.searchsorted(self._bounds, rng.random()))]
        if kind.startswith("drill_"):
            return self._drill(kind.removeprefix("drill_"), rng)
        makers: dict[str, Callable[[np.random.Generator], Text]] = {
            "grammar": self._grammatical,
            "lists": self._repeated_list,
            "lookup": self._lookup,
            "comparison": self._comparison,
            "files": self._from_files,
        }
        return makers[kind](rng)

    def _grammatical(self, rng: np.random.Generator) -> Text:
        if self._sentences is not None:
            return Text(self._sentences.draw(rng))
        return Text(agreement_sentence(rng).capitalize())

    def _from_files(self, rng: np.random.Generator) -> Text:
        assert self._file_texts is not None
        return Text(next(self._file_texts))

    def _repeated_list(self, rng: np.random.Generator) -> Text:
        """A list of words and the same list again: nothing but copying predicts the second."""
        picks = rng.choice(len(self._words), size=_LIST_LENGTH, replace=False)
        names = " ".join(self._words[i] for i in picks)
        return Text(f"{self._list_cue} {names}; {names}.")

    def _lookup(self, rng: np.random.Generator) -> Text:
        """A lettered list, then its words in another order, each with its letter."""
        options = self._draw_options(len(self._renderer.letters), rng)
        text, answers = self._renderer.option_head(options), []
        for place in rng.permutation(len(options)):
            text += f" {options[place]} "
            answers.append((len(text), len(text) + len(self._renderer.letters[place])))
            text += f"{self._renderer.letters[place]},"
        return Text(text[:-1] + ".", tuple(answers))

    def _comparison(self, rng: np.random.Generator) -> Text:
        """Pairs of words, each with yes if they are equal, else no."""
        text, answers = self._renderer.claim_cue, []
        yes, no = self._renderer.yes_no
        for _ in range(_PAIRS):
            first, second = self._draw_options(2, rng)
            same = rng.random() < 0.5
            text += f" {first} {first if same else second} "
            verdict = yes if same else no
            answers.append((len(text), len(text) + len(verdict)))
            text += f"{verdict},"
        return Text(text[:-1] + ".", tuple(answers))

    def _drill(self, task_name: str, rng: np.random.Generator) -> Text:
        task = get_task(task_name)
        if task.route:
            return self._made_up(task, get_task(task.route), rng)
        options = self._draw_options(max(task.n_options, 2), rng)
        word = options[int(rng.integers(len(options)))]
        seen = self._book.seen(DRILL, task)
        question = Question(
            Fact("", DRILL, word, word),
            task,
            int(rng.integers(len(seen))),
            options=options,
            claimed=word if rng.random() < 0.5 else next(o for o in options if o != word),
        )
        rendered = self._renderer.render(question)
        return Text(rendered.document, (rendered.answer_span,))

    def _made_up(self, task: Task, route: Task, rng: np.random.Generator) -> Text:
        """A two-step form about a subject that no other document names."""
        relation = self._relations[int(rng.integers(len(self._relations)))]
        example = self._world.facts[self._world.positions[relation][0]].subject
        subject = " ".join(invent_words(len(example.split()), rng))
        options = self._not_reserved(self._world.candidates[relation], max(task.n_options, 2), rng)
        word, other = (options[i] for i in rng.permutation(len(options))[:2])
        template, route_template = (
            int(rng.integers(len(self._book.seen(relation, form)))) for form in (task, route)
        )
        question = Question(
            Fact("", relation, subject, word),
            task,
            template,
            options=options,
            claimed=word if rng.random() < 0.5 else other,
            route_template_id=route_template,
        )
        rendered = self._renderer.render(question)
        return Text(rendered.document, (rendered.answer_span,))

    def _draw_options(self, n: int, rng: np.random.Generator) -> list[str]:
        """``n`` words of one answer set or of all; never a reserved set."""
        relation = self._relations[int(rng.integers(len(self._relations)))]
        pool = self._world.candidates[relation] if rng.random() < 0.5 else self._words
        return self._not_reserved(self._words if len(pool) < n else pool, n, rng)

    def _not_reserved(self, pool: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
        while True:
            options = [pool[i] for i in rng.choice(len(pool), size=n, replace=False)]
            if not self._is_reserved(options):
                return options

    def _is_reserved(self, options: Sequence[str]) -> bool:
        return any(
            set(options) <= set(self._world.candidates[r]) and self._options.is_reserved(r, options)
            for r in self._relations
            if self._options.supports(r)
        )


def check_background(config: BackgroundConfig) -> None:
    """Raises ValueError naming the key."""
    drilled = (t for t in TASKS.values() if t.kind == "discriminative" and t.asks != "relation")
    drills = {f"drill_{task.name}" for task in drilled}
    known = {"grammar", "lists", "lookup", "comparison", "files", *drills}
    unknown = set(config.mix) - known
    if unknown:
        raise ValueError(
            f"corpus.background.mix: unknown {sorted(unknown)}; known: {sorted(known)}"
        )
    for key in ("share", "early_share"):
        if not 0 <= getattr(config, key) < 1:
            raise ValueError(f"corpus.background.{key}: must be in [0, 1)")
    if not 0 <= config.early_until <= 1:
        raise ValueError("corpus.background.early_until: must be in [0, 1]")
    if config.grammar() and not config.mix.get("grammar", 0) > 0:
        raise ValueError(
            f"corpus.background.grammar_path: {config.grammar_path} is never drawn from: "
            "corpus.background.mix.grammar is 0"
        )
    if config.share == config.early_share == 0:
        return  # nothing is drawn
    weights = config.mix.values()
    if not all(0 <= weight < math.inf for weight in weights) or not sum(weights) > 0:
        raise ValueError(
            f"corpus.background.mix: weights must be finite, not negative, nor all zero: "
            f"{config.mix}"
        )
    usable = {k: w for k, w in config.mix.items() if k != "files" or config.path}
    if not sum(usable.values()) > 0:
        raise ValueError("corpus.background.mix: nothing is left to draw; give weights or a path")
    if config.path and not config.mix.get("files", 0) > 0:
        raise ValueError(
            f"corpus.background.path: {config.path} is never drawn from: "
            "corpus.background.mix.files is 0"
        )
    if config.path == "":
        raise ValueError("corpus.background.path: is empty; name a file, or null for none")
    if config.path:
        check_texts(Path(config.path))
