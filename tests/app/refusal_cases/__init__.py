"""The refusal table's cases, by what is wrong."""

from tests.app.refusal_cases.analyses import ANALYSES
from tests.app.refusal_cases.case import Case
from tests.app.refusal_cases.files import FILES
from tests.app.refusal_cases.trainings import TRAININGS
from tests.app.refusal_cases.values import VALUES

CASES: tuple[Case, ...] = (*TRAININGS, *ANALYSES, *VALUES, *FILES)
