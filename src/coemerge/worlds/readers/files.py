"""What every reader needs: files, and records that know where they stand.

A public file of thousands of lines is of no use if "KeyError: 'obj_label'" is all one hears of it,
so every complaint names the file and the line (or the record) and what was expected there.
"""

import csv
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coemerge.inputs import check_file, files_below, is_archive
from coemerge.worlds.readers.records import Reading, Triple

_LONGEST = 60  # characters of a wrong value that are quoted


@dataclass(frozen=True, slots=True)
class Record:
    """One mapping of a file. ``where`` is ``file:line`` or ``file: record n``; ``under`` is the
    field that it was taken from, if it is a part of another. null counts as absent."""

    where: str
    values: Mapping[str, Any]
    under: str = ""

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """Without surrounding white space. Raises ValueError where there is none or no text."""
        if default is not None and not self.has(name):
            return default
        return self._clean(name, self._value(name, "text"))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; none where the field is absent."""
        if not self.has(name):
            return ()
        return tuple(self._clean(name, item) for item in self._list(name, "a list of texts"))

    def flag(self, name: str, default: bool = False) -> bool:
        if not self.has(name):
            return default
        value = self.values[name]
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def part(self, name: str) -> "Record":
        """The mapping in a field. Raises ValueError where there is none."""
        value = self._value(name, "a JSON object")
        if not isinstance(value, dict):
            raise self._wrong(name, value, "a JSON object")
        return Record(self.where, value, f"{self.under}{name}.")

    def parts(self, name: str) -> Iterator["Record"]:
        """The mappings of a list, which count as records of their own."""
        for number, item in enumerate(self._list(name, "a list of JSON objects"), start=1):
            yield _record(f"{self.where}: record {number}", item)

    def _list(self, name: str, expected: str) -> list[Any]:
        items = self._value(name, expected)
        if not isinstance(items, list):
            raise self._wrong(name, items, expected)
        return items

    def _value(self, name: str, expected: str) -> Any:
        if not self.has(name):
            raise ValueError(f'{self.where}: no "{self.under}{name}"; expected {expected} there')
        return self.values[name]

    def _clean(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise self._wrong(name, value, "text")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self._wrong(name, value, "text of whole Unicode characters") from error
        return value.strip()

    def _wrong(self, name: str, value: object, expected: str) -> ValueError:
        shown = json.dumps(value)
        if len(shown) > _LONGEST:
            shown = shown[:_LONGEST] + "..."
        return ValueError(f'{self.where}: "{self.under}{name}" holds {shown}, expected {expected}')


def list_files(path: Path, suffix: str, layout: str) -> list[Path]:
    """The file itself, or the files of a folder and its subfolders that end in ``suffix``.

    Raises FileNotFoundError, or ValueError where a folder has none or something is no such file.
    """
    if not path.is_dir():
        check_file(path)
        return [path]
    files = files_below(path)
    found = [file for file in files if file.name.endswith(suffix)]
    if not found:
        packed = [file.name for file in files if is_archive(file)]
        remedy = f" (unpack {', '.join(packed[:3])})" if packed else ""
        raise ValueError(f"{path}: no {suffix} file in this folder{remedy}; expected {layout}")
    return found


def json_record(path: Path, layout: str) -> Record:
    """A JSON file that is one record. Raises ValueError naming the line that does not parse."""
    value = _json_file(path, layout)
    if not isinstance(value, dict):
        raise ValueError(f"{path}: holds {_kind(value)}; expected {layout}")
    return Record(str(path), value)


def json_records(path: Path, layout: str) -> Iterator[Record]:
    """The records of a JSON file that is a list of them."""
    value = _json_file(path, layout)
    if not isinstance(value, list) or not value:
        raise ValueError(f"{path}: holds {_kind(value)}; expected {layout}")
    for number, item in enumerate(value, start=1):
        yield _record(f"{path}: record {number}", item)


def json_lines(path: Path, layout: str) -> Iterator[Record]:
    """The records of a JSON-lines file, one a line; blank lines are skipped."""
    for where, value in json_line_values(path, layout):
        yield _record(where, value)


def json_line_values(path: Path, layout: str) -> Iterator[tuple[str, Any]]:
    """``file:line`` and what the line holds. Raises ValueError where it does not parse."""
    empty = True
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            empty, where = False, f"{path}:{number}"
            yield where, parsed_json(line, where, layout)
    if empty:
        raise ValueError(f"{path}: the file is empty; expected {layout}")


def tsv_records(path: Path, required: Collection[str], layout: str) -> Iterator[Record]:
    """The rows of a table with a header line, fields parted by tabs and quoted as in CSV.

    Raises ValueError naming missing columns, or the line of a row that does not fit the header.
    """
    rows = _rows(path)
    line, header = next(rows, (0, []))
    if not header:
        raise ValueError(f"{path}: the file is empty; expected {layout}")
    header = [name.strip() for name in header]
    missing = [name for name in required if name not in header]
    if missing:
        raise ValueError(f"{path}:{line}: no column {', '.join(missing)}; expected {layout}")
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"{path}:{line}: {len(row)} fields, expected {len(header)} as in the header"
            )
        yield Record(f"{path}:{line}", dict(zip(header, row, strict=True)))


def parsed_json(text: str, where: str, expected: str, names_line: bool = True) -> Any:
    """Raises ValueError; where ``where`` does not name the line yet, the line is added."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = where if names_line else f"{where}:{error.lineno}"
        raise ValueError(f"{place}: not valid JSON ({error.msg}); expected {expected}") from error
    except (ValueError, RecursionError) as error:  # endless numbers, lists in lists in lists
        raise ValueError(f"{where}: JSON that no reader takes; expected {expected}") from error


def add_triple(reading: Reading, relation_id: str, subject: str, obj: str, where: str) -> None:
    """Empty labels name nothing: such records are counted and passed over."""
    if subject and obj:
        reading.triples.append(Triple(relation_id, subject, obj, where))
    else:
        reading.notes["records with an empty subject or object"] += 1


def _json_file(path: Path, layout: str) -> Any:
    text = "".join(_lines(path))
    if not text.strip():
        raise ValueError(f"{path}: the file is empty; expected {layout}")
    return parsed_json(text, str(path), layout, names_line=False)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number of a row's first line, and its fields; a quoted field may span lines."""
    reader = csv.reader(_lines(path), delimiter="\t", strict=True)
    start = 1
    try:
        for row in reader:
            if len(row) > 1 or any(cell.strip() for cell in row):
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}:{start}: not a row of a table ({error})") from error


def _lines(path: Path) -> Iterator[str]:
    """Lines as text files have them: other separators of Unicode may stand inside a label."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield from file
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 text ({error.reason})") from error
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from error


def _record(where: str, value: object) -> Record:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: holds {_kind(value)}; expected a JSON object")
    return Record(where, value)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if value == []:
        return "an empty list"
    names = {dict: "a JSON object", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "a number")
