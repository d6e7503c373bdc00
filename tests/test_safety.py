"""A default run asks nobody beyond this machine, and keeps W&B's key to itself.

One training with its study and report, everything switched on, in a process whose sockets tell what
they are asked. What other programs ask (W&B's own service) goes to a proxy that only listens.
"""

import ast
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from coemerge.callbacks.resume import resume_path, whole_state
from coemerge.localization.trained import TrainedMasks
from tests.conftest import ROOT

KEY = "5afe" * 10  # of the length that W&B's keys have
SMALL = (
    "experiment=smoke",
    "trainer.max_steps=4",
    "trainer.threads=1",
    "end.checkpoints=2",
    "callbacks.localization=null",
    "corpus.plan.documents={completion: 2, fitb: 2, openqa: 2, mcqa: 2, negmcqa: 2, "
    "verification: 2}",
)
GUARD = '''
"""Python imports this first: sockets lead to this machine and nowhere else."""
import os, socket

def tell(what):
    with open(os.environ["ASKED"], "a") as file:
        file.write(f"{what}\\n")
    raise OSError(f"the tests allow no network: {what}")

def guarded(name, original):
    def call(self, address, *rest):
        if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1")):
            tell(f"{name} {address}")
        return original(self, address, *rest)
    return call

for name in ("connect", "connect_ex"):
    setattr(socket.socket, name, guarded(name, getattr(socket.socket, name)))

def resolving(name, original):
    def call(host, *rest, **options):
        if host not in (None, "", "localhost", "127.0.0.1", "::1", b"localhost"):
            tell(f"{name} {host}")
        return original(host, *rest, **options)
    return call

for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
    setattr(socket, name, resolving(name, getattr(socket, name)))
'''


@dataclass
class Listener:
    port: int
    asked: list[bytes]


@contextmanager
def listening() -> Iterator[Listener]:
    """A proxy that notes what it is asked, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = Listener(server.getsockname()[1], [])

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    listener.asked.append(connection.recv(200))

        threading.Thread(target=serve, daemon=True).start()
        yield listener
        server.shutdown(socket.SHUT_RDWR)


def environment(folder: Path, port: int) -> dict[str, str]:
    """Without switches that say offline; a home of its own, so that no login is found."""
    ours = ("WANDB", "COEMERGE", "HYDRA", "HF_", "TRANSFORMERS", "PYTHONPATH")
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(ours)}
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    (folder / "guard").mkdir()
    (folder / "guard" / "sitecustomize.py").write_text(GUARD)
    return {
        **kept,
        **dict.fromkeys(proxies, f"http://127.0.0.1:{port}"),
        "NO_PROXY": "localhost,127.0.0.1",
        "PYTHONPATH": str(folder / "guard"),
        "ASKED": str(folder / "asked"),
        "HOME": str(folder),
        "WANDB_API_KEY": KEY,
        "OMP_NUM_THREADS": "1",
    }


@dataclass
class Ended:
    folder: Path
    output: str
    asked: list[str]


def run_python(folder: Path, *arguments: str) -> Ended:
    with listening() as proxy:
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment(folder, proxy.port),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    told = folder / "asked"
    asked = told.read_text().splitlines() if told.exists() else []
    return Ended(folder, result.stdout + result.stderr, asked + [str(a) for a in proxy.asked])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("safety")
    artifacts = f"paths.artifacts={folder / 'artifacts'}"
    return run_python(folder, str(ROOT / "train.py"), *SMALL, "run_id=safe", artifacts)


def test_nothing_beyond_this_machine_is_asked(run: Ended):
    directory = run.folder / "artifacts" / "runs" / "safe"

    assert (directory / "report" / "index.html").is_file(), run.output[-3000:]
    assert run.asked == []


def test_wandbs_key_is_written_nowhere(run: Ended):
    files = [path for path in run.folder.rglob("*") if path.is_file()]
    holding = [str(path) for path in files if KEY.encode() in path.read_bytes()]

    assert list(run.folder.glob("artifacts/runs/safe/wandb/offline-run-*/*.wandb"))
    assert holding == []
    assert KEY not in run.output


@pytest.mark.parametrize(
    "asks",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
        "import socket; socket.getaddrinfo('example.com', 80)",
        "import urllib.request as u; u.urlopen('http://192.0.2.1/', timeout=2)",
    ],
)
def test_the_guard_notices_who_asks(tmp_path: Path, asks: str):
    assert run_python(tmp_path, "-c", asks).asked


# --- nothing is executed that was read ----------------------------------------------------------


class Poison:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_resume_state_that_holds_code_is_not_run(tmp_path: Path):
    path = resume_path(tmp_path)
    path.parent.mkdir()
    for save in (torch.save, lambda poison, file: file.write_bytes(pickle.dumps(poison))):
        save(Poison(tmp_path / "executed"), path)

        assert whole_state(tmp_path) is None
    assert not (tmp_path / "executed").exists()


def test_masks_that_hold_code_are_not_run(tmp_path: Path):
    path = tmp_path / "masks.npz"
    with path.open("wb") as file:
        np.savez(file, heads=np.array([Poison(tmp_path / "executed")], dtype=object))

    with pytest.raises((ValueError, KeyError)):
        TrainedMasks.load(path)
    assert not (tmp_path / "executed").exists()


def named(call: ast.Call) -> str:
    return ast.unparse(call.func)


def arguments(call: ast.Call) -> dict[str | None, str]:
    return {word.arg: ast.unparse(word.value) for word in call.keywords}


@cache
def calls() -> list[tuple[str, ast.Call]]:
    files = [*(ROOT / "src").rglob("*.py"), ROOT / "train.py", ROOT / "analyze.py"]
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def test_no_code_of_ours_loads_what_could_run():
    forbidden = {"eval", "exec", "os.system", "yaml.unsafe_load", "yaml.full_load", "pickle.load",
                 "pickle.loads", "joblib.load", "torch.hub.load", "pd.read_pickle"}  # fmt: skip
    wrong = []
    for where, call in calls():
        name, given = named(call), arguments(call)
        if (
            name in forbidden
            or (name == "torch.load" and given.get("weights_only") != "True")
            or (name == "yaml.load" and "_StrictLoader" not in ast.unparse(call))
            or given.get("allow_pickle", "False") != "False"
            or given.get("shell", "False") != "False"
            or given.get("trust_remote_code", "False") != "False"
        ):
            wrong.append(f"{where}: {name}")

    assert wrong == []


def test_models_are_loaded_from_safetensors_alone():
    loading = [
        (where, arguments(call))
        for where, call in calls()
        if named(call).startswith("AutoModel") and named(call).endswith("from_pretrained")
    ]

    assert loading
    for where, given in loading:
        assert given.get("use_safetensors") == "True", where
        assert given.get("trust_remote_code") == "False", where
        assert given.get("local_files_only") == "True", where
