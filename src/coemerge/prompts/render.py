"""The text of one question and its answer. A document is the two, closed with a full stop.

Every format starts with a cue of its own, and lettered options come right after it: an option's
slot can then be read off its position, so a small model only has to learn the match.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coemerge.prompts.tasks import CORE_TASKS, NAMING, TASKS, Task, get_task
from coemerge.prompts.templates import OBJECT, SUBJECT, TemplateBook
from coemerge.worlds.facts import Fact, World

Span = tuple[int, int]


@dataclass(frozen=True)
class Frames:
    """What surrounds a phrasing, per task: ``{phrase}`` and, for lettered tasks, ``{options}``.

    ``cot`` wraps a two-step form: ``{question}`` is the inner question without its answer cue,
    ``{reason}`` the restated fact. ``answer_cues`` close the prompt.
    """

    cues: Mapping[str, str]
    answer_cues: Mapping[str, str]
    cot_cue: str
    cot_reason: str
    letters: Sequence[str]
    yes: str
    no: str
    blank: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a fact, ready to be rendered.

    ``options`` are in the order shown (lettered tasks); ``claimed`` is the object that a
    verification asserts, or that a naming of relations shows beside the subject.
    """

    fact: Fact
    task: Task
    template_id: int
    options: Sequence[str] = ()
    claimed: str | None = None
    route_template_id: int = 0


@dataclass(frozen=True, slots=True)
class Rendered:
    """``subject`` and ``phrase`` (the whole phrasing; of a pair the whole prompt, as T-R3 wants it)
    are character spans in ``prompt``; ``joint`` stands between prompt and answer."""

    prompt: str
    answer: str
    subject: Span
    phrase: Span
    joint: str = " "

    @property
    def document(self) -> str:
        """Without a full stop after an answer that ends in a mark itself: a tokenizer may join
        them."""
        stop = "." if self.answer[-1:].isalnum() else ""
        return f"{self.prompt}{self.joint}{self.answer}{stop}"

    @property
    def answer_span(self) -> Span:
        start = len(self.prompt) + len(self.joint)
        return start, start + len(self.answer)

    def framed(self, before: str, after: str, joint: str) -> "Rendered":
        """The same question inside other text, such as that of a chat."""
        shift = len(before)
        (subject, phrase) = ((a + shift, b + shift) for a, b in (self.subject, self.phrase))
        return Rendered(before + self.prompt + after, self.answer, subject, phrase, joint)


class Renderer:
    """Renders questions of one world with one book of templates."""

    def __init__(self, world: World, book: TemplateBook, frames: Frames) -> None:
        self._world = world
        self._book = book
        self._frames = frames

    @property
    def letters(self) -> Sequence[str]:
        return self._frames.letters

    @property
    def yes_no(self) -> tuple[str, str]:
        return self._frames.yes, self._frames.no

    def render(self, question: Question) -> Rendered:
        """Raises ValueError if a verification or a pair has no claim or the options lack the
        object."""
        task = question.task
        cue = self._frames.cot_cue if task.route else self._frames.cues[task.base]
        head = cue
        if task.n_options:
            head += " " + self._option_list(question.options) + "."
        phrase, subject = self._phrase(question)
        start = len(head) + 1
        prompt = f"{head} {phrase}"
        if task.route:
            prompt += f" {self._frames.cot_reason} {self._restatement(question)}"
        answer_cue = self._frames.answer_cues.get(task.base, "")
        prompt += f" {answer_cue}" if answer_cue else ""
        return Rendered(
            prompt,
            self.answer(question),
            (start + subject[0], start + subject[1]),
            (0, len(prompt)) if task.asks == "relation" else (start, start + len(phrase)),
        )

    @property
    def claim_cue(self) -> str:
        return self._frames.cues["verification"]

    def option_head(self, options: Sequence[str]) -> str:
        """The opening of a multiple choice: its cue and the lettered options."""
        return f"{self._frames.cues['mcqa']} {self._option_list(options)}."

    def answer(self, question: Question) -> str:
        fact, task = question.fact, question.task
        if task.n_options:
            right = list(question.options).index(fact.object)
            return self._frames.letters[1 - right if task.base == "negmcqa" else right]
        if task.base == "verification":
            return self._frames.yes if question.claimed == fact.object else self._frames.no
        if task.base == NAMING:
            return self._relation_name(question)
        if task.base == "multihop":
            answer = self._world.bridge_answer(fact)
            if answer is None:
                raise ValueError(
                    f"relation {fact.relation_id!r} has no bridge: no multihop question"
                )
            return answer
        return fact.object

    def _relation_name(self, question: Question) -> str:
        naming = self._book.naming
        if naming is None:
            raise ValueError(f"prompts.naming_path: empty; {NAMING} needs names of relations")
        related = question.claimed == question.fact.object
        return naming.names[question.fact.relation_id] if related else naming.none

    def _phrase(self, question: Question) -> tuple[str, Span]:
        fact, task = question.fact, question.task
        text, shown = self._book.phrasing(fact.relation_id, task, question.template_id), ""
        if task.base == "completion":
            text = text[: text.index(OBJECT)].rstrip()
        elif task.base == "fitb":
            shown = self._frames.blank
        elif task.shows_object:
            if question.claimed is None:
                raise ValueError(f"{task.name} needs a claimed object")
            shown = question.claimed
        return _filled(text, fact.subject, shown)

    def _restatement(self, question: Question) -> str:
        """The fact in the route's wording, blank filled in, as a sentence."""
        route = get_task(str(question.task.route))
        fact = question.fact
        text = self._book.phrasing(fact.relation_id, route, question.route_template_id)
        text, _ = _filled(text, fact.subject, fact.object)
        return f"{text} {fact.object}." if route.phrasing == "question" else text

    def _option_list(self, options: Sequence[str]) -> str:
        return ", ".join(
            f"{letter} {option}"
            for letter, option in zip(self._frames.letters, options, strict=False)
        )


def _filled(text: str, subject: str, obj: str) -> tuple[str, Span]:
    """A phrasing with its slots filled, and the span of the subject; names may hold slots, too."""
    before, _, after = text.partition(SUBJECT)
    before, after = before.replace(OBJECT, obj), after.replace(OBJECT, obj)
    return before + subject + after, (len(before), len(before) + len(subject))


def check_frames(frames: Frames) -> None:
    """Raises ValueError unless every format starts with a word of its own, and answers differ."""
    missing = [name for name in CORE_TASKS if name not in frames.cues]
    if missing:
        raise ValueError(f"prompts.cues: missing {missing}")
    if unknown := sorted({*frames.cues, *frames.answer_cues} - TASKS.keys()):
        raise ValueError(f"prompts.cues, prompts.answer_cues: no such formats: {unknown}")
    cues = {**frames.cues, "cot": frames.cot_cue}
    first_words = [cue.split()[0] if cue.split() else "" for cue in cues.values()]
    for task, word in zip(cues, first_words, strict=True):
        if not word or first_words.count(word) > 1:
            raise ValueError(
                f"prompts.cues.{task}: the first word {word!r} must be there and differ from the "
                f"other formats' ({cues}): formats that share an opening hold each other back"
            )
    n_letters = max(task.n_options for task in TASKS.values())
    if len(set(frames.letters)) < max(n_letters, len(frames.letters)):
        raise ValueError(
            f"prompts.letters: {n_letters} different ones are needed, got {list(frames.letters)}"
        )
    if frames.yes == frames.no:
        raise ValueError(f"prompts.yes and prompts.no are both {frames.yes!r}")
    for word in (*frames.letters, frames.yes, frames.no):
        if word.split() != [word]:
            raise ValueError(f"prompts.letters, yes, no: {word!r} is not one word")
    for text in (*cues.values(), *frames.answer_cues.values(), frames.cot_reason, frames.blank):
        if not text.isprintable() or text != text.strip() or SUBJECT in text or OBJECT in text:
            raise ValueError(
                f"prompts: {text!r} around a phrasing needs to be one line, without spaces at its "
                f"ends and without {SUBJECT} or {OBJECT}"
            )
    if not frames.cot_reason or not frames.blank:
        raise ValueError("prompts.cot_reason, prompts.blank: must not be empty")
