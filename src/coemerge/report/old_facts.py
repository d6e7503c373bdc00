"""What became of the facts of the run that this one continues."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from coemerge.statistics.intervals import wilson_mean
from coemerge.statistics.thresholds import THETA


def old_facts(tables: Path) -> pd.DataFrame:
    """One row per task: facts scored, share emerged and mean score at the first and last step, and
    the share of those emerged at first that still are, with its interval."""
    path = tables / "old_facts.parquet"
    if not path.is_file():
        return pd.DataFrame()
    frame = pq.read_table(path).to_pandas()
    scores = frame.groupby(["task", "fact_id", "step"])["score"].mean().unstack("step")
    first, last = scores.columns.min(), scores.columns.max()
    rows = []
    for task, cell in scores.groupby("task", sort=False):
        before, after = cell[first], cell[last]
        kept = (after > THETA)[before > THETA].to_numpy(dtype=float)
        share = wilson_mean(kept, 0.0) if len(kept) else None
        rows.append(
            {
                "task": task,
                "facts": len(cell),
                "emerged before": f"{(before > THETA).mean():.0%}",
                "after": f"{(after > THETA).mean():.0%}",
                "score before": f"{before.mean():+.2f}",
                "score after": f"{after.mean():+.2f}",
                "kept": f"{share.mean:.0%} [{share.low:.0%}, {share.high:.0%}] of {share.n}"
                if share
                else "-",
            }
        )
    return pd.DataFrame(rows)


def format_old_facts(tables: Path) -> str:
    """The table as text; empty where no old facts were scored."""
    frame = old_facts(tables)
    if frame.empty:
        return ""
    return "\n".join(
        [
            f"Facts of the base run, before and after (emerged: score > {THETA}, held-out "
            "paraphrases)",
            frame.to_string(index=False),
            "kept: of the facts that had emerged before, those that still are; 95 % interval.",
        ]
    )
