"""A small run with everything on, about ten seconds of one core, and a second try of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from coemerge.corpus.manifest import MANIFEST
from tests.faults.comparison import assert_same_run, manifest
from tests.faults.processes import Child, Ended, Place

RUN_ID = "run"
SETTINGS = (
    "experiment=smoke",
    "trainer.threads=1",
    "trainer.resume_every=7",  # so that kills fall in between
    "end.checkpoints=3",
    f"run_id={RUN_ID}",
)


@dataclass(frozen=True)
class Workplace:
    """A folder with an ``artifacts/`` of its own; ``data``: of another one, None to build it;
    ``studies``: whether a study and a page follow the training (half of the time)."""

    folder: Path
    data: Path | None = None
    studies: bool = False

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def run(self) -> Path:
        return self.artifacts / "runs" / RUN_ID

    @property
    def built(self) -> Path:
        """The data set that was built here."""
        (path,) = self.artifacts.glob(f"data/*/{MANIFEST}")
        return path.parent

    def start(self, *overrides: str, stop: Place | None = None, limit: int | None = None) -> Child:
        """``train.py`` in the background."""
        data = self.data or self.folder / "none"
        where = (f"paths.artifacts={self.artifacts}", f"paths.data={data}")
        arguments = (*SETTINGS, f"end.study={self.studies}", *where, *overrides)
        return Child(self.folder, "train.py", *arguments, stop=stop, file_limit=limit)

    def train(self, *overrides: str, stop: Place | None = None, limit: int | None = None) -> Ended:
        return self.start(*overrides, stop=stop, limit=limit).end()

    def start_analysis(
        self, *overrides: str, stop: Place | None = None, limit: int | None = None
    ) -> Child:
        """``analyze.py`` of the run, in the background."""
        arguments = (f"run={self.run}", f"paths.artifacts={self.artifacts}", *overrides)
        return Child(self.folder, "analyze.py", *arguments, stop=stop, file_limit=limit)

    def analyze(
        self, *overrides: str, stop: Place | None = None, limit: int | None = None
    ) -> Ended:
        return self.start_analysis(*overrides, stop=stop, limit=limit).end()

    def repeat(self, study: str, expected: "Workplace") -> None:
        """An analysis that was stopped; it has to leave what one that was not leaves."""
        ended = self.analyze(study)
        assert ended.code == 0, ended.output[-3000:]
        self.check(expected)

    def copy(self, folder: Path) -> "Workplace":
        """The run elsewhere, with the same data set."""
        other = Workplace(folder, self.built, studies=True)
        shutil.copytree(self.run, other.run, symlinks=True)
        return other

    def status(self) -> str | None:
        """None before there is a run."""
        return manifest(self.run)["status"] if (self.run / "manifest.json").is_file() else None

    def resume(self, expected: "Workplace") -> None:
        """To the end; it has to be the run that was never stopped."""
        ended = self.train("resume=true")
        assert ended.code == 0, ended.output[-3000:]
        self.check(expected)

    def check(self, expected: "Workplace") -> None:
        """That its run is the one that was never stopped."""
        assert_same_run(self.run, expected.run, self.studies)


def whole_run(folder: Path) -> tuple[Workplace, Ended]:
    """One that nothing happens to."""
    place = Workplace(folder, studies=True)
    ended = place.train()
    assert ended.code == 0, ended.output[-3000:]
    assert place.status() == "finished"
    return place, ended
