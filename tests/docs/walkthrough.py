"""Follows a document word for word, as a reader would.

A fenced block whose introducing line ends with a file's name in backticks and a colon is a file to
be written, or, where it is a ``diff``, to be changed; an ``sh`` block is run; a ``text`` block is
what the block before it prints, each of its lines, ``...`` standing for anything. A block that says
nothing of the kind is there to be read.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\s*$")
_FILE = re.compile(r"`([\w./-]+)`(?: \([^)]*\))?:$")
_DONE_ALREADY = ("git clone", "cd coemerge", "make setup", ". .venv/", "source .venv/")
_LIMIT_S = 1800  # on a machine that does other things too


@dataclass(frozen=True)
class Write:
    path: str
    text: str

    def follow(self, copy: Path) -> None:
        path = copy / self.path
        assert not path.exists(), f"{self.path} exists: the document says to write it anew"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text, encoding="utf-8")


@dataclass(frozen=True)
class Change:
    path: str
    before: str
    after: str

    def follow(self, copy: Path) -> None:
        path = copy / self.path
        content = path.read_text(encoding="utf-8")
        times = content.count(self.before)
        assert times == 1, f"{self.path} has {times} times what is to be changed:\n{self.before}"
        path.write_text(content.replace(self.before, self.after), encoding="utf-8")


@dataclass
class Run:
    commands: str
    printed: list[str] = field(default_factory=list)

    def follow(
        self, copy: Path, environment: Mapping[str, str], shorter: Mapping[str, str]
    ) -> None:
        """``shorter``: what is put behind commands that begin so, to be done sooner."""
        kept = [line for line in self.commands.splitlines() if not line.startswith(_DONE_ALREADY)]
        script = "\n".join(_with_more(line, shorter) for line in kept)
        done = subprocess.run(
            ["bash", "-e", "-c", script], cwd=copy, env={**environment}, text=True,
            capture_output=True, check=False, timeout=_LIMIT_S,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        for line in self.printed:
            pattern = r".*".join(map(_spaced, line.strip().split("...")))
            assert re.search(pattern, done.stdout + done.stderr), (
                f"{script}\ndoes not print\n{line}\nbut\n{done.stdout[-3000:]}"
            )


Step = Write | Change | Run


def steps(document: Path) -> list[Step]:
    """Raises AssertionError for a block that a reader would not know what to do with."""
    found: list[Step] = []
    for introduction, kind, text in _blocks(document.read_text(encoding="utf-8")):
        named = _FILE.search(introduction)
        if kind == "sh":
            found.append(Run(text))
        elif kind == "text":
            run = found[-1] if found else None
            assert isinstance(run, Run), f"{document.name}: who prints {text!r}?"
            run.printed = [line for line in text.splitlines() if line.strip()]
        elif named and kind == "diff":
            found.append(Change(named[1], _side(text, "-"), _side(text, "+")))
        elif kind:
            assert named, f"{document.name}: the block {text[:60]!r} follows no file's name"
            found.append(Write(named[1], text))
    return found


def follow(
    document: Path,
    copy: Path,
    environment: Mapping[str, str],
    shorter: Mapping[str, str] | None = None,
) -> None:
    for step in steps(document):
        if isinstance(step, Run):
            step.follow(copy, environment, shorter or {})
        else:
            step.follow(copy)


def _blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """(the line before it, kind, content) of every fenced block."""
    introduction, kind, inside = "", "", None
    for line in text.splitlines():
        if inside is not None:
            if line == "```":
                yield introduction, kind, "".join(inside)
                inside = None
            else:
                inside.append(f"{line}\n")
        elif fence := _FENCE.match(line):
            kind, inside = fence[1], []
        elif line.strip():
            introduction = line.strip()
    assert inside is None, "a fenced block has no end"


def _side(diff: str, mark: str) -> str:
    """Of a diff what was there (-) or what will be (+)."""
    kept = [line for line in diff.splitlines() if line[:1] in (" ", mark, "")]
    return "".join(f"{line[1:]}\n" for line in kept)


def _with_more(line: str, shorter: Mapping[str, str]) -> str:
    return next((f"{line} {more}" for start, more in shorter.items() if line.startswith(start)),
                line)  # fmt: skip


def _spaced(text: str) -> str:
    """However many spaces there are between words."""
    return r"\s+".join(map(re.escape, text.split()))
