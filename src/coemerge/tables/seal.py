"""A parquet file that knows the hash of its own bytes.

Parquet's checksums of pages leave out the footer, where a flipped byte can change values unnoticed.
The hash stands in the footer, and is taken with zeros in its place.
"""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

KEY = "sha256"
BLANK = "0" * 64


def seal(path: Path) -> None:
    """Writes the hash into a file whose metadata holds ``KEY``: ``BLANK``."""
    content = path.read_bytes()
    place = content.rindex(BLANK.encode())
    with path.open("rb+") as file:
        file.seek(place)
        file.write(hashlib.sha256(content).hexdigest().encode())


def unsealed(path: Path) -> bytes:
    """The bytes of a parquet file, checked where it is sealed.

    Raises ValueError naming a file that was changed after it was written, or cut off.
    """
    content = path.read_bytes()
    try:
        metadata = pq.read_metadata(pa.BufferReader(content)).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read, {_REMEDY} ({error})") from error
    found = metadata.get(KEY.encode())
    if found is not None:
        before, _, after = content.rpartition(found)
        if hashlib.sha256(before + BLANK.encode() + after).hexdigest().encode() != found:
            raise ValueError(f"{path} is not as it was written, {_REMEDY}")
    return content


_REMEDY = (
    "a disk or a copy may have damaged it: take it from a backup, or remove it and make it again "
    "(results by analyze.py; tables of a run by train.py overwrite=true)"
)


def check_tables(directory: Path) -> None:
    """Of all parquet files below a directory. Raises ValueError naming one that is damaged."""
    for path in sorted(directory.rglob("*.parquet")):
        unsealed(path)
