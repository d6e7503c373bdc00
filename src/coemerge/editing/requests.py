"""What an editor is asked for: a prompt about a subject, and the answer that it should get
(methods 2.10)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.speed import fused_activations, last_positions_alone
from coemerge.scoring.forward import equal_batches, evaluation_mode, keep_logits

Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class Goal:
    """``ids``: tokens of a prompt; ``subject``: first token of the subject in it and the one after
    its last; ``target``: the tokens that should follow, one or more."""

    ids: Ids
    subject: tuple[int, int]
    target: Ids

    @property
    def before(self) -> Ids:
        """Tokens up to the subject's last, which is all that its key depends on."""
        return self.ids[: self.subject[1]]


@dataclass(frozen=True, slots=True)
class Request:
    """One edit: ``goal`` is what the prompt should be answered with, ``target_true`` what is right
    now.

    ``also``: a second prompt that the same value should answer in its way, as a relation is taken
    from one pair while it is given to another (methods 4.2); editors that optimise a value honour
    it, the others go by ``goal`` alone. ``neutral``: a text that ends with the subject and should
    be continued as before; None takes the subject's own tokens. (Published prompts read "{subject}
    is a", but are compared at the subject's last token, which sees nothing after it.)
    """

    goal: Goal
    target_true: Ids
    also: Goal | None = None
    neutral: Ids | None = None

    @property
    def neutral_ids(self) -> Ids:
        first, end = self.goal.subject
        return self.goal.ids[first:end] if self.neutral is None else self.neutral

    @property
    def goals(self) -> list[Goal]:
        return [self.goal] if self.also is None else [self.goal, self.also]


def edited_at(request: Request, token: str) -> Request:
    """With the key and the value of edits at another token, which stands for the whole subject, in
    the neutral text too: the subject's ``first``, or the ``end``, the prompt's last one, where it
    is answered. ``last``: at the subject's last one, as it is."""
    if token == "last":
        return request
    goal, also = (goal and _edited_at(goal, token) for goal in (request.goal, request.also))
    assert goal is not None
    return replace(request, goal=goal, also=also)


def _edited_at(goal: Goal, token: str) -> Goal:
    place = {"first": goal.subject[0], "end": len(goal.ids) - 1}[token]
    return replace(goal, subject=(place, place + 1))


def find_subject(ids: Ids, subject_ids: Ids) -> tuple[int, int]:
    """The span of a subject in a prompt, where it is known by its tokens only.

    Raises ValueError if it is not there, or there more than once: then give the span that is meant.
    """
    n = len(subject_ids)
    if not n:
        raise ValueError("a subject without tokens is in no prompt")
    found = [i for i in range(len(ids) - n + 1) if list(ids[i : i + n]) == list(subject_ids)]
    if len(found) != 1:
        raise ValueError(
            f"the subject {list(subject_ids)} is {len(found)} times in the prompt {list(ids)}; it "
            "must be there once, or its span be given"
        )
    return found[0], found[0] + n


def check_requests(model: nn.Module, requests: Sequence[Request], n_prefix: int = 0) -> None:
    """Raises ValueError, naming the request, for spans that leave their prompt, missing targets,
    ids outside the vocabulary, and prompts which, behind ``n_prefix`` further tokens, are longer
    than the model reads."""
    modules = ModuleMap(model)
    n_vocab = projection_matrix(modules.unembedding).shape[1]
    longest = getattr(model.config, "max_position_embeddings", None)
    for index, request in enumerate(requests):
        for name, ids in _token_lists(request):
            where = f"requests[{index}].{name}"
            if not ids:
                raise ValueError(f"{where} has no tokens; it needs one at least")
            if min(ids) < 0 or max(ids) >= n_vocab:
                raise ValueError(f"{where}: {list(ids)} leaves the tokens, 0 to {n_vocab - 1}")
        for name, goal in zip(("goal", "also"), request.goals, strict=False):
            first, end = goal.subject
            if not 0 <= first < end <= len(goal.ids):
                raise ValueError(
                    f"requests[{index}].{name}: the subject {goal.subject} is not in the prompt, "
                    f"whose {len(goal.ids)} tokens are counted from 0"
                )
            n_tokens = n_prefix + len(goal.ids) + len(goal.target)
            if longest is not None and n_tokens > longest:
                raise ValueError(
                    f"requests[{index}].{name}: {n_tokens} tokens with prefix and target; the "
                    f"model reads {longest}: shorten prompt or prefixes"
                )


def _token_lists(request: Request) -> Iterator[tuple[str, Ids]]:
    yield "target_true", request.target_true
    yield "neutral", request.neutral_ids if request.neutral is not None else request.goal.ids
    for name, goal in zip(("goal", "also"), request.goals, strict=False):
        yield f"{name}.ids", goal.ids
        yield f"{name}.target", goal.target


def check_layers(model: nn.Module, layers: Sequence[int]) -> None:
    """Raises ValueError for none, for one that the model has not, and for layers out of order."""
    n_layers = ModuleMap(model).n_layers
    wrong = [layer for layer in layers if not 0 <= layer < n_layers]
    if wrong or not layers:
        raise ValueError(f"layers {list(layers)}: must be some of 0 to {n_layers - 1}")
    if sorted(set(layers)) != list(layers):
        raise ValueError(f"layers {list(layers)}: must ascend, each once")


@torch.no_grad()
def already_answered(model: nn.Module, requests: Sequence[Request]) -> Tensor:
    """Bool [E], on the CPU: greedy decoding says the wanted target already, token by token."""
    device = next(model.parameters()).device
    goals = [request.goal for request in requests]
    says = torch.zeros(len(goals), dtype=torch.bool)
    sizes = [(len(goal.ids), len(goal.target)) for goal in goals]
    with (
        evaluation_mode(model),
        torch.autocast(device.type, enabled=False),
        fused_activations(model),
    ):
        for index in equal_batches(sizes, device):
            batch = [goals[i] for i in index]
            n = len(batch[0].target)
            ids = torch.tensor([[*g.ids, *g.target[:-1]] for g in batch], device=device)
            with last_positions_alone(model, n):
                logits = model(input_ids=ids, use_cache=False, **keep_logits(model, n)).logits
            target = torch.tensor([list(g.target) for g in batch], device=device)
            says[torch.as_tensor(index)] = (logits[:, -n:].argmax(-1) == target).all(1).cpu()
    return says
