"""Finds the data set that a configuration implies, or builds it."""

import json
import logging
from pathlib import Path

from coemerge.app.settings import Settings
from coemerge.corpus.dataset import Dataset, build_dataset, open_dataset
from coemerge.files import waiting_for

log = logging.getLogger(__name__)


def obtain_dataset(settings: Settings) -> Dataset:
    """The pinned ``data/`` if it is the one that is wanted, else ``artifacts/data/<fingerprint>``.

    Of several processes that need the same one (a sweep), one builds and the others wait.

    Raises ValueError if the files found were changed after they were built.
    """
    dataset = _find_or_build(settings)
    for reason, count in dataset.notes.items():
        log.info("data: %s: %s", reason, f"{count:,}")
    return dataset


def _find_or_build(settings: Settings) -> Dataset:
    fingerprint = settings.dataset.fingerprint()
    pinned = Path(settings.config.paths.data)
    if _fingerprint_of(pinned) == fingerprint:
        return open_dataset(pinned, settings.dataset)
    directory = Path(settings.config.paths.artifacts) / "data" / fingerprint
    with waiting_for(directory.with_name(f".{fingerprint}.lock")):
        if _fingerprint_of(directory) is not None:
            return open_dataset(directory, settings.dataset)
        log.info("building the data set %s", directory)
        return build_dataset(settings.dataset, directory)


def _fingerprint_of(directory: Path) -> str | None:
    manifest = directory / "manifest.json"
    if not manifest.is_file():
        return None
    return str(json.loads(manifest.read_text(encoding="utf-8"))["fingerprint"])
