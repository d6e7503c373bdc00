"""How long each callback takes, whatever it does, read off the hooks that the trainer calls."""

import time
from collections import defaultdict
from collections.abc import Mapping

from lightning.pytorch.profilers import Profiler

_HOOK = "[Callback]"  # how the trainer names a callback's hook: "[Callback]<state key>.<hook>"


class CallbackClock(Profiler):
    """Seconds of wall time per callback. Where one calls the hooks of others, as saving the state
    does, theirs are not counted as its own.

    ``names``: state keys of callbacks -> names to report; others go by their state key.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._names = dict(names or {})
        self._seconds: dict[str, float] = defaultdict(float)
        self._running: list[list[float]] = []  # when each hook began, and seconds of inner ones

    @property
    def seconds(self) -> dict[str, float]:
        """By name; callbacks none of whose hooks was called are left out."""
        return dict(self._seconds)

    def start(self, action_name: str) -> None:
        if action_name.startswith(_HOOK):
            self._running.append([time.perf_counter(), 0.0])

    def stop(self, action_name: str) -> None:
        if not action_name.startswith(_HOOK):
            return
        began, inner = self._running.pop()
        elapsed = time.perf_counter() - began
        if self._running:
            self._running[-1][1] += elapsed
        key = action_name.removeprefix(_HOOK).rpartition(".")[0]
        self._seconds[self._names.get(key, key)] += elapsed - inner
