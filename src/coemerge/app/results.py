"""After training: joins the tables that grew, and derives the acquisition table."""

import pandas as pd

from coemerge.callbacks.context import RunContext
from coemerge.scoring.acquisition import acquisition_frame
from coemerge.tables.store import save_table, table_schema, write_table

_GROWING = (
    "training",
    "exposure",
    "prompt_scores",
    "old_facts",
    "injections",
    "localization",
    "localization_overlaps",
)


def close_tables(run: RunContext) -> None:
    """Joins what callbacks stored; tables of callbacks that were off are simply absent."""
    for name in _GROWING:
        run.table(name).join()
    save_table(run.tables_dir / "facts.parquet", run.dataset.facts)
    scores = _read(run, "prompt_scores")
    if scores is not None:
        _write_acquisition(run, scores)


def _write_acquisition(run: RunContext, scores: pd.DataFrame) -> None:
    steps = sorted(scores["step"].unique())
    frame = acquisition_frame(
        scores,
        run.dataset.facts.to_pandas(),
        _exposures(run, steps),
        {int(s): run.tokens_after(int(s)) for s in steps},
        run.run_id,
        run.seed,
    )
    columns = {name: frame[name].to_numpy() for name in table_schema("acquisition").names}
    write_table(run.tables_dir / "acquisition.parquet", "acquisition", columns, run.provenance)


def _read(run: RunContext, name: str) -> pd.DataFrame | None:
    try:
        return run.table(name).read().to_pandas()
    except FileNotFoundError:
        return None


def _exposures(run: RunContext, steps: list[int]) -> pd.DataFrame:
    """The exposure table at the scored steps, from the corpus itself: what the steps so far have
    used is a pure function of it, whether or not the exposure callback was on."""
    ledger = run.new_ledger()
    frames = []
    for step in steps:
        ledger.advance_to(run.order.rows_after(int(step)))
        frames.append(pd.DataFrame(ledger.columns(int(step))))
    return pd.concat(frames)
