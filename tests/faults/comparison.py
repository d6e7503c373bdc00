"""What two runs of the same settings have to have in common, whatever happened to one of them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from coemerge.lm.checkpoint_manifest import list_checkpoints, read_manifest
from coemerge.tables.records import RECORDS
from coemerge.tables.store import read_metadata, read_table

TIMINGS = ("tokens_per_s",)
_LEFTOVERS = re.compile(r"\.(tmp|parts|trash|fresh|building)$")
_OF_RESULTS = ("summary.json", "metrics.json")


def assert_same_run(found: Path, expected: Path, studied: bool = True) -> None:
    """Weights, checkpoints, tables, W&B's history and, ``studied``, results; nothing half done is
    left."""
    assert manifest(found)["status"] == "finished"
    assert manifest(found)["final_weights_sha256"] == manifest(expected)["final_weights_sha256"]
    assert checkpoints(found) == checkpoints(expected)
    assert leftovers(found) == []
    assert_same_tables(found, expected, studied)
    assert_same_history(found, expected, studied)
    if studied:
        for name in _OF_RESULTS:
            assert contents(found, name) == contents(expected, name)
        assert (found / "report" / "index.html").is_file()


def assert_same_tables(found: Path, expected: Path, studied: bool = True) -> None:
    """All of them, to the last bit but for timings, and no row twice."""
    names = {path.relative_to(expected) for path in expected.rglob("*.parquet")}
    names = {name for name in names if studied or name.parts[0] != "results"}
    assert {path.relative_to(found) for path in found.rglob("*.parquet")} == names
    for name in sorted(names):
        table = read_table(found / name)
        frames = [t.to_pandas() for t in (table, read_table(expected / name))]
        frames = [f.drop(columns=[c for c in TIMINGS if c in f]) for f in frames]
        pd.testing.assert_frame_equal(*frames, check_exact=True, obj=str(name))
        record = RECORDS[read_metadata(table)["table"]]
        keys = [f.name for f in record.__dataclass_fields__.values() if f.metadata.get("key")]
        assert not frames[0].duplicated(keys).any(), f"{name}: rows twice"


def assert_same_history(found: Path, expected: Path, studied: bool = True) -> None:
    """Of W&B's offline log, the last value of every metric at every step."""
    of_found, of_expected = history(found), history(expected)
    if not studied:
        of_expected = {key: v for key, v in of_expected.items() if key[0] == expected.name}
    missing = sorted(set(of_expected) - set(of_found))
    assert not missing, f"W&B lacks {missing[:8]} of {len(of_expected)} values"
    assert of_found == of_expected


def history(run: Path) -> dict[tuple[str, int, str], Any]:
    """(W&B run, step, metric) -> last value; several tries of a run are read one after the other,
    as ``wandb sync`` does."""
    values: dict[tuple[str, int, str], Any] = {}
    for fragment in sorted(run.glob("wandb/offline-run-*")):
        name = re.sub(r"offline-run-\d+_\d+-", "", fragment.name)
        for row in _rows(fragment):
            for metric, value in row.items():
                if "/" in metric and not metric.endswith((*TIMINGS, "/global_step")):
                    values[name, int(row.get("step", -1)), metric] = _plain(value)
    return values


def _rows(fragment: Path) -> list[dict[str, Any]]:
    """As W&B's own program reads them."""
    program = Path(sys.executable).parent / "wandb"
    result = subprocess.run(
        [program, "leet", "inspect", "--json", fragment],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    records = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return [r["history"]["item"] for r in records if r["type"] == "history"]


def _plain(value: Any) -> Any:
    """Of a picture its hash: where it lies names the W&B file it was taken from."""
    return value.get("sha256") if isinstance(value, dict) else value


def manifest(run: Path) -> dict[str, Any]:
    return json.loads((run / "manifest.json").read_text(encoding="utf-8"))


def checkpoints(run: Path) -> list[tuple[str, str]]:
    return [
        (d.name, read_manifest(d).weights_sha256) for d in list_checkpoints(run / "checkpoints")
    ]


def contents(run: Path, name: str) -> dict[str, str]:
    return {str(path.relative_to(run)): path.read_text("utf-8") for path in run.rglob(name)}


def leftovers(run: Path) -> list[str]:
    """What killed processes were writing."""
    names = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
    return [name for name in names if _LEFTOVERS.search(name) and not name.startswith("wandb")]
