"""Finds the data set that a configuration implies, or builds it."""

import logging

from coemerge.app.settings import Settings, data_directories
from coemerge.corpus.dataset import Dataset, build_dataset, open_dataset
from coemerge.corpus.manifest import MANIFEST, find_dataset
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
    pinned, own = data_directories(settings.config.paths, fingerprint)
    if find_dataset(fingerprint, pinned):
        return open_dataset(pinned, settings.dataset)
    with waiting_for(own.with_name(f".{fingerprint}.lock")):
        if (own / MANIFEST).is_file():
            return open_dataset(own, settings.dataset)
        log.info("building the data set %s", own)
        return build_dataset(settings.dataset, own)
