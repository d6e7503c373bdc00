"""Scripts that are told to stop: one line, an exit code that says by what, no traceback."""

import os
import signal
from collections.abc import Iterator

import pytest

from coemerge.app.cli import run_cli


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No arguments of pytest's, and its handlers afterwards."""
    monkeypatch.setattr("sys.argv", ["train.py"])
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("sent", "code", "name"),
    [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")],
    ids=["SIGTERM", "Ctrl-C"],
)
def test_a_script_unwinds_and_says_what_stopped_it(sent, code: int, name: str, capsys):
    unwound = []

    def main() -> None:
        try:
            os.kill(os.getpid(), sent)
        finally:
            unwound.append(True)

    with pytest.raises(SystemExit) as ended:
        run_cli(main)

    assert ended.value.code == code
    assert unwound == [True]
    assert capsys.readouterr().err == (
        f"\nstopped by {name}: nothing is lost; call it again to go on (train.py with "
        "resume=true)\n"
    )


def test_a_trainer_that_has_taken_over_is_left_to_end_its_step():
    """Its handler calls ours, too: the step goes on, and the trainer stops after it."""
    steps = []

    def main() -> None:
        ours = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda number, frame: ours(number, frame))
        os.kill(os.getpid(), signal.SIGTERM)
        steps.append("ended")

    run_cli(main)

    assert steps == ["ended"]


def test_other_exit_codes_pass():
    def main() -> None:
        raise SystemExit(1)

    with pytest.raises(SystemExit) as ended:
        run_cli(main)
    assert ended.value.code == 1
