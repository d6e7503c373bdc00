"""The run that others are held against, once per session; tests work on copies."""

import pytest

from tests.faults.processes import Ended
from tests.faults.runs import Workplace, whole_run
from tests.faults.table import TITLE


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workplace, Ended]:
    return whole_run(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def expected(whole: tuple[Workplace, Ended]) -> Workplace:
    return whole[0]


@pytest.fixture(scope="session")
def analysed(expected: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A copy of it, with a study of all its checkpoints."""
    there = expected.copy(tmp_path_factory.mktemp("analysed"))
    ended = there.analyze("study=co_emergence")
    assert ended.code == 0, ended.output[-3000:]
    return there


@pytest.fixture
def fault(record_property):
    """Says which row of the closing table a test belongs to."""
    return lambda name: record_property(TITLE, name)
