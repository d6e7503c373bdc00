"""A series of models to analyse: a run's checkpoints, revisions of a hub model, or local folders.

Found and checked without torch, so that a wrong name, a model of another vocabulary or a file that
was cut off is told before anything is scored.
"""

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coemerge.files import file_digest
from coemerge.lm.base import check_files, find_base, has_tokenizer, tokenizer_size, vocabulary_size
from coemerge.lm.checkpoint_manifest import MANIFEST, list_checkpoints, read_manifest

log = logging.getLogger(__name__)
_STEP = re.compile(r"(?:step|checkpoint|ckpt)[-_]?(\d+)")


@dataclass(frozen=True, slots=True)
class Member:
    """One model. ``step``: as its name tells (``step1000``), or its place in the series where not
    all names do; ``identity`` changes with its weights and configuration."""

    name: str
    step: int
    directory: Path
    identity: str


def run_series(run: Path) -> list[Member]:
    """A run's finished checkpoints in order of step. Raises ValueError without any, or naming a
    file that is not whole."""
    found = list_checkpoints(run / "checkpoints")
    if not found:
        raise ValueError(
            f"{run / 'checkpoints'}: no finished checkpoint; callbacks.checkpoints writes them"
        )
    members = []
    for directory in found:
        check_files(directory)
        manifest = read_manifest(directory)
        members.append(Member(directory.name, manifest.step, directory, manifest.weights_sha256))
    check_vocabulary(members)
    return members


def find_series(
    names: Sequence[str], revisions: Sequence[str] | None, download: bool
) -> list[Member]:
    """``names``: hub ids or folders; a folder that is no model itself stands for the models in it.
    ``revisions``: of one hub id, or names of folders inside one folder.

    In order of step, where every name tells one, else as given. Raises ValueError naming what is
    missing, twice there or does not belong; contacts the hub only for ``download``.
    """
    if revisions and len(names) != 1:
        raise ValueError(f"revisions belong to one model, got {len(names)}: {', '.join(names)}")
    found = []
    for name in names:
        for label, where, revision in _places(name, revisions):
            base = find_base(where, revision, download, needs_tokenizer=False)
            shape = file_digest(base.directory / "config.json")
            digest = hashlib.sha256(f"{base.identity}{shape}".encode()).hexdigest()
            found.append(Member(label, 0, base.directory, digest))
    if len({member.directory for member in found}) < len(found):
        raise ValueError(f"a model is named twice: {', '.join(m.name for m in found)}")
    check_vocabulary(found)
    return _in_order(found)


def tokenizer_directory(members: Sequence[Member]) -> Path:
    """Of the first member that has a tokenizer. Raises ValueError where none has, or its file
    cannot be read."""
    for member in members:
        if has_tokenizer(member.directory):
            tokenizer_size(member.directory)
            return member.directory
    raise ValueError(
        f"{members[0].directory} has no tokenizer (tokenizer.json): save one beside the model, or "
        "name a folder that has one (model.tokenizer)"
    )


def check_vocabulary(members: Sequence[Member]) -> None:
    """Raises ValueError naming two members that cannot answer the same prompts."""
    first, *others = members
    size = vocabulary_size(first.directory)
    for other in others:
        if (found := vocabulary_size(other.directory)) != size:
            raise ValueError(
                f"{first.directory} has a vocabulary of {size}, {other.directory} of {found}: "
                "models of one series share one; analyse them apart"
            )
    files = [p for member in members if (p := member.directory / "tokenizer.json").is_file()]
    for path in files[1:]:
        if file_digest(path) != file_digest(files[0]):
            raise ValueError(
                f"{files[0]} and {path} differ: models of one series share one tokenizer; analyse "
                "them apart"
            )


def _places(name: str, revisions: Sequence[str] | None) -> list[tuple[str, str, str | None]]:
    """(label, folder or hub id, revision) of each model that a name stands for."""
    path = Path(name)
    if not path.is_dir():
        if revisions:
            return [(revision, name, revision) for revision in revisions]
        return [(name, name, None)]
    if (path / "config.json").is_file() and not revisions:
        return [(path.name, name, None)]
    if (path / "checkpoints").is_dir():  # a run of ours
        path = path / "checkpoints"
    inside = {p.parent.name: p.parent for p in sorted(path.glob("*/config.json"))}
    inside = {name: folder for name, folder in inside.items() if not _is_unfinished(folder)}
    if not inside:
        raise ValueError(f"{name} has no config.json, and no folder in it has: no model there")
    unknown = [revision for revision in revisions or () if revision not in inside]
    if unknown:
        raise ValueError(f"{name} has no {', '.join(unknown)}; there are: {', '.join(inside)}")
    return [(label, str(inside[label]), None) for label in revisions or inside]


def _is_unfinished(folder: Path) -> bool:
    """A checkpoint of ours that was not written to its end (the manifest comes last)."""
    ours = re.fullmatch(r"step-\d{8}", folder.name)
    if ours and not (folder / MANIFEST).is_file():
        log.warning("%s has no manifest: not a finished checkpoint, ignored", folder)
        return True
    return False


def _in_order(members: list[Member]) -> list[Member]:
    told = [_STEP.search(member.name) for member in members]
    steps = [int(match.group(1)) if match else -1 for match in told]
    if -1 in steps or len(set(steps)) < len(steps):
        return [replace(member, step=place) for place, member in enumerate(members)]
    ordered = sorted(zip(steps, members, strict=True), key=lambda pair: pair[0])
    return [replace(member, step=step) for step, member in ordered]
