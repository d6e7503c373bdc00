"""``python -m coemerge.app.dashboard``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coemerge.app.dashboard import main, read_config
from coemerge.tracking.dashboard import NAME, build_workspace, metric_keys
from coemerge.tracking.views import save_view
from tests.conftest import ROOT

DEAD_END = "http://127.0.0.1:9"  # nothing listens


def dashboard(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command where nobody is logged in and nothing can be reached."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "COEMERGE"))}
    no_network = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), DEAD_END)
    return subprocess.run(
        [sys.executable, "-m", "coemerge.app.dashboard", *arguments],
        cwd=home,
        env={**kept, **no_network, "HOME": str(home), "NETRC": str(home / "netrc")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_save_it_says_what_it_would_make(tmp_path: Path):
    result = dashboard(tmp_path, "entity=me", "project=mine")

    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    lines = {line.strip() for line in result.stdout.splitlines()}
    workspace = build_workspace("me")
    assert metric_keys(workspace) - {"step"} <= lines
    assert {section.name for section in workspace.sections} <= lines
    assert "me/mine" in result.stdout.splitlines()[0]
    assert not list(tmp_path.iterdir())


def test_without_a_login_the_remedy_is_named(tmp_path: Path):
    result = dashboard(tmp_path, "entity=me", "save=true")

    assert result.returncode == 2
    assert result.stderr.startswith("error: W&B: ")
    assert "wandb login" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_view_that_is_gone_is_told_with_the_remedy(tmp_path: Path, monkeypatch):
    def gone(workspace: object, url: str | None) -> str:
        if url:
            raise ValueError(f"Workspace {url} not found")
        return "https://wandb.ai/me/coemerge?nw=abc"

    monkeypatch.setattr("coemerge.tracking.views.save_workspace", gone)
    file = tmp_path / "wandb-views.json"
    assert save_view(build_workspace("me"), file) == ("https://wandb.ai/me/coemerge?nw=abc", False)

    with pytest.raises(ValueError, match=r"wandb-views.json remembers .*abc: .*url=new saves"):
        save_view(build_workspace("me"), file)
    with pytest.raises(ValueError, match=r"^Workspace given not found"):
        save_view(build_workspace("me"), file, "given")
    assert save_view(build_workspace("me"), file, "new")[1] is False


def test_help_names_every_key(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["dashboard", "--help"])

    main()

    told = capsys.readouterr().out
    assert all(
        f"{key}=" in told for key in ("entity", "project", "name", "url", "save", "paths.artifacts")
    )


def test_a_url_needs_no_quotes_of_its_own():
    url = "https://wandb.ai/me/coemerge?nw=abc123"

    config = read_config(["entity=me", f"url={url}", "save=true"])

    assert (config.entity, config.url, config.save) == ("me", url, True)
    assert config.paths.artifacts == str(ROOT / "artifacts")
    assert config.name == NAME


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["projct=x"], r"unknown key projct \(did you mean 'project'\?\)"),
        (["save=maybe"], "save: .*maybe"),
        (["save"], "save: "),
        (["paths.artefacts=x"], r"unknown key paths\.artefacts"),
        (["save=true"], "entity: name the W&B user or team"),
    ],
)
def test_bad_arguments_are_named(arguments: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        read_config(arguments)
