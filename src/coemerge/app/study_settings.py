"""Settings of each study, and of all of them at once, checked before anything heavy is imported."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from coemerge.app.settings import suggest
from coemerge.studies.chain_of_thought.config import ChainOfThoughtConfig
from coemerge.studies.co_emergence.config import CoEmergenceConfig
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.task_localization.config import TaskLocalizationConfig

CONFIGS: dict[str, Callable[..., Any]] = {  # in the order in which one builds on another
    "co_emergence": CoEmergenceConfig,
    "task_localization": TaskLocalizationConfig,
    "chain_of_thought": ChainOfThoughtConfig,
    "query_localization": QueryLocalizationConfig,
    "entity_relation": EntityRelationConfig,
    "knowledge_neurons": KnowledgeNeuronsConfig,
}
OF_PAIRS = ("knowledge_neurons",)  # ask a data set of minimal pairs for these
ALL = "all_studies"


def needs_of_run(study: str) -> Callable[[Any, Path, Path], None] | None:
    """Of a study that builds on what a run was trained on, or on what another study has left."""
    return getattr(CONFIGS.get(study), "check_run", None)


def check_settings(study: str, settings: Mapping[str, Any]) -> None:
    """Raises ValueError naming a key that is not known, or what is wrong with its value."""
    known = [field.name for field in fields(CONFIGS[study])]  # type: ignore[arg-type]
    for key in settings:
        if key not in known:
            raise ValueError(f"unknown key study.{key}{suggest(key, known)}")
    CONFIGS[study](**settings).check()


def check_shard(shard: int | None, study: str) -> None:
    """Raises ValueError for what is no number of a process, or no work for several."""
    if shard is None:
        return
    if shard < 0:
        raise ValueError(f"shard: {shard} must be 0 or more; shard=0 writes the results")
    if study not in CONFIGS:
        raise ValueError(
            f"shard: {shard}, but study={study.removesuffix('_studies')} is not shared by several "
            f"processes; name one of {', '.join(CONFIGS)}"
        )


def checked_studies(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by study, those left out that are null. Raises ValueError naming key and value."""
    kept = {}
    for study, chosen in settings.items():
        if study not in CONFIGS:
            raise ValueError(f"unknown key study.{study}{suggest(study, list(CONFIGS))}")
        if chosen is None:
            continue
        if not isinstance(chosen, Mapping) or "_target_" not in chosen:
            raise ValueError(
                f"study.{study}: {chosen!r} must be null, which leaves it out; to change what it "
                f"does, study.{study}.KEY=VALUE"
            )
        kept[study] = dict(chosen)
        try:
            check_settings(study, {key: v for key, v in chosen.items() if key != "_target_"})
        except ValueError as error:
            raise ValueError(str(error).replace("study.", f"study.{study}.")) from error
    if not kept:
        raise ValueError(f"study: all of {', '.join(settings)} are null: leave one of them in")
    return kept
