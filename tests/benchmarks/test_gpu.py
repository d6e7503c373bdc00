"""The jobs for a GPU run, on a CPU with a tiny model: counts and sanity, never a time."""

import math

import pytest

from benchmarks import gpu
from benchmarks.common import settings
from coemerge.app.settings import Settings
from coemerge.corpus.dataset import Dataset

SIZE = gpu.Size(batch_rows=2, steps=3, warm_up=1, prompts=400, every=100, facts=2, mask_steps=2,
                side=64, repeats=1)  # fmt: skip


@pytest.fixture(scope="module")
def bench(smoke_settings: Settings, smoke_dataset: Dataset) -> gpu.Bench:
    return gpu.Bench(smoke_settings, smoke_dataset, "cpu", SIZE, "a CPU, not an L4")


def test_training_is_compared_and_its_use_of_the_device_told(bench: gpu.Bench) -> None:
    found = list(bench.training())
    assert [(x.what, x.against) for x in found] == [
        ("training", "a bare PyTorch loop"),
        ("training", ""),
        ("training, utilisation", "dense bf16 products, measured"),
        ("training, utilisation", "the vendor's L4"),
    ]
    assert all(math.isfinite(value) and value > 0 for x in found for value in x.values)


def test_every_analysis_runs_and_says_how_much(bench: gpu.Bench) -> None:
    tasks = 6
    counts = {what: work() for what, work in bench.analyses().items()}
    assert counts == {
        "scoring, prompts": 400,
        "training masks, masks": SIZE.facts * tasks,
        "attribution, prompts": 4,
        "causal tracing, prompts": 4,
    }
    found = bench.rate("scoring, prompts", bench.analyses()["scoring, prompts"])
    assert len(found.values) == 1
    assert 0 < found.median < math.inf


def test_a_step_takes_six_operations_per_weight_and_token(bench: gpu.Bench) -> None:
    """Two per weight forwards and four backwards; position embeddings are looked up."""
    model = bench.model
    used = sum(p.numel() for n, p in model.named_parameters() if p.ndim == 2 and "wpe" not in n)
    assert gpu.operations_per_token(bench.job) == pytest.approx(6 * used, rel=0.25)


def test_the_published_shape_is_configured() -> None:
    config = settings(["experiment=fact_injection", "model=gpt2_125m"]).config.model.config
    assert (config["n_layer"], config["n_embd"]) == (12, 768)


def test_without_a_gpu_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert not list(gpu.run())
    assert capsys.readouterr().err == "gpu: skipped, torch finds none\n"
