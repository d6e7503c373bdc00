"""Neurons and columns of attention times a factor (methods 5.4, T-Q5)."""

import pytest
import torch

from coemerge.interventions.attention import eager_attention
from coemerge.interventions.capture import capture
from coemerge.interventions.gates import Gates, ablate
from coemerge.interventions.guard import unchanged
from coemerge.interventions.hooks import intervene
from coemerge.interventions.positions import position_mask
from coemerge.interventions.scaling import scale_columns, scale_neurons
from coemerge.interventions.sites import Site
from tests.interventions.models import (
    D_MLP,
    MODELS,
    N_HEADS,
    N_LAYERS,
    PER_ROW_LOGITS,
    SAME_LOGITS,
    logits_of,
    make_model,
    noise,
    random_binary,
    shared_model,
    tokens,
)

IDS = tokens(3, 8)
LAST = position_mask("last", 3, 8)
NEURONS = random_binary(3, N_LAYERS, D_MLP).bool()
COLUMNS = random_binary(3, N_LAYERS, N_HEADS, 8).bool()
PATTERNS = noise(3, N_HEADS, 8, 8).tril().exp().tril()  # [B,H,T,T], rows with any sum
PATTERNS /= PATTERNS.sum(-1, keepdim=True)
PATTERN = Site("attn_pattern", 1)
ONE = 1e-6  # sums of some float32 numbers that are 1


def run(model, functions, ids=IDS) -> torch.Tensor:
    with intervene(model, functions):
        return logits_of(model, ids)


@pytest.mark.parametrize("name", MODELS)
def test_factor_one_changes_no_bit(name: str):
    """T-Q5, for neurons too."""
    model = shared_model(name)
    untouched = logits_of(model, IDS)

    assert torch.equal(run(model, scale_neurons(NEURONS, 1.0, LAST)), untouched)
    for renormalise in (False, True):
        assert torch.equal(run(model, scale_columns(COLUMNS, 1.0, renormalise)), untouched)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("positions", [LAST, None], ids=["last", "all"])
def test_factor_zero_ablates_neurons_to_zero(name: str, positions):
    model = shared_model(name)
    gates = Gates(torch.zeros(3, N_LAYERS, N_HEADS), NEURONS.float())

    scaled = run(model, scale_neurons(NEURONS, 0.0, positions))

    assert torch.equal(scaled, run(model, ablate(gates, positions=positions)))
    assert not torch.equal(scaled, logits_of(model, IDS))


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_chosen_neurons_alone_are_multiplied_at_the_positions(factor: float):
    x = noise(3, 8, D_MLP)

    scaled = scale_neurons(NEURONS, factor, LAST)[Site("mlp_act", 1)](x)

    at = LAST[..., None] & NEURONS[:, None, 1]
    assert torch.equal(scaled, torch.where(at, x * factor, x))


@pytest.mark.parametrize("name", MODELS)
def test_rows_of_their_own_choice_equal_one_row_at_a_time(name: str):
    model = shared_model(name)
    neurons = run(model, scale_neurons(NEURONS, 2.0, LAST))
    columns = run(model, scale_columns(COLUMNS, 2.0, renormalise=True))

    for row in range(3):
        at = slice(row, row + 1)
        of_neurons = scale_neurons(NEURONS[at], 2.0, LAST[at])
        of_columns = scale_columns(COLUMNS[at], 2.0, renormalise=True)
        for together, functions in ((neurons, of_neurons), (columns, of_columns)):
            alone = run(model, functions, IDS[at])
            torch.testing.assert_close(
                together[at], alone, rtol=PER_ROW_LOGITS, atol=PER_ROW_LOGITS
            )


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_chosen_columns_alone_are_multiplied(factor: float):
    scaled = scale_columns(COLUMNS, factor)[PATTERN](PATTERNS)

    at = COLUMNS[:, 1, :, None].expand_as(PATTERNS)
    assert torch.equal(scaled[at], PATTERNS[at] * factor)
    assert torch.equal(scaled[~at], PATTERNS[~at])


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_renormalised_rows_sum_to_one_in_the_same_proportions(factor: float):
    columns = COLUMNS.clone()
    columns[..., 0] = False  # so that something is left in each row

    raw = scale_columns(columns, factor)[PATTERN](PATTERNS)
    rows = scale_columns(columns, factor, renormalise=True)[PATTERN](PATTERNS)

    torch.testing.assert_close(rows.sum(-1), torch.ones(3, N_HEADS, 8), rtol=0, atol=ONE)
    torch.testing.assert_close(rows, raw / raw.sum(-1, keepdim=True), rtol=0, atol=ONE)
    assert (raw.sum(-1) - 1).abs().max() > 0.1


def test_a_row_with_nothing_left_stays_zero():
    everything = torch.ones_like(COLUMNS)

    assert not scale_columns(everything, 0.0, renormalise=True)[PATTERN](PATTERNS).any()


@pytest.mark.parametrize("name", MODELS)
def test_without_its_columns_a_token_is_not_there_for_others(name: str):
    """Renormalised: else its key, through the softmax, still tells how much others get."""
    model = shared_model(name)
    columns = torch.zeros_like(COLUMNS)
    columns[..., 2] = True
    other = IDS.clone()
    other[:, 2] = (IDS[:, 2] + 7) % 60

    functions = scale_columns(columns, 0.0, renormalise=True)
    one, two = (run(model, functions, ids)[:, 3:] for ids in (IDS, other))

    torch.testing.assert_close(one, two, rtol=0, atol=SAME_LOGITS)
    unlike = (logits_of(model, IDS) - logits_of(model, other))[:, 3:]
    assert unlike.abs().max() > 100 * SAME_LOGITS


def test_the_pattern_that_is_used_is_the_scaled_one():
    model = shared_model("llama")

    last_layer = {PATTERN: scale_columns(COLUMNS, 2.0)[PATTERN]}

    with capture(model, [PATTERN]) as before:
        logits_of(model, IDS)
    with intervene(model, last_layer), capture(model, [PATTERN]) as after:
        logits_of(model, IDS)

    at = COLUMNS[:, 1, :, None]
    assert torch.equal(after[PATTERN], torch.where(at, 2 * before[PATTERN], before[PATTERN]))


def test_shapes_that_do_not_fit_are_named():
    model = shared_model("gpt2")

    with pytest.raises(ValueError, match=r"neurons must be bool \[B,L,m\].*float32 \[3, 2, 48\]"):
        scale_neurons(NEURONS.float(), 0.0)
    with pytest.raises(ValueError, match=r"columns must be bool \[B,L,H,T\].*\[2, 4, 8\]"):
        scale_columns(COLUMNS[0], 0.0)
    with pytest.raises(ValueError, match=r"attn_pattern.0: columns of shape \[3, 4, 7\].*4, 8\]"):
        run(model, scale_columns(COLUMNS[..., 1:], 0.0))
    with pytest.raises(ValueError, match=r"mlp_act.0: a gate of shape \[3, 47\]"):
        run(model, scale_neurons(NEURONS[..., 1:], 0.0))


def test_attention_is_eager_inside_and_as_before_also_when_it_raises():
    model = make_model("llama", attention="sdpa")

    def analysis() -> None:
        with eager_attention(model):
            run(model, scale_columns(COLUMNS, 0.0))
            raise KeyError("mine")

    with unchanged(model), pytest.raises(KeyError, match="mine"):
        analysis()
    assert model.config._attn_implementation == "sdpa"
