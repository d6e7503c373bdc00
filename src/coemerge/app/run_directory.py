"""A run's state on disk: manifest, lock, and what to do with a directory that exists already."""

import fcntl
import logging
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from coemerge.app.cli import ROOT, is_for_users
from coemerge.app.identity import run_fingerprint, run_id
from coemerge.app.settings import Settings
from coemerge.corpus.manifest import find_dataset
from coemerge.files import code_sha256, read_object, remove_unfinished, write_json
from coemerge.inputs import check_inside, links_in
from coemerge.tables.seal import check_tables

log = logging.getLogger(__name__)
MANIFEST = "manifest.json"
Action = Literal["start", "continue", "done"]
_CONTENTS = frozenset(
    "config.yaml checkpoints figures not_finite.json report results resume summary.json tables "
    "wandb".split()
)
_PACKAGES = ("coemerge", "torch", "lightning", "transformers", "numpy", "torchmetrics", "wandb")


def read_run_manifest(directory: Path) -> dict[str, Any] | None:
    """None where there is no run. Raises ValueError for a file that cannot be read."""
    path = directory / MANIFEST
    return read_object(path) if path.is_file() else None


def check_run(directory: str | None) -> Path:
    """The directory of a finished run. Raises ValueError where there is none."""
    if directory is None:
        raise ValueError(
            "run: name a run directory, such as run=artifacts/runs/fact_injection-seed0"
        )
    path = Path(directory)
    manifest = read_run_manifest(path)
    for link in links_in(path):
        if link.relative_to(path).parts[0] != "wandb":  # links to its latest run
            check_inside(link, path)
    if manifest is None:
        known = ", ".join(sorted(p.parent.name for p in path.parent.glob(f"*/{MANIFEST}")))
        raise ValueError(f"run={path}: no run there" + (f"; there are: {known}" if known else ""))
    if manifest.get("status") != "finished":
        raise ValueError(
            f"run={path} is not finished ({manifest.get('status')}): train.py resume=true goes on"
        )
    wanted = {"run_id": str, "seed": int, "fingerprint": str}
    for key, kind in wanted.items():
        if not isinstance(manifest.get(key), kind):
            raise ValueError(
                f"{path / MANIFEST}: {key}: missing or of another kind; is it a run's?"
            )
    score = manifest.get("score", {})
    if not isinstance(score, dict) or not score.keys() <= {"base", "chance"}:
        raise ValueError(f"{path / MANIFEST}: score: needs base and chance, got {score!r}")
    return path


def update_manifest(directory: Path, **values: Any) -> dict[str, Any]:
    manifest = {**(read_run_manifest(directory) or {}), **values}
    write_json(directory / MANIFEST, manifest)
    return manifest


def data_of_run(run: Path) -> Path:
    """The data set that a run was trained on: where it was then, or where this checkout has it, if
    the run comes from another one (``dvc pull``)."""
    manifest = read_run_manifest(run) or {}
    recorded = Path(str(manifest.get("data_directory")))
    if recorded.is_dir():
        return recorded
    wanted = str(manifest.get("data_fingerprint"))
    built = sorted(path for path in (ROOT / "build").glob("*") if path.is_dir())
    own = run.absolute().parents[1] / "data" / wanted
    return find_dataset(wanted, ROOT / "data", *built, own) or recorded


def decide(directory: Path, fingerprint: str, resume: str, overwrite: bool) -> Action:
    """What to do with what is there (design 3). Raises ValueError where the user has to choose."""
    manifest = read_run_manifest(directory)
    if manifest is None:
        _check_unused(directory)
    if manifest is None or overwrite:
        return "start"
    same = manifest["fingerprint"] == fingerprint
    if resume == "false":
        raise ValueError(
            f"{directory} holds a run ({manifest['status']}): resume=true continues it, "
            "overwrite=true starts anew, run_id=NAME keeps both"
        )
    is_current = same and manifest.get("code_sha256") == code_sha256()
    if not is_current and resume == "auto":
        log.warning("%s was made with other settings or code: starting anew", directory)
        return "start"
    if not same:
        raise ValueError(
            f"{directory} was made with other settings (fingerprint {manifest['fingerprint']}, now "
            f"{fingerprint}): overwrite=true starts anew, run_id=NAME keeps both"
        )
    return "done" if manifest["status"] == "finished" else "continue"


def _check_unused(directory: Path) -> None:
    """A run would remove what is there. Raises ValueError where that is not ours."""
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"{directory} is a file; move it away, or name another run: run_id=NAME")
    found = directory.iterdir() if directory.is_dir() else ()
    if strange := sorted(p.name for p in found if not _is_of_a_run(p.name)):
        raise ValueError(
            f"{directory} is no run, but holds {', '.join(strange[:3])}; move it away, or name "
            "another run: run_id=NAME"
        )


def _is_of_a_run(name: str) -> bool:
    """What a run that was killed early, or while it was being removed, may have left."""
    return name in _CONTENTS or (name[0] == "." and name.endswith((".lock", ".tmp")))


@contextmanager
def locked(directory: Path, shared: bool = False) -> Iterator[None]:
    """Refuses a second process on one directory, ``shared`` only one that trains there; a killed
    process leaves no lock behind. Who is alone removes what killed ones were writing."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_unfinished(directory)
        except BlockingIOError as error:
            if not shared:
                raise _in_use(directory) from error
        if shared:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _in_use(directory) from error
        yield


@contextmanager
def reading(directories: Iterable[Path]) -> Iterator[None]:
    """While runs or analyses are read nobody trains there. Raises ValueError for one that is being
    trained, and naming a table that was damaged."""
    with ExitStack() as stack:
        for directory in directories:
            stack.enter_context(locked(directory, shared=True))
            check_tables(directory)
        yield


def _in_use(directory: Path) -> ValueError:
    return ValueError(f"{directory} is in use by another process: wait for it, or end it")


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


def run_path(settings: Settings) -> Path:
    return Path(settings.config.paths.artifacts) / "runs" / run_id(settings)


@contextmanager
def open_run(settings: Settings) -> Iterator[OpenRun]:
    """Decides, locks, and clears what is to be overwritten. Raises ValueError before anything is
    touched."""
    config = settings.config
    name = run_id(settings)
    directory = run_path(settings)
    fingerprint = run_fingerprint(settings)
    is_done = decide(directory, fingerprint, config.resume, config.overwrite) == "done"
    with locked(directory, shared=is_done):
        action = decide(directory, fingerprint, config.resume, config.overwrite)
        if action == "start":
            clear_run(directory)
        if action == "done":
            check_tables(directory)  # they are to be printed
        try:
            yield OpenRun(name, directory, action)
        except (KeyboardInterrupt, SystemExit):
            _end(directory, "interrupted")
            raise
        except Exception as error:
            if action == "start" and is_for_users(error) and _is_untrained(directory):
                shutil.rmtree(directory)
            else:
                _end(directory, "failed")
            raise


def _end(directory: Path, status: str) -> None:
    """Of a run that was going on. A full disk must not hide why it ended."""
    manifest = read_run_manifest(directory)
    if manifest and manifest.get("status") == "running":
        try:
            update_manifest(directory, status=status)
        except OSError as error:
            log.warning("%s", error)


def clear_run(directory: Path) -> None:
    """Removes an earlier run, the lock kept; its manifest first, so that what is left of a kill is
    not taken for a run."""
    (directory / MANIFEST).unlink(missing_ok=True)
    for path in directory.iterdir():
        if path.name == ".lock":
            continue
        is_folder = path.is_dir() and not path.is_symlink()  # what a link leads to is not ours
        shutil.rmtree(path) if is_folder else path.unlink()


def _is_untrained(directory: Path) -> bool:
    """Whether what is there was refused before its first step: nothing worth keeping."""
    return "wall_s" not in (read_run_manifest(directory) or {})


def code_version(root: Path) -> dict[str, Any]:
    """Git commit and whether the tree differs from it, None outside a checkout; hash of the code
    itself."""

    def git(*arguments: str) -> str | None:
        result = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
        return result.stdout.strip() if result.returncode == 0 else None

    status = git("status", "--porcelain")
    return {
        "git_commit": git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else status != "",
        "code_sha256": code_sha256(),
    }


def package_versions() -> dict[str, str]:
    """What a run depends on; of torch also the build (cpu, cu130), which its wheel need not say."""
    import torch

    return {**{name: version(name) for name in _PACKAGES}, "torch": str(torch.__version__)}
