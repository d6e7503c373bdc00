"""What happens to a run directory that exists already, and that two processes never share one."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coemerge.app.identity import run_fingerprint
from coemerge.app.run_directory import (
    check_run,
    clear_run,
    data_of_run,
    decide,
    locked,
    open_run,
    read_run_manifest,
    reading,
    update_manifest,
)
from coemerge.app.settings import Settings
from coemerge.files import code_sha256
from tests.conftest import ComposeSettings

HERE, OTHER = "c0ffee", "decade"
REFUSED = "refused"


def make_run(directory: Path, status: str, fingerprint: str = HERE) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    update_manifest(directory, status=status, fingerprint=fingerprint, run_id="mine", seed=0,
                    code_sha256=code_sha256())  # fmt: skip
    return directory


@pytest.mark.parametrize("resume", ["false", "true", "auto"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_where_nothing_is_a_run_starts(tmp_path: Path, resume: str, overwrite: bool):
    assert decide(tmp_path / "none", HERE, resume, overwrite) == "start"


@pytest.mark.parametrize(
    ("status", "fingerprint", "resume", "overwrite", "action"),
    [
        ("running", HERE, "true", False, "continue"),
        ("interrupted", HERE, "true", False, "continue"),
        ("failed", HERE, "true", False, "continue"),
        ("finished", HERE, "true", False, "done"),
        ("running", HERE, "auto", False, "continue"),
        ("interrupted", HERE, "auto", False, "continue"),
        ("finished", HERE, "auto", False, "done"),
        # another fingerprint: refused, or with auto begun anew
        ("interrupted", OTHER, "true", False, REFUSED),
        ("finished", OTHER, "true", False, REFUSED),
        ("interrupted", OTHER, "auto", False, "start"),
        ("finished", OTHER, "auto", False, "start"),
        # neither resume nor overwrite
        ("running", HERE, "false", False, REFUSED),
        ("finished", HERE, "false", False, REFUSED),
        ("finished", OTHER, "false", False, REFUSED),
        # overwrite
        ("finished", HERE, "false", True, "start"),
        ("interrupted", OTHER, "false", True, "start"),
        ("finished", HERE, "auto", True, "start"),
    ],
)
def test_what_to_do_with_an_existing_run(
    tmp_path: Path, status: str, fingerprint: str, resume: str, overwrite: bool, action: str
):
    directory = make_run(tmp_path / "smoke-seed0", status, fingerprint)
    before = (directory / "manifest.json").read_bytes()

    if action == REFUSED:
        with pytest.raises(ValueError, match=r"smoke-seed0.*overwrite=true"):
            decide(directory, HERE, resume, overwrite)
    else:
        assert decide(directory, HERE, resume, overwrite) == action
    assert (directory / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(("resume", "action"), [("auto", "start"), ("true", "done")])
def test_auto_starts_anew_where_the_code_is_another(tmp_path: Path, resume: str, action: str):
    directory = make_run(tmp_path / "smoke-seed0", "finished")
    assert decide(directory, HERE, resume, overwrite=False) == "done"

    update_manifest(directory, code_sha256="0" * 64)

    assert decide(directory, HERE, resume, overwrite=False) == action


def test_the_data_of_a_run_from_another_checkout_are_found_by_their_fingerprint(tmp_path: Path):
    run = make_run(tmp_path / "runs" / "mine", "finished")
    gone, here = tmp_path / "gone", tmp_path / "data" / "f00d"
    update_manifest(run, data_directory=str(gone), data_fingerprint="f00d")
    assert data_of_run(run) == gone

    here.mkdir(parents=True)
    (here / "manifest.json").write_text('{"fingerprint": "f00d", "files": {}}')
    assert data_of_run(run) == here

    gone.mkdir()
    assert data_of_run(run) == gone


def test_both_fingerprints_are_named_when_they_differ(tmp_path: Path):
    directory = make_run(tmp_path, "interrupted", OTHER)

    with pytest.raises(ValueError, match=f"{OTHER}.*{HERE}"):
        decide(directory, HERE, "true", overwrite=False)


def test_the_remedy_is_named_when_a_run_exists(tmp_path: Path):
    directory = make_run(tmp_path, "finished")

    with pytest.raises(ValueError, match="resume=true"):
        decide(directory, HERE, "false", overwrite=False)


HOLD = """
import sys, time
from pathlib import Path
from coemerge.app.run_directory import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def hold_lock(directory: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path):
    directory = tmp_path / "smoke-seed0"
    process = hold_lock(directory)
    try:
        with pytest.raises(ValueError, match=r"smoke-seed0.*another process"), locked(directory):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)

    with locked(directory):  # a killed process leaves no lock behind
        pass


def test_readers_share_a_run_and_keep_trainings_away(tmp_path: Path):
    with reading([tmp_path]), reading([tmp_path]):
        with pytest.raises(ValueError, match="another process"), locked(tmp_path):
            pass
        with pytest.raises(ValueError, match="another process"), locked(tmp_path):
            pass

    with locked(tmp_path), pytest.raises(ValueError, match="another process"), reading([tmp_path]):
        pass


def test_what_a_killed_process_was_writing_is_removed_by_who_comes_alone(tmp_path: Path):
    (tmp_path / "tables").mkdir()
    for holds in (locked, lambda directory: reading([directory])):
        left = tmp_path / "tables" / ".exposure.parquet.99.tmp"
        left.touch()
        with holds(tmp_path):
            assert not left.exists()
            left.touch()  # now somebody is at work
            if holds is not locked:
                with reading([tmp_path]):
                    assert left.exists()


def test_damaged_tables_are_told_before_anything_is_read(tmp_path: Path):
    (tmp_path / "results" / "study").mkdir(parents=True)
    (tmp_path / "results" / "study" / "pairs.parquet").write_bytes(b"PAR1 half")

    damaged = pytest.raises(ValueError, match=r"study/pairs\.parquet cannot be read")
    with damaged, reading([tmp_path]):
        pass


def test_the_manifest_goes_first_when_a_run_is_cleared(tmp_path: Path, monkeypatch):
    """Killed while it is cleared, a finished run is not taken for one any more."""
    directory = make_run(tmp_path / "mine", "finished")
    (directory / "tables").mkdir()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("coemerge.app.run_directory.shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        clear_run(directory)

    assert read_run_manifest(directory) is None


def test_the_lock_is_released_after_an_error(tmp_path: Path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError

    with locked(tmp_path):
        pass


@pytest.fixture
def settings(compose_settings: ComposeSettings, tmp_path: Path) -> Settings:
    return compose_settings("experiment=smoke", f"paths.artifacts={tmp_path}")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "smoke-seed0"


def with_options(settings: Settings, compose: ComposeSettings, *options: str) -> Settings:
    artifacts = f"paths.artifacts={settings.config.paths.artifacts}"
    return compose("experiment=smoke", artifacts, *options)


def test_a_new_run_gets_its_directory(settings: Settings, directory: Path):
    with open_run(settings) as run:
        assert (run.run_id, run.directory) == ("smoke-seed0", directory)
        assert directory.is_dir()
        assert (run.is_finished, run.continues) == (False, False)


def test_a_refused_run_is_left_untouched(settings: Settings, directory: Path):
    make_run(directory, "finished", OTHER)
    (directory / "tables").mkdir()
    before = sorted(p.name for p in directory.iterdir())

    with pytest.raises(ValueError, match="smoke-seed0"), open_run(settings):
        pass

    assert sorted(p.name for p in directory.iterdir()) == before
    assert (read_run_manifest(directory) or {})["status"] == "finished"


def test_overwriting_removes_what_was_there(
    settings: Settings, compose_settings: ComposeSettings, directory: Path
):
    make_run(directory, "finished", OTHER)
    (directory / "checkpoints" / "step-00000000").mkdir(parents=True)
    (directory / "config.yaml").write_text("old")

    with open_run(with_options(settings, compose_settings, "overwrite=true")) as run:
        left = {path.name for path in directory.iterdir()} - {".lock"}
        assert left == set()
        assert not run.continues


def test_continuing_keeps_what_is_there(
    settings: Settings, compose_settings: ComposeSettings, directory: Path
):
    make_run(directory, "interrupted", run_fingerprint(settings))
    (directory / "checkpoints" / "step-00000000").mkdir(parents=True)

    with open_run(with_options(settings, compose_settings, "resume=true")) as run:
        assert run.continues
        assert (directory / "checkpoints" / "step-00000000").is_dir()


def test_an_error_marks_the_run_failed(settings: Settings, directory: Path):
    def fail() -> None:
        update_manifest(directory, status="running", fingerprint=HERE)
        raise KeyError

    with pytest.raises(KeyError), open_run(settings):
        fail()

    assert (read_run_manifest(directory) or {})["status"] == "failed"


def test_an_error_while_reporting_leaves_a_finished_run_finished(
    settings: Settings, compose_settings: ComposeSettings, directory: Path
):
    """For instance a pipe that its reader has closed."""
    make_run(directory, "finished", run_fingerprint(settings))

    with (
        pytest.raises(BrokenPipeError),
        open_run(with_options(settings, compose_settings, "resume=true")),
    ):
        raise BrokenPipeError

    assert (read_run_manifest(directory) or {})["status"] == "finished"


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_what_is_refused_before_its_first_step_leaves_nothing(
    settings: Settings, directory: Path, error: type[Exception]
):
    def fail() -> None:
        update_manifest(directory, status="running", fingerprint=HERE)
        (directory / "config.yaml").write_text("")
        raise error

    with pytest.raises(error), open_run(settings):
        fail()

    assert not directory.exists()


def test_what_was_trained_is_kept_when_it_fails(settings: Settings, directory: Path):
    def fail() -> None:
        update_manifest(directory, status="running", fingerprint=HERE, wall_s=3.0)
        raise ValueError("no good")

    with pytest.raises(ValueError, match="no good"), open_run(settings):
        fail()

    assert (read_run_manifest(directory) or {})["status"] == "failed"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["thesis.tex", ".git"])
def test_a_folder_of_other_things_is_never_cleared(
    settings: Settings,
    compose_settings: ComposeSettings,
    directory: Path,
    overwrite: bool,
    name: str,
):
    directory.mkdir(parents=True)
    (directory / name).write_text("years of work")
    asked = with_options(settings, compose_settings, f"overwrite={overwrite}")

    with pytest.raises(ValueError, match=rf"no run, but holds {name}"), open_run(asked):
        pass
    assert (directory / name).read_text() == "years of work"


def test_a_run_that_a_kill_left_without_a_manifest_is_begun_anew(
    settings: Settings, directory: Path
):
    (directory / "tables").mkdir(parents=True)
    (directory / "config.yaml").write_text("old")
    (directory / ".manifest.json.77.tmp").write_text("{")

    with open_run(settings):
        assert not (directory / "tables").exists()


def test_overwriting_leaves_alone_what_a_link_leads_to(
    settings: Settings, compose_settings: ComposeSettings, directory: Path, tmp_path: Path
):
    make_run(directory, "finished", OTHER)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.txt").write_text("mine")
    (directory / "results").symlink_to(tmp_path / "elsewhere")

    with open_run(with_options(settings, compose_settings, "overwrite=true")):
        assert not (directory / "results").exists()
    assert (tmp_path / "elsewhere" / "mine.txt").read_text() == "mine"


def test_a_run_whose_files_lie_elsewhere_is_not_analysed(tmp_path: Path):
    directory = make_run(tmp_path / "mine", "finished")
    (tmp_path / "elsewhere").mkdir()
    (directory / "results").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ValueError, match=r"mine/results: is a link that leaves"):
        check_run(str(directory))


def test_links_of_wandb_are_its_own_affair(tmp_path: Path):
    directory = make_run(tmp_path / "mine", "finished")
    (directory / "wandb").mkdir()
    (directory / "wandb" / "latest-run").symlink_to("/gone/with/another/machine")

    assert check_run(str(directory)) == directory


@pytest.mark.parametrize(
    "wrong", [{"seed": "a"}, {"run_id": None}, {"score": 3}, {"score": {"bas": "full"}}]
)
def test_a_manifest_of_something_else_is_told_by_key(tmp_path: Path, wrong: dict[str, object]):
    directory = make_run(tmp_path / "mine", "finished")
    update_manifest(directory, **wrong)

    with pytest.raises(ValueError, match=rf"mine/manifest\.json: {next(iter(wrong))}: "):
        check_run(str(directory))


def test_the_manifest_is_updated_not_replaced(tmp_path: Path):
    update_manifest(tmp_path, run_id="a", status="running")
    update_manifest(tmp_path, status="finished")

    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content == {"run_id": "a", "status": "finished"}


def test_a_directory_without_a_run_is_named_with_its_neighbours(tmp_path: Path):
    make_run(tmp_path / "smoke-seed1", "finished")

    with pytest.raises(ValueError, match=r"smoke-seed0.*smoke-seed1"):
        check_run(str(tmp_path / "smoke-seed0"))
    with pytest.raises(ValueError, match="run"):
        check_run(None)
    assert check_run(str(tmp_path / "smoke-seed1")) == tmp_path / "smoke-seed1"


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_a_run_that_is_not_finished_cannot_be_looked_at_yet(tmp_path: Path, status: str):
    make_run(tmp_path / "smoke-seed0", status)

    with pytest.raises(ValueError, match=rf"smoke-seed0 is not finished \({status}\).*resume=true"):
        check_run(str(tmp_path / "smoke-seed0"))
