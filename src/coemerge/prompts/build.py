"""The prompts to score: every fact in every task and paraphrase, rotated and in both polarities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from coemerge.prompts.encoding import Encoder, encode_documents
from coemerge.prompts.naming import UNRELATED_SHARE
from coemerge.prompts.options import AnswerCounts, OptionSets
from coemerge.prompts.render import Question, Renderer, Span
from coemerge.prompts.tasks import Options, Split, Task, chance_level
from coemerge.prompts.templates import TemplateBook
from coemerge.worlds.facts import Fact, World


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt to score (methods 2.2). Spans are token spans [a, b) in ``ids``.

    ``answer_pos`` is the index whose logits predict the first answer token. ``candidate_ids`` are
    the first tokens of all allowed answers (the answer set, the letters, yes and no, or relations'
    names and none). ``chance`` is a uniform guesser's, ``prior`` that of one who knows how often
    each answer is right. ``variant`` numbers the rotations or polarities of one paraphrase.
    """

    prompt_id: str
    fact_id: str
    relation_id: str
    task: str
    template_id: int
    split: Split
    options: Options
    variant: int
    text: str
    answer: str
    ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    candidate_ids: tuple[int, ...]
    option_order: tuple[str, ...]
    polarity: str
    subject_span: Span
    relation_spans: tuple[Span, ...]
    chance: float
    prior: float

    @property
    def answer_pos(self) -> int:
        return len(self.ids) - 1


_SUREST = 0.99  # a prior of 1 would leave nothing to score


class PromptBuilder:
    """Builds prompts of one world; knows which option sets are as trained and which are fresh."""

    def __init__(
        self,
        world: World,
        book: TemplateBook,
        renderer: Renderer,
        option_sets: OptionSets,
        encoder: Encoder,
        answer_counts: AnswerCounts,
    ) -> None:
        self._world = world
        self._book = book
        self._renderer = renderer
        self._options = option_sets
        self._encoder = encoder
        self._counts = answer_counts
        self._allowed: dict[tuple[str, str], tuple[int, ...]] = {}

    def build(self, facts: Sequence[Fact], tasks: Sequence[Task]) -> Iterator[Prompt]:
        """All prompts of ``facts`` in ``tasks``: seen and held-out paraphrases, all variants."""
        for fact in facts:
            for task in tasks:
                if self._book.has(fact.relation_id, task):
                    yield from self._of_fact(fact, task)

    def _of_fact(self, fact: Fact, task: Task) -> Iterator[Prompt]:
        seen = self._book.seen(fact.relation_id, task)
        templates = [*seen, *self._book.held_out(fact.relation_id, task)]
        kinds: tuple[Options, ...] = ("seen", "fresh") if task.n_options else ("none",)
        plan = [
            (kind, variant, question)
            for kind in kinds
            for variant, question in self._questions(fact, task, templates, kind)
        ]
        rendered = [self._renderer.render(question) for _, _, question in plan]
        allowed = self._allowed_ids(fact, task)
        chance = chance_level(task, len(self._answers(fact, task)))
        prior = self._prior(fact, task, chance)
        for (kind, variant, question), text, encoded in zip(
            plan, rendered, encode_documents(self._encoder, rendered), strict=True
        ):
            template_id = question.template_id
            yield Prompt(
                prompt_id=f"{fact.fact_id}/{task.name}/{template_id}/{kind}/{variant}",
                fact_id=fact.fact_id,
                relation_id=fact.relation_id,
                task=task.name,
                template_id=template_id,
                split="seen_templates" if template_id in seen else "held_out_templates",
                options=kind,
                variant=variant,
                text=text.prompt,
                answer=text.answer,
                ids=tuple(encoded.ids[: encoded.answer[0]]),
                answer_ids=tuple(encoded.ids[slice(*encoded.answer)]),
                candidate_ids=allowed,
                option_order=tuple(question.options),
                polarity=_polarity(question),
                subject_span=encoded.subject,
                relation_spans=encoded.relation_spans,
                chance=chance,
                prior=prior,
            )

    def _questions(
        self, fact: Fact, task: Task, templates: Sequence[int], kind: Options
    ) -> Iterator[tuple[int, Question]]:
        """(variant, question): one per rotation of the options, or per polarity (a pair that the
        relation joins, and one that none does)."""
        if task.n_options:
            draw = self._options.seen if kind == "seen" else self._options.fresh
            sets = draw(fact, task, len(templates))
            for template_id, others in zip(templates, sets, strict=False):
                base = Question(fact, task, template_id)
                for position in range(task.n_options):
                    order = (*others[:position], fact.object, *others[position:])
                    yield position, replace(base, options=order)
        elif task.shows_object:
            for template_id, false in zip(
                templates, self._options.false_claims(fact, task, len(templates)), strict=True
            ):
                for variant, claimed in enumerate((fact.object, false)):
                    yield variant, Question(fact, task, template_id, claimed=claimed)
        else:
            for template_id in templates:
                yield 0, Question(fact, task, template_id)

    def _answer_relation(self, fact: Fact, task: Task) -> str:
        bridge = self._world.relations[fact.relation_id].bridge
        return bridge if task.base == "multihop" and bridge else fact.relation_id

    def _allowed_ids(self, fact: Fact, task: Task) -> tuple[int, ...]:
        key = (self._answer_relation(fact, task), task.base)
        if key not in self._allowed:
            first = (ids[0] for ids in self._encoder.answer_ids(self._answers(fact, task)))
            self._allowed[key] = tuple(dict.fromkeys(first))
        return self._allowed[key]

    def _answers(self, fact: Fact, task: Task) -> Sequence[str]:
        """All words that a question of this kind may be answered by."""
        if task.n_options:
            return self._renderer.letters[: task.n_options]
        if task.asks == "truth":
            return self._renderer.yes_no
        if task.asks == "relation" and self._book.naming:
            return self._book.naming.answers
        return self._world.candidates[self._answer_relation(fact, task)]

    def _prior(self, fact: Fact, task: Task, chance: float) -> float:
        """How often a guesser who knows only the answers' frequencies in training is right.

        Of a pair, one who also knows which relation has such objects: it is that one or none.
        """
        if task.asks == "relation":
            return UNRELATED_SHARE
        relation = self._answer_relation(fact, task)
        counts = self._counts.get((fact.relation_id, task.base))
        if task.kind == "discriminative" or task.base == "multihop" or counts is None:
            return chance
        rank = self._world.candidates[relation].index(fact.object)
        share = float(counts[rank] / max(counts.sum(), 1))
        return min(share, _SUREST)


def _polarity(question: Question) -> str:
    if question.claimed is None:
        return ""
    return "true" if question.claimed == question.fact.object else "false"
