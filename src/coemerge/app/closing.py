"""The end of a run: pictures, summary, and where everything is."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coemerge.app.run_directory import read_run_manifest, update_manifest
from coemerge.app.summary import format_summary, read_summary
from coemerge.files import write_json
from coemerge.report.emergence import draw_emergence


def close_run(run_directory: Path) -> dict[str, Any]:
    """Draws, marks the run finished, prints. A run that was finished before is only printed.

    Returns the manifest.
    """
    manifest = read_run_manifest(run_directory) or {}
    if manifest["status"] != "finished":
        rows = read_summary(run_directory)
        if rows:
            draw_emergence(run_directory / "tables", run_directory / "figures")
        write_json(run_directory / "summary.json", [asdict(row) for row in rows])
        manifest = update_manifest(run_directory, status="finished")
    show_run(run_directory)
    return manifest


def show_run(run_directory: Path) -> None:
    """Prints the summary of a finished run and where its parts are."""
    manifest = read_run_manifest(run_directory) or {}
    if manifest.get("status") != "finished":
        raise ValueError(
            f"{run_directory} is not finished ({manifest.get('status')}): resume=true continues it"
        )
    lines = [format_summary(read_summary(run_directory)), "", *_places(run_directory, manifest)]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")


def _places(run_directory: Path, manifest: dict[str, Any]) -> list[str]:
    n_checkpoints = len(list((run_directory / "checkpoints").glob("step-*/manifest.json")))
    size = f"{manifest['steps']:,} steps, {manifest['tokens']:,} tokens, {manifest['wall_s']:.0f} s"
    places = {
        "run": f"{run_directory} ({size})",
        "weights": f"sha256 {manifest['final_weights_sha256'][:16]}",
        "checkpoints": f"{run_directory / 'checkpoints'} ({n_checkpoints})",
        "tables": f"{run_directory / 'tables'}/*.parquet",
        "picture": str(run_directory / "figures" / "emergence.png"),
        "W&B": f"wandb leet {run_directory / 'wandb'} (offline; wandb sync publishes)",
    }
    return [f"{name:<12} {place}" for name, place in places.items()]
