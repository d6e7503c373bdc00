"""SIGKILL at twenty random moments, in every part of a run; each time ``resume=true`` ends with
what a run that was never stopped ends with.

Where in a part a kill falls is drawn with a fixed seed; how long the parts take was measured in the
run that they are held against. W&B's own process is killed as well.
"""

import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.processes import Ended, Place
from tests.faults.runs import Workplace

pytestmark = pytest.mark.slow

STEP = r"step-\d{8}"


@dataclass(frozen=True)
class Part:
    """A part of a run: from the ``nth`` time that a file matching ``begin`` is put into place (or,
    ``opened``, is opened), with ``nth`` drawn among ``times``, for as long as ``end`` took in the
    whole run, or ``seconds``; ``studies``: of the study at the end."""

    begin: str
    end: str | None = None
    times: int = 1
    seconds: float = 0.0
    opened: bool = False
    studies: bool = False

    def draw(self, rng: random.Random, whole: Ended) -> Place:
        span = whole.last(self.end) - whole.first(self.begin) if self.end else self.seconds
        nth = rng.randint(1, self.times)
        return Place(self.begin, nth, 0.9 * span * rng.random(), self.opened)


PARTS = {
    "the data build": Part(r"\.building/tokens\.bin$", opened=True, seconds=0.5),
    "the data build, prompts": Part(r"\.building/plan\.parquet", r"/data/\w+$"),
    "the start": Part(r"runs/run/config\.yaml", rf"exposure\.parts/{STEP}", times=1),
    "training": Part(rf"exposure\.parts/{STEP}", r"tables/training\.parquet"),
    "a callback": Part(rf"exposure\.parts/{STEP}", times=7, seconds=0.2),
    "checkpoint writing": Part(rf"checkpoints/{STEP}/config\.json", times=7, seconds=0.05,
                               opened=True),
    "the manifest of a checkpoint": Part(rf"checkpoints/{STEP}/manifest\.json", times=7),
    "writing the resume state": Part(r"resume/\.last\.ckpt\.", times=9, seconds=0.015,
                                     opened=True),
    "putting the resume state into place": Part(r"resume/(last|before)\.ckpt", times=17),
    "joining tables": Part(r"tables/training\.parquet", r"acquisition\.parquet"),
    "the summary": Part(r"tables/acquisition\.parquet", r"summary\.json"),
    "the study at the end": Part(r"results/scores/", r"report/index\.html",
                                 studies=True),
    "the end of the study": Part(r"report/index\.html", r"at_the_end\.json", studies=True),
}  # fmt: skip
TIMES = {"training": 4, "a callback": 2, "checkpoint writing": 2, "the study at the end": 3}
KILLS = [(part, k) for part in PARTS for k in range(TIMES.get(part, 1))]
assert len(KILLS) == 20


def killed_and_resumed(
    folder: Path, part: Part, rng: random.Random, whole: Workplace, ended: Ended
) -> None:
    builds = "building" in part.begin
    place = part.draw(rng, ended)
    for attempt in range(4):
        data = None if builds else whole.built
        there = Workplace(folder / str(attempt), data, studies=part.studies)
        killed = there.train(stop=place)
        if killed.code:
            break
        place = Place(place.pattern, place.nth, place.delay / 3, place.opened)  # was too late
    assert killed.code == -9, killed.output[-3000:]
    there.resume(whole)


@pytest.fixture(scope="module")
def kills(
    whole: tuple[Workplace, Ended],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[dict[tuple[str, int], Future[None]]]:
    """All that were asked for, two at a time."""
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    asked = {(call.get("part"), call.get("k")) for call in calls}
    pool = ThreadPoolExecutor(max_workers=2)
    yield {
        (part, k): pool.submit(
            killed_and_resumed,
            tmp_path_factory.mktemp("killed"),
            PARTS[part],
            random.Random(f"{part} {k}"),
            *whole,
        )
        for part, k in KILLS
        if (part, k) in asked
    }
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(("part", "k"), KILLS)
def test_a_killed_run_is_resumed_to_the_same_end(kills, fault, part: str, k: int):
    fault(f"SIGKILL in {part}")
    kills[part, k].result()


def test_a_run_that_is_killed_again_while_it_resumes(expected: Workplace, fault, tmp_path: Path):
    """The first time when a table was just joined, then while it becomes parts again."""
    fault("SIGKILL twice")
    there = Workplace(tmp_path, expected.built)

    assert there.train(stop=Place(r"tables/exposure\.trash", delay=0.01)).code == -9
    assert there.train("resume=true", stop=Place(r"exposure\.fresh/", nth=3)).code == -9

    there.resume(expected)


IN_AN_ANALYSIS = {
    "scores": (r"results/scores/", 3, 0.5),
    "tables": (r"results/co_emergence/\w+\.parquet", 10, 0.0),
    "the page and W&B": (r"results/co_emergence/metrics\.json", 1, 3.0),
}


@pytest.mark.parametrize("part", IN_AN_ANALYSIS)
def test_a_killed_analysis_can_be_done_again(
    expected: Workplace, analysed: Workplace, fault, tmp_path: Path, part: str
):
    fault("SIGKILL in an analysis")
    pattern, times, seconds = IN_AN_ANALYSIS[part]
    rng = random.Random(part)
    there = expected.copy(tmp_path)

    place = Place(pattern, rng.randint(1, times), seconds * rng.random())
    assert there.analyze("study=co_emergence", stop=place).code == -9

    there.repeat("study=co_emergence", expected=analysed)
