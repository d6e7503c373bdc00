"""Chunks: kept when done, never trained again, halved when they do not fit."""

import logging

import numpy as np
import pytest

from coemerge.localization import chunks
from coemerge.localization.chunks import train_masks
from tests.localization.models import FACTS, planted_model
from tests.localization.test_masks import examples

SETTINGS = {"steps": 3, "initial_logit": 0, "initial_noise": 1.0, "facts_per_chunk": 2}


def same(one, other) -> bool:
    names = ("heads", "neurons", "losses", "order_index", "n_steps")
    return one.cells == other.cells and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in names
    )


def train(tmp_path, given=None):
    return train_masks(planted_model(), given or examples(**SETTINGS), tmp_path, None, False)


def test_a_training_that_was_cut_ends_with_the_same_bits(tmp_path, monkeypatch):
    whole = train(tmp_path / "whole")
    trained, real = [], chunks.train_facts

    def cut(model, given, facts, *rest):
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(facts)
        return real(model, given, facts, *rest)

    monkeypatch.setattr(chunks, "train_facts", cut)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut")
    trained.clear()

    resumed = train(tmp_path / "cut")

    assert trained == [FACTS[2:]]
    assert same(resumed, whole)


def test_what_is_done_is_read_and_not_trained(tmp_path, monkeypatch):
    first = train(tmp_path)
    monkeypatch.setattr(chunks, "train_facts", lambda *_: 1 / 0)

    assert same(train(tmp_path), first)
    with pytest.raises(ZeroDivisionError):  # another seed is another training
        train(tmp_path, examples(**SETTINGS, seed=3))


def test_chunks_that_do_not_fit_are_halved_and_told(tmp_path, monkeypatch, caplog):
    real, sizes = chunks.train_facts, []

    def crowded(model, given, facts, *rest):
        sizes.append(len(facts))
        if len(facts) > 1:
            raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return real(model, given, facts, *rest)

    expected = train(tmp_path / "a")
    monkeypatch.setattr(chunks, "train_facts", crowded)
    with caplog.at_level(logging.WARNING):
        found = train(tmp_path / "b")

    assert sizes == [2, 1, 1, 1, 1]
    assert "2 facts at once do not fit" in caplog.text
    assert np.array_equal(found.neurons, expected.neurons)


def test_other_errors_are_not_taken_for_lack_of_memory(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(chunks, "train_facts", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        train(tmp_path)


def test_the_number_of_facts_at_once_follows_from_memory(monkeypatch):
    given = examples(steps=3)
    monkeypatch.setitem(
        chunks._CHUNK_BYTES, "cpu", 10 * chunks._bytes_per_fact(planted_model(), given)
    )

    assert chunks.facts_per_chunk(planted_model(), given) == 10
    assert chunks.facts_per_chunk(planted_model(), examples(**SETTINGS)) == 2
