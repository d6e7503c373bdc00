"""Rank-one edits: the closed form on numbers, and edits of models of every architecture."""

import logging

import pytest
import torch
from torch import Tensor

from coemerge.editing import values
from coemerge.editing.keys import KeyMoment, subject_states
from coemerge.editing.objective import post_norm, projected
from coemerge.editing.outcome import warn_of
from coemerge.editing.rank_one import rank_one, rank_one_updates
from coemerge.editing.requests import Goal, Request
from coemerge.editing.value_config import ValueConfig
from coemerge.editing.values import optimise_values
from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.capture import capture
from coemerge.interventions.guard import unchanged
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import Site
from coemerge.interventions.weight_edits import edited
from tests.editing.requests import CONTEXTS, broken_request, some_requests
from tests.interventions.models import D_MLP, MODELS, logits_of, make_model, noise, shared_model

SAME_VALUE = 1e-4  # methods T-E5
SAME_EDIT = 1e-4  # relative to the edit's largest entry; Adam amplifies rounding of gradients
QUICK = ValueConfig(steps=6)
MOMENT = KeyMoment.of(noise(200, D_MLP, seed=3).T @ noise(200, D_MLP, seed=3) / 200)


def updated(moment: Tensor | None) -> Tensor:
    """W = I with key (3, 4) mapped to (10, 0)."""
    key, value = torch.tensor([[3.0, 4.0]]), torch.tensor([[10.0, 0.0]])
    c = None if moment is None else KeyMoment.of(moment)
    (update,) = rank_one_updates(value - key, key, key, c)
    assert update is not None
    return torch.eye(2) + update.left @ update.right.T


def test_the_key_has_the_value_and_orthogonal_keys_stay():
    """T-E1, T-E2."""
    w = updated(None)

    torch.testing.assert_close(w, torch.tensor([[1.84, 1.12], [-0.48, 0.36]]))
    torch.testing.assert_close(w @ torch.tensor([3.0, 4.0]), torch.tensor([10.0, 0.0]))
    torch.testing.assert_close(w @ torch.tensor([4.0, -3.0]), torch.tensor([4.0, -3.0]))


def test_common_directions_of_keys_are_spared():
    """T-E3."""
    w = updated(torch.diag(torch.tensor([4.0, 1.0])))

    expected = torch.tensor([[1.2877, 1.5342], [-0.1644, 0.1233]])
    torch.testing.assert_close(w, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(w @ torch.tensor([3.0, 4.0]), torch.tensor([10.0, 0.0]))
    torch.testing.assert_close(w @ torch.tensor([16.0, -3.0]), torch.tensor([16.0, -3.0]))


def test_a_key_that_the_direction_does_not_see_cannot_be_given_a_value():
    key, other = torch.tensor([[1.0, 0.0]] * 2), torch.tensor([[0.0, 1.0], [1.0, 1.0]])

    none, some = rank_one_updates(key, key, other, None)

    assert none is None
    assert some is not None


@pytest.mark.parametrize("name", MODELS)
def test_the_subject_has_the_optimised_value_after_the_edit(name: str):
    """T-E4, T-E5: of rank 1, and exact for the bare prompt's key, contexts or not."""
    model, layer, requests = make_model(name), 1, some_requests(3)
    found = rank_one(model, requests, layer, CONTEXTS, MOMENT, QUICK)
    before, descent = optimise_values(model, requests, CONTEXTS, layer, "projection", QUICK)
    wanted = before + descent.values

    for outcome, request, value in zip(found, requests, wanted, strict=True):
        assert not outcome.diverged
        untouched = matrix_of(model, layer).clone()
        key_site, out_site = Site("mlp_act", layer), Site("mlp_out", layer)
        with edited(model, outcome.edit), capture(model, [out_site]) as seen:
            change = matrix_of(model, layer) - untouched
            key = subject_states(model, [request.goal], [()], [key_site])[key_site][0, 0]
            now = projected(model, layer, key)
            logits_of(model, torch.tensor([request.goal.ids]))
        assert torch.linalg.matrix_rank(change, rtol=1e-3) == 1
        torch.testing.assert_close(now, value, rtol=SAME_VALUE, atol=SAME_VALUE)
        norm = post_norm(model, layer) or torch.nn.Identity()
        there = seen[out_site][0, request.goal.subject[1] - 1]
        torch.testing.assert_close(there, norm(value), rtol=SAME_VALUE, atol=SAME_VALUE)


def matrix_of(model, layer: int) -> Tensor:
    return projection_matrix(ModuleMap(model).down_projection(layer)).detach()


@pytest.mark.parametrize("name", MODELS)
def test_targets_become_likely(name: str):
    model, requests = make_model(name), some_requests(4)
    config = ValueConfig(steps=15, weight_decay=0.01, max_norm=10)
    outcomes = rank_one(model, requests, 0, CONTEXTS, None, config)

    gains = []  # of noise models, where a subject that is not read last hardly matters
    for request, outcome in zip(requests, outcomes, strict=True):
        before = target_probability(model, request)
        with edited(model, outcome.edit):
            gains.append(target_probability(model, request) / before)
    assert max(gains) > 10
    assert torch.tensor(gains).log().mean() > 1


def target_probability(model, request: Request) -> float:
    goal = request.goal
    ids = torch.tensor([[*goal.ids, *goal.target]])
    log_probs = logits_of(model, ids).log_softmax(-1)[0, len(goal.ids) - 1 : -1]
    return float(log_probs.gather(1, torch.tensor(goal.target)[:, None]).sum().exp())


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("sizes", [(64, 1 << 24), (1, 1)])
def test_edits_do_not_depend_on_what_is_edited_beside(name: str, sizes, monkeypatch):
    """All in one batch, in small ones, and alone."""
    model, requests = shared_model(name), some_requests(5)
    together = rank_one(model, requests, 0, CONTEXTS, MOMENT, QUICK)

    monkeypatch.setitem(values._MAX_SIZES, "cpu", sizes)
    apart = rank_one(model, requests, 0, CONTEXTS, MOMENT, QUICK)

    for one, other in zip(together, apart, strict=True):
        left, right = (o.edit.deltas[0].left @ o.edit.deltas[0].right.T for o in (one, other))
        torch.testing.assert_close(left, right, rtol=0, atol=SAME_EDIT * float(left.abs().max()))
        assert one.loss == pytest.approx(other.loss, rel=SAME_EDIT)


def test_the_objective_is_the_one_of_whole_passes():
    """Every term, from the definition: NLL behind contexts, KL at the subject, weight decay."""
    model, (request,) = shared_model("olmo2"), some_requests(2)[1:]
    config = ValueConfig(steps=4, kl_weight=0.5, max_norm=100, weight_decay=2.0)
    before, descent = optimise_values(model, [request], CONTEXTS, 0, "residual", config)
    delta, goal = descent.values[0], request.goal

    def log_probs(ids: list[int], start: int, change: Tensor) -> Tensor:
        added = torch.zeros(1, len(ids), len(change))
        added[0, start] = change
        with intervene(model, {Site("resid_post", 0): lambda x: x + added}):
            return logits_of(model, torch.tensor([ids]))[0].log_softmax(-1)

    nll = []
    for context in CONTEXTS:
        ids = [*context, *goal.ids, *goal.target[:-1]]
        found = log_probs(ids, len(context) + goal.subject[1] - 1, delta)[-len(goal.target) :]
        nll.append(-found.gather(1, torch.tensor(goal.target)[:, None]).mean())
    neutral = list(request.neutral_ids)
    old, new = (log_probs(neutral, len(neutral) - 1, x)[-1] for x in (0 * delta, delta))
    kl = (old.exp() * (old - new)).sum()
    expected = torch.stack(nll).mean() + 0.5 * kl + 2.0 * delta.norm() / before[0].norm() ** 2
    assert float(descent.loss[0]) == pytest.approx(float(expected), rel=1e-4)
    assert float(kl) > 0


def test_a_second_goal_is_answered_by_the_same_value():
    model, (*_, request) = shared_model("gpt2"), some_requests(3)
    config = ValueConfig(steps=20, weight_decay=0.01, max_norm=10)
    first, end = request.goal.subject
    also = Goal([7, *request.goal.ids[first:end]], (1, 3), [44])
    both = Request(request.goal, request.target_true, also=also)

    (one,), (two,) = (rank_one(model, [r], 0, CONTEXTS, None, config) for r in (request, both))

    gained = Request(also, request.target_true)
    with edited(model, one.edit):
        alone = target_probability(model, gained)
    with edited(model, two.edit):
        assert target_probability(model, gained) > max(0.1, 5 * alone)
        assert target_probability(model, request) > 0.1


def test_the_norm_of_the_change_is_bounded():
    model, requests = shared_model("llama"), some_requests(3)
    config = ValueConfig(steps=8, max_norm=0.1)

    before, descent = optimise_values(model, requests, CONTEXTS, 1, "projection", config)

    ratio = descent.values.norm(dim=1) / before.norm(dim=1)
    assert float(ratio.max()) == pytest.approx(0.1, rel=1e-5)


def test_an_edit_that_diverges_is_told_and_leaves_the_others_alone(
    caplog: pytest.LogCaptureFixture,
):
    model, requests = make_model("gpt2"), some_requests(4)
    expected = rank_one(model, requests, 0, CONTEXTS, None, QUICK)
    broken = broken_request(model, requests)

    found = rank_one(model, [*requests[:2], broken, *requests[2:]], 0, CONTEXTS, None, QUICK)
    assert not caplog.text  # where settings are tried, nobody wants to know
    warn_of(found)

    assert [outcome.diverged for outcome in found] == [False, False, True, False, False]
    assert found[2].edit.is_empty
    assert caplog.text.count("1 of 5 requests, first requests[2], diverged") == 1
    for one, other in zip(expected, found[:2] + found[3:], strict=True):
        assert one.loss == pytest.approx(other.loss, rel=SAME_EDIT)


def test_asking_for_what_is_answered_already_changes_no_answer_and_is_told(
    caplog: pytest.LogCaptureFixture,
):
    """T-E10."""
    model = shared_model("gpt2")
    requests = []
    for request in some_requests(4):
        goal = request.goal
        top = int(logits_of(model, torch.tensor([goal.ids]))[0, -1].argmax())
        requests.append(Request(Goal(goal.ids, goal.subject, [top]), [top]))

    with caplog.at_level(logging.WARNING):
        outcomes = rank_one(model, requests, 0, CONTEXTS, MOMENT)
        warn_of(outcomes)

    assert caplog.text.count("4 of 4 requests, first requests[0], ask for what") == 1
    for request, outcome in zip(requests, outcomes, strict=True):
        assert outcome.already_answered
        with edited(model, outcome.edit):
            top = int(logits_of(model, torch.tensor([request.goal.ids]))[0, -1].argmax())
        assert [top] == request.target_true


@pytest.mark.parametrize("raises", [False, True])
def test_the_model_is_left_as_found(raises: bool, monkeypatch: pytest.MonkeyPatch):
    model = make_model("gpt2").train()
    model.transformer.h[0].eval()
    modes = [module.training for module in model.modules()]
    with unchanged(model, "bitwise"):
        if raises:
            monkeypatch.setattr(model.transformer.ln_f, "forward", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                rank_one(model, some_requests(2), 0, CONTEXTS, None, QUICK)
        else:
            rank_one(model, some_requests(2), 0, CONTEXTS, None, QUICK)

    assert [module.training for module in model.modules()] == modes
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_many_edits_written_and_taken_back_leave_every_bit():
    """T-E8, a thousand times."""
    model = make_model("gpt2")
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    edits = [o.edit for o in rank_one(model, some_requests(10), 1, CONTEXTS, MOMENT, QUICK)]

    for turn in range(1000):
        with edited(model, edits[turn % len(edits)]):
            pass

    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


def test_bad_requests_and_settings_are_refused_before_anything_runs(monkeypatch):
    model, (good,) = make_model("gpt2"), some_requests(1)
    monkeypatch.setattr(model, "forward", lambda *_args, **_kwargs: pytest.fail("it ran"))
    goal = good.goal
    narrow = KeyMoment.of(torch.eye(3))
    cases = [
        (r"requests\[0\].goal: the subject \(9, 11\) is not", Goal(goal.ids, (9, 11), [1]), {}),
        (r"requests\[0\].goal.target has no tokens", Goal(goal.ids, (0, 1), []), {}),
        (r"requests\[0\].goal.target: \[60\] leaves .* 0 to 59", Goal(goal.ids, (0, 1), [60]), {}),
        (r"requests\[0\].goal: 2002 tokens", Goal([1] * 1998, (0, 1), [1]), {}),
        (r"layers \[2\]: must be some of 0 to 1", goal, {"layer": 2}),
        (r"contexts: the first must be the empty", goal, {"contexts": [(1,)]}),
        (r"moment for layer 0 is \[3, 3\], the model needs \[48, 48\]", goal, {"moment": narrow}),
        (r"value.steps: must be .* 1 or more: 0", goal, {"config": ValueConfig(steps=0)}),
        (r"value.lr: must be a finite .* above 0, got nan", goal,
         {"config": ValueConfig(lr=float("nan"))}),
    ]  # fmt: skip
    for message, own, options in cases:
        given = {"layer": 0, "contexts": CONTEXTS, **options}
        with pytest.raises(ValueError, match=message):
            rank_one(model, [Request(own, good.target_true)], **given)
    with pytest.raises(ValueError, match="requests: there are none"):
        rank_one(model, [], 0)
