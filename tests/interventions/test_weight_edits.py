"""Edits written into weights and taken back (T-E8), and per batch row without writing."""

import gc

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.capture import capture
from coemerge.interventions.edits import Edit, LowRank
from coemerge.interventions.guard import unchanged
from coemerge.interventions.hooks import intervene
from coemerge.interventions.row_blocks import RowBlocks
from coemerge.interventions.sites import Site
from coemerge.interventions.weight_edits import edited, edited_rows
from tests.interventions.models import (
    D_MLP,
    D_MODEL,
    MODELS,
    N_LAYERS,
    SAME_LOGITS,
    logits_of,
    make_model,
    n_hooks,
    noise,
    random_binary,
    shared_model,
    tokens,
)

IDS = tokens(7, 8)


def low_rank(rank: int, seed: int = 0) -> LowRank:
    return LowRank(0.2 * noise(D_MODEL, rank, seed=seed), 0.2 * noise(D_MLP, rank, seed=seed + 1))


def some_neurons(seed: int) -> Tensor:
    return random_binary(D_MLP, seed=seed).bool()


# Other layers, ranks and kinds each; the last does nothing.
EDITS = [
    Edit({0: low_rank(1)}),
    Edit({0: low_rank(3, seed=3), 1: low_rank(2, seed=5)}),
    Edit(erased={1: some_neurons(7)}),
    Edit({1: low_rank(1, seed=8)}, {0: some_neurons(9), 1: some_neurons(10)}),
    Edit(),
]


def weights_of(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def assert_bitwise(model: PreTrainedModel, before: dict[str, Tensor]) -> None:
    changed = [n for n, p in model.named_parameters() if not torch.equal(p, before[n])]
    assert not changed


def under(model: PreTrainedModel, edit: Edit, ids: Tensor = IDS) -> Tensor:
    with edited(model, edit):
        return logits_of(model, ids)


@pytest.mark.parametrize("name", MODELS)
def test_weights_become_what_the_edit_says(name: str):
    model, edit = make_model(name), EDITS[3]
    before = {layer: matrix_of(model, layer).clone() for layer in range(N_LAYERS)}

    with edited(model, edit):
        first, second = (matrix_of(model, layer).clone() for layer in range(N_LAYERS))

    keep = ~edit.erased[1][:, None]
    delta = edit.deltas[1].right @ edit.deltas[1].left.T
    assert torch.equal(first, before[0] * ~edit.erased[0][:, None])  # exactly zero
    torch.testing.assert_close(second, before[1] * keep + delta)


def matrix_of(model: PreTrainedModel, layer: int) -> Tensor:
    return projection_matrix(ModuleMap(model).down_projection(layer)).detach()  # W^T, [m,d]


@pytest.mark.parametrize("name", MODELS)
def test_rows_under_edits_equal_edited_weights(name: str):
    """Rows of several edits, of one edit several rows, and rows of none."""
    model = shared_model(name)
    edit_of_row = [3, 0, -1, 1, 4, 3, 2]
    untouched = logits_of(model, IDS)

    with edited_rows(model, EDITS, edit_of_row):
        together = logits_of(model, IDS)

    for row, which in enumerate(edit_of_row):
        edit = Edit() if which < 0 else EDITS[which]
        alone = under(model, edit, IDS[row : row + 1])[0]
        torch.testing.assert_close(together[row], alone, rtol=SAME_LOGITS, atol=SAME_LOGITS)
        has_effect = (together[row] - untouched[row]).abs().max() > 100 * SAME_LOGITS
        assert has_effect == (not edit.is_empty)


@pytest.mark.parametrize("name", MODELS)
def test_applied_and_reverted_weights_are_bitwise_what_they_were(name: str):
    """T-E8, nested blocks and blocks that raise included."""
    model = make_model(name)
    before = weights_of(model)

    with edited(model, EDITS[3]):
        outer, first = weights_of(model), matrix_of(model, 0).clone()
        with edited(model, EDITS[1]):
            assert not torch.equal(matrix_of(model, 0), first)
        with pytest.raises(ZeroDivisionError), edited(model, EDITS[1]):
            raise ZeroDivisionError
        assert_bitwise(model, outer)
    assert_bitwise(model, before)
    with pytest.raises(KeyboardInterrupt), edited(model, EDITS[2]):
        raise KeyboardInterrupt
    assert_bitwise(model, before)


def test_a_thousand_edits_leave_weights_and_memory_alone():
    """T-E8."""
    model = make_model("gpt2")
    before = weights_of(model)

    def live_bytes() -> int:
        gc.collect()
        return sum(x.nbytes for x in gc.get_objects() if isinstance(x, Tensor))

    under(model, EDITS[1])
    held = live_bytes()
    for index in range(1000):
        with edited(model, EDITS[index % 4]), unchanged(model, "unchecked"):
            pass
    assert_bitwise(model, before)
    assert live_bytes() == held


@pytest.mark.parametrize("name", ["gpt2", "olmo2"])
def test_blocks_may_be_nested_in_any_order(name: str):
    model, inner, outer = shared_model(name), EDITS[3], EDITS[1]
    with edited(model, outer):
        expected = under(model, inner)

    with edited_rows(model, [outer], [0] * len(IDS)):
        rows_then_weights = under(model, inner)
        with edited_rows(model, [inner], [0] * len(IDS)):
            rows_then_rows = logits_of(model, IDS)
    with edited(model, outer), edited_rows(model, [inner], [0] * len(IDS)):
        weights_then_rows = logits_of(model, IDS)

    # erasing first and adding then is another edit than the reverse
    close = {"rtol": SAME_LOGITS, "atol": SAME_LOGITS}
    torch.testing.assert_close(rows_then_rows, expected, **close)
    torch.testing.assert_close(weights_then_rows, expected, **close)
    with edited(model, inner):
        torch.testing.assert_close(rows_then_weights, under(model, outer), **close)


@pytest.mark.parametrize("name", MODELS)
def test_sites_show_what_they_would_with_edited_weights(name: str):
    """Whatever is attached before or after, and however activations are changed."""
    model, edit = shared_model(name), EDITS[3]
    sites = [Site("mlp_act", 1), Site("mlp_out", 1)]
    half, one = {sites[0]: lambda x: x * 0.5}, {sites[0]: lambda x: x + 1}
    weights, rows = edited(model, edit), edited_rows(model, [edit], [0] * len(IDS))
    with weights, intervene(model, half), intervene(model, one), capture(model, sites) as expected:
        logits_of(model, IDS)

    with intervene(model, half), rows, intervene(model, one), capture(model, sites) as found:
        logits_of(model, IDS)

    for site in sites:
        torch.testing.assert_close(found[site], expected[site], rtol=1e-5, atol=SAME_LOGITS)


@pytest.mark.parametrize("name", ["gpt2", "gemma2"])
def test_rows_generate_under_their_edits_with_kept_keys(name: str):
    model = shared_model(name)
    with torch.no_grad(), edited_rows(model, EDITS, [0, 3, -1, 1, 2, 2, 0]):
        start = model(input_ids=IDS[:, :5], use_cache=True)
        kept = model(input_ids=IDS[:, 5:], past_key_values=start.past_key_values).logits
        whole = logits_of(model, IDS)[:, 5:]

    torch.testing.assert_close(kept, whole, rtol=0, atol=SAME_LOGITS)


def test_rows_without_an_edit_change_no_bit():
    model = shared_model("gpt2")
    untouched = logits_of(model, IDS)

    with edited_rows(model, EDITS, [-1] * len(IDS)):
        assert torch.equal(logits_of(model, IDS), untouched)
    with edited_rows(model, [Edit()], [0] * len(IDS)):
        assert torch.equal(logits_of(model, IDS), untouched)


def test_gradients_flow_through_rows_under_edits():
    model = shared_model("gpt2")
    left = low_rank(2).left.requires_grad_()
    edit = Edit({0: LowRank(left, low_rank(2).right)})

    with edited_rows(model, [edit], [0, -1]):
        loss = model(IDS[:2]).logits[0, -1].square().sum()
    (gradient,) = torch.autograd.grad(loss, left)

    assert gradient.isfinite().all()
    assert (gradient != 0).all()


@pytest.mark.parametrize("raises", [False, True])
def test_rows_leave_the_model_as_found(raises: bool):
    model = make_model("llama")
    projection = ModuleMap(model).down_projection(0)
    before = dict(projection.__dict__)

    with unchanged(model, "bitwise"):
        try:
            with edited_rows(model, EDITS, [0] * len(IDS)):
                logits_of(model, IDS)
                if raises:
                    raise KeyError
        except KeyError:
            pass

    assert projection.__dict__ == before
    assert n_hooks(model) == 0


def test_low_precision_weights_are_rounded_once_and_restored():
    model = make_model("llama").to(torch.bfloat16)
    before = weights_of(model)
    exact = before["model.layers.0.mlp.down_proj.weight"].float()

    with edited(model, EDITS[0]):
        new = ModuleMap(model).down_projection(0).weight.detach().clone()

    delta = EDITS[0].deltas[0]
    assert torch.equal(new, (exact + delta.left @ delta.right.T).bfloat16())
    assert_bitwise(model, before)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_both_ways_hold_in_mixed_precision(name: str):
    """Autocast keeps casts of the weights it has seen: those of before the edit, or of within."""
    model = shared_model(name)
    with torch.autocast("cpu", torch.bfloat16):
        untouched = logits_of(model, IDS)
        with edited_rows(model, EDITS, [3, -1, -1, 3, -1, -1, -1]):
            together = logits_of(model, IDS)
        alone = under(model, EDITS[3])
        assert torch.equal(logits_of(model, IDS), untouched)

    has_changed = [not torch.equal(a, b) for a, b in zip(together, untouched, strict=True)]
    assert has_changed == [True, False, False, True, False, False, False]
    # bfloat16 keeps 8 bits, and an edit is rounded apart from the weights or with them
    error = (together - alone)[[0, 3]].float().abs().max()
    assert error < 0.1 * (untouched - alone).float().abs().max()


def test_edits_that_do_not_fit_are_refused_before_anything_is_written():
    model = make_model("gpt2")
    before = weights_of(model)
    good = low_rank(1)
    wrong_width = LowRank(noise(D_MODEL, 1), noise(D_MODEL, 1))
    huge = LowRank(torch.full((D_MODEL, 1), 1e30), torch.full((D_MLP, 1), 1e30))
    cases = {
        r"changes layer 2; the model's layers are 0 to 1": Edit({0: good, 2: good}),
        r"layer 1: a delta of U \[32, 1\] and V \[32, 1\]": Edit({0: good, 1: wrong_width}),
        r"layer 0: erased neurons \[3\]": Edit(erased={0: torch.ones(3, dtype=torch.bool)}),
    }
    for message, edit in cases.items():
        with pytest.raises(ValueError, match=message), edited(model, edit):
            pytest.fail("the block was entered")
        with pytest.raises(ValueError, match=message), edited_rows(model, [edit], [0]):
            pytest.fail("the block was entered")
    overflow = pytest.raises(ValueError, match=r"layer 1: .* not be finite")
    with overflow, edited(model, Edit({0: good, 1: huge})):
        pytest.fail("the block was entered")
    assert_bitwise(model, before)


def test_deltas_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"of one rank r, not \[4, 2\] and \[5, 3\]"):
        LowRank(torch.zeros(4, 2), torch.zeros(5, 3))
    with pytest.raises(ValueError, match=r"V .* finite"):
        LowRank(torch.zeros(4, 1), torch.full((5, 1), torch.nan))
    with pytest.raises(ValueError, match=r"layer 3 must be bool \[m\], not float32 \[5\]"):
        Edit(erased={3: torch.zeros(5)})


def test_shared_weights_are_refused_with_their_names():
    model = make_model("gpt2")
    first, second = model.transformer.h
    second.mlp.c_proj.weight = first.mlp.c_proj.weight

    with pytest.raises(ValueError, match=r"h\.0\.mlp\.c_proj\.weight, .*h\.1\.mlp"):
        under(model, EDITS[0])


def test_rows_that_do_not_fit_are_refused():
    model = shared_model("gpt2")
    unknown = pytest.raises(ValueError, match=r"-1 \(no edit\) to 4, not \[0, 5\]")
    with unknown, edited_rows(model, EDITS, [0, 5]):
        pytest.fail("the block was entered")
    too_many = pytest.raises(ValueError, match=r"names 2 rows, the batch is \[7, 8, 48\]")
    with too_many, edited_rows(model, EDITS, [0, 1]):
        logits_of(model, IDS)


def test_a_model_that_never_ran_under_its_edits_is_an_error():
    silent = pytest.raises(RuntimeError, match=r"no forward pass .* layers \[0, 1\]")
    with silent, edited_rows(shared_model("gpt2"), EDITS, [0, 1]):
        pass


def test_blocks_of_rows_are_bounded_however_uneven_the_groups():
    uneven = torch.tensor([0] * 50 + list(range(1, 11)))
    x, maps = noise(60, 3, D_MLP), [low_rank(1 + i % 3, seed=i) for i in range(11)]
    blocks = RowBlocks.of(uneven, 11)

    out = blocks.apply(x, *blocks.padded(maps, noise(D_MLP, D_MODEL)))

    expected = [row @ maps[i].right @ maps[i].left.T for i, row in zip(uneven, x, strict=True)]
    torch.testing.assert_close(out, torch.stack(expected))
    assert len(blocks.map_of_block) < 2 * 11
    assert len(blocks.map_of_block) * blocks.size <= 2 * 60 + 11
