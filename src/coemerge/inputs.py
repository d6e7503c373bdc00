"""Files that users hand in: text, unpacked, and inside the folder that was named.

What is named itself may be a link; what lies in a folder may not lead out of it, or a data set from
elsewhere could hand over any file of this machine. Free of heavy imports.
"""

import os
import unicodedata
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

_ARCHIVES = (".zip", ".tar", ".tgz", ".tbz", ".txz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_MOST_FILES = 20_000  # of a data set; more are somebody's home directory
_MERGE = "tag:yaml.org,2002:merge"


def read_text(path: Path) -> str:
    """UTF-8, with a byte order mark or without. Raises ValueError naming the file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason})") from error


def read_yaml(path: Path) -> Any:
    """Plain values only; a key that occurs twice is refused. Raises ValueError naming file and
    line."""
    text = read_text(path)
    try:
        content = yaml.load(text, _StrictLoader)
        for word in _texts(content, set()):
            word.encode()  # half a character of two, which YAML can spell, is no text
        return content
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ValueError(f"{where}: not valid YAML ({error.problem})") from error
    except Exception as error:  # for odd scalars PyYAML raises whatever Python does
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: not valid YAML ({reason})") from error


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that occurs twice, which YAML would silently overwrite."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key, _ in node.value:
        value = None if key.tag == _MERGE else loader.construct_object(key, deep=True)
        if value is not None and isinstance(value, Hashable):
            if value in seen:
                problem = f"{value!r} occurs twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(value)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _texts(value: Any, seen: set[int]) -> Iterator[str]:
    """All texts in nested lists and mappings; what YAML refers to twice is looked at once."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)) and id(value) not in seen:
        seen.add(id(value))
        for inner in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _texts(inner, seen)


def is_line(text: object) -> bool:
    """Text without line breaks and other control characters."""
    return isinstance(text, str) and not any(unicodedata.category(c) in ("Cc", "Cs") for c in text)


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(_ARCHIVES)


def check_file(path: Path) -> None:
    """Raises FileNotFoundError, or ValueError for an archive or what is no file at all."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if not path.is_file():
        raise ValueError(f"{path}: no file that can be read")
    if is_archive(path):
        raise ValueError(f"{path}: is an archive; unpack it and name what was in it")


def files_below(folder: Path) -> list[Path]:
    """All files of a folder and its subfolders, sorted, but for hidden ones.

    Raises ValueError naming a link that leaves the folder, or for more files than a data set has.
    """
    found: list[Path] = []
    for directory, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        inside = [Path(directory, name) for name in (*subfolders, *names) if name[0] != "."]
        for path in inside:
            check_inside(path, folder)
        found += (path for path in inside if path.is_file())
        if len(found) > _MOST_FILES:
            raise ValueError(f"{folder}: more than {_MOST_FILES} files; name the data's own folder")
    return sorted(found)


def check_inside(path: Path, *folders: Path) -> None:
    """Raises ValueError for a link that leads out of all of these folders, or nowhere."""
    if not path.is_symlink():
        return
    target = path.resolve()
    if not any(target.is_relative_to(folder.resolve()) for folder in folders):
        raise ValueError(
            f"{path}: is a link that leaves its folder (to {target}); put what it leads to there"
        )
    if not target.exists():
        raise ValueError(f"{path}: is a link that leads nowhere ({target})")


def links_in(folder: Path) -> Iterator[Path]:
    """Links in a folder and its subfolders, those that are hidden left out."""
    for directory, subfolders, names in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        paths = (Path(directory, name) for name in (*subfolders, *names))
        yield from (path for path in paths if path.is_symlink())
