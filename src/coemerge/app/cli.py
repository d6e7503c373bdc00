"""Errors for people: one message with the remedy and exit code 2, a traceback with debug=true."""

import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

from hydra.errors import OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    OmegaConfBaseException,
)

from coemerge.app.settings import suggest

P = ParamSpec("P")
T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[3]


def run_cli(main: Callable[[], None]) -> None:
    """Runs a hydra main. Paths in the configuration are relative to the checkout."""
    os.environ.setdefault("COEMERGE_ROOT", str(ROOT))
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    for argument in sys.argv[1:]:
        if re.fullmatch(r"--[a-z_]+(=.*)?", argument) and argument[2:].split("=")[0] in _GROUPS:
            _fail(f"{argument}: write {argument[2:].split('=')[0]}=NAME, without dashes")
    friendly(main)()


def friendly(function: Callable[P, T]) -> Callable[P, T]:
    """Turns errors that a user can mend into one message; others pass through."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if "debug=true" in sys.argv or not _is_for_users(error):
                raise
            _fail(explain(error))

    return wrapped


_GROUPS = ("experiment", "world", "prompts", "corpus", "model", "optimizer", "trainer", "callbacks")


def explain(error: BaseException) -> str:
    """The message in one piece, with a suggestion where a name was mistyped."""
    text = str(error).strip().split("\nSee https")[0]
    if isinstance(error, OverrideParseException):
        return f"{error.override}: {text.splitlines()[-1]}"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException):
        key = cause.full_key or ""
        node = getattr(cause, "parent_node", None)
        known = [str(k) for k in node] if isinstance(node, DictConfig) else []
        if isinstance(cause, (ConfigKeyError, ConfigAttributeError)):
            where, _, name = key.rpartition(".")
            parts = node.items() if isinstance(node, DictConfig) else ()
            inside = [f"{where}.{k!s}.{name}" for k, part in parts
                      if isinstance(part, DictConfig) and name in part]  # fmt: skip
            told = f" (there is: {', '.join(inside)})" if inside else ""
            return f"unknown key {key}{told or suggest(name, known)}"
        return f"{key}: {cause.msg.splitlines()[0] if cause.msg else text}"
    missing = re.search(r"Could not (?:find|override) '([^']+)'", text)
    if missing and "/" in missing.group(1):
        group, _, name = missing.group(1).rpartition("/")
        known = sorted(p.stem for p in (ROOT / "conf" / group).glob("*.yaml"))
        options = f"there are: {', '.join(known)}"
        return f"{group}={name}: no such option{suggest(name, known)}; {options}"
    return text


def _is_for_users(error: BaseException) -> bool:
    if type(error).__name__ == "InstantiationException" and error.__cause__ is not None:
        return _is_for_users(error.__cause__)
    module = type(error).__module__
    return isinstance(error, (ValueError, OSError)) or module.startswith(("hydra", "omegaconf"))


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    raise SystemExit(2)
