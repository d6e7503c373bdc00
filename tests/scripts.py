"""Runs the entry scripts as a user would: a process of its own, our environment, its time."""

import os
import subprocess
import sys
import time

from tests.conftest import ROOT


def run_script(
    script: str, *arguments: str, timeout: float = 240
) -> tuple[subprocess.CompletedProcess[str], float]:
    """(what it printed and its exit code, seconds)."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COEMERGE", "HYDRA"))}
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return result, time.perf_counter() - started
