"""Jobs that submitit has started, here or on SLURM: they end as cleanly as a command does.

submitit takes SIGTERM away from its jobs, and ends them at once on SIGUSR2, which SLURM sends
before the time limit and before it takes a machine away. Here SIGTERM stops a job as elsewhere: a
training ends its step, saves its state, and is marked as interrupted. SIGUSR2 does the same after
submitit has put the job into the queue again.
"""

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ParamSpec, TypeVar

from coemerge.app.cli import TERMINATED

P = ParamSpec("P")
T = TypeVar("T")


def in_queue(main: Callable[P, T]) -> Callable[P, T]:
    """Around what a job runs; changes nothing elsewhere."""

    @functools.wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        is_main_thread = threading.current_thread() is threading.main_thread()
        if "SUBMITIT_EXECUTOR" not in os.environ or not is_main_thread:
            return main(*args, **kwargs)
        with _stopping() as answers:
            try:
                return main(*args, **kwargs)
            except SystemExit as error:
                raise (answers or [error])[0] from None

    return wrapped


@contextmanager
def _stopping() -> Iterator[list[BaseException]]:
    """Handlers of both signals. The list receives what submitit raises once it was warned: the job
    is in the queue again, or was too often."""
    answers: list[BaseException] = []
    warning = signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, warning)}
    ask = before[warning]

    def warned(number: int, frame: FrameType | None) -> None:
        if answers:
            return
        try:
            if callable(ask):
                ask(number, frame)
        except (SystemExit, Exception) as answer:
            answers.append(answer)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, _stop)
    signal.signal(warning, warned)
    try:
        yield answers
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    if signal.getsignal(number) is _stop:  # else a trainer has taken over: it ends its step
        raise SystemExit(TERMINATED)
