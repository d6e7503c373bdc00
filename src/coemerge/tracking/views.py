"""Which saved views are ours: remembered by server, project and name, so that saving a workspace
again replaces its view instead of making a second one."""

from pathlib import Path

import wandb
import wandb_workspaces.workspaces as ws

from coemerge.files import read_object, waiting_for, write_json
from coemerge.tracking.dashboard import save_workspace

NEW = "new"  # instead of a URL


def save_view(workspace: ws.Workspace, file: Path, url: str | None = None) -> tuple[str, bool]:
    """Saves the view at ``url``, the one that ``file`` remembers, or (``url`` new, or none
    remembered) another one, and remembers it. Returns its URL and whether it was there before.

    Raises ValueError for a URL that is not a saved view of the project, or of one that is gone, and
    ConnectionError with the remedy without login or network.
    """
    with waiting_for(file.with_name(f".{file.name}.lock")):
        known = read_object(file) if file.is_file() else {}
        key = f"{_server()}/{workspace.entity}/{workspace.project}: {workspace.name}"
        before = known.get(key) if url is None else url
        if before == NEW:
            before = None
        try:
            saved = save_workspace(workspace, before)
        except ValueError as error:
            if url is not None or before is None:
                raise
            raise ValueError(
                f"{file} remembers {before}: {error}; url={NEW} saves another one, url=URL "
                "replaces one that is there"
            ) from error
        write_json(file, {**known, key: saved})
    return saved, before is not None


def _server() -> str:
    return str(wandb.setup().settings.base_url)
