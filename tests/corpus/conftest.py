"""A data set with every link and the derived formats, in all arms that withhold something."""

import copy
from collections.abc import Callable

import pytest

from coemerge.corpus.config import DatasetSpec
from coemerge.corpus.dataset import Dataset, build_dataset

LINKED = ["birthplace", "located_in", "occupation", "field", "capital", "capital_of"]
LINKED_TASKS = ["completion", "openqa", "mcqa", "multihop", "cot_completion_mcqa"]


@pytest.fixture
def changed(smoke_spec) -> Callable[[Callable[[DatasetSpec], object]], DatasetSpec]:
    """``changed(edit)``: a copy of the smoke spec after ``edit(copy)``."""

    def with_edit(edit: Callable[[DatasetSpec], object]) -> DatasetSpec:
        spec = copy.deepcopy(smoke_spec)
        edit(spec)
        return spec

    return with_edit


@pytest.fixture(scope="session")
def linked_spec(smoke_spec) -> DatasetSpec:
    spec = copy.deepcopy(smoke_spec)
    spec.world.use = LINKED
    spec.world.types["person"].size = 24
    plan = spec.corpus.plan
    plan.tasks = LINKED_TASKS
    plan.documents = dict.fromkeys(LINKED_TASKS, 4)
    plan.auxiliary = {"completion": 3, "openqa": 3}
    plan.arms.shares = {
        "A0_full": 3,
        "A1_withheld_target": 5,
        "A2_single_source": 5,
        "A5_never": 3,
        "A6_one_direction": 4,
        "A7_one_synonym": 4,
    }
    return spec


@pytest.fixture(scope="session")
def linked_dataset(linked_spec, tmp_path_factory) -> Dataset:
    return build_dataset(linked_spec, tmp_path_factory.mktemp("data") / "linked", progress=False)
