"""Rows that take long, kept by what they were made of, and shared between processes (``units``)."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coemerge.files import code_sha256, replacing
from coemerge.localization.tracing_result import TracingResult
from coemerge.studies.shared.editors import Model
from coemerge.tables.frames import read_frame, write_frame
from coemerge.units import share

Frames = tuple[pd.DataFrame, ...]
# All that edits and traces models.
_MAKERS = ("interventions", "localization", "editing", "scoring", "studies")


@dataclass(frozen=True)
class Kept:
    """A folder of units about one thing. ``about``: everything but the code that they depend on,
    by ``repr``; what other code has made is not read."""

    folder: Path
    about: str

    @classmethod
    def of(cls, folder: Path, *about: object) -> "Kept":
        return cls(folder, _hash(code_sha256(*_MAKERS), *about))

    @classmethod
    def of_model(cls, folder: Path, study: str, subject: Model, config: object) -> "Kept":
        """About what follows from a model, its text and the settings of a study."""
        model = (subject.identity, subject.opening, subject.separator, subject.start, subject.text)
        device = next(subject.model.parameters()).device.type
        return cls.of(folder, study, model, device, config)

    def frames(
        self,
        n: int,
        units: Sequence[object],
        make: Callable[[int], Frames],
        desc: str | None = None,
        unit: str = "unit",
    ) -> list[Frames]:
        """``n`` frames of each unit, without their index. ``desc`` and ``unit``: of the bar of
        progress (``units.share``)."""
        named = [self.folder / _hash(self.about, one) for one in units]
        files = [[path.with_suffix(f".{k}.parquet") for k in range(n)] for path in named]

        def kept(i: int) -> None:
            for path, frame in reversed(list(zip(files[i], make(i), strict=True))):
                write_frame(path, frame)  # the first comes last: where it is, all are

        share([of[0] for of in files], kept, desc, unit)
        return [tuple(map(read_frame, of)) for of in files]

    def tracing(
        self, units: Sequence[object], make: Callable[[int], TracingResult]
    ) -> list[TracingResult]:
        paths = [self.folder / f"{_hash(self.about, unit)}.npz" for unit in units]
        share(paths, lambda i: _save(paths[i], make(i)))
        return [_load(path) for path in paths]


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _save(path: Path, found: TracingResult) -> None:
    arrays: dict[str, Any] = {f"effect {kind}": effect for kind, effect in found.effects.items()}
    names = ("p_clean", "p_corrupted", "is_top1", "roles", "windows")
    arrays |= {name: getattr(found, name) for name in names}
    arrays |= {"role_names": np.array(found.role_names), "noise_std": np.array(found.noise_std)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _load(path: Path) -> TracingResult:
    with np.load(path) as kept:
        arrays = dict(kept)
    effects = {name.partition(" ")[2]: arrays.pop(name) for name in list(arrays) if " " in name}
    return TracingResult(
        **arrays
        | {
            "effects": effects,
            "role_names": tuple(arrays["role_names"].tolist()),
            "noise_std": float(arrays["noise_std"]),
        }
    )
