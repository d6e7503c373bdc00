"""What stays of a fact after it was shown: tables/injections.parquet (methods 3.11, Chang et al.).

Facts of one arm are shown at the same few moments. Right before and after each of these the loss of
their answers is probed at every step, later ever more rarely.
"""

from typing import Any

import lightning
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from coemerge.callbacks.base import log_metrics
from coemerge.callbacks.context import RunContext
from coemerge.callbacks.probing import ProbingCallback
from coemerge.lm.module import LanguageModule
from coemerge.scoring.probe import make_probe, select_prompts
from coemerge.tables.store import write_table


class InjectionProbe(ProbingCallback):
    """Probes the facts of ``arm`` in the formats that they are shown in.

    ``dense`` steps one by one after each injection, then every ``sparse`` steps until the next.
    Asks the wording that was injected (template 0) and ``held_out`` others that never are.
    """

    def __init__(
        self,
        run: RunContext,
        arm: str,
        dense: int = 50,
        sparse: int = 10,
        held_out: int = 2,
        tokens_per_batch: int | None = None,
    ) -> None:
        facts = run.dataset.facts.filter(pc.equal(run.dataset.facts["arm"], arm))
        if not len(facts):
            raise ValueError(f"callbacks.injections.arm: no fact is in {arm!r}")
        self._injections = injection_steps(run, facts["fact_index"].to_numpy())
        steps = probe_steps(self._injections, run.max_steps, dense, sparse)
        super().__init__(run, steps, "injections", tokens_per_batch)
        prompts = run.dataset.prompts
        shown = run.dataset.plan.filter(pc.is_in(run.dataset.plan["fact_id"], facts["fact_id"]))
        mine = pc.and_(
            pc.is_in(prompts["fact_id"], facts["fact_id"]),
            pc.is_in(prompts["task"], pc.unique(shown["task"])),
        )
        asked = prompts.filter(mine)
        verbatim = select_prompts(asked, ["seen_templates"], ["fresh"], 1)
        others = select_prompts(asked, ["held_out_templates"], ["fresh"], held_out)
        self._probe = make_probe(pa.concat_tables([verbatim, others]), run.score.chance)
        self._variant = facts.select(["fact_id", "detail"]).to_pandas().set_index("fact_id")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        if trainer.is_global_zero:
            columns = {
                "injection": range(1, len(self._injections) + 1),
                "first_step": [steps.start for steps in self._injections],
                "last_step": [steps.stop - 1 for steps in self._injections],
            }
            path = self.run.tables_dir / "injection_steps.parquet"
            write_table(path, "injection_steps", columns, self.run.provenance)
        super().on_train_start(trainer, pl_module)

    def at_step(self, trainer: lightning.Trainer, module: LanguageModule, step: int) -> None:
        means = self.score(trainer, module, step, self._probe)
        frame = self._probe.cells.to_pandas().assign(nll=means["nll"].numpy())
        frame["variant"] = frame["fact_id"].map(self._variant["detail"])
        metrics = {
            f"injections/{variant}/{split}/nll": float(rows["nll"].mean())
            for (variant, split), rows in frame.groupby(["variant", "split"])
        }
        log_metrics(trainer, self.run, step, metrics)


def injection_steps(run: RunContext, facts: np.ndarray) -> list[range]:
    """Of each injection, the optimizer steps that used its documents (a few neighbours)."""
    documents = run.dataset.store.documents
    rows = np.unique(documents["row"][np.isin(documents["fact"], facts)])
    steps = np.unique([run.order.step_using(int(row)) for row in rows])
    steps = steps[steps <= run.max_steps]
    gaps = np.flatnonzero(np.diff(steps) > _APART) + 1
    return [range(int(part[0]), int(part[-1]) + 1) for part in np.split(steps, gaps) if len(part)]


_APART = 5  # steps without such a document that end an injection


def probe_steps(injections: list[range], max_steps: int, dense: int, sparse: int) -> list[int]:
    """The step before each injection, ``dense`` steps from its first on, then every ``sparse``."""
    if dense < 1 or sparse < 1:
        raise ValueError("callbacks.injections: dense and sparse must be at least 1")
    steps: set[int] = {max_steps}
    for number, injection in enumerate(injections):
        later = injections[number + 1 :]
        until = later[0].start if later else max_steps + 1
        close = min(injection.stop + dense, until)
        steps |= {injection.start - 1, *range(injection.start, close), *range(close, until, sparse)}
    return sorted(step for step in steps if 0 <= step <= max_steps)
