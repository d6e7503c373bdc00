"""How a table's column is declared."""

from dataclasses import field
from typing import Any


def column(doc: str, key: bool = False) -> Any:
    """A documented column. Key columns identify a row: they may be neither missing nor NaN."""
    return field(metadata={"doc": doc, "key": key})
