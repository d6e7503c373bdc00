"""A grammar's YAML file, its shape checked: what is in it, not yet what it means."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coemerge.inputs import is_line, read_yaml

_KEYS = ("opening", "number", "gender", "plain", "weights", "apart", "pairs", "phenomena", "others")
Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class PhenomenonEntry:
    cue: str
    target: str
    frames: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GrammarFile:
    """``marked[feature][class]`` and ``plain[class]`` are rows of forms."""

    opening: str
    marked: Mapping[str, Mapping[str, Rows]]
    plain: Mapping[str, Rows]
    weights: Mapping[str, list[float]]
    every: int
    apart: tuple[tuple[str, str], ...]
    n_pairs: int
    phenomena: Mapping[str, PhenomenonEntry]
    others: tuple[str, ...]


def read_grammar_file(path: Path) -> GrammarFile:
    """Raises ValueError naming file and key."""
    if not path.is_file():
        raise ValueError(f"corpus.background.grammar_path: {path}: no such file")
    entry = _Entry(path, "", read_yaml(path))
    entry.only(_KEYS)
    apart = entry.part("apart", {"every": 2, "classes": []})
    return GrammarFile(
        opening=entry.text("opening"),
        marked={
            feature: {name: group.rows(name, 2) for name in group.content}
            for feature in ("number", "gender")
            for group in (entry.part(feature, {}),)
        },
        plain={
            name: tuple((word,) for word in entry.part("plain").texts(name))
            for name in entry.part("plain", {}).content
        },
        weights={
            name: entry.part("weights").numbers(name) for name in entry.part("weights", {}).content
        },
        every=apart.count("every", 2),
        apart=tuple((a, b) for a, b in apart.rows("classes", 2, allow_none=True)),
        n_pairs=entry.count("pairs", 2),
        phenomena={
            name: _phenomenon(entry.part("phenomena").part(name))
            for name in entry.part("phenomena").content
        },
        others=entry.texts("others") if "others" in entry.content else (),
    )


def _phenomenon(entry: "_Entry") -> PhenomenonEntry:
    entry.only(("cue", "target", "frames", "held_out"))
    return PhenomenonEntry(
        entry.text("cue"), entry.text("target"), entry.texts("frames"), entry.texts("held_out")
    )


class _Entry:
    """A mapping of the file that knows where it stands."""

    def __init__(self, path: Path, where: str, content: Any) -> None:
        self._path, self._where = path, where
        if not isinstance(content, dict) or not all(map(is_line, content)):
            self._refuse("", "keys and their values")
        self.content: dict[str, Any] = content

    def only(self, keys: tuple[str, ...]) -> None:
        for key in self.content:
            if key not in keys:
                raise ValueError(
                    f"{self._path}: {self._where}{key}: unknown; known: {', '.join(keys)}"
                )

    def part(self, key: str, default: dict[str, Any] | None = None) -> "_Entry":
        return _Entry(self._path, f"{self._where}{key}.", self.content.get(key, default))

    def text(self, key: str) -> str:
        return str(self._checked(key, "text", _is_text))

    def texts(self, key: str) -> tuple[str, ...]:
        found = self._checked(key, "a list of texts (quote yes, no, on and off)", _is_texts)
        return tuple(found)

    def numbers(self, key: str) -> list[float]:
        return [float(n) for n in self._checked(key, "a list of numbers", _is_numbers)]

    def count(self, key: str, least: int) -> int:
        wanted = f"a whole number of {least} or more"
        return int(self._checked(key, wanted, lambda n: type(n) is int and n >= least))

    def rows(self, key: str, size: int, allow_none: bool = False) -> Rows:
        wanted = f"a list of lists of {size} texts (quote yes, no, on and off)"
        found = self._checked(
            key,
            wanted,
            lambda rows: (
                isinstance(rows, list)
                and bool(rows or allow_none)
                and all(_is_texts(r) and len(r) == size for r in rows)
            ),
        )
        return tuple(tuple(row) for row in found)

    def _checked(self, key: str, wanted: str, is_right: Callable[[Any], bool]) -> Any:
        if not is_right(self.content.get(key)):
            self._refuse(key, wanted)
        return self.content[key]

    def _refuse(self, key: str, wanted: str) -> None:
        where = f"{self._where}{key}".strip(".") or "the file"
        raise ValueError(f"{self._path}: {where}: needs {wanted}")


def _is_text(value: Any) -> bool:
    return is_line(value) and bool(value.strip())


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) in (int, float) for n in value)
