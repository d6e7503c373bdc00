"""How much more likely a model finds the good side of a minimal pair (methods 6.4)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from coemerge.prompts.minimal_pairs import PairPrompt, PairSentences
from coemerge.scoring.forward import Question, score_prompts


def margins(
    model: nn.Module,
    pairs: Sequence[PairPrompt] | Sequence[PairSentences],
    tokens_per_batch: int | None = None,
) -> Tensor:
    """log p(good) - log p(bad), nats, [n_pairs], float32, on the CPU: of the deciding token after
    the prompt, or of whole sentences. The pair is told apart where it is above 0."""
    questions = [_question(pair, side) for side in ("good", "bad") for pair in pairs]
    answers = score_prompts(model, questions, tokens_per_batch)
    sizes = torch.tensor([len(question.answer_ids) for question in questions])
    good, bad = (-answers.nll * sizes).reshape(2, -1)
    return good - bad


def _question(pair: PairPrompt | PairSentences, side: str) -> Question:
    if isinstance(pair, PairPrompt):
        answer = [pair.good_id if side == "good" else pair.bad_id]
        return Question(pair.ids, answer, [pair.good_id, pair.bad_id])
    ids = pair.good_ids if side == "good" else pair.bad_ids
    return Question(ids[: pair.n_given], ids[pair.n_given :], [ids[pair.n_given]])
