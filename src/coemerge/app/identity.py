"""Which run is this? Its id tells what was asked for, its fingerprint what will be done."""

import hashlib
import json
from typing import Any

from coemerge.app.settings import Settings

_NOT_PART_OF_RUN = (
    "paths",
    "device",
    "logger",
    "resume",
    "overwrite",
    "run_id",
    "debug",
    "hub",
    "end",
)
_NOT_PART_OF_ID = (*_NOT_PART_OF_RUN, "seed")


def run_id(settings: Settings) -> str:
    """``<experiment>-seed<k>``, plus six hex digits of any override that changes what is done."""
    config = settings.config
    if config.run_id:
        return config.run_id
    others = sorted(o for o in settings.overrides if not _is_incidental(o))
    suffix = f"-{_digest(others)[:6]}" if others else ""
    return f"{config.experiment_name}-seed{config.seed}{suffix}"


def run_fingerprint(settings: Settings) -> str:
    """Hash of everything that decides a run's numbers: the data set and all other settings.

    Left out are paths, device, loggers, and how to treat an existing run. Callbacks count: they
    decide which tables there are.
    """
    relevant = {k: v for k, v in settings.resolved.items() if k not in _NOT_PART_OF_RUN}
    for group in ("world", "prompts", "corpus"):
        relevant[group] = settings.dataset.fingerprint()
    if settings.base:
        relevant["model"] = {**relevant["model"], "base": settings.base.identity}
    return _digest(relevant)[:16]


def _is_incidental(override: str) -> bool:
    key = override.lstrip("+~").split("=", 1)[0]
    return key == "experiment" or key.split(".")[0].split("/")[0] in (*_NOT_PART_OF_ID, "hydra")


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
