"""Copies of this checkout, for tests that change files or run what is in them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def copy_checkout(target: Path) -> Path:
    """Its files as git has them or would have them."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


def environment_of(copy: Path) -> dict[str, str]:
    """In which ``python`` is ours and imports what lies in the copy."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COEMERGE", "HYDRA"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(copy / "src"), "COEMERGE_ROOT": str(copy)}
