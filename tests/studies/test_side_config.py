"""Settings of the study of a fact's two sides: what each refusal names, and what there is to try.

conf/study/entity_relation.yaml holds each key, with the value that the code has.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from coemerge.editing.fine_tuning import FT, FT_L
from coemerge.editing.value_config import MEMIT, ValueConfig
from coemerge.localization.tracing_config import TracingConfig
from coemerge.studies.entity_relation.config import EDITORS, EntityRelationConfig
from coemerge.studies.shared.grids import KEYS
from tests.conftest import ROOT

FILE = yaml.safe_load((ROOT / "conf" / "study" / "entity_relation.yaml").read_text())


def plain(value: Any) -> Any:
    """As YAML gives it."""
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def test_the_file_has_every_key_with_the_value_of_the_code():
    """But for the grids: without a file only published settings are tried."""
    written = {key: value for key, value in FILE.items() if key != "_target_"}
    usual = {key: plain(value) for key, value in asdict(EntityRelationConfig()).items()}
    tracing = written.pop("tracing")
    assert (usual.pop("tracing"), usual.pop("grids")) == ({}, {})
    assert set(written.pop("grids")) == set(EDITORS)
    assert written == usual
    assert set(tracing) <= set(asdict(TracingConfig()))
    assert set(tracing.values()) == {None}


def test_the_file_is_accepted_and_tries_what_was_published_first():
    config = EntityRelationConfig(**{key: v for key, v in FILE.items() if key != "_target_"})
    config.check()
    for editor in EDITORS:
        published, *others = config.settings(editor)
        assert published == {}
        assert len(others) > 1
        assert all(set(setting) <= set(KEYS[editor]) for setting in others)


def test_every_combination_of_every_set_is_tried():
    grids = {"rome": [{}, {"lr": [0.5, 1.0], "steps": [30, 100], "max_norm": 20}, {"lr": 2}]}
    config = EntityRelationConfig(grids=grids)
    assert config.settings("rome") == [
        {},
        {"lr": 0.5, "steps": 30, "max_norm": 20},
        {"lr": 0.5, "steps": 100, "max_norm": 20},
        {"lr": 1.0, "steps": 30, "max_norm": 20},
        {"lr": 1.0, "steps": 100, "max_norm": 20},
        {"lr": 2},
    ]
    assert config.settings("kn") == replace(config, grids={"kn": []}).settings("kn") == [{}]


@pytest.mark.parametrize(
    ("editor", "usual"), [("rome", ValueConfig()), ("memit", MEMIT), ("ft", FT), ("ft_l", FT_L)]
)
def test_what_a_grid_may_name_is_what_its_editor_takes(editor: str, usual: Any):
    replace(usual, **{key: 1 for key in KEYS[editor] if key != "weight"}).check()


def test_the_seed_of_the_study_is_that_of_the_noise_unless_it_has_its_own():
    config = EntityRelationConfig(seed=3, tracing={"samples": 4, "window": None, "noise_scale": 2})
    expected = TracingConfig(corrupt="relation", seed=3, samples=4, noise_scale=2)
    found = config.traced("relation")
    assert replace(found, severed_positions=expected.severed_positions) == expected
    assert found.severed_positions == "all"
    last = EntityRelationConfig(tracing={"severed_positions": "last_corrupted"})
    assert last.traced("relation").severed_positions == "last_corrupted"
    assert EntityRelationConfig(seed=3, tracing={"seed": 1}).traced("subject").seed == 1


REFUSED: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    # what is asked
    ({"task": "complete"}, ("study.task", "complete", "completion")),
    ({"task": ["completion"]}, ("study.task", "completion, fitb")),
    ({"task": None}, ("study.task", "completion")),
    ({"task": "relation_naming"}, ("study.task", "relation_naming", "as completion")),
    ({"task": "verification"}, ("study.task", "verification", "as completion")),
    # whose facts
    ({"arms": "both_sides"}, ("study.arms", "[both_sides]")),
    ({"arms": []}, ("study.arms", "null for all")),
    ({"facts": []}, ("study.facts", "null for all")),
    ({"facts": ["a", "a"]}, ("study.facts", "twice")),
    ({"facts": [["a"]]}, ("study.facts", "plain list")),
    ({"n_facts": 0}, ("study.n_facts", "at least 1")),
    ({"min_facts": 1}, ("study.min_facts", "at least 2")),
    ({"min_facts": None}, ("study.min_facts", "whole number")),
    ({"only_known": "some"}, ("study.only_known", "true or false", "some")),
    ({"checkpoint": -1}, ("study.checkpoint", "at least 0")),
    ({"checkpoint": True}, ("study.checkpoint", "whole number")),
    ({"dev_share": 0}, ("study.dev_share", "between 0 and 1")),
    ({"dev_share": 1}, ("study.dev_share", "between 0 and 1")),
    ({"dev_share": float("nan")}, ("study.dev_share", "nan")),
    ({"dev_share": "half"}, ("study.dev_share", "half")),
    # how many
    *(({key: 0}, (f"study.{key}", "at least 1")) for key in (
        "paraphrases", "neighbours", "memit_layers", "key_tokens", "steps", "wordings",
        "prefix_draws", "bootstrap_draws")),
    ({"traced_facts": -1}, ("study.traced_facts", "at least 0")),
    ({"seed": -1}, ("study.seed", "at least 0")),
    ({"key_tokens": 1e5}, ("study.key_tokens", "whole number")),
    # editors
    ({"editors": None}, ("study.editors", "list", "null")),
    ({"editors": []}, ("study.editors", *EDITORS)),
    ({"editors": "rome"}, ("study.editors", "[rome]")),
    ({"editors": ["rome", "mend"]}, ("study.editors", "mend", *EDITORS)),
    ({"editors": ["rome", "rome"]}, ("study.editors", "twice")),
    ({"editors": [["rome"]]}, ("study.editors", "plain list")),
    ({"layers": 2}, ("study.layers", "[2]")),
    ({"layers": []}, ("study.layers", "null for causal tracing")),
    ({"layers": [-1]}, ("study.layers", "from 0", "-1")),
    ({"layers": [1.5]}, ("study.layers", "1.5")),
    ({"layers": [[1]]}, ("study.layers", "plain list")),
    ({"edited_token": "middle"}, ("study.edited_token", "middle", "traced, last, first")),
    ({"edited_token": ["last"]}, ("study.edited_token", "traced, last, first")),
    ({"contexts": None}, ("study.contexts", "pairs [tokens, how many]")),
    ({"contexts": 5}, ("study.contexts", "pairs [tokens, how many]", "5")),
    ({"contexts": [2, 2]}, ("study.contexts", "pairs [tokens, how many]")),
    ({"contexts": [[2, 0]]}, ("study.contexts", "[2, 0]")),
    ({"text": "/no/text.txt"}, ("study.text", "/no/text.txt")),
    # grids
    ({"grids": None}, ("study.grids", "{}")),
    ({"grids": [{"lr": 1}]}, ("study.grids", "keys and values")),
    ({"grids": {"mend": [{}]}}, ("study.grids", "mend", *EDITORS)),
    ({"grids": {"rome": {"lr": 1}}}, ("study.grids.rome", "[{...}]")),
    ({"grids": {"rome": [1]}}, ("study.grids.rome", "[{...}]")),
    ({"grids": {"kn": [{"lr": 1}]}}, ("study.grids.kn.lr", "tau, erased, written")),
    ({"grids": {"rome": [{"weight": 1}]}}, ("study.grids.rome.weight", "max_norm")),
    ({"grids": {"rome": [{"lr": "a"}]}}, ("study.grids.rome.lr", "number", "'a'")),
    ({"grids": {"rome": [{"lr": [1, None]}]}}, ("study.grids.rome.lr", "None")),
    ({"grids": {"rome": [{"lr": -1}]}}, ("study.grids.rome.lr", "not negative")),
    ({"grids": {"rome": [{"lr": float("inf")}]}}, ("study.grids.rome.lr", "inf")),
    ({"grids": {"rome": [{"lr": []}]}}, ("study.grids.rome.lr", "leave the key out")),
    ({"grids": {"ft": [{"steps": 2.5}]}}, ("study.grids.ft.steps", "whole number", "2.5")),
    ({"grids": {"ft": [{"steps": 0}]}}, ("study.grids.ft.steps", "1 or more")),
    ({"grids": {"rome": [{"lr": [1, 0]}]}}, ("study.grids.rome.lr", "above 0")),
    ({"grids": {"memit": [{"max_norm": 0}]}}, ("study.grids.memit.max_norm", "above 0")),
    ({"grids": {"memit": [{"weight": 0}]}}, ("study.grids.memit.weight", "above 0")),
    ({"grids": {"ft": [{"stop_loss": 0}]}}, ("study.grids.ft.stop_loss", "above 0")),
    ({"grids": {"ft_l": [{"max_change": 0}]}}, ("study.grids.ft_l.max_change", "above 0")),
    ({"grids": {"kn": [{"tau": 1.5}]}}, ("study.grids.kn.tau", "1 at most", "1.5")),
    ({"grids": {"rome": [{}, {}]}}, ("study.grids.rome", "{}", "twice")),
    ({"grids": {"rome": [{"lr": 1}, {"lr": [2, 1]}]}}, ("study.grids.rome", "{'lr': 1}", "twice")),
    # tracing
    ({"tracing": None}, ("study.tracing", "{}")),
    ({"tracing": {"sample": 5}}, ("study.tracing.sample", "samples")),
    ({"tracing": {"corrupt": "both"}}, ("study.tracing.corrupt", "known")),
    ({"tracing": {"samples": 0}}, ("study.tracing.samples", "positive")),
    ({"tracing": {"kinds": ["mlps"]}}, ("study.tracing.kinds", "mlps", "mlp")),
    ({"tracing": {"kinds": [], "severed": []}}, ("study.tracing.kinds", "nothing is restored")),
    ({"tracing": {"severed_positions": "first"}}, ("study.tracing.severed_positions", "first")),
    ({"tracing": {"noise_scale": "big"}}, ("study.tracing.noise_scale", "big")),
    ({"tracing": {"window_share": 0}}, ("study.tracing.window_share", "above 0")),
    ({"tracing": {"window_share": "all"}}, ("study.tracing.window_share", "all")),
    ({"tracing": {"seed": -1}}, ("study.tracing.seed", "-1")),
    ({"corruptions": None}, ("study.corruptions", "list", "null")),
    ({"corruptions": ["object"]}, ("study.tracing.corrupt", "object", "relation")),
    ({"corruptions": ["subject", "neutral"]}, ("study.corruptions", "neutral", "always there")),
    # what is left to tracing, which is left out
    ({"traced_facts": 0}, ("study.layers", "null", "study.traced_facts=0")),
    ({"traced_facts": 0, "layers": [1]}, ("study.edited_token", "traced", "study.traced_facts=0")),
    ({"traced_facts": 0, "edited_token": "last"}, ("study.layers", "null")),
    ({"corruptions": ["relation"]}, ("study.layers", "study.corruptions")),
    ({"tracing": {"kinds": ["attn"]}}, ("study.layers", "study.tracing.kinds")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"), REFUSED, ids=[str(changes) for changes, _ in REFUSED]
)
def test_what_makes_no_sense_is_refused_by_name(changes: dict[str, Any], words: tuple[str, ...]):
    with pytest.raises(ValueError) as refused:  # noqa: PT011  (the words are checked below)
        EntityRelationConfig(**changes).check()
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"traced_facts": 0, "layers": [1], "edited_token": "last"},
        {"corruptions": ["relation"], "layers": [0, 1], "edited_token": "first"},
        {"tracing": {"kinds": ["attn"]}, "layers": [1], "edited_token": "last"},
        {"tracing": {"kinds": ("mlp",), "severed": (), "noise_std": 0.5}},
        {"n_facts": None, "checkpoint": 0, "contexts": [], "grids": {"rome": [], "kn": [{}]}},
        {"grids": {"rome": [{"kl_weight": 0, "weight_decay": 0, "stop_loss": 0}]}},
        {"grids": {"kn": [{"tau": [0, 1], "erased": 0}]}, "editors": ["ft"]},
        {"text": str(Path(__file__))},
    ],
    ids=str,
)
def test_what_makes_sense_is_accepted(changes: dict[str, Any]):
    EntityRelationConfig(**changes).check()
