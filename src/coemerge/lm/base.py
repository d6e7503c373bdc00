"""Where a model comes from: a run's checkpoint, a local folder, or the hub's cache.

Finds and checks it without torch, so that a wrong path, a context too short, a vocabulary that
does not match or a file that was cut off is told at once. Weights are taken from safetensors only.
Messages do not name the configuration key: whoever asks knows it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from coemerge.files import file_digest, read_object
from coemerge.inputs import check_inside, is_archive
from coemerge.lm.checkpoint_manifest import MANIFEST, promised_weights

CONTEXT_KEYS = ("n_positions", "max_position_embeddings")
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True, slots=True)
class Base:
    """A causal LM on disk. ``identity`` changes with its weights; ``run`` is the directory of the
    run that it is a checkpoint of, if it is one; ``weights_sha256`` what its manifest promises."""

    directory: Path
    identity: str
    run: Path | None = None
    weights_sha256: str | None = None


def find_base(
    name: str, revision: str | None, download: bool, needs_tokenizer: bool = True
) -> Base:
    """``name``: a run's directory (its last checkpoint), a checkpoint, a folder, or a hub id.

    Raises ValueError naming what is missing and the remedy; contacts the hub only for ``download``.
    """
    path = Path(name)
    if path.is_dir():
        if revision is not None:
            raise ValueError(f"{name} is a folder, which has no revision {revision!r}")
        return _from_folder(path, needs_tokenizer)
    if path.is_file():
        remedy = "unpack it and name" if is_archive(path) else "name"
        raise ValueError(f"{name} is a file; {remedy} the model's folder")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or name.startswith("."):
        raise ValueError(f"{name}: no such folder, and no id of the hub either")
    return _from_hub(name, revision, download, needs_tokenizer)


def _from_folder(path: Path, needs_tokenizer: bool) -> Base:
    run = None
    if (path / "checkpoints").is_dir():
        finished = sorted((path / "checkpoints").glob("step-*/manifest.json"))
        if not finished:
            raise ValueError(f"the run {path} has no finished checkpoint")
        path = finished[-1].parent
    if re.fullmatch(r"step-\d+", path.name) and not (path / "manifest.json").is_file():
        raise ValueError(f"{path} has no manifest.json: not a finished checkpoint")
    if (path / MANIFEST).is_file() and (path.parent.parent / "config.yaml").is_file():
        run = path.parent.parent
    weights = promised_weights(path)
    check_files(path, needs_tokenizer)
    return Base(path, weights or _digest_of_weights(path), run, weights)


def _from_hub(name: str, revision: str | None, download: bool, needs_tokenizer: bool) -> Base:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            name, revision=revision, local_files_only=not download, allow_patterns=_HUB_FILES
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        where = f"{name}@{revision}" if revision else name
        remedy = "hub.download=true fetches it" if not download else str(error).splitlines()[0]
        raise ValueError(
            f"{where}: no such folder, and not in the hub's cache on this machine; {remedy}"
        ) from error
    check_files(Path(folder), needs_tokenizer)
    return Base(Path(folder), f"{name}@{Path(folder).name}")


def check_base(base: Base, row_length: int) -> None:
    """Raises ValueError if the corpus rows do not fit the context, or the tokenizer the model."""
    sizes = (_size(base.directory, key) for key in CONTEXT_KEYS)
    context = next((size for size in sizes if size is not None), None)
    if context is not None and context < row_length:
        raise ValueError(
            f"{base.directory} has a context of {context} tokens, shorter than "
            f"corpus.row_length={row_length}"
        )
    size = tokenizer_size(base.directory)
    vocabulary = vocabulary_size(base.directory)
    if size is not None and vocabulary is not None and size > vocabulary:
        raise ValueError(
            f"the tokenizer in {base.directory} has {size} tokens, the model only "
            f"{vocabulary}: they do not belong together"
        )


def check_files(path: Path, needs_tokenizer: bool = True) -> None:
    """Raises ValueError naming what a model's folder lacks, or a file that cannot be read."""
    is_cached = path.parent.name == "snapshots"  # the hub keeps files once, and links to them
    for file in path.iterdir():
        check_inside(file, path, *([path.parent.parent / "blobs"] if is_cached else []))
    if not (path / "config.json").is_file():
        raise ValueError(f"{path} has no config.json: not a model's folder")
    if not isinstance(read_object(path / "config.json").get("model_type"), str):
        raise ValueError(f"{path / 'config.json'} names no model_type")
    for key in ("vocab_size", *CONTEXT_KEYS):
        _size(path, key)
    if not any((path / name).is_file() for name in _WEIGHTS):
        raise ValueError(
            f"{path} has no model.safetensors; pickled weights are not loaded, since they can run "
            "any code: where you trust them, from_pretrained and save_pretrained write safetensors"
        )
    _check_weights(path)
    if needs_tokenizer and not has_tokenizer(path):
        raise ValueError(f"{path} has no tokenizer (tokenizer.json)")


def has_tokenizer(path: Path) -> bool:
    return any((path / name).is_file() for name in ("tokenizer.json", "vocab.json"))


def vocabulary_size(path: Path) -> int | None:
    """As the model's configuration tells."""
    return _size(path, "vocab_size")


def _size(path: Path, key: str) -> int | None:
    """A whole number of the model's configuration, None where it has none. Raises ValueError."""
    value = read_object(path / "config.json").get(key)
    if value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"{path / 'config.json'}: {key}: {value!r} is no size")
    return value


def tokenizer_size(path: Path) -> int | None:
    """None where a folder's tokenizer is of another kind. Raises ValueError."""
    file = path / "tokenizer.json"
    if not file.is_file():
        return None
    try:
        return int(Tokenizer.from_file(str(file)).get_vocab_size())
    except Exception as error:  # the library raises bare Exception
        raise ValueError(f"{file} cannot be read: {error}") from error


def _check_weights(path: Path) -> None:
    """That every file of weights is whole, from its header. Raises ValueError naming it."""
    single, index = (path / name for name in _WEIGHTS)
    names = {single.name} if single.is_file() else _names_in(index)
    for file in sorted(path / name for name in names):
        try:
            with safe_open(file, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{file} cannot be read, it may be half-written ({error}): save or fetch it again"
            ) from error


def _names_in(index: Path) -> set[str]:
    """The files that the weights are spread over. Raises ValueError."""
    parts = read_object(index).get("weight_map")
    names = list(parts.values()) if isinstance(parts, dict) else []
    plain = [n for n in names if isinstance(n, str) and re.fullmatch(r"[\w.-]+\.safetensors", n)]
    if not names or len(plain) < len(names):
        raise ValueError(f"{index}: weight_map: needs names of .safetensors files in this folder")
    return set(plain)


def _digest_of_weights(path: Path) -> str:
    files = sorted(path.glob("*.safetensors"))
    return "-".join(file_digest(file)[:16] for file in files)
