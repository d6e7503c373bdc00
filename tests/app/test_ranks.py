"""Which process this is, whether there are as many as the settings say, and what they share."""

import re
from pathlib import Path

import pytest
import torch
from lightning.pytorch.plugins.environments import (
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from coemerge.app.identity import run_fingerprint, run_id
from coemerge.app.processes import environment, is_loss_of_another, make_strategy
from coemerge.app.ranks import BY_FIRST, Place, place
from coemerge.lm.checkpoints import weights_sha256
from coemerge.lm.config import ModelConfig, TrainerConfig
from coemerge.lm.machine import Machine, choose_execution
from coemerge.lm.sharding import shard, whole_state
from tests.conftest import ComposeSettings

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
SRUN = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "1"}
SRUN |= {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "8"}
OTHERS = {
    "a shell": ({}, Place(0, 1, 0, None), LightningEnvironment),
    "torchrun": (TORCHRUN, Place(5, 8, 1, "torchrun"), TorchElasticEnvironment),
    "srun": (SRUN, Place(5, 8, 1, "srun"), SLURMEnvironment),
    "one task of SLURM": (
        {**SRUN, "SLURM_STEP_NUM_TASKS": "1"},
        Place(0, 1, 0, None),
        LightningEnvironment,
    ),
    "the first process": ({BY_FIRST: "2 4 77"}, Place(2, 4, 2, "first"), LightningEnvironment),
}


@pytest.mark.parametrize(("variables", "expected", "cluster"), OTHERS.values(), ids=OTHERS)
def test_the_environment_says_which_process_this_is(
    variables: dict[str, str], expected: Place, cluster: type, monkeypatch: pytest.MonkeyPatch
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert place() == expected
    assert type(environment()) is cluster


SMOKE = "experiment=smoke"
REFUSED = {
    "rows": (["trainer=ddp", "trainer.devices=3"], {}, "trainer.batch_rows: 8 rows cannot be"),
    "one device": (["trainer=fsdp", "trainer.devices=1"], {}, "fsdp spreads a model over 2"),
    "masks": (["trainer=fsdp"], {}, "set callbacks.localization=null, and call analyze.py study="),
    "machines": (["trainer=ddp", "trainer.num_nodes=2"], {}, "torchrun --nnodes=2"),
    "mps": (["trainer=ddp", "device=mps"], {}, "trainer.devices: 2 with device=mps"),
    "strategy": (["trainer.strategy=dp"], {}, "trainer.strategy: 'dp' is not one of auto, ddp"),
    "torchrun": ([], TORCHRUN, "torchrun started 8 processes, but trainer.devices=1"),
    "srun": (["trainer=ddp"], SRUN, "srun started 8 processes, but trainer.devices=2"),
    "srun -n": (
        ["trainer=ddp", "trainer.devices=8"],
        {name: value for name, value in SRUN.items() if "PER_NODE" not in name},
        "srun: use --ntasks-per-node=8",
    ),
}


@pytest.mark.parametrize(("overrides", "variables", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_shared_is_refused_before_anything_starts(
    compose_settings: ComposeSettings,
    overrides: list[str],
    variables: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ValueError, match=re.escape(message)):
        compose_settings(SMOKE, *overrides)


@pytest.fixture(scope="module")
def alone(compose_settings: ComposeSettings) -> str:
    """The fingerprint of a run on one device, which is what it was before there were more."""
    return run_fingerprint(compose_settings(SMOKE))


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer=ddp", "trainer.devices=4"],
        ["trainer.devices=2", "trainer.strategy=ddp", "trainer.wait_minutes=5"],
        ["trainer.activation_checkpointing=true"],
    ],
    ids=" ".join,
)
def test_a_run_is_the_same_one_on_any_number_of_devices(
    compose_settings: ComposeSettings, overrides: list[str], alone: str
):
    shared = compose_settings(SMOKE, *overrides)

    assert run_fingerprint(shared) == alone
    assert run_id(shared) == "smoke-seed0"


def test_a_larger_batch_makes_another_run(compose_settings: ComposeSettings, alone: str):
    larger = compose_settings(SMOKE, "trainer=ddp", "trainer.batch_rows=16")

    assert run_fingerprint(larger) != alone
    assert run_id(larger) != "smoke-seed0"


def test_the_strategies_are_those_of_the_settings():
    ddp, fsdp = (
        make_strategy(TrainerConfig(devices=2, strategy=name, wait_minutes=7))
        for name in ("ddp", "fsdp")
    )

    assert make_strategy(TrainerConfig()) == "auto"
    assert isinstance(ddp, DDPStrategy)
    assert isinstance(make_strategy(TrainerConfig(devices=2)), DDPStrategy)
    assert isinstance(fsdp, ModelParallelStrategy)
    assert {s._timeout.total_seconds() for s in (ddp, fsdp)} == {7 * 60}


def test_processes_of_a_machine_share_its_cores():
    machine = Machine("cpu", False, 8)

    def threads(trainer: TrainerConfig, processes: int) -> int:
        return choose_execution(machine, ModelConfig(), trainer, processes).threads

    assert [threads(TrainerConfig(), n) for n in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert threads(TrainerConfig(threads=5), 2) == 5


def test_a_lost_connection_is_told_from_other_errors():
    gone = "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer"

    assert is_loss_of_another(RuntimeError(gone))
    assert not is_loss_of_another(RuntimeError("size mismatch"))
    assert not is_loss_of_another(ValueError(gone))


@pytest.fixture
def one_process(tmp_path: Path):
    """A group of one, which shares with nobody."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    yield init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


def test_a_model_is_spread_block_by_block_and_gathered_as_it_was(one_process):
    config = GPT2Config(
        n_layer=3, n_embd=8, n_head=2, vocab_size=11, n_positions=4, bos_token_id=0, eos_token_id=0
    )
    model = GPT2LMHeadModel(config).eval()
    before = weights_sha256(model)
    ids = torch.tensor([[1, 2, 3]])
    expected = model(input_ids=ids).logits

    shard(model, one_process)
    shard(model, one_process)  # changes nothing
    state = whole_state(model)

    assert [type(block).__name__ for block in model.transformer.h] == ["FSDPGPT2Block"] * 3
    assert all(isinstance(parameter, DTensor) for parameter in model.parameters())
    assert torch.equal(model(input_ids=ids).logits, expected)
    assert not any(isinstance(tensor, DTensor) for tensor in state.values())
    assert weights_sha256(model, state) == before
    tied = [state[name].data_ptr() for name in ("lm_head.weight", "transformer.wte.weight")]
    assert tied[0] == tied[1]


def test_an_unknown_architecture_is_not_spread():
    model = T5ForConditionalGeneration(
        T5Config(d_model=8, d_kv=4, num_heads=2, num_layers=1, d_ff=8, vocab_size=11)
    )
    with pytest.raises(ValueError, match=r"trainer.strategy=fsdp: .*'t5'"):
        shard(model, None)
