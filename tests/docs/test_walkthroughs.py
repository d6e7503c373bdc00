"""The tutorial and the how-tos, followed word for word in a copy of this checkout."""

from pathlib import Path

import pytest

from tests.clones import environment_of
from tests.conftest import ROOT
from tests.docs.walkthrough import Change, Run, Write, follow, steps

HOW_TOS = sorted((ROOT / "docs" / "how-to").glob("add-*.md"))
TUTORIAL = ROOT / "docs" / "tutorial.md"
# Several threads wait for each other where others use the cores too.
ALONE = {"python train.py": "trainer.threads=1"}
SHORTER = {"python train.py": "trainer.threads=1 trainer.max_steps=110"}


@pytest.mark.slow
@pytest.mark.parametrize("document", HOW_TOS, ids=lambda path: path.stem)
def test_a_how_to_does_what_it_says(document: Path, copy: Path):
    follow(document, copy, environment_of(copy), ALONE)


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(copy: Path):
    """With half of the steps: what came out is not compared."""
    follow(TUTORIAL, copy, environment_of(copy), SHORTER)


def test_every_how_to_ends_with_a_command_that_shows_that_it_worked():
    assert len(HOW_TOS) == 4
    for document in HOW_TOS:
        assert any(isinstance(step, Run) and step.printed for step in steps(document)), document


def test_what_is_written_changed_and_run_is_told_apart(tmp_path):
    document = tmp_path / "guide.md"
    document.write_text(
        "1. Write.\n\n   `a/b.yaml`:\n\n```yaml\nx: 1\ny: 2\n```\n\nIn `a/b.yaml` (below x):\n\n"
        "```diff\n x: 1\n-y: 2\n+y: 3\n```\n\n```sh\ncat a/b.yaml\n```\n\n```text\ny: ...\n```\n"
    )

    found = steps(document)

    assert found == [
        Write("a/b.yaml", "x: 1\ny: 2\n"),
        Change("a/b.yaml", "x: 1\ny: 2\n", "x: 1\ny: 3\n"),
        Run("cat a/b.yaml\n", ["y: ..."]),
    ]
    follow(document, tmp_path, environment_of(tmp_path))
    assert (tmp_path / "a" / "b.yaml").read_text() == "x: 1\ny: 3\n"


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("```sh\necho one\n```\n\n```text\ntwo\n```\n", "does not print"),
        ("```sh\nfalse\n```\n", "false"),
        ("`a.txt`:\n\n```diff\n-was never there\n+is\n```\n", "0 times"),
        ("```yaml\nx: 1\n```\n", "follows no file's name"),
        ("```text\nout of nowhere\n```\n", "who prints"),
    ],
)
def test_a_document_that_is_wrong_is_caught(tmp_path, block, complaint):
    (tmp_path / "a.txt").write_text("other\n")
    (tmp_path / "guide.md").write_text(block)

    with pytest.raises(AssertionError, match=complaint):
        follow(tmp_path / "guide.md", tmp_path, environment_of(tmp_path))
