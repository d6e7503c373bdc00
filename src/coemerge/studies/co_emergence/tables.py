"""All tables of the study, by the name of their record."""

from coemerge.studies.co_emergence.over_checkpoints import curve_rows, variance_rows
from coemerge.studies.co_emergence.pairs import CoEmergence, Rows


def co_emergence_tables(study: CoEmergence) -> dict[str, Rows]:
    """Rows by table; columns are documented in ``tables.co_emergence_records``."""
    theta = study.config.thetas[0]
    return {
        "pairs": study.pairs(),
        "failure": study.failure(),
        "matrix": study.matrix(),
        "transfer": study.transfer(),
        "nulls": study.nulls(),
        "curves": [row for run in study.runs for row in curve_rows(run, theta)],
        "variance": [row for run in study.runs for row in variance_rows(run)],
    }
