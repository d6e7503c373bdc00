"""The control for noise on the relation: noise on as many words that say nothing of the fact.

The relation's tokens stand around the subject, so that corrupting them also takes away what is
asked (methods 4.6). The neutral ones belong to statements of other facts that stand before the
prompt; what is compared is measured behind them, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from coemerge.localization.tracing_prompts import TracedPrompt, positions_of
from coemerge.scoring.forward import answers_right
from coemerge.studies.shared.contexts import behind


@dataclass(frozen=True)
class NeutralTexts:
    """``prompts`` [N], their ``relations`` and ``statements`` (prompt, answer and what stands
    between two statements, of ``n_separator`` tokens). ``opening``: the token that opens a
    document; ``context``: tokens that the model can read, None: any number. ``draws``: texts tried
    before each prompt, in an order that depends on ``seed``."""

    prompts: Sequence[TracedPrompt]
    relations: Sequence[str]
    statements: Sequence[list[int]]
    n_separator: int
    opening: int | None
    context: int | None
    draws: int
    seed: int

    def before(self, index: int) -> Iterator[TracedPrompt]:
        """One prompt behind ever other statements of facts of other relations, which hold as many
        tokens as its relation, so that those can be its ``neutral`` span."""
        prompt = self.prompts[index]
        size = len(positions_of(prompt.relation))
        order = np.random.default_rng((self.seed, index)).permutation(self._others(index))
        for start in range(min(self.draws, len(order))):
            text = self._text(np.roll(order, -start), size)
            if text is None:
                return
            ids = behind(text, prompt.ids, self.opening)
            if self.context is None or len(ids) <= self.context:
                yield _moved(prompt, ids, len(text) - self.n_separator, size)

    def _others(self, index: int) -> list[int]:
        """Facts with another answer, of other relations; of the same where it is the only one."""
        own, relation = self.prompts[index].answer, self.relations[index]
        others = [i for i, prompt in enumerate(self.prompts) if prompt.answer != own]
        return [i for i in others if self.relations[i] != relation] or others

    def _text(self, order: np.ndarray, size: int) -> list[int] | None:
        """As few statements as have ``size`` tokens, the first one of all, which gets no noise, and
        the last separator aside."""
        text: list[int] = []
        for other in order:
            statement = self.statements[other]
            text = behind(text, statement, self.opening) if text else statement
            if len(text) - self.n_separator > size:
                return text
        return None


def _moved(prompt: TracedPrompt, ids: list[int], stop: int, size: int) -> TracedPrompt:
    """The prompt at the end of ``ids``, its neutral tokens before ``stop``."""
    shift = len(ids) - len(prompt.ids)
    subject, *relation = [(a + shift, b + shift) for a, b in (prompt.subject, *prompt.relation)]
    neutral = [(stop - size, stop)]
    return replace(prompt, ids=ids, subject=subject, relation=relation, neutral=neutral)


def behind_neutral_texts(
    model: nn.Module, texts: NeutralTexts
) -> tuple[list[int], list[TracedPrompt]]:
    """Which prompts, and these behind the first text under which the answer stays the likeliest,
    or the last of those tried where there is none. Prompts that are not answered right without a
    text, and those that no text fits, are left out."""
    right = np.flatnonzero(_right(model, texts.prompts)).tolist()
    tries = {index: texts.before(index) for index in right}
    found: dict[int, TracedPrompt] = {}
    while tries:
        drawn = {index: prompt for index, left in tries.items() if (prompt := next(left, None))}
        found |= drawn
        stays = _right(model, list(drawn.values()))
        tries = {index: tries[index] for index, stay in zip(drawn, stays, strict=True) if not stay}
    where = sorted(found)
    return where, [found[index] for index in where]


def _right(model: nn.Module, prompts: Sequence[TracedPrompt]) -> np.ndarray:
    """bool [N]: whether the answer is the likeliest."""
    return answers_right(model, [p.ids for p in prompts], [[p.answer] for p in prompts])
