"""Analyses a run: ``python analyze.py study=emergence run=artifacts/runs/fact_injection-seed0``."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from coemerge.app.cli import friendly, run_cli
from coemerge.app.run_directory import check_run
from coemerge.app.schema import register

register()


@hydra.main(version_base="1.3", config_path="conf", config_name="analyze")
@friendly
def main(composed: DictConfig) -> None:
    run_directory = check_run(composed.run)
    study = hydra.utils.get_object(composed.study["_target_"])
    study(Path(run_directory))


if __name__ == "__main__":
    run_cli(main)
