"""Means per cell: nulls that must be exactly zero, and shards that add up."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from coemerge.corpus.dataset import Dataset
from coemerge.scoring.forward import Answers, Question, score_prompts
from coemerge.scoring.metrics import PromptScores, score_probe
from coemerge.scoring.probe import Probe, make_probe
from tests.scoring.conftest import AlwaysSays, tiny_model
from tests.tolerances import EXACT_IN_FLOAT64

SUMS = ("p_first", "p_full", "nll", "score", "accuracy")


def prompts_of(dataset: Dataset, *tasks: str) -> pa.Table:
    return dataset.prompts.filter(pc.is_in(dataset.prompts["task"], pa.array(tasks)))


def token_of(prompts: pa.Table, answer: str) -> int:
    """The id that this answer has in the prompts."""
    found = prompts.filter(pc.equal(prompts["answer"], answer))["answer_ids"].to_pylist()
    assert found, f"no prompt is answered by {answer!r}"
    return found[0][0]


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("mcqa", "A"),
        ("mcqa", "D"),
        ("negmcqa", "A"),
        ("verification", "yes"),
        ("verification", "no"),
    ],
)
def test_a_model_that_always_says_the_same_scores_zero(
    smoke_dataset: Dataset, task: str, answer: str
):
    prompts = prompts_of(smoke_dataset, task)
    model = AlwaysSays(token_of(prompts, answer), len(smoke_dataset.tokenizer))

    means = score_probe(model, make_probe(prompts))

    assert means["score"].abs().max().item() < EXACT_IN_FLOAT64  # T-S3
    n_variants = {"mcqa": 4, "negmcqa": 2, "verification": 2}[task]
    assert means["n_rotations"].unique().tolist() == [n_variants]
    assert means["accuracy"].unique().tolist() == [1 / n_variants]


def test_each_letter_is_right_equally_often(smoke_dataset: Dataset):
    prompts = prompts_of(smoke_dataset, "mcqa").to_pandas()

    letters = prompts.groupby(["fact_id", "template_id", "options"])["answer"].apply(sorted)

    assert all(found == ["A", "B", "C", "D"] for found in letters)


class Knows(nn.Module):
    """Always right: looks the prompt up among those it was given."""

    def __init__(self, probe: Probe, vocab_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.answers = {tuple(q.ids): q.answer_ids[0] for q in probe.questions}
        self.vocab_size = vocab_size

    def forward(self, input_ids: Tensor, use_cache: bool = False) -> SimpleNamespace:
        logits = torch.full((*input_ids.shape, self.vocab_size), -torch.inf)
        for row, ids in enumerate(input_ids.tolist()):
            logits[row, -1, self.answers[tuple(ids)]] = 0.0
        return SimpleNamespace(logits=logits)


def test_a_model_that_is_always_right_scores_one(smoke_dataset: Dataset):
    probe = make_probe(prompts_of(smoke_dataset, "mcqa", "negmcqa", "verification", "openqa"))

    means = score_probe(Knows(probe, len(smoke_dataset.tokenizer)), probe)

    assert means["score"].unique().tolist() == [1.0]
    assert means["accuracy"].unique().tolist() == [1.0]
    assert means["nll"].abs().max() == 0


def small_answers(p_first: Sequence[float], p_cand: Sequence[float] | None = None) -> Answers:
    p = torch.tensor(p_first)
    cand = p if p_cand is None else torch.tensor(p_cand)
    return Answers(p, p / 2, -p.log(), cand, torch.zeros(len(p)).long(), p > 0.5)


def test_means_are_over_the_prompts_of_a_cell():
    metric = PromptScores(2, "first")
    metric.update(
        torch.tensor([0, 1, 0]), small_answers([0.55, 0.9, 0.25]), torch.tensor([0.25, 0.5, 0.25])
    )

    means = metric.compute()

    assert means["n_rotations"].tolist() == [2, 1]
    assert means["score"].tolist() == pytest.approx([0.2, 0.8], abs=1e-7)
    assert means["p_first"].tolist() == pytest.approx([0.4, 0.9], abs=1e-7)
    assert means["accuracy"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize(("base", "score"), [("full", -0.2), ("first", 0.6), ("cand", 0.8)])
def test_the_score_normalises_the_probability_that_is_asked_for(base: str, score: float):
    """Of the whole answer, of its first token, or the share among the candidates."""
    answers, chance = small_answers([0.8], [0.9]), torch.tensor([0.5])  # the whole answer: 0.4
    metric = PromptScores(1, base)

    metric.update(torch.tensor([0]), answers, chance)

    means = metric.compute()
    assert means["score"].item() == pytest.approx(score, abs=1e-7)
    assert means["p_first"].item() == pytest.approx(0.8)
    assert means["p_full"].item() == pytest.approx(0.4)


def test_the_whole_answer_is_scored_unless_told_otherwise():
    assert PromptScores(1).score_base == "full"


def test_an_unknown_score_base_is_refused():
    with pytest.raises(ValueError, match="best"):
        PromptScores(1, "best")


@pytest.fixture(scope="module")
def probe(smoke_dataset: Dataset) -> Probe:
    """Some hundred prompts of all tasks; an odd number, so that shards are unequal."""
    prompts = smoke_dataset.prompts
    return make_probe(prompts.take(list(range(0, len(prompts), 131))[:201]))


@pytest.fixture(scope="module")
def language_model(smoke_dataset: Dataset) -> nn.Module:
    config = AutoConfig.for_model(
        "gpt2", n_layer=1, n_embd=16, n_head=2, vocab_size=len(smoke_dataset.tokenizer)
    )
    torch.manual_seed(3)
    return AutoModelForCausalLM.from_config(config)


def fill(probe: Probe, model: nn.Module, rank: int, world_size: int) -> PromptScores:
    metric = PromptScores(len(probe.cells))
    index = probe.shard(rank, world_size)
    answers = score_prompts(model, [probe.questions[i] for i in index])
    where = torch.as_tensor(index)
    metric.update(probe.cell_of[where], answers, probe.chance[where])
    return metric


@pytest.mark.parametrize("world_size", [2, 3])
def test_sums_of_shards_equal_the_whole(probe: Probe, language_model: nn.Module, world_size: int):
    whole = fill(probe, language_model, 0, 1)
    merged, *others = (fill(probe, language_model, r, world_size) for r in range(world_size))

    for name in (*SUMS, "count"):
        setattr(merged, name, sum((getattr(o, name) for o in others), getattr(merged, name)))

    for name, values in whole.compute().items():
        torch.testing.assert_close(merged.compute()[name], values, atol=1e-6, rtol=1e-6)


def test_ranks_scored_apart_average_to_the_whole(probe: Probe, language_model: nn.Module):
    whole = score_probe(language_model, probe)
    ranks = [score_probe(language_model, probe, rank=r, world_size=2) for r in range(2)]

    counts = [r["n_rotations"] for r in ranks]
    assert sum(counts).equal(whole["n_rotations"])
    for name in SUMS:
        weighted = [r[name].nan_to_num() * n for r, n in zip(ranks, counts, strict=True)]
        torch.testing.assert_close(sum(weighted) / sum(counts), whole[name], atol=1e-6, rtol=1e-6)


def test_states_merge_by_summing():
    """What torchmetrics does between processes is what the shards above assume."""
    reductions = PromptScores(1)._reductions

    assert set(reductions) == {*SUMS, "count"}
    assert {r.__name__ for r in reductions.values()} == {"dim_zero_sum"}


def test_seeds_do_not_matter(probe: Probe, language_model: nn.Module):
    torch.manual_seed(1)
    first = score_probe(language_model, probe)
    torch.manual_seed(2)
    second = score_probe(language_model, probe)

    assert all(first[name].equal(second[name]) for name in first)


def _score_on_rank(rank: int, address: str, directory: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    model = tiny_model("gpt2")
    questions = [Question([i % 7, i % 5], [i % 11], [i % 11, 12]) for i in range(9)]
    probe = Probe(
        questions,
        torch.full((9,), 0.5),
        torch.arange(9) % 4,
        pa.table({"cell": list(range(4))}),
    )
    torch.save(score_probe(model, probe, rank=rank, world_size=2), f"{directory}/{rank}.pt")
    if rank == 0:
        torch.distributed.destroy_process_group()
        torch.save(score_probe(model, probe), f"{directory}/alone.pt")


@pytest.mark.slow
def test_two_processes_report_what_one_does(tmp_path: Path):
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.multiprocessing.spawn(
        _score_on_rank, (f"file://{tmp_path}/store", str(tmp_path)), nprocs=2
    )

    alone, *ranks = (torch.load(tmp_path / f"{name}.pt") for name in ("alone", "0", "1"))

    for rank in ranks:
        for name, values in alone.items():
            torch.testing.assert_close(rank[name], values)
