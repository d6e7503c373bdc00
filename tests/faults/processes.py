"""Runs ``train.py`` and ``analyze.py`` in processes of their own, to be killed where it hurts.

Children are forked from a server that has imported torch and lightning already (a few seconds each
time otherwise), run the script as ``python script.py`` would, and lead a process group of their
own. A kill may wait for a place: the n-th time that a file is opened or renamed to (told by audit
events, nothing of the program knows about it), and a while after that.
"""

import ctypes
import multiprocessing
import os
import re
import resource
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path

from tests.conftest import ROOT

LIMIT_S = 240.0  # for one process, on a machine that does other things too
_PRELOADED = [
    "lightning.pytorch",
    "coemerge.app.training",
    "coemerge.app.co_emergence",
    "coemerge.callbacks.localization",
    "coemerge.callbacks.training_log",
    "coemerge.callbacks.exposure",
    "coemerge.callbacks.acquisition",
    "coemerge.callbacks.checkpoints",
    "coemerge.tracking.wandb_run",
    # what wandb, transformers and pyarrow import late
    "wandb.sdk.launch.inputs.internal",
    "transformers.generation.utils",
    "transformers.models.gpt2.modeling_gpt2",
    "pyarrow.dataset",
]


@dataclass(frozen=True)
class Place:
    """Where a child is to be stopped: ``delay`` seconds after the ``nth`` time that a file whose
    path matches ``pattern`` is opened (or, with ``opened`` false, renamed into place)."""

    pattern: str
    nth: int = 1
    delay: float = 0.0
    opened: bool = False
    sent: signal.Signals = signal.SIGKILL


@dataclass(frozen=True)
class Ended:
    """A process that has ended. ``renamed``: files put into place, and seconds from the start."""

    code: int
    stdout: str
    stderr: str
    renamed: list[tuple[float, str]]

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    def first(self, pattern: str) -> float:
        return next(moment for moment, path in self.renamed if re.search(pattern, path))

    def last(self, pattern: str) -> float:
        return [moment for moment, path in self.renamed if re.search(pattern, path)][-1]


class Child:
    """A script in the background; everything of it in ``folder``."""

    def __init__(
        self,
        folder: Path,
        script: str,
        *arguments: str,
        stop: Place | None = None,
        file_limit: int | None = None,
    ) -> None:
        self._logs = folder / f"logs-{time.monotonic_ns()}"
        self._logs.mkdir(parents=True)
        self.process = _server().Process(
            target=_run, args=(script, arguments, self._logs, stop, file_limit), daemon=False
        )
        self.process.start()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Raises AssertionError if the process ends before the condition holds."""
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert self.process.is_alive(), f"ended too early:\n{self.read('err')}"
            assert time.monotonic() < deadline, "took too long"
            time.sleep(0.01)

    def end(self) -> Ended:
        """Waits for the end."""
        self.process.join(LIMIT_S)
        if self.process.is_alive():
            self.kill()
            raise AssertionError(f"took too long:\n{self.read('err')}")
        assert self.process.exitcode is not None
        renamed = [line.split(" ", 1) for line in self.read("renamed").splitlines()]
        moments = [(float(moment), path) for moment, path in renamed]
        return Ended(self.process.exitcode, self.read("out"), self.read("err"), moments)

    def send(self, number: signal.Signals) -> None:
        """To the whole group, as a terminal does."""
        assert self.process.pid is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def read(self, name: str) -> str:
        return (self._logs / name).read_text(encoding="utf-8", errors="replace")


def run_to_end(folder: Path, script: str, *arguments: str, **options: int | None) -> Ended:
    return Child(folder, script, *arguments, **options).end()  # type: ignore[arg-type]


def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _run(
    script: str,
    arguments: tuple[str, ...],
    logs: Path,
    stop: Place | None,
    file_limit: int | None,
) -> None:
    """In the child: as ``python script arguments`` would, and nobody special."""
    os.setsid()
    _obey_permissions()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, name in ((1, "out"), (2, "err")):
        file = os.open(logs / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, descriptor)
        os.close(file)
    here = logs / "here"
    here.mkdir()
    os.chdir(here)
    sys.addaudithook(_watch(logs / "renamed", stop))
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    sys.argv = [str(ROOT / script), *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")


def _obey_permissions() -> None:
    """Root may write anywhere, by one of its capabilities: gives it up."""
    if os.getuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, twice 32 bits
    libc.capget(header, sets)
    for index in (0, 1):
        sets[index] &= ~_MAY_WRITE_ANYWHERE
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "cannot give up a capability")


_CAPABILITY_VERSION, _MAY_WRITE_ANYWHERE = 0x20080522, 1 << 1  # linux/capability.h


def _watch(record: Path, stop: Place | None) -> Callable[[str, tuple], None]:
    """Writes down what is renamed into place, and stops the process where it is told to."""
    started = time.perf_counter()
    file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    left = [stop.nth if stop else 0]

    def watch(event: str, arguments: tuple) -> None:
        if event == "os.rename":
            path = str(arguments[1])
            os.write(file, f"{time.perf_counter() - started:.4f} {path}\n".encode())
        elif event == "open" and isinstance(arguments[0], (str, os.PathLike)):
            path = str(arguments[0])
        else:
            return
        if stop is None or stop.opened != (event == "open") or not re.search(stop.pattern, path):
            return
        left[0] -= 1
        if left[0] == 0:
            _stop(stop)

    return watch


def _stop(stop: Place) -> None:
    if stop.delay:
        timer = threading.Timer(stop.delay, _send, (stop.sent,))
        timer.daemon = True
        timer.start()
    else:
        _send(stop.sent)


def _send(number: signal.Signals) -> None:
    """SIGKILL goes to W&B's process too, as when a machine or a container is stopped; others to the
    group, as from a terminal."""
    if number == signal.SIGKILL:
        for child in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    os.killpg(os.getpid(), number)
