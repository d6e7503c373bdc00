"""Which run is this? Its id tells what was asked for, its fingerprint what will be done."""

import hashlib
import json
import re
from collections.abc import Sequence
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
_MACHINES = frozenset(
    f"trainer.{name}"
    for name in "devices num_nodes strategy wait_minutes activation_checkpointing".split()
)
_TRAINERS = ("trainer=default", "trainer=ddp", "trainer=fsdp")  # which differ in these alone
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
    relevant["trainer"] = _without_machines(relevant["trainer"])
    if settings.base:
        relevant["model"] = {**relevant["model"], "base": settings.base.identity}
    return _digest(relevant)[:16]


def sweep_name(overrides: Sequence[str]) -> str:
    """``<experiments>-sweep-<six hex digits>`` of what a sweep asks for: a repetition has the same
    name, also in another order, with ``resume=true``, or with another launcher."""
    key = "experiment="
    asked = sorted(o for o in overrides if _first_key(o) not in (*_NOT_PART_OF_RUN, "hydra"))
    experiments = [o.removeprefix(key) for o in asked if o.startswith(key)] or ["custom"]
    names = re.findall(r"[a-zA-Z0-9_]+", experiments[0])
    return f"{'+'.join(names)[:80]}-sweep-{_digest(asked)[:6]}"


def _is_incidental(override: str) -> bool:
    key = override.lstrip("+~").split("=", 1)[0]
    if key in _MACHINES or override in _TRAINERS:
        return True
    return key == "experiment" or _first_key(override) in (*_NOT_PART_OF_ID, "hydra")


def _without_machines(trainer: dict[str, Any]) -> dict[str, Any]:
    """Devices share the batch of a step, however many there are: as if there was one."""
    rest = {k: v for k, v in trainer.items() if f"trainer.{k}" not in _MACHINES}
    return {**rest, "devices": 1, "num_nodes": 1, "strategy": "auto"}


def _first_key(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0].split(".")[0].split("/")[0]


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
