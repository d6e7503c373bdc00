"""Ablating and patching whole models through gates (methods T-A1 to T-A5)."""

import pytest
import torch

from coemerge.interventions.blend import freeze
from coemerge.interventions.capture import capture, mean_activation
from coemerge.interventions.gates import Gates, ablate, component_sites, patch
from coemerge.interventions.hooks import intervene
from coemerge.interventions.positions import position_mask
from coemerge.interventions.sites import Site
from tests.interventions.models import (
    D_MLP,
    MODELS,
    N_HEADS,
    N_LAYERS,
    PATCHED_LOGITS,
    PER_ROW_LOGITS,
    SAME_LOGITS,
    logits_of,
    random_binary,
    shared_model,
    tokens,
)

CLEAN = tokens(3, 8)
CORRUPTED = CLEAN.clone()
CORRUPTED[:, 1:4] = (CLEAN[:, 1:4] + 7) % 60  # another subject of the same length
SUBJECT = torch.tensor([[1, 4]] * 3)


def run(model, ids, functions) -> torch.Tensor:
    with intervene(model, functions):
        return logits_of(model, ids)


def clean_values(model, ids=CLEAN) -> dict[Site, torch.Tensor]:
    with capture(model, component_sites(model)) as values:
        logits_of(model, ids)
    return values


def random_gates(n_masks: int | None = None, seed: int = 0) -> Gates:
    lead = () if n_masks is None else (n_masks,)
    return Gates(
        random_binary(*lead, N_LAYERS, N_HEADS, seed=seed),
        random_binary(*lead, N_LAYERS, D_MLP, seed=seed + 1),
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["all", "subject", "last"])
def test_closed_gates_change_no_bit(name: str, kind):
    """T-A1, for the clean run and the corrupted one, and every reference."""
    model = shared_model(name)
    gates, positions = Gates.filled(model, 0.0), position_mask(kind, 3, 8, SUBJECT)
    means = mean_activation(model, [CLEAN], component_sites(model))

    for references in (None, means, clean_values(model)):
        for ids in (CLEAN, CORRUPTED):
            closed = run(model, ids, ablate(gates, references, positions))
            assert torch.equal(closed, logits_of(model, ids))


@pytest.mark.parametrize("name", MODELS)
def test_patching_everything_recovers_the_clean_answer(name: str):
    """T-A2."""
    model = shared_model(name)
    clean, corrupted = logits_of(model, CLEAN)[:, -1], logits_of(model, CORRUPTED)[:, -1]

    patched = run(model, CORRUPTED, patch(Gates.filled(model, 1.0), clean_values(model)))[:, -1]

    assert (corrupted - clean).abs().max() > 100 * PATCHED_LOGITS
    torch.testing.assert_close(patched, clean, rtol=0, atol=PATCHED_LOGITS)


@pytest.mark.parametrize("name", MODELS)
def test_with_everything_ablated_only_the_last_token_matters(name: str):
    """T-A3."""
    model = shared_model(name)
    other = tokens(3, 8, seed=9)
    other[:, -1] = CLEAN[:, -1]
    functions = ablate(Gates.filled(model, 1.0))

    one, two = run(model, CLEAN, functions), run(model, other, functions)

    torch.testing.assert_close(one[:, -1], two[:, -1], rtol=0, atol=SAME_LOGITS)
    other[:, -1] = (CLEAN[:, -1] + 1) % 60
    assert (run(model, other, functions)[:, -1] - one[:, -1]).abs().max() > 100 * SAME_LOGITS


@pytest.mark.parametrize("name", MODELS)
def test_ablating_twice_equals_ablating_the_union(name: str):
    """T-A4, by functions of one site and by nested blocks."""
    model, a, b = shared_model(name), random_gates(seed=0), random_gates(seed=5)
    union = Gates(torch.maximum(a.heads, b.heads), torch.maximum(a.neurons, b.neurons))
    first, second = ablate(a), ablate(b)

    at_once = run(model, CLEAN, ablate(union))
    in_turn = run(model, CLEAN, {site: [first[site], second[site]] for site in first})
    with intervene(model, first):
        nested = run(model, CLEAN, second)

    assert torch.equal(in_turn, at_once)
    assert torch.equal(nested, at_once)
    assert not torch.equal(run(model, CLEAN, first), at_once)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_gate(name: str):
    """T-A5."""
    model = shared_model(name)
    gates = Gates.filled(model, 0.5)
    gates.heads.requires_grad_()
    gates.neurons.requires_grad_()

    with intervene(model, ablate(gates)):
        answers = model(CLEAN).logits[:, -1].log_softmax(-1)[:, 3]
    heads, neurons = torch.autograd.grad(answers.sum(), [gates.heads, gates.neurons])

    assert heads.isfinite().all()
    assert neurons.isfinite().all()
    assert (heads != 0).all()
    assert (neurons != 0).all()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("reference", ["zero", "mean", "run"])
def test_a_mask_per_row_equals_one_row_at_a_time(name: str, reference: str):
    model, masks = shared_model(name), random_gates(n_masks=2)
    mask_of_row = torch.tensor([1, 0, 1])
    positions = position_mask("subject", 3, 8, torch.tensor([[1, 4], [0, 2], [5, 8]]))
    references = {
        "zero": None,
        "mean": mean_activation(model, [CLEAN], component_sites(model)),
        "run": clean_values(model, CORRUPTED),
    }[reference]

    together = run(model, CLEAN, ablate(masks.for_rows(mask_of_row), references, positions))

    for row, mask in enumerate(mask_of_row):
        own = Gates(masks.heads[mask], masks.neurons[mask])
        at = slice(row, row + 1)
        values = references
        if reference == "run":
            values = {site: value[at] for site, value in references.items()}
        alone = run(model, CLEAN[at], ablate(own, values, positions[at]))
        torch.testing.assert_close(together[at], alone, rtol=PER_ROW_LOGITS, atol=PER_ROW_LOGITS)


@pytest.mark.parametrize("name", MODELS)
def test_generating_with_kept_keys_equals_recomputing(name: str):
    model = shared_model(name)
    masks = random_gates(n_masks=3)
    means = mean_activation(model, [CLEAN], component_sites(model))
    with torch.no_grad(), intervene(model, ablate(masks, means)) as counts:
        ids, new, past, kept = CLEAN, CLEAN, None, []
        for _ in range(6):
            out = model(input_ids=new, past_key_values=past, use_cache=True)
            past, new = out.past_key_values, out.logits[:, -1:].argmax(-1)
            kept.append(out.logits[:, -1])
            ids = torch.cat((ids, new), dim=1)
        n_chunks = counts[Site("mlp_act", 0)]
        recomputed = model(input_ids=ids[:, :-1], use_cache=False).logits[:, 7:]

    torch.testing.assert_close(torch.stack(kept, 1), recomputed, rtol=0, atol=SAME_LOGITS)
    assert n_chunks == 6


@pytest.mark.parametrize("name", MODELS)
def test_gates_and_references_follow_the_type_of_mixed_precision(name: str):
    """Float32 means and gates meet bfloat16 activations: closed gates still change no bit."""
    model = shared_model(name)
    means = mean_activation(model, [CLEAN], component_sites(model))

    with torch.autocast("cpu", torch.bfloat16):
        before = logits_of(model, CLEAN)
        closed = run(model, CLEAN, ablate(Gates.filled(model, 0.0), means))
        opened = run(model, CLEAN, ablate(Gates.filled(model, 1.0), means))

    assert torch.equal(closed, before)
    assert not torch.equal(opened, before)


def test_boolean_masks_serve_as_gates():
    model, gates = shared_model("gpt2"), random_gates()
    binary = Gates(gates.heads.bool(), gates.neurons.bool())

    assert torch.equal(run(model, CLEAN, ablate(binary)), run(model, CLEAN, ablate(gates)))


def test_patterns_can_be_changed_while_generating():
    """Columns of cached keys are reached too, S counting them."""
    model = shared_model("gemma2")

    def without_first_key(pattern: torch.Tensor) -> torch.Tensor:
        return torch.cat((torch.zeros_like(pattern[..., :1]), pattern[..., 1:]), -1)

    sites = {Site("attn_pattern", 1): without_first_key}
    with torch.no_grad(), intervene(model, sites):
        out = model(input_ids=CLEAN[:, :5], use_cache=True)
        kept = model(input_ids=CLEAN[:, 5:], past_key_values=out.past_key_values).logits
        whole = model(input_ids=CLEAN, use_cache=False).logits[:, 5:]

    torch.testing.assert_close(kept, whole, rtol=0, atol=SAME_LOGITS)


@pytest.mark.parametrize("name", MODELS)
def test_frozen_outputs_cut_off_what_lies_before(name: str):
    """Methods 2.8: with all that the last position receives held at its corrupted values, the
    clean prompt answers as the corrupted one."""
    model = shared_model(name)
    outputs = [Site(kind, layer) for kind in ("attn_out", "mlp_out") for layer in range(N_LAYERS)]
    with capture(model, outputs) as corrupted:
        expected = logits_of(model, CORRUPTED)[:, -1]
    last = position_mask("last", 1, 8)

    severed = run(model, CLEAN, freeze(corrupted, last))

    torch.testing.assert_close(severed[:, -1], expected, rtol=0, atol=SAME_LOGITS)
    assert torch.equal(severed[:, :-1], logits_of(model, CLEAN)[:, :-1])


def test_gates_that_do_not_fit_each_other_are_refused():
    with pytest.raises(ValueError, match=r"heads \[2, 4\] and neurons \[3, 48\]"):
        Gates(torch.zeros(2, 4), torch.zeros(3, 48))
    with pytest.raises(ValueError, match=r"heads \[4\]"):
        Gates(torch.zeros(4), torch.zeros(48))
    with pytest.raises(ValueError, match=r"are one mask"):
        random_gates().for_rows(torch.tensor([0]))


def test_gates_of_another_model_are_refused_with_the_site():
    model = shared_model("gpt2")
    wrong = Gates(torch.zeros(N_LAYERS, 3), torch.zeros(N_LAYERS, D_MLP))

    with pytest.raises(ValueError, match=r"head_out.0: a gate of shape \[3\]"):
        run(model, CLEAN, ablate(wrong))


def test_a_missing_reference_is_refused():
    model = shared_model("gpt2")
    values = clean_values(model)
    del values[Site("mlp_act", 1)]

    with pytest.raises(ValueError, match=r"no reference for mlp_act.1"):
        patch(Gates.filled(model, 1.0), values)


def test_positions_of_the_prompt_do_not_fit_a_generated_token():
    model = shared_model("gpt2")
    functions = ablate(Gates.filled(model, 1.0), None, position_mask("subject", 3, 8, SUBJECT))

    with pytest.raises(ValueError, match=r"head_out.0: positions must be bool \[3, 1\]"):
        run(model, CLEAN[:, :1], functions)
