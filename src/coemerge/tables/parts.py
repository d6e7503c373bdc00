"""Tables that grow while a run goes on: one small file per step, joined into one at the end.

A run that was killed is resumed from an earlier step; dropping the parts after that step makes its
tables equal to those of an uninterrupted run.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from coemerge.tables.store import Columns, read_table, save_table, write_table


class PartedTable:
    """``<name>.parquet``; until joined, ``<name>.parts/step-XXXXXXXX.parquet``."""

    def __init__(self, directory: Path, name: str, provenance: Mapping[str, Any]) -> None:
        self.name = name
        self.path = directory / f"{name}.parquet"
        self._parts = directory / f"{name}.parts"
        self._provenance = dict(provenance)

    def add(self, step: int, columns: Columns) -> None:
        """Stores the rows of one step; replaces what an earlier try stored for it."""
        write_table(self._part(step), self.name, columns, self._provenance)

    def drop_after(self, step: int) -> None:
        """Forgets everything after ``step``; rows already joined become parts again."""
        if self.path.is_file():
            if not self._part_files():
                self._split()
            self.path.unlink()
        for part in self._part_files():
            if int(part.stem.removeprefix("step-")) > step:
                part.unlink()

    def read(self) -> pa.Table:
        """All rows, joined or not. Raises FileNotFoundError if there are none."""
        parts = self._part_files()
        if not parts:
            return read_table(self.path)
        tables = [read_table(part) for part in parts]
        return pa.concat_tables(tables).replace_schema_metadata(tables[0].schema.metadata)

    def join(self) -> None:
        """One file out of all parts. Safe to call again, and to be killed in: the parts vanish at
        once (renamed) after the joined file is in place."""
        if self._part_files():
            save_table(self.path, self.read())
            trash = self._parts.with_suffix(".trash")
            shutil.rmtree(trash, ignore_errors=True)
            os.rename(self._parts, trash)
            shutil.rmtree(trash)

    def _split(self) -> None:
        """Parts out of the joined file: all of them, or none, whenever it is killed."""
        table = read_table(self.path)
        fresh = self._parts.with_suffix(".fresh")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for step in pc.unique(table["step"]).to_pylist():
            part = table.filter(pc.equal(table["step"], step))
            save_table(fresh / self._part(step).name, part)
        shutil.rmtree(self._parts, ignore_errors=True)
        os.rename(fresh, self._parts)

    def _part(self, step: int) -> Path:
        return self._parts / f"step-{step:08d}.parquet"

    def _part_files(self) -> list[Path]:
        return sorted(self._parts.glob("step-*.parquet"))
