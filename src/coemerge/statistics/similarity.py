"""How alike rows are: n-sample similarity, and that of rows which share nothing (methods 6.3)."""

from dataclasses import dataclass

import numpy as np

_CHUNK = 2**24  # values permuted at once, which bounds the memory


@dataclass(frozen=True, slots=True)
class Compared:
    """By draw of n rows, [draws]: their ``similarity``, and the ``baseline`` of the same rows with
    the values of each permuted. ``n_zero`` rows of zeros were left out."""

    similarity: np.ndarray
    baseline: np.ndarray
    n_zero: int

    @property
    def excess(self) -> np.ndarray:
        return self.similarity - self.baseline


def unit_rows(rows: np.ndarray) -> tuple[np.ndarray, int]:
    """Rows [n,P] of length 1, those of zeros left out, and how many these are."""
    largest = np.maximum(rows.max(1, initial=0), -rows.min(1, initial=0))
    kept = rows[largest > 0] / largest[largest > 0, None]  # else squares of small values vanish
    kept /= np.linalg.norm(kept, axis=1, keepdims=True)
    return kept, len(rows) - len(kept)


def n_sample_similarity(rows: np.ndarray) -> float:
    """R1^2 = (s^2 - 1) / (n - 1) of rows [n,P], s the top singular value of the rows made unit;
    rows of zeros are left out, of fewer than 2 others it is NaN.

    1 where all rows lie on one line, 0 where they are orthogonal; |cos| of two rows, and the cosine
    of rows that have all the same one, not below 0. It is uncentred and blind to signs: rows of
    independent positive values are far from 0. It means nothing without its baseline (see
    ``compare``), least of all beside that of rows of another length."""
    units, _ = unit_rows(rows)
    return float(_similarity(units @ units.T))


def compare(rows: np.ndarray, n: int, draws: int, rng: np.random.Generator) -> Compared:
    """Of ``draws`` draws of ``n`` rows [N,P] without replacement, each with one independent
    permutation of every row. NaN for ``n`` below 2. Raises ValueError where fewer than ``n`` rows
    are not of zeros."""
    units, n_zero = unit_rows(rows)
    if n < 2:
        return Compared(np.full(draws, np.nan), np.full(draws, np.nan), n_zero)
    if n > len(units):
        raise ValueError(f"{n} of {len(units)} rows that are not of zeros cannot be drawn")
    order = np.broadcast_to(np.arange(len(units)), (draws, len(units)))
    picks = rng.permuted(order, axis=1)[:, :n]
    gram = units @ units.T
    alike = _similarity(gram[picks[:, :, None], picks[:, None]])
    at_once = max(1, _CHUNK // (n * units.shape[1]))
    chance = [
        _similarity(_grams(rng.permuted(units[picks[start : start + at_once]], axis=-1)))
        for start in range(0, draws, at_once)
    ]
    return Compared(alike, np.concatenate(chance), n_zero)


def _grams(units: np.ndarray) -> np.ndarray:
    """[D,n,n] of [D,n,P]."""
    return units @ units.swapaxes(1, 2)


def _similarity(gram: np.ndarray) -> np.ndarray:
    """R1^2 of n unit rows with these products [...,n,n]; NaN for n below 2."""
    n = gram.shape[-1]
    if n < 2:
        return np.full(gram.shape[:-2], np.nan)
    largest = np.linalg.eigvalsh(gram.astype(float))[..., -1]
    return np.clip((largest - 1) / (n - 1), 0, 1)
