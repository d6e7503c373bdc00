"""What a benchmark says: ratios measured side by side, a goal, and one line of the table."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

Timed = Callable[[], float]  # seconds per item


@dataclass(frozen=True)
class Result:
    """``values``: one per repeat, ratios unless ``unit`` says otherwise. ``goal`` None: no goal is
    set, the line is for information. ``note``: what was measured, equality of results included."""

    what: str
    against: str
    values: Sequence[float]
    goal: float | None = None
    at_most: bool = False
    unit: str = "x"
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.median <= self.goal if self.at_most else self.median >= self.goal

    @property
    def cells(self) -> tuple[str, ...]:
        goal = "" if self.goal is None else f"{'<=' if self.at_most else '>='} {self.goal:g}"
        met = {None: "", True: "met", False: "MISSED"}[self.is_met]
        spread = f"{_short(min(self.values))} to {_short(max(self.values))}"
        return self.what, self.against, f"{_short(self.median)} {self.unit}", spread, goal, met


HEADER = ("what", "against", "median", "range", "goal", "")


def as_table(results: Sequence[Result]) -> str:
    """In Markdown, columns aligned; what was measured is told below, line by line."""
    rows = [HEADER, *(result.cells for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "| "
        + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    told = [f"* {r.what}, {r.against}: {r.note}" for r in results if r.note]
    return "\n".join([*lines, "", *dict.fromkeys(told)])


def ratios(ours: Timed, peer: Timed, repeats: int) -> list[float]:
    """The peer's seconds per item over ours, one ratio per repeat: both are timed one right after
    the other, in turns first, as other work on the machine comes and goes."""
    found = []
    for repeat in range(repeats):
        order = (ours, peer) if repeat % 2 else (peer, ours)
        seconds = {timed: timed() for timed in order}
        found.append(seconds[peer] / seconds[ours])
    return found


def cpu_time(work: Callable[[], int]) -> Timed:
    """Of work that says how many items it did: seconds of the processor, of one thread, which other
    processes disturb less than those of the clock."""

    def timed() -> float:
        torch.set_num_threads(1)
        started = time.process_time()
        n_items = work()
        return (time.process_time() - started) / n_items

    return timed


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
