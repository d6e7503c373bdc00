"""What a case of the refusal table is made of: what is typed, the files there are, and what the
message must name; and small files that many cases share."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

BUILD = "coemerge.app.build"


@dataclass(frozen=True)
class Case:
    """``arguments`` and ``files`` may hold {tmp}; ``culprits`` are what the message must hold.
    ``setup`` changes the folder when the files are there; ``locked`` names a lock that is held."""

    name: str
    arguments: tuple[str, ...]
    culprits: tuple[str, ...]
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    script: str = "train.py"
    locked: str = ""
    lines: int = 1
    setup: Callable[[Path], None] | None = None


def smoke(name: str, *arguments: str, culprits: tuple[str, ...], **files: str) -> Case:
    """A case of ``train.py experiment=smoke``; files by name, __ standing for a slash or a dot."""
    return Case(name, ("experiment=smoke", *arguments), culprits, files)


def odd(*arguments: str, culprits: tuple[str, ...] = (), script: str = "train.py") -> Case:
    """A case that what is typed last names: its key and value have to be told, unless others."""
    key, _, value = arguments[-1].lstrip("+").partition("=")
    found = culprits or (key, value.strip("'\""))
    return Case(" ".join(arguments), arguments, found, A_RUN, script)


TRIPLES = '{"sub_label": "Paris", "obj_label": "France"}\n'
LRE = json.dumps({"name": "r", "samples": [{"subject": "a", "object": "b"}]})
EMPTY = "\x02" + "\0" * 7 + "{}"
MODEL = json.dumps({"model_type": "gpt2", "n_positions": 64, "vocab_size": 5})
LONGER = json.dumps({"model_type": "gpt2", "n_positions": 128, "vocab_size": 9})
TEMPLATE = "statement: [no slots, or here, nor there, nowhere]\n"
TOKENIZER = json.dumps({
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": None, "post_processor": None, "decoder": None,
    "model": {"type": "WordLevel", "vocab": {w: k for k, w in enumerate("abcdefghi")},
              "unk_token": "a"},
})  # fmt: skip
CHANGED = json.dumps({"fingerprint": "{fingerprint}", "files": {"facts.parquet": "0" * 64}})
FINISHED = {"status": "finished", "fingerprint": "other", "run_id": "mine", "seed": 0}
PARAREL = ("world=pararel", "world.path={tmp}/facts")
BASE = ("experiment=continue_pretraining",)
A_RUN = {"manifest.json": json.dumps(FINISHED)}
MASKS = ("study=task_localization", "run={tmp}")
QUERIES = ("study=query_localization", "run={tmp}")
TWO_SIDES = ("study=entity_relation", "run={tmp}")
REASONING = ("study=chain_of_thought", "run={tmp}")
ALL = ("study=all", "run={tmp}")


def trained(*tasks: str) -> str:
    """What a run tells of the formats that it showed."""
    return json.dumps({"corpus": {"plan": {"tasks": tasks}}})
