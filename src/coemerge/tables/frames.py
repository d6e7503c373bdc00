"""Frames kept between processes as they are: without a schema of ours, but sealed like tables."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from coemerge.tables.seal import unsealed
from coemerge.tables.store import save_table


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Whole or not at all; the index is not kept."""
    save_table(path, pa.Table.from_pandas(frame, preserve_index=False))


def read_frame(path: Path) -> pd.DataFrame:
    """Raises ValueError for a file that was changed or cut off."""
    return pq.read_table(pa.BufferReader(unsealed(path))).to_pandas()
