"""Errors for people: one message with the remedy and exit code 2, a traceback with debug=true.

Stopped by SIGTERM or Ctrl-C a script unwinds, says so in one line, and exits with 143 or 130.
"""

import functools
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn, ParamSpec, TypeVar

from hydra.errors import OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    OmegaConfBaseException,
)

from coemerge.app.hints import suggest
from coemerge.app.ranks import is_first, place

P = ParamSpec("P")
T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[3]
ERROR = 2
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM  # exit codes


def run_cli(main: Callable[[], None]) -> None:
    """Runs a hydra main. Paths in the configuration are relative to the checkout."""
    os.environ.setdefault("COEMERGE_ROOT", str(ROOT))
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    for argument in sys.argv[1:]:
        key = argument.lstrip("-").partition("=")[0]
        is_ours = ("=" in argument and key not in _FLAGS) or key in _GROUPS
        if argument.startswith("-") and is_ours:
            _fail(f"{argument}: write {key}=NAME, without dashes")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        friendly(main)()
    except KeyboardInterrupt:
        _stopped("Ctrl-C", INTERRUPTED)
    except SystemExit as error:
        if error.code in (INTERRUPTED, TERMINATED):
            _stopped("Ctrl-C" if error.code == INTERRUPTED else "SIGTERM", error.code)
        raise


def _terminate(number: int, frame: FrameType | None) -> None:
    if signal.getsignal(number) is _terminate:  # else a trainer has taken over: it ends its step
        raise SystemExit(TERMINATED)


def _stopped(by: str, code: int) -> NoReturn:
    if is_first():
        sys.stderr.write(
            f"\nstopped by {by}: nothing is lost; call it again to go on (train.py with "
            "resume=true)\n"
        )
    raise SystemExit(code)


def friendly(function: Callable[P, T]) -> Callable[P, T]:
    """Turns errors that a user can mend into one message; others pass through."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if "debug=true" in sys.argv or not is_for_users(error):
                raise
            _fail(explain(error))

    return wrapped


_OUT_OF_MEMORY = ("MemoryError", "_ArrayMemoryError", "OutOfMemoryError")  # of numpy, of torch
_GROUPS = "experiment study world prompts corpus model optimizer trainer callbacks".split()
# Hydra's own that take a value.
_FLAGS = (
    "cfg c package p info i config-name cn config-path cp config-dir cd experimental-rerun".split()
)


def explain(error: BaseException) -> str:
    """The message in one piece, with a suggestion where a name was mistyped."""
    text = str(error).strip().split("\nSee https")[0]
    if type(error).__name__ in _OUT_OF_MEMORY:
        remedy = "a smaller trainer.batch_rows, with more trainer.accumulate, needs less"
        return f"out of memory ({text}); {remedy}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: {text.splitlines()[-1]}"
    if text.startswith("Config group override must be"):
        return _no_option()
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
        return f"{key}: {_in_words(cause.msg.splitlines()[0] if cause.msg else text)}"
    missing = re.search(r"Could not (?:find|override) '([^']+)'", text)
    if missing and "/" in missing.group(1):
        group, _, name = missing.group(1).rpartition("/")
        known = sorted(p.stem for p in (ROOT / "conf" / group).glob("*.yaml"))
        options = f"there are: {', '.join(known)}"
        return f"{group}={name}: no such option{suggest(name, known)}; {options}"
    return text if isinstance(error, ValueError) else " ".join(text.split())


def _in_words(message: str) -> str:
    """OmegaConf's ways of saying what a value has to be."""
    if message.endswith("is not Optional"):
        return "must not be null"
    if "is not a ListConfig, list or tuple" in message:
        return "needs a list: [...]"
    return message


def _no_option() -> str:
    """Of a group that was given null or a number: Hydra does not tell which."""
    for argument in sys.argv[1:]:
        group = argument.partition("=")[0].lstrip("+~")
        known = sorted(p.stem for p in (ROOT / "conf" / group).glob("*.yaml"))
        if known and argument.partition("=")[2] not in known:
            return f"{argument}: names no option; there are: {', '.join(known)}"
    return "a group of settings needs the name of an option"


def is_for_users(error: BaseException) -> bool:
    """Whether what went wrong is told in words, without a traceback."""
    if type(error).__name__ == "InstantiationException" and error.__cause__ is not None:
        return is_for_users(error.__cause__)
    module = type(error).__module__
    told = (ValueError, OSError)
    return (
        isinstance(error, told)
        or type(error).__name__ in (*_OUT_OF_MEMORY, "MisconfigurationException")
        or module.startswith(("hydra", "omegaconf"))
    )


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\n" if is_first() else f"error in {place()}: {message}\n")
    raise SystemExit(ERROR)
