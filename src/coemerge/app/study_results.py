"""What a study leaves: tables, the figures beside published ones, metrics, and a W&B run."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from coemerge.app.analysis import Analysis
from coemerge.app.kept_results import origin
from coemerge.app.sources import Source
from coemerge.files import waiting_for, write_json
from coemerge.report.published import PUBLISHED
from coemerge.tables.store import table_schema, write_table
from coemerge.tracking.analysis_run import log_analysis
from coemerge.tracking.references import data_name, model_name

Rows = list[dict[str, Any]]
_MOST_LINES = 40
_FILES = {"transfer": "exposure"}  # tables whose file is named otherwise


def write_results(
    analysis: Analysis, study: str, sources: list[Source], tables: dict[str, Rows], summary: Rows
) -> None:
    """Tables, metrics.json and summary.json of the study; for what is not one run, also which runs
    or models these were, for the report."""
    directory = analysis.out / "results" / study
    rows = [{**row, "published": _published(row)} for row in summary]
    with waiting_for(analysis.out / ".results.lock"):
        (directory / "summary.json").unlink(missing_ok=True)  # without it results are unfinished
        _write_tables(directory, tables, origin(analysis))
        write_json(directory / "metrics.json", main_metrics(rows))
        write_json(directory / "summary.json", rows)
        _write_origin(analysis, sources)


def main_metrics(rows: Rows) -> dict[str, float]:
    """What ``dvc metrics`` compares: figures of the summary that stand beside published ones;
    undefined ones are left out."""
    return {
        row["name"]: row["value"] for row in rows if row["published"] and row["value"] is not None
    }


def track(
    analysis: Analysis,
    study: str,
    sources: list[Source],
    values: Mapping[str, float],
    series: Sequence[Mapping[str, float]] = (),
) -> None:
    """The analysis as a W&B run of its own, in the group asked for or that of the first run."""
    asked = dict(analysis.wandb)
    pictures = sorted((analysis.out / "report" / "figures").glob("*.png"))
    log_analysis(
        analysis.out,
        f"{analysis.out.name[:100]}-{study}",
        asked.pop("group", None) or _group(analysis, sources[0]),
        {**analysis.settings, "inputs": [_input(source) for source in sources]},
        values,
        series,
        {f"{study}/figures/{path.stem}": path for path in pictures},
        **asked,
    )


def _group(analysis: Analysis, source: Source) -> str:
    manifest = source.manifest
    return str(manifest.get("group") or manifest.get("experiment") or analysis.out.name)


def _input(source: Source) -> dict[str, Any]:
    """What was analysed, of a run also by the names of the artifacts that its training logged."""
    steps = [member.step for member in source.series.members]
    if source.series.run is None:
        return {"models": source.series.name, "steps": steps}
    return {
        "run_id": source.run_id,
        "data": data_name(str(source.manifest["data_hash"])),
        "checkpoints": model_name(source.run_id),
        "steps": steps,
    }


def tell(summary: Rows, directory: Path, times: Mapping[str, float], note: str = "") -> None:
    """Prints the summary (of a long one what stands beside published figures), where the tables
    are, what took how many seconds, and ``note``."""
    shown = summary if len(summary) <= _MOST_LINES else [row for row in summary if _is_main(row)]
    lines = [
        f"{row['id']:<5} {_percent(row):<22} n={row['n'] or 0:<6,} {row['quantity']}"
        for row in shown
    ]
    if more := len(summary) - len(shown):
        lines.append(f"... and {more} more in {directory}/summary.json")
    sys.stdout.write(
        "\n" + "\n".join(lines) + f"\n\ntables       {directory}/*.parquet\n"
        f"time         {', '.join(f'{name} {s:.0f} s' for name, s in times.items())}{note}\n"
    )


def _write_tables(directory: Path, tables: dict[str, Rows], provenance: dict[str, Any]) -> None:
    """Tables of an earlier analysis that this one does not have are removed."""
    written = set()
    for name, rows in tables.items():
        path = directory / f"{_FILES.get(name, name)}.parquet"
        frame = pd.DataFrame(rows, columns=table_schema(name).names)
        write_table(path, name, {c: frame[c].to_numpy() for c in frame}, provenance)
        written.add(path)
    for path in set(directory.glob("*.parquet")) - written:
        path.unlink()


def _write_origin(analysis: Analysis, sources: list[Source]) -> None:
    """For the report on what is not one run: which runs or models these were, and their facts."""
    if analysis.out in [source.series.run for source in sources]:
        return
    write_json(analysis.out / "runs.json", [source.manifest for source in sources])
    if sources[0].series.run is None:
        facts = sources[0].facts
        columns = {name: facts[name].to_numpy() for name in facts}
        write_table(analysis.out / "tables" / "facts.parquet", "facts", columns)


def _published(row: Mapping[str, Any]) -> str:
    """Beside the figure it belongs to, not beside its nulls and details."""
    of_id = (p for p in PUBLISHED if p.id == row["id"])
    return next((p.value for p in of_id if p.is_of(str(row.get("name")))), "")


def _is_main(row: Mapping[str, Any]) -> bool:
    """Whether it stands beside a published figure."""
    return bool(_published(row))


def _percent(row: dict[str, Any]) -> str:
    """``28.1 % [20.0, 36.3]``, of an index or a number ``0.28 [0.20, 0.36]``; a dash where nothing
    could be measured."""
    value, *bounds = (row[name] for name in ("value", "low", "high"))
    if value is None:
        return "-"
    is_share = all(p.percent for p in PUBLISHED if p.id == row["id"])
    is_plain = row.get("unit") == "index" or not (is_share or row.get("unit"))
    factor, digits, sign = (1, 2, "") if is_plain else (100, 1, " %")
    told = [f"{factor * x:.{digits}f}" for x in (value, *(x for x in bounds if x is not None))]
    return f"{told[0]}{sign}" + (f" [{', '.join(told[1:])}]" if len(told) == 3 else "")
