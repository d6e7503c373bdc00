"""Second moments of keys: against the definition, streamed, repaired where singular, and cached."""

import logging
from pathlib import Path

import pytest
import torch

from coemerge.editing import keys
from coemerge.editing.keys import KeyMoment, key_moments, solved, subject_states
from coemerge.editing.requests import find_subject
from coemerge.interventions.capture import capture
from coemerge.interventions.guard import unchanged
from coemerge.interventions.sites import Site
from coemerge.interventions.weight_edits import Edit, LowRank, edited
from tests.editing.requests import CONTEXTS, some_requests
from tests.interventions.models import (
    D_MLP,
    D_MODEL,
    MODELS,
    SAME_LOGITS,
    make_model,
    noise,
    shared_model,
    tokens,
)

TEXT = tokens(12, 9)
FLOAT32_SUM = 1e-5  # relative to entries of order 1: batches are summed in float32


@pytest.mark.parametrize("name", MODELS)
def test_moments_are_means_over_all_positions(name: str):
    model = shared_model(name)

    found = key_moments(model, TEXT, [0, 1], tokens_per_batch=30)

    for layer in (0, 1):
        site = Site("mlp_act", layer)
        with torch.no_grad(), capture(model, [site]) as seen:
            model(input_ids=TEXT)
        rows = seen[site].flatten(0, 1).double()
        expected = rows.T @ rows / len(rows)
        torch.testing.assert_close(
            found[layer].moment, expected, rtol=FLOAT32_SUM, atol=FLOAT32_SUM
        )


def test_texts_of_any_length_count_by_their_tokens():
    model, texts = shared_model("gpt2"), [tokens(n, seed=n).tolist() for n in (3, 9, 3, 5)]
    each = [key_moments(model, [text], [1])[1].moment for text in texts]

    found = key_moments(model, texts, [1])[1].moment

    expected = sum(len(t) * moment for t, moment in zip(texts, each, strict=True)) / 20
    torch.testing.assert_close(found, expected, rtol=FLOAT32_SUM, atol=FLOAT32_SUM)


def test_dividing_by_the_moment():
    moment = KeyMoment.of(torch.diag(torch.tensor([4.0, 1.0])))

    assert moment.ridge == 0
    assert moment.solve(torch.tensor([[3.0, 4.0]])).tolist() == [[0.75, 4.0]]
    assert solved(None, torch.tensor([[3.0, 4.0]])).tolist() == [[3.0, 4.0]]


def test_a_singular_moment_is_repaired_and_told(caplog: pytest.LogCaptureFixture):
    """Fewer tokens than neurons; as little as makes it invertible."""
    with caplog.at_level(logging.WARNING):
        moment = key_moments(shared_model("gpt2"), TEXT[:2], [1])[1]

    assert 0 < moment.ridge < 1e-3
    assert "layer 1: C is singular" in caplog.text
    assert moment.solve(noise(3, D_MLP)).isfinite().all()


@pytest.mark.parametrize("bad", [torch.zeros(3, 3), torch.full((3, 3), torch.nan)])
def test_a_moment_of_nothing_is_refused(bad):
    with pytest.raises(ValueError, match="layer 5: C must be finite and not zero"):
        KeyMoment.of(bad, "layer 5")


def test_what_was_measured_is_kept_by_weights_and_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = make_model("gpt2")
    first = key_moments(model, TEXT, [0], tmp_path, "abc")
    runs: list[list[int]] = []
    measure = keys._measured

    def counted(*args):
        runs.append(list(args[2]))
        return measure(*args)

    monkeypatch.setattr(keys, "_measured", counted)
    again = key_moments(model, TEXT, [0, 1], tmp_path, "abc")
    key_moments(model, TEXT, [0, 1], tmp_path, "abd")
    key_moments(model, TEXT[1:], [0], tmp_path, "abc")
    key_moments(model, TEXT, [0, 1], tmp_path, "abc")

    assert runs == [[1], [0, 1], [0]]
    assert torch.equal(first[0].moment, again[0].moment)
    assert len(list(tmp_path.iterdir())) == 5  # and nothing half written
    for weights_id in ("", "../x"):
        with pytest.raises(ValueError, match="weights_id"):
            key_moments(model, TEXT, [0], tmp_path, weights_id)


def test_the_model_is_left_as_found_and_bad_text_is_refused():
    model = make_model("gpt2").train()
    with unchanged(model, "bitwise"):
        key_moments(model, TEXT, [1])
    assert model.training
    for text in (TEXT[0], TEXT[:0], [], [[1, 2], []]):
        with pytest.raises(ValueError, match=r"text must be (token ids \[N,T\]|rows of token ids)"):
            key_moments(model, text, [1])
    with pytest.raises(ValueError, match=r"layers \[2\]"):
        key_moments(model, TEXT, [2])


@pytest.mark.parametrize("name", ["gpt2", "olmo2"])
def test_states_are_those_at_the_subjects_last_token_under_each_edit(name: str):
    model, goals = shared_model(name), [request.goal for request in some_requests(4)]
    site = Site("mlp_act", 1)
    edit = Edit({0: LowRank(noise(D_MODEL, 1), noise(D_MLP, 1, seed=1))})

    found = subject_states(model, goals, CONTEXTS, [site], [edit], [-1, 0, 0, -1])[site]

    assert found.shape == (4, len(CONTEXTS), D_MLP)
    for e, goal in enumerate(goals):
        for c, context in enumerate(CONTEXTS):
            whole = torch.tensor([[*context, *goal.ids]])
            with edited(model, edit if e in (1, 2) else Edit()), capture(model, [site]) as seen:
                model(input_ids=whole)
            expected = seen[site][0, len(context) + goal.subject[1] - 1]
            torch.testing.assert_close(found[e, c], expected, rtol=SAME_LOGITS, atol=SAME_LOGITS)


def test_subjects_are_found_by_their_tokens():
    assert find_subject([1, 2, 3, 4], [2, 3]) == (1, 3)
    for ids, subject in (([1, 2], [3]), ([1, 2, 1], [1]), ([1], [])):
        with pytest.raises(ValueError, match="subject"):
            find_subject(ids, subject)
