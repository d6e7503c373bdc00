"""How a model is run is a pure function of the machine and the configuration."""

import pytest
import torch

from coemerge.lm.config import ModelConfig, OptimizerConfig, TrainerConfig, check_training_config
from coemerge.lm.machine import Execution, Machine, choose_execution, detect_machine

CPU, BF16_CPU = Machine("cpu", False, 8), Machine("cpu", True, 2)
GPU, OLD_GPU = Machine("cuda", True, 16), Machine("cuda", False, 16)
MPS = Machine("mps", False, 10)


@pytest.mark.parametrize(
    ("machine", "attention", "precision", "threads", "expected"),
    [
        (CPU, "auto", "auto", None, Execution("cpu", "32-true", "sdpa", 8)),
        (BF16_CPU, "auto", "auto", None, Execution("cpu", "bf16-mixed", "eager", 2)),
        (GPU, "auto", "auto", None, Execution("cuda", "bf16-mixed", "sdpa", 16)),
        (OLD_GPU, "auto", "auto", None, Execution("cuda", "32-true", "sdpa", 16)),
        (MPS, "auto", "auto", None, Execution("mps", "32-true", "sdpa", 10)),
        # what is asked for is what is done
        (BF16_CPU, "auto", "32-true", None, Execution("cpu", "32-true", "sdpa", 2)),
        (CPU, "auto", "bf16-mixed", None, Execution("cpu", "bf16-mixed", "eager", 8)),
        (BF16_CPU, "sdpa", "auto", None, Execution("cpu", "bf16-mixed", "sdpa", 2)),
        (GPU, "eager", "16-mixed", None, Execution("cuda", "16-mixed", "eager", 16)),
        (CPU, "auto", "auto", 3, Execution("cpu", "32-true", "sdpa", 3)),
    ],
)
def test_execution_by_machine_and_settings(
    machine: Machine, attention: str, precision: str, threads: int | None, expected: Execution
):
    model = ModelConfig(attention=attention)
    trainer = TrainerConfig(precision=precision, threads=threads)

    assert choose_execution(machine, model, trainer) == expected


def test_the_choice_asks_the_machine_nothing(monkeypatch: pytest.MonkeyPatch):
    def forbidden(*_: object) -> None:
        raise AssertionError("looked at the machine")

    for name in ("os.cpu_count", "os.sched_getaffinity", "torch.cuda.is_available"):
        monkeypatch.setattr(name, forbidden, raising=False)

    choose_execution(CPU, ModelConfig(), TrainerConfig())


def test_the_cpu_is_always_there():
    machine = detect_machine("cpu")

    assert machine.accelerator == "cpu"
    assert machine.cores >= 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_device_is_named():
    with pytest.raises(ValueError, match="device=cuda"):
        detect_machine("cuda")


@pytest.mark.parametrize(
    ("model", "optimizer", "trainer", "device", "culprit"),
    [
        ({}, {"lr": 0.0}, {}, "cpu", "optimizer.lr"),
        ({}, {"lr": float("nan")}, {}, "cpu", "optimizer.lr"),
        ({}, {"weight_decay": -0.1}, {}, "cpu", "weight_decay"),
        ({}, {"final_lr": 1.5}, {}, "cpu", "optimizer.final_lr"),
        ({}, {"betas": [0.9]}, {}, "cpu", "optimizer.betas"),
        ({}, {"betas": [0.9, 1.0]}, {}, "cpu", "optimizer.betas"),
        ({}, {}, {"max_steps": 0}, "cpu", "trainer.max_steps"),
        ({}, {}, {"accumulate": 0}, "cpu", "trainer.accumulate"),
        ({}, {}, {"threads": 0}, "cpu", "trainer.threads"),
        ({}, {}, {"precision": "bf16"}, "cpu", "trainer.precision"),
        ({"attention": "flash"}, {}, {}, "cpu", "model.attention"),
        ({}, {}, {}, "gpu", "device"),
    ],
)
def test_values_that_make_no_sense_are_named(
    model: dict, optimizer: dict, trainer: dict, device: str, culprit: str
):
    with pytest.raises(ValueError, match=culprit.replace(".", r"\.")):
        check_training_config(
            ModelConfig(**model), OptimizerConfig(**optimizer), TrainerConfig(**trainer), device
        )


def test_all_problems_are_listed_at_once():
    with pytest.raises(ValueError, match=r"optimizer\.lr.*trainer\.batch_rows.*device"):
        check_training_config(
            ModelConfig(), OptimizerConfig(lr=-1), TrainerConfig(batch_rows=0), "tpu"
        )
