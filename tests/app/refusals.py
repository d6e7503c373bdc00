"""The refusal table: what is typed, and the message. The cases lie in ``refusal_cases``.

``python -m tests.app.refusals`` prints the table with the time each refusal took. Runs as a process
of its own: what a command imports shows only where nothing was imported before.
"""

import contextlib
import fcntl
import functools
import io
import json
import os
import runpy
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.app.refusal_cases import CASES, Case
from tests.app.refusal_cases.case import BUILD

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "lightning", "transformers")
SECONDS = 3.0
LONGEST = 2000  # characters


@dataclass(frozen=True)
class Outcome:
    """``left``: what there is afterwards that was not there before, or is not what it was."""

    name: str
    code: int
    message: str
    seconds: float
    heavy: tuple[str, ...]
    left: tuple[str, ...] = ()


def outcome_of(case: Case, folder: Path) -> Outcome:
    """Runs one case in a forked child: the interpreter and hydra are warm, nothing heavy is."""
    for name, text in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, str):
            if "{fingerprint}" in text:
                text = text.replace("{fingerprint}", smoke_fingerprint())
            text = text.encode()
        path.write_bytes(text)
    if case.setup:
        case.setup(folder)
    arguments = [a.replace("{tmp}", str(folder)) for a in case.arguments]
    if case.script == "train.py" and not any("paths.artifacts" in a for a in arguments):
        arguments.append(f"paths.artifacts={folder / 'artifacts'}")
    here = folder.with_name(f"{folder.name}-here")
    here.mkdir()
    report = folder.with_name(f"{folder.name}.json")
    with held(folder / case.locked if case.locked else None):
        before = contents(folder)
        child = os.fork()
        if child == 0:
            _child(case, arguments, here, report)
        os.waitpid(child, 0)
        after = {**contents(folder), **contents(here)}
    left = tuple(str(path) for path in after if after[path] != before.get(path))
    told = json.loads(report.read_text())
    return Outcome(**{**told, "heavy": tuple(told["heavy"]), "left": left})


def contents(folder: Path) -> dict[Path, bytes | str | None]:
    """Every file with its bytes, every link with its target, every folder."""
    found: dict[Path, bytes | str | None] = {}
    for directory, folders, files in os.walk(folder):
        for path in (Path(directory, name) for name in (*folders, *files)):
            if path.is_symlink():
                found[path] = str(path.readlink())
            else:
                found[path] = path.read_bytes() if path.is_file() else None
    return found


@contextlib.contextmanager
def held(lock: Path | None) -> Iterator[None]:
    """As another process would hold a run."""
    if lock is None:
        yield
        return
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@functools.cache
def smoke_fingerprint() -> str:
    """Of the data set that experiment=smoke implies."""
    from hydra import compose, initialize_config_dir

    from coemerge.app.schema import register
    from coemerge.app.settings import read_settings

    os.environ["COEMERGE_ROOT"] = str(ROOT)
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return read_settings(compose("train", ["experiment=smoke"]), []).dataset.fingerprint()


def _child(case: Case, arguments: list[str], here: Path, report: Path) -> None:
    started, output, code = time.perf_counter(), io.StringIO(), 0
    os.chdir(here)
    sys.argv = [case.script, *arguments]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            if case.script == BUILD:
                runpy.run_module(BUILD, run_name="__main__")
            else:
                runpy.run_path(str(ROOT / case.script), run_name="__main__")
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            code = 1
            traceback.print_exc()
    heavy = tuple(sorted({m.split(".")[0] for m in sys.modules} & set(HEAVY)))
    seconds = time.perf_counter() - started
    outcome = Outcome(case.name, code, output.getvalue().strip(), seconds, heavy)
    report.write_text(json.dumps(asdict(outcome)))
    os._exit(0)


def all_outcomes(
    make_folder: Callable[[], Path], cases: Sequence[Case] = CASES
) -> Iterator[tuple[Case, Path, Outcome]]:
    """Imports what every command imports, once, then runs the cases."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from hydra._internal.hydra import Hydra
    from hydra.core.plugins import Plugins

    import coemerge.app.analysis
    import coemerge.app.run_directory  # noqa: F401
    from coemerge.app.schema import register

    Plugins.instance()
    register()
    # It composes once more, to see whether a configuration asks for a sweep: ours do not.
    Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]
    for case in cases:
        folder = make_folder()
        yield case, folder, outcome_of(case, folder)


def faults(case: Case, folder: Path, outcome: Outcome) -> list[str]:
    """What is wrong with a refusal; empty if all is well."""
    found = []
    if outcome.code != 2:
        found.append(f"ended with {outcome.code}")
    if outcome.heavy:
        found.append(f"imported {outcome.heavy}")
    if outcome.seconds > SECONDS:
        found.append(f"took {outcome.seconds:.1f} s")
    if "Traceback" in outcome.message:
        found.append("showed a traceback")
    missing = [c for c in case.culprits if c.replace("{tmp}", str(folder)) not in outcome.message]
    if missing:
        found.append(f"does not name {missing}")
    if outcome.left:
        found.append(f"left {outcome.left}")
    lines = outcome.message.splitlines()
    if len(lines) != case.lines or not all(line.startswith("error: ") for line in lines[:1]):
        found.append(f"told in {len(lines)} lines")
    if len(outcome.message) > LONGEST:
        found.append(f"told in {len(outcome.message)} characters")
    return found


def main() -> None:
    """Prints the table; with arguments FILE N, writes every Nth case of it there as JSON."""
    target = sys.argv[1] if len(sys.argv) > 1 else None
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        numbers = iter(range(10_000))

        def make_folder() -> Path:
            folder = Path(scratch) / str(next(numbers))
            folder.mkdir()
            return folder

        for case, folder, outcome in all_outcomes(make_folder, CASES[::every]):
            wrong = faults(case, folder, outcome)
            results.append({**asdict(outcome), "faults": wrong})
            if target is None:
                message = (outcome.message.splitlines() or [""])[0].replace(scratch, "")
                verdict = "; ".join(wrong) or "ok"
                sys.stdout.write(f"{case.name:<32} {outcome.seconds:4.1f} s  {verdict}\n")
                sys.stdout.write(f"    {message[:150]}\n")
    n_good = sum(not result["faults"] for result in results)
    if target is not None:
        Path(target).write_text(json.dumps(results))
    sys.stdout.write(f"{n_good} of {len(results)} refused as they should be\n")


if __name__ == "__main__":
    main()
