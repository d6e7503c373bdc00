"""All tables of the study, by the name of their record."""

from collections.abc import Sequence

from coemerge.statistics.thresholds import THETA
from coemerge.studies.co_emergence.config import CoEmergenceConfig
from coemerge.studies.co_emergence.over_checkpoints import curve_rows, variance_rows
from coemerge.studies.co_emergence.pairs import Failures
from coemerge.studies.co_emergence.runs import Rows
from coemerge.studies.co_emergence.transfer import Transfer
from coemerge.studies.shared.scored import Scores


def co_emergence_tables(runs: Sequence[Scores], config: CoEmergenceConfig) -> dict[str, Rows]:
    """Rows by table; columns are documented in ``tables.co_emergence_records``.

    Raises ValueError where runs cannot be taken together.
    """
    failures, transfer = Failures(runs, config), Transfer(runs, config)
    return {
        "pairs": failures.pairs(),
        "failure": failures.failure(),
        "matrix": transfer.matrix(),
        "transfer": transfer.by_exposures(),
        "nulls": failures.nulls(),
        "curves": [row for run in runs for row in curve_rows(run, THETA)],
        "variance": [row for run in runs for row in variance_rows(run)],
    }
