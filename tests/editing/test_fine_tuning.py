"""Fine-tuning edits: against a plain loop on the weight itself, bounds, and both objectives."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from coemerge.editing import fine_tuning
from coemerge.editing.fine_tuning import FT, FT_L, FineTuningConfig, fine_tune
from coemerge.editing.outcome import warn_of
from coemerge.editing.requests import Request
from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.edits import Edit
from coemerge.interventions.guard import unchanged
from tests.editing.requests import broken_request, some_requests
from tests.interventions.models import MODELS, logits_of, make_model, shared_model

QUICK = FineTuningConfig(lr=1e-3, steps=4)
SAME_CHANGE = 2e-5  # of steps of 1e-3; Adam amplifies rounding where gradients are near 0


def change_of(edit: Edit, layer: int) -> Tensor:
    """Of W^T, [m,d]."""
    delta = edit.deltas[layer]
    return delta.right @ delta.left.T


def by_hand(name: str, request: Request, layer: int, config: FineTuningConfig) -> Tensor:
    """The change of W^T by Adam on the parameter itself: one request, whole passes."""
    model, goal = make_model(name), request.goal
    module = ModuleMap(model).down_projection(layer)
    before, weight = projection_matrix(module).detach().clone(), module.weight
    start, n = weight.detach().clone(), len(goal.target)
    adam = torch.optim.Adam([weight], lr=config.lr)
    for _ in range(config.steps):
        if config.objective == "prompt_last":
            logits = model(input_ids=torch.tensor([goal.ids])).logits[0, -1:].expand(n, -1)
        else:
            ids = torch.tensor([[*goal.ids, *goal.target[:-1]]])
            logits = model(input_ids=ids).logits[0, -n:]
        adam.zero_grad()
        cross_entropy(logits, torch.tensor(goal.target)).backward()
        adam.step()
        if config.max_change is not None:
            with torch.no_grad():
                weight.copy_(start + (weight - start).clamp(-config.max_change, config.max_change))
    return projection_matrix(module).detach() - before


@pytest.mark.parametrize("objective", ["target_new", "prompt_last"])
@pytest.mark.parametrize("name", MODELS)
def test_many_at_once_equal_a_loop_on_the_weight_itself(name: str, objective: str):
    model, layer, requests = shared_model(name), 1, some_requests(3)
    config = replace(QUICK, objective=objective)

    found = fine_tune(model, requests, layer, config)

    for request, outcome in zip(requests, found, strict=True):
        expected = by_hand(name, request, layer, config)
        gap = (change_of(outcome.edit, layer) - expected).abs()
        assert float(gap.mean()) < SAME_CHANGE
        assert float(expected.abs().mean()) > 100 * SAME_CHANGE
        assert outcome.n_steps == config.steps


def test_objectives_differ_for_targets_of_several_tokens_alone():
    model, requests = shared_model("gpt2"), some_requests(2)
    assert [len(request.goal.target) for request in requests] == [1, 2]

    each = [
        fine_tune(model, requests, 0, replace(QUICK, objective=objective))
        for objective in ("target_new", "prompt_last")
    ]

    one, two = (
        float((change_of(a.edit, 0) - change_of(b.edit, 0)).abs().max())
        for a, b in zip(*each, strict=True)
    )
    assert one < SAME_CHANGE
    assert two > 10 * SAME_CHANGE


def test_changes_are_bounded_where_asked():
    model, (request,) = shared_model("gpt2"), some_requests(1)
    config = replace(FT_L, lr=5e-4, steps=10, stop_loss=1e-6)

    (bounded,), (free,) = (
        fine_tune(model, [request], 1, c) for c in (config, replace(config, max_change=None))
    )

    assert float(change_of(bounded.edit, 1).abs().max()) == pytest.approx(5e-4)
    assert float(change_of(free.edit, 1).abs().max()) > 1e-3
    assert free.loss < bounded.loss


def test_a_request_is_done_when_its_loss_is_low():
    model, requests = shared_model("gpt2"), some_requests(3)
    easy = replace(FT, lr=1e-2, steps=25, stop_loss=2.0)

    outcomes = fine_tune(model, requests, 1, easy)

    assert all(outcome.loss < 2.0 and 0 < outcome.n_steps < 25 for outcome in outcomes)
    assert len({outcome.n_steps for outcome in outcomes}) > 1
    for request, outcome in zip(requests, outcomes, strict=True):
        (alone,) = fine_tune(model, [request], 1, easy)
        assert alone.n_steps == outcome.n_steps


def test_size_of_batches_does_not_matter(monkeypatch: pytest.MonkeyPatch):
    model, requests = shared_model("llama"), some_requests(4)
    together = fine_tune(model, requests, 0, QUICK)

    monkeypatch.setitem(fine_tuning._MAX_VALUES, "cpu", 1)
    apart = fine_tune(model, requests, 0, QUICK)

    for one, other in zip(together, apart, strict=True):
        gap = (change_of(one.edit, 0) - change_of(other.edit, 0)).abs()
        assert float(gap.mean()) < SAME_CHANGE


def test_an_edit_that_diverges_is_told_and_leaves_the_others_alone(
    caplog: pytest.LogCaptureFixture,
):
    model, requests = make_model("gpt2"), some_requests(2)
    expected = fine_tune(model, requests, 0, QUICK)
    broken = broken_request(model, requests)

    found = fine_tune(model, [requests[0], broken, requests[1]], 0, QUICK)
    warn_of(found)

    assert [outcome.diverged for outcome in found] == [False, True, False]
    assert found[1].edit.is_empty
    assert caplog.text.count("1 of 3 requests, first requests[1], diverged") == 1
    for one, other in zip(expected, found[::2], strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-4)


def test_steps_that_are_too_long_diverge_and_nothing_is_written():
    model, requests = shared_model("gpt2"), some_requests(3)

    outcomes = fine_tune(model, requests, 0, replace(FT, lr=1e30))

    assert all(outcome.diverged and outcome.edit.is_empty for outcome in outcomes)


def test_what_is_answered_already_is_told(caplog: pytest.LogCaptureFixture):
    model, requests = shared_model("gpt2"), some_requests(3)
    goal = requests[1].goal
    top = int(logits_of(model, torch.tensor([goal.ids]))[0, -1].argmax())
    requests[1] = Request(replace(goal, target=[top]), [top])

    outcomes = fine_tune(model, requests, 0, QUICK)
    warn_of(outcomes)

    assert [outcome.already_answered for outcome in outcomes] == [False, True, False]
    assert caplog.text.count("1 of 3 requests, first requests[1], ask for what the model ans") == 1


def test_the_model_is_left_as_found_and_bad_settings_are_refused(monkeypatch):
    model, requests = make_model("gpt2").train(), some_requests(2)
    with unchanged(model, "bitwise"):
        fine_tune(model, requests, 1, QUICK)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())

    monkeypatch.setattr(model, "forward", lambda *_args, **_kwargs: pytest.fail("it ran"))
    for message, layer, config in [
        (r"layers \[2\]: must be some of 0 to 1", 2, QUICK),
        (r"fine_tuning.lr: must be .* above 0, got -1", 0, replace(QUICK, lr=-1)),
        (r"fine_tuning.steps: must be .*: 0", 0, replace(QUICK, steps=0)),
        (r"fine_tuning.max_change: .* got inf", 0, replace(QUICK, max_change=float("inf"))),
        (r"fine_tuning.objective: 'last' is not", 0, replace(QUICK, objective="last")),
    ]:
        with pytest.raises(ValueError, match=message):
            fine_tune(model, requests, layer, config)
