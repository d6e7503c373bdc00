"""The pipeline's build stage: writes the data set of an experiment to ``paths.data``.

``python -m coemerge.app.build experiment=fact_injection paths.data=build/data``
"""

import logging
from pathlib import Path

import hydra
from omegaconf import DictConfig

from coemerge.app.cli import ROOT, friendly, run_cli
from coemerge.app.schema import register
from coemerge.app.settings import check_place, read_settings
from coemerge.corpus.manifest import check_replaceable

register()
log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="build")
@friendly
def main(composed: DictConfig) -> None:
    settings = read_settings(composed, [])
    check_place("paths.data", settings.config.paths.data)
    check_replaceable(settings.config.paths.data)

    from coemerge.corpus.dataset import build_dataset

    dataset = build_dataset(settings.dataset, Path(settings.config.paths.data))
    counts = ", ".join(f"{n:,} {name}" for name, n in dataset.manifest["counts"].items())
    for reason, count in dataset.notes.items():
        log.info("%s: %s", reason, f"{count:,}")
    log.info("%s: %s; content %s", dataset.directory, counts, dataset.content_hash)


if __name__ == "__main__":
    run_cli(main)
