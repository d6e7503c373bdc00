"""Trains a language model on a fact-injected corpus: ``python train.py experiment=fact_injection``.

A table of contents; each line's module holds its story.
"""

from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from coemerge.app.cli import friendly, run_cli
from coemerge.app.queues import in_queue
from coemerge.app.schema import register
from coemerge.app.settings import Settings, read_settings

register()


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
@in_queue
@friendly
def main(composed: DictConfig) -> dict[str, Any]:
    settings = read_settings(composed, list(HydraConfig.get().overrides.task))
    return train(settings)


def train(settings: Settings) -> dict[str, Any]:
    from coemerge.app.ranks import is_first
    from coemerge.app.run_directory import open_run, reading
    from coemerge.app.several import dismiss_others, follow

    if not is_first():  # of several processes that train together
        return follow(settings)
    with open_run(settings) as run:
        if run.is_finished:
            dismiss_others(settings)
        else:
            from coemerge.app import data, processes, results, training

            dataset = data.obtain_dataset(settings)
            context = training.prepare_run(settings, run.directory, run.run_id, dataset)
            execution = training.choose_machine(settings, run.directory)
            with processes.together(settings, run.action):
                job = training.assemble(settings, context, execution)
                training.fit(job, continues=run.continues)
                training.record_result(job)
            results.close_tables(context)
        from coemerge.app.closing import close_run
        from coemerge.app.co_emergence import follow_up

        manifest = close_run(run.directory)
    with reading([run.directory]):
        follow_up(settings, run.directory)
    return manifest


if __name__ == "__main__":
    run_cli(main)
