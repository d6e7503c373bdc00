"""A copy of the checkout for each document, to be changed by what it says."""

from pathlib import Path

import pytest

from tests.clones import copy_checkout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_checkout(tmp_path / "coemerge")
