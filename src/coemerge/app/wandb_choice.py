"""What ``logger.wandb`` asks for, checked without importing wandb."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from coemerge.app.hints import suggest

TARGET = "coemerge.tracking.wandb_run.make_wandb_logger"
MODES = ("offline", "online", "disabled")
_LONGEST = {"project": 128, "entity": 128, "group": 128}  # that W&B takes
_NO_NAME = re.compile(r"[/\\#?%:]|^\s*$")


@dataclass(frozen=True)
class WandbChoice:
    """``entity``: user or team, null for that of the login; ``group``: null for that of the run, or
    the experiment's name; ``tags`` and ``notes`` of the run."""

    project: str = "coemerge"
    entity: str | None = None
    mode: str = "offline"
    group: str | None = None
    tags: tuple[str, ...] = ()
    notes: str | None = None


def read_wandb(logger: Mapping[str, Any] | None) -> WandbChoice:
    """Without an entry of ours nothing is logged. Raises ValueError naming the key."""
    entry = dict((logger or {}).get("wandb") or {"_target_": None, "mode": "disabled"})
    if entry.pop("_target_", None) not in (TARGET, None):
        return WandbChoice(mode="disabled")
    known = [field.name for field in fields(WandbChoice)]
    for key in entry:
        if key not in known:
            raise ValueError(f"unknown key logger.wandb.{key}{suggest(key, known)}")
    tags = _tags(entry.pop("tags", None) or [])
    words: dict[str, Any] = {key: v if v is None else str(v) for key, v in entry.items()}
    choice = WandbChoice(**words, tags=tags)
    if choice.mode not in MODES:
        raise ValueError(f"logger.wandb.mode: {choice.mode!r} is not one of {', '.join(MODES)}")
    _check_names(choice)
    return choice


def _tags(tags: Any) -> tuple[str, ...]:
    if not isinstance(tags, list) or not all(0 < len(str(tag)) <= 64 for tag in tags):
        raise ValueError(f"logger.wandb.tags: needs a list of words: [a,b], got {tags!r}")
    return tuple(map(str, tags))


def _check_names(choice: WandbChoice) -> None:
    if choice.project is None:
        raise ValueError("logger.wandb.project: must not be null")
    for key, longest in _LONGEST.items():
        name = getattr(choice, key)
        if name is not None and (len(name) > longest or _NO_NAME.search(name)):
            raise ValueError(
                f"logger.wandb.{key}: {name!r} must be a name of at most {longest} characters, "
                "without / \\ # ? % :"
            )
