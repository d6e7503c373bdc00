"""At which optimizer steps something happens."""

import pytest

from coemerge.callbacks.schedule import StepSchedule


@pytest.mark.parametrize(
    ("schedule", "max_steps", "steps"),
    [
        (StepSchedule(), 7, [0, 7]),
        (StepSchedule(first=False), 7, [7]),
        (StepSchedule(last=False), 7, [0]),
        (StepSchedule(first=False, last=False), 7, []),
        (StepSchedule(every=10), 35, [0, 10, 20, 30, 35]),
        (StepSchedule(every=10), 30, [0, 10, 20, 30]),
        (StepSchedule(every=10, last=False), 35, [0, 10, 20, 30]),
        (StepSchedule(every=10, first=False, last=False), 35, [10, 20, 30]),
        (StepSchedule(every=50), 35, [0, 35]),
        (StepSchedule(count=4), 64, [0, 16, 32, 48, 64]),
        (StepSchedule(count=1), 64, [0, 64]),
        (StepSchedule(count=100), 3, [0, 1, 2, 3]),
        # geometric up to the interval: 1, 2, 4, 8, then every 16
        (StepSchedule(every=16, log_spaced=4), 40, [0, 1, 2, 4, 8, 16, 32, 40]),
        # without an interval, up to the last step
        (StepSchedule(log_spaced=5), 32, [0, 1, 2, 4, 8, 16, 32]),
        # early points round to the same step: each once
        (StepSchedule(every=2, log_spaced=8), 6, [0, 1, 2, 4, 6]),
        (StepSchedule(steps=(5, 3, 5)), 7, [0, 3, 5, 7]),
        (StepSchedule(steps=(0, 3, 7, 8, 900)), 7, [0, 3, 7]),
        (StepSchedule(first=False, last=False, steps=[4]), 7, [4]),
        (StepSchedule(every=3), 1, [0, 1]),
    ],
)
def test_resolved_steps(schedule: StepSchedule, max_steps: int, steps: list[int]):
    assert schedule.resolve(max_steps) == steps


@pytest.mark.parametrize("max_steps", [1, 7, 64, 1000])
@pytest.mark.parametrize(
    "schedule",
    [
        StepSchedule(count=40, log_spaced=8),
        StepSchedule(every=3, log_spaced=30, steps=(1, 2, 5000)),
        StepSchedule(log_spaced=50),
    ],
)
def test_steps_are_sorted_integers_each_once_and_within_the_run(
    schedule: StepSchedule, max_steps: int
):
    steps = schedule.resolve(max_steps)

    assert all(type(step) is int for step in steps)
    assert steps == sorted(set(steps))
    assert steps[0] == 0
    assert steps[-1] == max_steps


@pytest.mark.parametrize(("count", "max_steps"), [(5, 7), (4, 10), (40, 64), (40, 4000), (3, 64)])
def test_count_spaces_that_many_steps_evenly(count: int, max_steps: int):
    steps = StepSchedule(count=count, first=False).resolve(max_steps)

    gaps = {b - a for a, b in zip([0, *steps], steps, strict=False)}
    assert len(steps) == count
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ({"every": 0}, "every"),
        ({"every": -2}, "every"),
        ({"count": 0}, "count"),
        ({"every": 5, "count": 5}, "every or count"),
        ({"log_spaced": -1}, "log_spaced"),
        ({"steps": (3, -1)}, "steps"),
    ],
)
def test_faulty_schedules_are_refused(arguments: dict, culprit: str):
    with pytest.raises(ValueError, match=culprit):
        StepSchedule(**arguments)
