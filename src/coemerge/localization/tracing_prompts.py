"""Prompts for causal tracing: which tokens are corrupted, and the role that each token plays.

Spans are [a, b): the first token and the one after the last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from coemerge.interventions.architecture import ModuleMap
from coemerge.localization.knowledge_neurons import check_tokens
from coemerge.localization.tracing_config import TracingConfig

Span = tuple[int, int]

SUBJECT_ROLES = (
    "first_subject",
    "middle_subject",
    "last_subject",
    "first_subsequent",
    "further",
    "last",
)
SPAN_ROLES = ("first_corrupted", "middle_corrupted", "last_corrupted", "subject", "other", "last")


@dataclass(frozen=True)
class TracedPrompt:
    """A prompt's token ``ids``, the ``answer`` token asked for after it, and its spans.

    ``relation``: usually all tokens outside the subject without the last, where the answer is
    predicted. ``neutral``: tokens of neither, as many as those that they are compared with.
    """

    ids: Sequence[int]
    answer: int
    subject: Span
    relation: Sequence[Span] = ()
    neutral: Sequence[Span] = ()

    def spans(self, corrupt: str) -> list[Span]:
        """What ``TracingConfig.corrupt`` means here."""
        return {
            "subject": [self.subject],
            "relation": [*self.relation],
            "both": [self.subject, *self.relation],
            "neutral": [*self.neutral],
        }[corrupt]

    def corrupted(self, corrupt: str) -> list[int]:
        """The positions, in order."""
        return positions_of(self.spans(corrupt))


def positions_of(spans: Iterable[Span]) -> list[int]:
    return sorted({position for span in spans for position in range(*span)})


def outside_subject(n_tokens: int, subject: Span, n_prefix: int = 0) -> list[Span]:
    """The relation's spans (methods 4.4): all tokens but the subject's, the last, where the answer
    is predicted, and ``n_prefix`` that the tokenizer puts before every text."""
    parts = [(n_prefix, subject[0]), (max(subject[1], n_prefix), n_tokens - 1)]
    return [(start, stop) for start, stop in parts if start < stop]


def neutral_span(n_tokens: int, taken: Iterable[Span], size: int, n_prefix: int = 0) -> Span:
    """The first ``size`` neighbouring tokens that are in none of the spans ``taken``, nor the last
    token, nor one of the ``n_prefix`` first ones. Raises ValueError where there are none."""
    used = {*positions_of(taken), n_tokens - 1}
    for start in range(n_prefix, n_tokens - size):
        if used.isdisjoint(range(start, start + size)):
            return start, start + size
    raise ValueError(
        f"{n_tokens} tokens have no {size} neighbours outside of the subject, the relation and the "
        "last one: put neutral words before the prompt, or give the relation a narrower span"
    )


def role_names(corrupt: str) -> tuple[str, ...]:
    """The six columns of ``role_masks``."""
    return SUBJECT_ROLES if corrupt in ("subject", "both") else SPAN_ROLES


def role_masks(prompt: TracedPrompt, corrupt: str) -> np.ndarray:
    """bool [T,6]: which tokens play which role, as in methods 2.8 (subject) and 4.4 (relation).

    As in the public code, tokens before the subject play none, a span of one token is both its
    first and its last, and the prompt's last token is ``last`` alone, or also the first after the
    subject. Around other spans, subject tokens are ``subject`` wherever they lie, and what remains
    is ``other``.
    """
    n_tokens = len(prompt.ids)
    roles = np.zeros((n_tokens, 6), bool)
    around_subject = role_names(corrupt) == SUBJECT_ROLES
    corrupted = positions_of([prompt.subject] if around_subject else prompt.spans(corrupt))
    roles[corrupted[0], 0] = roles[corrupted[-1], 2] = True
    roles[corrupted[1:-1], 1] = True
    if around_subject:
        roles[prompt.subject[1] : prompt.subject[1] + 1, 3] = True
        roles[prompt.subject[1] + 1 : n_tokens - 1, 4] = True
    else:
        roles[slice(*prompt.subject), 3] = True
        roles[~roles.any(1), 4] = True
        roles[-1, 4] = False
    roles[-1, 5] = True
    return roles


def check_prompts(
    modules: ModuleMap, prompts: Sequence[TracedPrompt], config: TracingConfig
) -> None:
    """Raises ValueError, naming the prompt and the span, for spans that are empty, leave the prompt
    or share tokens, and for tokens and lengths that the model does not know."""
    check_tokens(modules, [p.ids for p in prompts], [[p.answer] for p in prompts])
    for n, prompt in enumerate(prompts):
        parts = {"subject": [prompt.subject], "relation": prompt.relation}
        if config.corrupt == "neutral":
            parts["neutral"] = prompt.neutral
        seen: set[int] = set()
        for name, spans in parts.items():
            for start, stop in spans:
                if not 0 <= start < stop <= len(prompt.ids):
                    raise ValueError(
                        f"prompt {n}: the {name} span {start, stop} is empty or not in the "
                        f"{len(prompt.ids)} tokens of the prompt"
                    )
                if not seen.isdisjoint(range(start, stop)):
                    raise ValueError(
                        f"prompt {n}: the {name} span {start, stop} shares tokens with another one"
                    )
                seen.update(range(start, stop))
        asked = ("subject", "relation") if config.corrupt == "both" else (config.corrupt,)
        for name in asked:
            if not parts[name]:
                raise ValueError(
                    f"prompt {n} has no {name} span, which tracing.corrupt={config.corrupt} needs"
                )
