"""Analyses runs: ``python analyze.py study=co_emergence run=artifacts/runs/NAME``, or models from
elsewhere: ``model.path=FOLDER_OR_HUB_ID world=real_facts``."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from coemerge.app.analysis import read_analysis
from coemerge.app.cli import friendly, run_cli
from coemerge.app.queues import in_queue
from coemerge.app.run_directory import reading
from coemerge.app.schema import register
from coemerge.app.shards import as_shard

register()


@hydra.main(version_base="1.3", config_path="conf", config_name="analyze")
@in_queue
@friendly
def main(composed: DictConfig) -> None:
    analysis = read_analysis(composed, HydraConfig.get().runtime.choices)
    with reading(analysis.directories), as_shard(analysis.shard):
        study = hydra.utils.get_object(analysis.target)
        study(analysis)


if __name__ == "__main__":
    run_cli(main)
