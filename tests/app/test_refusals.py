"""Every case of the refusal table: told at once, in words, with the culprit; nothing is left."""

import pytest

from tests.app.refusals import CASES, all_outcomes, faults

ENOUGH = 40
PATIENCE = 5.0  # tests may share their machine; 3 s are for an idle one


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory):
    def make_folder():
        return tmp_path_factory.mktemp("case")

    return {case.name: (case, *rest) for case, *rest in all_outcomes(make_folder)}


def test_there_are_enough_cases_each_with_a_name_of_its_own():
    assert len({case.name for case in CASES}) == len(CASES) >= ENOUGH


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_refused_before_anything_heavy_with_the_culprit_named(outcomes, name: str):
    case, folder, outcome = outcomes[name]

    assert faults(case, folder, outcome, seconds=PATIENCE) == []


def test_nothing_but_the_message_is_printed(outcomes):
    for case, _, outcome in outcomes.values():
        assert outcome.message.startswith("error: "), case.name
        assert len(outcome.message.splitlines()) <= 3, case.name
