"""Units of edits and tracing: read back as they were made, and only for what they were made of."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from coemerge.localization.tracing_result import TracingResult
from coemerge.studies.shared import kept
from coemerge.studies.shared.kept import Frames, Kept


def frames(unit: int) -> Frames:
    first = pd.DataFrame({"name": ["a", "b"], "share": [unit / 3, float("nan")], "n": [unit, 2]})
    return first, pd.DataFrame({"unit": [unit], "holds": [True]})


def asked(folder: Path, about: object, units: list[int]) -> tuple[list[Frames], list[int]]:
    made = []

    def make(i: int) -> Frames:
        made.append(units[i])
        return frames(units[i])

    return Kept.of(folder, about).frames(2, units, make), made


def test_frames_are_read_back_as_they_were_made_and_made_once(tmp_path):
    found, made = asked(tmp_path, "model", [3, 4])
    again, made_again = asked(tmp_path, "model", [4, 5, 3])

    assert (made, made_again) == ([3, 4], [5])
    for unit, of in zip((3, 4, 4, 5, 3), [*found, *again], strict=True):
        for one, expected in zip(of, frames(unit), strict=True):
            pd.testing.assert_frame_equal(one, expected)


def test_what_was_made_of_something_else_or_by_other_code_is_not_read(tmp_path, monkeypatch):
    asked(tmp_path, "model", [3])
    assert asked(tmp_path, "another model", [3])[1] == [3]
    monkeypatch.setattr(kept, "code_sha256", lambda *_: "other code")
    assert asked(tmp_path, "model", [3])[1] == [3]


def test_a_unit_of_which_a_part_is_lost_is_told(tmp_path):
    asked(tmp_path, "model", [3])
    next(tmp_path.glob("*.1.parquet")).unlink()
    with pytest.raises(FileNotFoundError):
        asked(tmp_path, "model", [3])


def test_traced_effects_are_read_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    effects = rng.random((2, 3, 4), dtype=np.float32)
    effects[0, 0, 3] = np.nan
    given = TracingResult(
        p_clean=rng.random(2, dtype=np.float32),
        p_corrupted=rng.random(2, dtype=np.float32),
        is_top1=np.array([True, False]),
        effects={"resid": effects, "resid_mlp_severed": effects + 1},
        roles=rng.random((2, 4, 6)) > 0.5,
        role_names=("first", "last", "a", "b", "c", "d"),
        windows=np.array([1, 2, 1]),
        noise_std=0.25,
    )
    both = [
        Kept.of(tmp_path, "x").tracing([0], make) for make in (lambda _: given, lambda _: 1 / 0)
    ]
    for (found,) in both:
        assert found.role_names == given.role_names
        assert found.noise_std == given.noise_std
        assert list(found.effects) == list(given.effects)
        for kind, effect in given.effects.items():
            assert np.array_equal(found.effects[kind], effect, equal_nan=True)
            assert found.effects[kind].dtype == effect.dtype
        for name in ("p_clean", "p_corrupted", "is_top1", "roles", "windows"):
            assert np.array_equal(getattr(found, name), getattr(given, name))
