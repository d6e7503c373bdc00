"""A run's state on disk: manifest, lock, and what to do with a directory that exists already."""

import fcntl
import json
import logging
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from coemerge.app.identity import run_fingerprint, run_id
from coemerge.app.settings import Settings
from coemerge.files import write_json

log = logging.getLogger(__name__)
MANIFEST = "manifest.json"
Action = Literal["start", "continue", "done"]
_PACKAGES = ("coemerge", "torch", "lightning", "transformers", "numpy", "torchmetrics", "wandb")


def read_run_manifest(directory: Path) -> dict[str, Any] | None:
    """None where there is no run."""
    path = directory / MANIFEST
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def check_run(directory: str | None) -> Path:
    """The directory of a finished run. Raises ValueError where there is none."""
    if directory is None:
        raise ValueError(
            "run: name a run directory, such as run=artifacts/runs/fact_injection-seed0"
        )
    path = Path(directory)
    manifest = read_run_manifest(path)
    if manifest is None:
        known = ", ".join(sorted(p.parent.name for p in path.parent.glob(f"*/{MANIFEST}")))
        raise ValueError(f"run={path}: no run there" + (f"; there are: {known}" if known else ""))
    if manifest.get("status") != "finished":
        raise ValueError(
            f"run={path} is not finished ({manifest.get('status')}): train.py resume=true goes on"
        )
    return path


def update_manifest(directory: Path, **values: Any) -> dict[str, Any]:
    manifest = {**(read_run_manifest(directory) or {}), **values}
    write_json(directory / MANIFEST, manifest)
    return manifest


def decide(directory: Path, fingerprint: str, resume: str, overwrite: bool) -> Action:
    """What to do with what is there (design 3). Raises ValueError where the user has to choose."""
    manifest = read_run_manifest(directory)
    if manifest is None or overwrite:
        return "start"
    same = manifest["fingerprint"] == fingerprint
    if resume == "false":
        raise ValueError(
            f"{directory} holds a run ({manifest['status']}): resume=true continues it, "
            "overwrite=true starts anew, run_id=NAME keeps both"
        )
    if not same and resume == "auto":
        log.warning("%s was made with other settings: starting anew", directory)
        return "start"
    if not same:
        raise ValueError(
            f"{directory} was made with other settings (fingerprint {manifest['fingerprint']}, now "
            f"{fingerprint}): overwrite=true starts anew, run_id=NAME keeps both"
        )
    return "done" if manifest["status"] == "finished" else "continue"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Refuses a second process on one run directory; a killed process leaves no lock behind."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"{directory} is in use by another process") from error
        yield


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run directory that this process holds."""

    run_id: str
    directory: Path
    action: Action

    @property
    def is_finished(self) -> bool:
        return self.action == "done"

    @property
    def continues(self) -> bool:
        return self.action == "continue"


@contextmanager
def open_run(settings: Settings) -> Iterator[OpenRun]:
    """Decides, locks, and clears what is to be overwritten. Raises ValueError before anything is
    touched."""
    config = settings.config
    name = run_id(settings)
    directory = Path(config.paths.artifacts) / "runs" / name
    fingerprint = run_fingerprint(settings)
    decide(directory, fingerprint, config.resume, config.overwrite)
    with locked(directory):
        action = decide(directory, fingerprint, config.resume, config.overwrite)
        if action == "start":
            clear_run(directory)
        try:
            yield OpenRun(name, directory, action)
        except Exception:
            if action != "done" and read_run_manifest(directory):
                update_manifest(directory, status="failed")
            raise


def clear_run(directory: Path) -> None:
    """Removes an earlier run, the lock kept."""
    for path in directory.iterdir():
        if path.name == ".lock":
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def code_version(root: Path) -> dict[str, Any]:
    """Git commit and whether the tree differs from it; None outside a checkout."""

    def git(*arguments: str) -> str | None:
        result = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
        return result.stdout.strip() if result.returncode == 0 else None

    status = git("status", "--porcelain")
    return {
        "git_commit": git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else status != "",
    }


def package_versions() -> dict[str, str]:
    """What a run depends on; of torch also the build (cpu, cu130), which its wheel need not say."""
    import torch

    return {**{name: version(name) for name in _PACKAGES}, "torch": str(torch.__version__)}
