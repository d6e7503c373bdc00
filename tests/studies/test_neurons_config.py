"""Settings of the study of knowledge neurons: what each refusal names, and what there is to try.

conf/study/knowledge_neurons.yaml holds each key, with the value that the code has.
"""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from coemerge.localization.tracing_config import TracingConfig
from coemerge.studies.knowledge_neurons.config import EDITORS, KnowledgeNeuronsConfig
from coemerge.studies.shared.grids import KEYS
from tests.conftest import ROOT

FILE = yaml.safe_load((ROOT / "conf" / "study" / "knowledge_neurons.yaml").read_text())


def plain(value: Any) -> Any:
    """As YAML gives it."""
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def test_the_file_has_every_key_with_the_value_of_the_code():
    """But for the grids: without a file only published settings are tried."""
    written = {key: value for key, value in FILE.items() if key != "_target_"}
    usual = {key: plain(value) for key, value in asdict(KnowledgeNeuronsConfig()).items()}
    tracing = written.pop("tracing")
    assert (usual.pop("tracing"), usual.pop("grids")) == ({}, {})
    assert set(written.pop("grids")) == set(EDITORS)
    assert written == usual
    assert set(tracing) <= {field.name for field in fields(TracingConfig)}
    assert set(tracing.values()) == {None}


def test_the_file_is_accepted_and_tries_what_was_published_first():
    config = KnowledgeNeuronsConfig(**{key: v for key, v in FILE.items() if key != "_target_"})
    config.check()
    for editor in EDITORS:
        published, *others = config.settings(editor)
        assert published == {}
        assert others
        assert all(set(setting) <= set(KEYS[editor]) for setting in others)


def test_noise_is_on_the_word_that_decides_and_small_effects_count():
    """An answer that is one of twenty has no 0.05 to lose."""
    config = KnowledgeNeuronsConfig(seed=3, tracing={"samples": 4, "window": None})
    expected = TracingConfig(severed=(), min_total_effect=0.02, seed=3, samples=4)
    assert config.traced_config == expected
    changed = KnowledgeNeuronsConfig(tracing={"min_total_effect": 0.1, "seed": 1}).traced_config
    assert (changed.min_total_effect, changed.seed, changed.corrupt) == (0.1, 1, "subject")


def test_only_a_path_has_points():
    """What is kept of an attribution without one does not depend on them."""
    assert KnowledgeNeuronsConfig(steps=7).attribution.steps == 7
    kept = {KnowledgeNeuronsConfig(method="single", steps=n).attribution for n in (7, 8)}
    assert len(kept) == 1


REFUSED: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    # what is asked
    ({"task": "complete"}, ("study.task", "complete", "completion")),
    ({"task": "verification"}, ("study.task", "verification", "as completion")),
    ({"task": None}, ("study.task", "completion")),
    *(({key: []}, (f"study.{key}", "null for all")) for key in ("arms", "facts", "phenomena")),
    *(({key: "a"}, (f"study.{key}", "[a]")) for key in ("arms", "facts", "phenomena")),
    ({"phenomena": ["a", "a"]}, ("study.phenomena", "twice")),
    ({"pairs": "/no/blimp"}, ("study.pairs", "/no/blimp", "BLiMP")),
    ({"checkpoint": -1}, ("study.checkpoint", "at least 0")),
    ({"text": "/no/text.txt"}, ("study.text", "/no/text.txt")),
    # how many
    *(({key: 0}, (f"study.{key}", "at least 1")) for key in (
        "item_prompts", "steps", "least", "most", "similarity_draws", "random_draws",
        "memit_layers", "key_tokens", "paraphrases", "neighbours", "bootstrap_draws")),
    *(({key: 1}, (f"study.{key}", "at least 2")) for key in ("min_prompts", "n_prompts", "edits")),
    *(({key: -1}, (f"study.{key}", "at least 0")) for key in (
        "n_items", "share_steps", "traced", "examples", "seed")),
    ({"n_prompts": 2.5}, ("study.n_prompts", "whole number")),
    ({"n_prompts": 4}, ("study.n_prompts", "study.min_prompts=5")),
    # sets of neurons
    *(({key: 1.5}, (f"study.{key}", "0 to 1")) for key in ("least_accuracy", "tau", "share")),
    *(({key: "half"}, (f"study.{key}", "half")) for key in ("least_accuracy", "tau", "share")),
    ({"share": float("nan")}, ("study.share", "nan")),
    ({"share_step": 0}, ("study.share_step", "between 0 and 1")),
    ({"dev_share": 1}, ("study.dev_share", "between 0 and 1")),
    ({"method": "gradients"}, ("study.method", "gradients", "joint")),
    ({"least": 4, "most": 3}, ("study.most", "study.least=4")),
    # editors
    ({"editors": None}, ("study.editors", "list", "null")),
    ({"editors": []}, ("study.editors", *EDITORS)),
    ({"editors": ["rome", "mend"]}, ("study.editors", "mend", *EDITORS)),
    ({"editors": ["ft_l"]}, ("study.editors", "ft_l", *EDITORS)),
    ({"editors": ["kn", "kn"]}, ("study.editors", "twice")),
    ({"layers": []}, ("study.layers", "null for causal tracing")),
    ({"layers": [-1]}, ("study.layers", "from 0", "-1")),
    ({"layers": 2}, ("study.layers", "[2]")),
    ({"edited_token": "middle"}, ("study.edited_token", "middle", "traced, last, first, end")),
    ({"contexts": [[2, 0]]}, ("study.contexts", "[2, 0]")),
    ({"grids": None}, ("study.grids", "{}")),
    ({"grids": {"mend": [{}]}}, ("study.grids", "mend", *EDITORS)),
    ({"grids": {"kn": [{"lr": 1}]}}, ("study.grids.kn.lr", "tau, erased, written")),
    ({"grids": {"rome": [{"lr": [1, 0]}]}}, ("study.grids.rome.lr", "above 0")),
    ({"grids": {"rome": [{}, {}]}}, ("study.grids.rome", "{}", "twice")),
    # tracing
    ({"tracing": None}, ("study.tracing", "{}")),
    ({"tracing": {"sample": 5}}, ("study.tracing.sample", "samples")),
    ({"tracing": {"corrupt": "relation"}}, ("study.tracing.corrupt", "known")),
    ({"tracing": {"samples": 0}}, ("study.tracing.samples", "positive")),
    ({"tracing": {"kinds": []}}, ("study.tracing.kinds", "nothing is restored")),
    # what is left to tracing, which is left out
    ({"traced": 0}, ("study.layers", "null", "study.traced=0")),
    ({"traced": 0, "layers": [1]}, ("study.edited_token", "traced", "study.traced=0")),
    ({"tracing": {"kinds": ["attn"]}}, ("study.layers", "study.tracing.kinds")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"), REFUSED, ids=[str(changes) for changes, _ in REFUSED]
)
def test_what_makes_no_sense_is_refused_by_name(changes: dict[str, Any], words: tuple[str, ...]):
    with pytest.raises(ValueError) as refused:  # noqa: PT011  (the words are checked below)
        KnowledgeNeuronsConfig(**changes).check()
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"traced": 0, "layers": [1], "edited_token": "end"},
        {"tracing": {"kinds": ["attn"]}, "layers": [0, 1], "edited_token": "first"},
        {"tracing": {"kinds": ("mlp",), "noise_std": 0.5}},
        {"checkpoint": 0, "contexts": [], "n_items": 0, "examples": 0},
        {"least_accuracy": 0, "tau": 0.0, "share": 1, "least": 3, "most": 3},
        {"pairs": str(Path(__file__)), "text": str(Path(__file__))},
        {
            "pairs": str(Path(__file__).parent),
            "editors": ["ft"],
            "grids": {"kn": [{"tau": [0, 1]}]},
        },
        {"method": "single"},
    ],
    ids=str,
)
def test_what_makes_sense_is_accepted(changes: dict[str, Any]):
    KnowledgeNeuronsConfig(**changes).check()
