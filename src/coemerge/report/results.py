"""What lies in a run's or an analysis' directory, read tolerantly: tables may be missing, empty,
or have columns that nobody here knows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from coemerge.report.published import STUDIES
from coemerge.statistics.thresholds import THETA
from coemerge.tables.store import read_metadata

TABLES: dict[str, tuple[str, ...]] = {  # what the page uses, by study
    "co_emergence": (
        "pairs", "matrix", "variance", "curves", "exposure", "failure", "nulls",
        "emergence_points", "emergence_order", "retention", "retention_fit", "answers",
    ),
    "task_localization": (
        "drop_matrix", "mask_measures", "mask_layers", "mask_overlap", "entanglement",
        "order_effect",
    ),
    "chain_of_thought": ("cot_drops",),
    "query_localization": (
        "exclusions", "consistency", "consistency_means", "class_shares", "mapping_effects",
        "synapse_effects", "edit_scores", "consistent_choice", "wording_effects", "neuron_maps",
    ),
    "entity_relation": (
        "side_exclusions", "cross_side", "side_transfer", "side_means", "edit_choice",
        "edit_outcomes", "tracing_totals", "tracing_effects", "attention_shares",
    ),
    "knowledge_neurons": (
        "skills", "neuron_groups", "categorical", "token_shifts", "surface_fits", "syntax_totals",
        "syntax_effects", "rewrites", "rewrite_choice", "implication_rates", "completions",
    ),
}  # fmt: skip
RUN_TABLES = ("localization", "localization_overlaps")  # what training measured, of one run
TO_THE_END = -1  # window: from the step at which the prerequisites are met to the last checkpoint
USUAL_RULE = {"theta": THETA, "window": TO_THE_END, "sustained": "any"}
Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """``tables`` by name, without empty ones; ``code`` their versions by table, where a file says;
    ``manifests`` one per run; ``facts`` fact_id -> text; ``missing`` studies without results;
    ``borrowed`` studies whose results are those of another directory; ``own`` summaries of studies
    that the page has no section for."""

    tables: dict[str, pd.DataFrame]
    summary: list[Row]
    manifests: list[Row]
    missing: list[str]
    facts: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    borrowed: dict[str, Path] = field(default_factory=dict)
    own: dict[str, list[Row]] = field(default_factory=dict)

    def table(self, name: str) -> pd.DataFrame:
        """Empty where the study wrote none."""
        return self.tables.get(name, pd.DataFrame())

    def named(self, name: str) -> Row:
        """The row of the summary with this name; empty where the study has no such figure."""
        return next((row for row in self.summary if row.get("name") == name), {})

    def null(self, quantity: str, null: str, scale: str = "raw") -> Row:
        """A row of the table ``nulls``; empty where it is not there or has no value."""
        found = nulls_of(self.table("nulls"), quantity)
        rows = pick(found, null=null, scale=scale).to_dict("records")
        return {str(key): value for key, value in rows[0].items()} if rows else {}


def read_results(directory: Path, others: Sequence[Path] = ()) -> Results:
    """A study without results in ``directory`` is that of the first of ``others`` that has some.

    Raises FileNotFoundError without the directory, ValueError naming a file that is no JSON.
    """
    for path in (directory, *others):
        if not path.is_dir():
            raise FileNotFoundError(f"{path}: no such directory; give that of a run or an analysis")
    having = {
        name: [path for path in (directory, *others) if _home(path, name)] for name in STUDIES
    }
    homes = {name: _home(paths[0], name) if paths else None for name, paths in having.items()}
    borrowed = {name: paths[0] for name, paths in having.items() if paths and paths[0] != directory}
    read = [directory, *dict.fromkeys(borrowed.values())]
    paths = [home / f"{name}.parquet" for study, home in homes.items() if home
             for name in TABLES.get(study, ())]  # fmt: skip
    paths += [directory / "tables" / f"{name}.parquet" for name in RUN_TABLES]
    tables, code = {}, {}
    for path in paths:
        if path.is_file() and (found := pq.read_table(path)).num_rows:
            tables[path.stem] = found.to_pandas()
            code[path.stem] = code_version(read_metadata(found))
    summary: list[Row] = []
    for home in homes.values():
        summary += _json_list(home / "summary.json") if home else []
    return Results(
        tables=tables,
        summary=summary,
        manifests=_distinct([manifest for path in read for manifest in _manifests(path)]),
        missing=[name for name, home in homes.items() if home is None],
        facts={id_: text for path in reversed(read) for id_, text in _facts(path).items()},
        code={name: version for name, version in code.items() if version},
        borrowed=borrowed,
        own=_own(directory),
    )


def nulls_of(nulls: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Rows with a value; a table that does not tell quantities apart holds failure rates."""
    if nulls.empty or ("quantity" not in nulls and quantity != "failure_rate"):
        return nulls.iloc[:0]
    return pick(nulls, quantity=quantity).dropna(subset=["value"])


def pick(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Rows that have these values; a column that is missing does not choose."""
    chosen = np.ones(len(frame), dtype=bool)
    for name, value in values.items():
        if name not in frame:
            continue
        if isinstance(value, float):
            chosen &= np.isclose(frame[name].to_numpy(dtype=float), value)
        else:
            chosen &= (frame[name] == value).to_numpy()
    return frame[chosen]


def code_version(manifest: Row) -> str:
    """``87bdcbf`` or ``87bdcbf, with uncommitted changes``; empty where no commit is known."""
    commit, dirty = manifest.get("git_commit"), manifest.get("git_dirty")
    if not commit:
        return ""
    if dirty is None:
        return f"{str(commit)[:10]}, changes unknown"
    return f"{str(commit)[:10]}, with uncommitted changes" if dirty else str(commit)[:10]


def _home(directory: Path, study: str) -> Path | None:
    """A run keeps studies under results/; an analysis of several runs may hold one by itself."""
    places = [directory / "results" / study, directory / study]
    if study == "co_emergence":
        places.append(directory)
    for place in places:
        patterns = [f"{name}.parquet" for name in TABLES["co_emergence"]]
        if place != directory:  # where a run keeps another summary.json
            patterns = ["*.parquet", "summary.json"]
        if any(any(place.glob(pattern)) for pattern in patterns):
            return place
    return None


def _own(directory: Path) -> dict[str, list[Row]]:
    found = sorted((directory / "results").glob("*/summary.json"))
    return {p.parent.name: _json_list(p) for p in found if p.parent.name not in STUDIES}


def _manifests(directory: Path) -> list[Row]:
    if (directory / "runs.json").is_file():
        return _json_list(directory / "runs.json")
    path = directory / "manifest.json"
    return [_json(path)] if path.is_file() else []


def _distinct(manifests: list[Row]) -> list[Row]:
    """A run that was analysed alone and with others is one."""
    return [manifest for k, manifest in enumerate(manifests) if manifest not in manifests[:k]]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}; run the study again") from error


def _json_list(path: Path) -> list[Row]:
    content = _json(path) if path.is_file() else []
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError(f"{path}: expected a list of objects; run the study again")
    return content


def _facts(directory: Path) -> dict[str, str]:
    path = directory / "tables" / "facts.parquet"
    columns = ["fact_id", "subject", "relation", "object"]
    if not path.is_file() or not set(columns) <= set(pq.read_schema(path).names):
        return {}
    rows = pq.read_table(path, columns=columns).to_pylist()
    return {r["fact_id"]: f"{r['subject']} · {r['relation']} · {r['object']}" for r in rows}
