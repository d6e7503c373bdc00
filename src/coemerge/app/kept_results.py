"""Whether the results that are there are those that a study would find again."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from coemerge.app.analysis import Analysis
from coemerge.app.run_directory import MANIFEST, code_version
from coemerge.app.study_settings import CONFIGS
from coemerge.studies.chain_of_thought.config import MASKS
from coemerge.tables.store import read_metadata

NAMES_FILES = ("pairs", "text")  # settings whose value is a file or folder that a study reads


def origin(analysis: Analysis) -> dict[str, Any]:
    """What results depend on besides the models; kept with the tables of a study."""
    return {
        "runs": [series.name for series in analysis.series],
        "settings": analysis.settings,
        "score": asdict(analysis.series[0].score),
        **code_version(analysis.root),
    }


def why_anew(analysis: Analysis, study: str) -> str | None:
    """None where the results of these runs, settings and code are there and no older than what
    they were made of; else what differs, empty where there are no results."""
    home = analysis.out / "results" / study
    tables = sorted(home.glob("*.parquet"))
    if not tables or not (home / "summary.json").is_file():
        return ""
    kept, now = read_metadata(pq.read_table(tables[0])), origin(analysis)
    if kept.get("runs") != now["runs"]:
        return "other runs"
    if not _same_settings(study, kept.get("settings"), now["settings"]):
        return "other settings"
    if kept.get("score") != now["score"]:
        return "other scores"
    code = [kept.get("git_commit"), kept.get("git_dirty")]
    if code != [now["git_commit"], now["git_dirty"]] or now["git_dirty"]:
        return "other code, or code with uncommitted changes"
    written = (home / "summary.json").stat().st_mtime_ns
    if any(path.stat().st_mtime_ns > written for path in _inputs(analysis, study)):
        return "runs, masks or files named are newer"
    return None


def _named_files(settings: Any) -> list[Path]:
    """What settings name, with all that a folder holds, and the folders, which change where a file
    goes."""
    named = [Path(str(path)) for key in NAMES_FILES if (path := getattr(settings, key, None))]
    return [path for one in named for path in (one, *one.rglob("*"))]


def _same_settings(study: str, kept: Any, now: dict[str, Any]) -> bool:
    """Defaults that were not named count as named."""
    try:
        both = [asdict(CONFIGS[study](**settings)) for settings in (kept, now)]
    except TypeError:
        return False
    return json.dumps(both[0], sort_keys=True) == json.dumps(both[1], sort_keys=True)


def _inputs(analysis: Analysis, study: str) -> list[Path]:
    """Files that are written anew where what a study reads is made anew, and what its settings
    name."""
    found = [run / MANIFEST for run in analysis.directories]
    if study == "chain_of_thought":
        homes = (*analysis.directories, analysis.out)
        found += [home / MASKS / "summary.json" for home in homes]
    found += _named_files(CONFIGS[study](**analysis.settings))
    return [path for path in found if path.exists()]
