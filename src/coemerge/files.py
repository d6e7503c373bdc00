"""Small files written so that a reader, or a kill, never meets half of one; files by content, the
code's own among them."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any


class WriteError(OSError):
    """A file that could not be written: names it, and says why."""


@contextmanager
def writing(path: Path, *failures: type[Exception]) -> Iterator[None]:
    """Turns what goes wrong with the disk into a WriteError about ``path``. ``failures``: what a
    library raises then instead of an OSError."""
    try:
        yield
    except WriteError:
        raise
    except Exception as error:
        if not isinstance(error, (OSError, *failures)) or _is_elsewhere(error, path):
            raise
        raise WriteError(
            f"{path} could not be written: {_reason(error)} (is the disk full?); "
            "nothing that was there before is lost"
        ) from error


def _reason(error: BaseException) -> str:
    """What the system said, which a library may have wrapped in words of its own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error)


def _is_elsewhere(error: Exception, path: Path) -> bool:
    """Whether it names a file that lies elsewhere, such as one that was being read."""
    named = getattr(error, "filename", None)
    return isinstance(named, str) and not {path, path.parent} & {Path(named).parent, Path(named)}


@contextmanager
def replacing(path: Path, *failures: type[Exception]) -> Iterator[Path]:
    """A path beside the target to write to; at the end it is synced and renamed to the target.

    Nothing is left of what fails; of a kill, a file that ``remove_unfinished`` removes. The name is
    the process's own, as two may write the same result. Raises WriteError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path, *failures):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(directory: Path) -> None:
    """What killed processes were writing below a directory. Nobody may be writing there."""
    for path in directory.rglob(".*.tmp"):
        if path.is_file():
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes beside the target, syncs, then renames."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Sorted, indented, with a final newline. Raises ValueError for NaN, which JSON has not."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ValueError naming a file that holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return content


@contextmanager
def waiting_for(lock: Path) -> Iterator[None]:
    """Holds a lock file, waiting for a process that has it; a killed process leaves it free."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes. Raises FileNotFoundError naming the file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_sha256(*packages: str) -> str:
    """Of this package's source files; of those of some of its ``packages`` alone, if named."""
    root, digest = Path(__file__).parent, hashlib.sha256()
    folders = [root / name for name in packages] or [root]
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()
