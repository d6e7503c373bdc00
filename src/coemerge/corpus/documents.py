"""The stream of documents in training order, drawn in chunks so that memory stays flat."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from coemerge.corpus.background import Background
from coemerge.corpus.patterns import TASK_NAMES
from coemerge.corpus.plan import Plan, document_times
from coemerge.prompts.naming import UNRELATED_SHARE
from coemerge.prompts.options import OptionSets
from coemerge.prompts.render import Question, Renderer, Span
from coemerge.prompts.tasks import Task, get_task
from coemerge.prompts.templates import TemplateBook
from coemerge.worlds.facts import Fact, World

FORMS = ("direct", "inverse", "synonym", "relation", "cot")
BACKGROUND = -1
_CHUNK = 4096
_TIMES, _TEXTS = 1, 2  # salts of the generators


@dataclass(frozen=True, slots=True)
class Document:
    """A text with what it states: ``fact`` is its position in the world, BACKGROUND if none.

    ``answers`` are the character spans of the answers in the text.
    """

    text: str
    answers: tuple[Span, ...] = ()
    fact: int = BACKGROUND
    task: int = BACKGROUND
    template_id: int = BACKGROUND
    form: int = BACKGROUND


class DocumentStream:
    """Iterates over all documents of a plan, background interleaved. Same seed, same documents."""

    def __init__(
        self,
        world: World,
        book: TemplateBook,
        renderer: Renderer,
        option_sets: OptionSets,
        background: Background,
        plan: Plan,
        seed: int,
    ) -> None:
        self._world = world
        self._book = book
        self._renderer = renderer
        self._options = option_sets
        self._background = background
        self._plan = plan
        self._seed = seed

    @property
    def expected_size(self) -> int:
        """Documents in all, background as it comes on average; for a progress bar."""
        return round(self._plan.n_documents / (1 - self._background.mean_share))

    def __iter__(self) -> Iterator[Document]:
        times_rng = np.random.default_rng([self._seed, _TIMES])
        owners, times = document_times(self._plan.cells, times_rng)
        for chunk, start in enumerate(range(0, len(owners), _CHUNK)):
            rng = np.random.default_rng([self._seed, _TEXTS, chunk])
            for k in range(start, min(start + _CHUNK, len(owners))):
                share = self._background.share_at(float(times[k]))
                while rng.random() < share:
                    drawn = self._background.draw(rng)
                    yield Document(drawn.text, drawn.answers)
                yield self._document(self._plan.cells[owners[k]], rng)

    def _document(self, cell: np.void, rng: np.random.Generator) -> Document:
        index = int(cell["fact"])
        fact = self._world.facts[index]
        task = get_task(TASK_NAMES[cell["task"]])
        question = self._question(fact, task, int(cell["wording"]), rng)
        rendered = self._renderer.render(question)
        return Document(
            rendered.document,
            (rendered.answer_span,),
            index,
            int(cell["task"]),
            question.template_id,
            FORMS.index(self._form(fact, task)),
        )

    def _question(self, fact: Fact, task: Task, wording: int, rng: np.random.Generator) -> Question:
        seen = self._book.seen(fact.relation_id, task)
        template_id = wording if wording >= 0 else int(rng.integers(len(seen)))
        options: list[str] = []
        claimed = None
        if task.n_options:
            options = list(self._options.for_training(fact, task, rng))
            options.insert(int(rng.integers(task.n_options)), fact.object)
        if task.shows_object:
            is_true = rng.random() < 1 - UNRELATED_SHARE
            claimed = fact.object if is_true else self._options.false_claim(fact, task, rng)
        route = 0
        if task.route:
            route = int(rng.integers(len(self._book.seen(fact.relation_id, get_task(task.route)))))
        return Question(fact, task, template_id, options, claimed, route)

    def _form(self, fact: Fact, task: Task) -> str:
        if fact.inverse_of:
            return "inverse"
        if fact.synonym_of:
            return "synonym"
        return task.form
