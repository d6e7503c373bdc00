"""The end of a run: pictures, summary, and where everything is."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coemerge.app.run_directory import read_run_manifest, update_manifest
from coemerge.app.summary import format_summary, read_summary
from coemerge.files import write_json, writing
from coemerge.report.dose import draw_dose, format_dose
from coemerge.report.emergence import draw_emergence
from coemerge.report.forgetting import draw_forgetting, format_forgetting
from coemerge.report.old_facts import format_old_facts

_WORTH_SAYING = 0.05  # seconds of a callback


def close_run(run_directory: Path) -> dict[str, Any]:
    """Draws, marks the run finished, prints. A run that was finished before is only printed.

    Returns the manifest.
    """
    manifest = read_run_manifest(run_directory) or {}
    if manifest["status"] != "finished":
        rows = read_summary(run_directory)
        if rows:
            with writing(run_directory / "figures"):
                for draw in (draw_emergence, draw_dose, draw_forgetting):
                    draw(run_directory / "tables", run_directory / "figures")
        write_json(run_directory / "summary.json", [asdict(row) for row in rows])
        manifest = update_manifest(run_directory, status="finished")
    show_run(run_directory)
    return manifest


def show_run(run_directory: Path) -> None:
    """Prints the summary of a finished run and where its parts are."""
    manifest = read_run_manifest(run_directory) or {}
    rows = read_summary(run_directory)
    tables = run_directory / "tables"
    more = (format_dose, format_forgetting, format_old_facts) if rows else ()
    chance = manifest.get("score", {}).get("chance", "uniform")
    parts = [format_summary(rows, chance), *(write(tables) for write in more)]
    parts.append("\n".join(_places(run_directory, manifest)))
    sys.stdout.write("\n" + "\n\n".join(part for part in parts if part) + "\n")


def _places(run_directory: Path, manifest: dict[str, Any]) -> list[str]:
    n_checkpoints = len(list((run_directory / "checkpoints").glob("step-*/manifest.json")))
    size = f"{manifest['steps']:,} steps, {manifest['tokens']:,} tokens, {manifest['wall_s']:.0f} s"
    places = {
        "run": f"{run_directory} ({size})",
        "callbacks": _shares(manifest),
        "weights": f"sha256 {manifest['final_weights_sha256'][:16]}",
        "checkpoints": f"{run_directory / 'checkpoints'} ({n_checkpoints})",
        "tables": f"{run_directory / 'tables'}/*.parquet",
        "pictures": f"{run_directory / 'figures'}/*.png",
        "W&B": _wandb(run_directory / "wandb"),
    }
    return [f"{name:<12} {place}" for name, place in places.items() if place]


def _wandb(directory: Path) -> str:
    """How to look at what was logged; empty where nothing was."""
    if list(directory.glob("offline-run-*")):
        return f"wandb leet {directory} (offline; to publish: wandb sync {directory}/offline-run-*)"
    return f"wandb leet {directory} (published)" if list(directory.glob("run-*")) else ""


def _shares(manifest: dict[str, Any]) -> str:
    """What callbacks took of the wall time of training, the most expensive first; empty for runs
    that were not timed."""
    seconds = {k: v for k, v in manifest.get("callbacks_wall_s", {}).items() if v >= _WORTH_SAYING}
    if not seconds or not manifest["wall_s"]:
        return ""
    total = sum(manifest["callbacks_wall_s"].values())
    each = sorted(seconds.items(), key=lambda item: -item[1])
    named = ", ".join(f"{name} {_time(s)}" for name, s in each)
    share = total / manifest["wall_s"]
    return f"{_time(total)} of {_time(manifest['wall_s'])} ({share:.0%}): {named}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
