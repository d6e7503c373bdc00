"""What a data set's manifest promises, and whether its files keep it; free of heavy imports."""

import json
from pathlib import Path
from typing import Any

from coemerge.files import file_digest

MANIFEST = "manifest.json"


def find_dataset(fingerprint: str, *directories: Path) -> Path | None:
    """The first of the directories that holds the data set with this fingerprint."""
    for directory in directories:
        manifest = directory / MANIFEST
        if manifest.is_file() and read_data_manifest(directory)["fingerprint"] == fingerprint:
            return directory
    return None


def check_replaceable(directory: str | Path) -> None:
    """Raises ValueError unless nothing but an older data set would be lost by building there."""
    path = Path(directory)
    if path.name in ("", "..") or (path.exists() and not path.is_dir()):
        raise ValueError(f"paths.data: {str(directory)!r} is no directory; name one to build in")
    if (path / MANIFEST).is_file():
        read_data_manifest(path)
    elif path.is_dir() and any(path.iterdir()):
        raise ValueError(
            f"paths.data: {path} holds files that are no data set, and building would remove them; "
            "name another directory"
        )


def read_data_manifest(directory: Path) -> dict[str, Any]:
    """Raises ValueError if it is not a data set's manifest."""
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON: {error}; remove {directory}") from error
    if not isinstance(manifest, dict) or not {"fingerprint", "files"} <= manifest.keys():
        raise ValueError(f"{path}: is no data set's manifest; remove {directory} or name another")
    return manifest


def check_data_files(directory: Path) -> None:
    """Raises ValueError naming a file that is gone or was changed after it was built."""
    for name, digest in read_data_manifest(directory)["files"].items():
        path = directory / name
        if file_digest(path) != digest:
            raise ValueError(
                f"{path} was changed after it was built (expected hash {digest[:12]}): remove "
                f"{directory} and build again"
            )
