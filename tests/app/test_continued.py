"""Formats are added to a run with the same facts in the same arms, or not at all."""

from pathlib import Path

import pytest
import yaml

from coemerge.app.continued import check_continued
from coemerge.lm.base import Base


@pytest.fixture
def config(compose_settings):
    config = compose_settings("experiment=smoke").config
    config.corpus.plan.added = {"mcqa": {"A0_full": 0.5}}
    return config


@pytest.fixture
def base(config, tmp_path: Path) -> Base:
    """A checkpoint of a run with these settings."""
    return Base(tmp_path / "checkpoints" / "step-1", "identity", run=leave(tmp_path, config))


def leave(run: Path, config, **changes) -> Path:
    plan = {"arms": {"shares": dict(config.corpus.plan.arms.shares)}}
    settings = {"seed": config.seed, "world": {"seed": config.world.seed}, "corpus": {"plan": plan}}
    (run / "config.yaml").write_text(yaml.safe_dump({**settings, **changes}))
    return run


def test_a_run_with_the_same_facts_and_arms_is_continued(config, base):
    check_continued(config, base)


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        ({"seed": 3}, r"^seed: 0, but 3"),
        ({"world": {"seed": 3}}, r"^world\.seed: 0, but 3"),
        ({"corpus": {"plan": {"arms": {"shares": {"A0_full": 1}}}}}, r"^corpus\.plan\.arms\.share"),
        ({"world": {}}, r"^world\.seed: 0, but None"),
    ],
)
def test_other_facts_or_arms_are_refused(config, base, changes, culprit):
    leave(base.run, config, **changes)

    with pytest.raises(ValueError, match=culprit):
        check_continued(config, base)


def test_a_model_that_is_no_run_cannot_be_added_to(config, tmp_path):
    with pytest.raises(ValueError, match=r"corpus\.plan\.added.*model\.base"):
        check_continued(config, Base(tmp_path, "identity"))
    with pytest.raises(ValueError, match=r"corpus\.plan\.added.*model\.base"):
        check_continued(config, None)


def test_where_nothing_is_added_any_base_will_do(config, tmp_path):
    config.corpus.plan.added = {}

    check_continued(config, Base(tmp_path, "identity"))
    check_continued(config, None)
