"""Files that a disk or a copy has damaged: never read as if they were whole."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.processes import Place
from tests.faults.runs import Workplace

pytestmark = pytest.mark.slow


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


DAMAGES = (cut_off, flipped_bit)
Damage = Callable[[Path], None]
damaged = pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)


def in_words(damage: Damage) -> str:
    return damage.__name__.replace("_", " ")


STUDY = "study=co_emergence"
CHANGED = "is not as it was written|cannot be read"
# what -> the first file that matches, what is called then, what the message says
REFUSED = {
    "weights": (
        "checkpoints/*/model.safetensors",
        STUDY,
        "not those of its manifest|cannot be read",
    ),
    "a table of the run": (
        "tables/exposure.parquet",
        STUDY,
        CHANGED,
    ),
    "a table, to be printed": (
        "tables/prompt_scores.parquet",
        None,
        CHANGED,
    ),
    "a table of a study": (
        "results/*/pairs.parquet",
        "study=report",
        CHANGED,
    ),
    "kept scores": ("results/scores/*.parquet", STUDY, CHANGED),
}


@damaged
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_damaged_is_refused_by_name(
    expected: Workplace, fault, tmp_path: Path, what: str, damage: Damage
):
    fault(f"{in_words(damage)}: {what}")
    pattern, called, message = REFUSED[what]
    there = expected.copy(tmp_path)
    if what == "weights":
        shutil.rmtree(there.run / "results")  # what is scored already is not loaded again
    path = sorted(there.run.glob(pattern))[0]
    damage(path)

    ended = there.analyze(called) if called else there.train("resume=true")

    assert ended.code == 2, ended.output[-3000:]
    assert "Traceback" not in ended.output
    named = path.parent if what == "weights" else path
    assert str(named) in ended.stderr
    assert re.search(message, ended.stderr)


@damaged
@pytest.mark.parametrize("name", ["prompts.parquet", "tokens.bin", "tokenizer/tokenizer.json"])
def test_a_damaged_data_set_is_refused_by_name(
    expected: Workplace, fault, tmp_path: Path, name: str, damage: Damage
):
    fault(f"{in_words(damage)}: the data set")
    data = tmp_path / "data"
    shutil.copytree(expected.built, data)
    damage(data / name)

    ended = Workplace(tmp_path, data).train()

    assert ended.code == 2
    assert f"{data / name} was changed after it was built" in ended.stderr


@pytest.mark.parametrize("n_damaged", [1, 2])
@damaged
def test_a_damaged_resume_state_gives_way_to_an_older_one(
    expected: Workplace, fault, tmp_path: Path, damage: Damage, n_damaged: int
):
    fault(f"{in_words(damage)}: the resume state")
    there = Workplace(tmp_path, expected.built)
    assert there.train(stop=Place(r"prompt_scores\.parts/step-00000034")).code == -9
    for name in ("last.ckpt", "before.ckpt")[:n_damaged]:
        damage(there.run / "resume" / name)

    ended = there.train("resume=true")

    assert ended.code == 0, ended.output[-3000:]
    assert ended.output.count("is damaged: going on from what was there before it") == n_damaged
    there.check(expected)
