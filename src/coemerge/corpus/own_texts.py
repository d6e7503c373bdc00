"""The user's own background text: a .txt file, a text per line, or .jsonl records with "text"."""

import json
from collections.abc import Iterator
from pathlib import Path

from coemerge.inputs import is_archive

_SUFFIXES = (".txt", ".jsonl")
_KEY = "corpus.background.path"


def check_texts(path: Path) -> None:
    """Raises ValueError naming the key, the file and its first line that is no text."""
    if not path.is_file():
        raise ValueError(f"{_KEY}: {path}: no such file (.txt or .jsonl)")
    if path.suffix not in _SUFFIXES:
        remedy = "unpack it" if is_archive(path) else "save it as plain text"
        raise ValueError(f"{_KEY}: {path}: neither .txt nor .jsonl; {remedy}")
    if next(read_texts(path), None) is None:
        raise ValueError(f"{_KEY}: {path}: holds no text")


def endless_texts(path: Path) -> Iterator[str]:
    """From the beginning again where the file ends."""
    while True:
        count = 0
        for text in read_texts(path):
            count += 1
            yield text
        if not count:
            raise ValueError(f"{_KEY}: {path}: holds no text")


def read_texts(path: Path) -> Iterator[str]:
    """Streamed; blank lines and empty texts are skipped. Raises ValueError naming file and line."""
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                where = f"{path}:{number}"
                text = line.strip()
                if path.suffix == ".jsonl" and text:
                    text = _text_of(line, where)
                if "\0" in text:
                    raise ValueError(f"{where}: holds a zero byte; save it as plain text")
                if text.strip():
                    yield text
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}:{number + 1} or after: not UTF-8 ({error.reason})") from error


def _text_of(line: str, where: str) -> str:
    try:
        text = json.loads(line)["text"]
        if not isinstance(text, str):
            raise TypeError(f"text is {text!r}")
        text.encode()  # half a character of two, which JSON may hold, is no text
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:100]
        raise ValueError(f'{where}: expected a JSON object with "text" ({reason})') from error
    return text
