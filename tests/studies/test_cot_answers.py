"""Answers under masks: what is ablated, when, in which row, and how an answer is judged."""

import numpy as np
import pytest
import torch

from coemerge.interventions.gates import Gates, ablate, component_sites
from coemerge.interventions.hooks import intervene
from coemerge.localization.trained import LOSS_TERMS, TrainedMasks
from coemerge.scoring.generation import generate
from coemerge.studies.chain_of_thought.answers import Speaker, find, judge
from coemerge.studies.chain_of_thought.baseline import choose
from coemerge.studies.chain_of_thought.config import ChainOfThoughtConfig
from coemerge.studies.chain_of_thought.effects import under_all_masks
from coemerge.studies.chain_of_thought.questions import COT, DIRECT, Questions
from tests.interventions.models import (
    D_HEAD,
    D_MLP,
    D_VOCAB,
    N_HEADS,
    N_LAYERS,
    shared_model,
    tokens,
)

FORM = "cot_completion_mcqa"
STOP = D_VOCAB - 1
MODELS = ("gpt2", "gpt_neox", "llama")


def masks_of(cells: list[tuple[str, str]], share: float = 0.3, seed: int = 0) -> TrainedMasks:
    """Random components, a different set for each cell."""
    rng, n = np.random.default_rng(seed), len(cells)
    return TrainedMasks(
        fact_id=np.array([fact for fact, _ in cells], dtype=object),
        task=np.array([task for _, task in cells], dtype=object),
        heads=rng.random((n, N_LAYERS, N_HEADS)) < share,
        neurons=rng.random((n, N_LAYERS, D_MLP)) < share,
        order_index=np.zeros(n, dtype=int),
        losses=np.zeros((n, len(LOSS_TERMS))),
        n_steps=np.ones(n, dtype=int),
        wall_s=np.zeros(n),
    )


def questions_of(prompting: str, n: int = 5, cue: tuple[int, ...] = (1, 2)) -> Questions:
    lengths = [4, 6, 4, 5, 6, 4, 7][:n]
    return Questions(
        prompting=prompting,
        fact=np.array([f"fact-{k % 2}" for k in range(n)], dtype=object),
        form=np.array([FORM] * n, dtype=object),
        ids=[tokens(1, length, seed=k)[0].tolist() for k, length in enumerate(lengths)],
        answers=[7] * n,
        objects=[[9]] * n,
        cues=[list(cue) if prompting == COT else []] * n,
        stop=STOP,
    )


def references_of(model, kind: str):
    if kind == "zero":
        return None
    shape = {"head_out": (N_HEADS, D_HEAD), "mlp_act": (D_MLP,)}
    rng = torch.Generator().manual_seed(3)
    return {s: 0.3 * torch.randn(shape[s.name], generator=rng) for s in component_sites(model)}


def token_by_token(model, ids: list[int], n: int, gates: Gates, references) -> list[int]:
    """One row alone, without a cache: every pass sees, and ablates, all tokens so far."""
    ids = list(ids)
    start = len(ids)
    with torch.no_grad(), intervene(model, ablate(gates, references)):
        while len(ids) < start + n and STOP not in ids[start:]:
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits
            ids.append(int(logits[0, -1].argmax()))
    return [*ids[start:], *[STOP] * (n - len(ids) + start)]


@pytest.mark.parametrize("reference", ["zero", "mean"])
@pytest.mark.parametrize("name", MODELS)
def test_generation_with_a_cache_is_that_of_full_ablated_passes(name: str, reference: str):
    """Each row under its own mask, at the tokens of its prompt and at all generated ones."""
    model, questions = shared_model(name), questions_of(COT)
    references = references_of(model, reference)
    masks = masks_of([("fact-0", "mcqa"), ("fact-0", "openqa"), ("fact-1", "mcqa")])
    asked, mask = np.array([0, 0, 1, 2, 3, 4]), np.array([0, 1, 2, 1, 2, 0])

    said = Speaker(model, references, max_tokens=8).ablated(questions, asked, masks, mask).said

    gates = masks.gates()
    for row, (i, j) in enumerate(zip(asked, mask, strict=True)):
        one = Gates(gates.heads[j], gates.neurons[j])
        assert said[row].tolist() == token_by_token(model, questions.ids[i], 8, one, references)
    free = Speaker(model, references, max_tokens=8).untouched(questions).said
    assert said.tolist() != free[torch.as_tensor(asked)].tolist()


@pytest.mark.parametrize("reference", ["zero", "mean"])
@pytest.mark.parametrize("name", MODELS)
def test_with_an_empty_mask_the_text_is_token_identical(name: str, reference: str):
    """T-T2."""
    model, questions = shared_model(name), questions_of(COT)
    empty = masks_of([("fact-0", "mcqa")], share=0.0)
    speaker = Speaker(model, references_of(model, reference), max_tokens=12)
    every = np.arange(len(questions))

    ablated = speaker.ablated(questions, every, empty, np.zeros_like(every))

    assert torch.equal(ablated.said, speaker.untouched(questions).said)


def test_the_model_is_left_without_hooks():
    model, questions = shared_model("gpt2"), questions_of(COT)
    before = generate(model, questions.ids, 6)
    masks = masks_of([("fact-0", "mcqa")])
    Speaker(model, max_tokens=6).ablated(questions, np.arange(2), masks, np.zeros(2, dtype=int))

    assert torch.equal(generate(model, questions.ids, 6), before)


@pytest.mark.parametrize(
    ("said", "right", "restated"),
    [
        ([9, 5, 1, 2, 7, 0], True, True),
        ([5, 5, 1, 2, 7, 0], True, False),  # right without having named the object
        ([9, 5, 1, 2, 8, 7], False, True),  # the first token after the cue counts
        ([9, 5, 1, 2, 8, 1], False, True),
        ([5, 1, 2, 7, 9, 0], True, False),  # named after the answer is too late
        ([9, 7, 7, 7, 7, 7], False, True),  # no cue, no answer
        ([9, 7, 7, 7, 1, 2], False, True),  # cut off before the answer
        ([1, 2, 7, 1, 2, 8], True, False),  # the first cue counts
    ],
)
def test_the_answer_is_what_follows_the_cue(said, right, restated):
    answered = judge(questions_of(COT, 1), np.array([0]), torch.tensor([said]))

    assert (bool(answered.right[0]), bool(answered.restated[0])) == (right, restated)


@pytest.mark.parametrize(("said", "right"), [(7, True), (8, False)])
def test_a_direct_answer_is_the_first_token(said, right):
    answered = judge(questions_of(DIRECT, 1), np.array([0]), torch.tensor([[said]]))

    assert bool(answered.right[0]) == right
    assert not answered.restated[0]


def test_parts_are_found_where_they_first_stand():
    assert find([3, 1, 2, 1, 2], [1, 2]) == 1
    assert find([1, 3, 2], [1, 2]) is None
    assert find([], [1]) is None


class Scripted(Speaker):
    """Says the right thing, unless the first neuron of the question's answered task is ablated;
    with reasoning, the first neuron of the route does the harm."""

    def __init__(self) -> None:
        super().__init__(shared_model("gpt2"))

    def untouched(self, questions: Questions):
        return judge(questions, np.arange(len(questions)), self._said(questions, len(questions)))

    def ablated(self, questions, asked, masks, mask):
        said = self._said(questions, len(asked))
        harmful = 1 if questions.prompting == COT else 0
        said[torch.as_tensor(masks.neurons[mask, 0, harmful]), -1] = 8
        return judge(questions, asked, said)

    def _said(self, questions: Questions, n: int) -> torch.Tensor:
        row = [9, 1, 2, 7] if questions.prompting == COT else [7]
        return torch.tensor([row] * n)


@pytest.fixture(scope="module")
def planted() -> TrainedMasks:
    """Of two facts: the mask of mcqa holds neuron 0, that of completion neuron 1, fitb another."""
    cells = [(f"fact-{k}", task) for k in range(2) for task in ("mcqa", "completion", "fitb")]
    masks = masks_of(cells, share=0.0)
    for j, (_, task) in enumerate(cells):
        masks.neurons[j, 0, ["mcqa", "completion", "fitb"].index(task)] = True
    return masks


def test_planted_components_show_in_the_drops(planted):
    """A mask of the route that breaks the reasoning, and leaves direct answers alone."""
    asked = [questions_of(DIRECT), questions_of(COT)]
    speaker = Scripted()
    studied = choose(speaker, asked, planted, restated=[], baseline=0.99)
    frame = under_all_masks(speaker, studied, planted, ChainOfThoughtConfig())

    own = frame[frame["control"] == "none"].set_index(["prompting", "mask_task"])["drop"]
    assert set(own.loc["direct", "mcqa"]) == {1.0}
    assert set(own.loc["cot", "mcqa"]) == {0.0}
    assert set(own.loc["cot", "completion"]) == {1.0}
    assert set(own.loc["direct", "completion"]) | set(own.loc["cot", "fitb"]) == {0.0}
    random = frame[frame["control"] == "random"]
    assert set(random["draw"]) == set(range(20))
    assert random["drop"].mean() < 0.2
    assert frame.groupby(["fact_id", "prompting"])["n"].first().to_list() == [3, 3, 2, 2]
    assert frame.loc[frame["prompting"] == DIRECT, "restated_after"].isna().all()


def test_restated_facts_are_left_out(planted):
    asked = [questions_of(DIRECT), questions_of(COT)]

    studied = choose(Scripted(), asked, planted, restated=["fact-0"], baseline=0.99)

    assert studied.facts == ["fact-1"]
    assert set(studied.questions[1].fact) == {"fact-1"}


def test_facts_without_a_mask_of_the_route_are_left_out(planted):
    asked = [questions_of(DIRECT), questions_of(COT)]
    kept = planted.select([0, 1, 2, 3, 5])  # fact-1 has none of completion

    assert choose(Scripted(), asked, kept, [], 0.99).facts == ["fact-0"]


def test_where_no_fact_is_left_the_reasons_are_told(planted):
    asked = [questions_of(DIRECT), questions_of(COT)]

    with pytest.raises(ValueError, match=r"no fact to study: 0 of 2 localized.*study\.baseline"):
        choose(Scripted(), asked, planted, ["fact-0", "fact-1"], 0.99)
    weak = Speaker(shared_model("gpt2"), max_tokens=4)
    with pytest.raises(ValueError, match=r"cot_completion_mcqa: 0 of 2 of these reach 0\.99"):
        choose(weak, asked, planted, [], 0.99)
