"""What an editor does to every fact, asked for from one side and looked at from both."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from torch import Tensor

from coemerge.editing.counterfact_scores import trial_scores
from coemerge.editing.outcome import Outcome
from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.edits import Edit
from coemerge.studies.entity_relation.cases import PROBES, Case
from coemerge.studies.entity_relation.config import Setting
from coemerge.studies.entity_relation.editors import Editors

MEASURES = {  # and what scores call share and magnitude
    "efficacy": ("es", "em"),
    "generalisation": ("ps", "pm"),
    "specificity": ("ns", "nm"),
}


@dataclass(frozen=True)
class Judge:
    """Edits of one model's cases."""

    editors: Editors
    cases: Sequence[Case]

    def of_side(self, side: str) -> list[Case]:
        """Those that can be edited from it."""
        return [case for case in self.cases if side in case.requests]

    def edit(self, editor: str, side: str, layer: int, setting: Setting) -> list[Outcome]:
        """One per case of the side."""
        requests = [case.requests[side] for case in self.of_side(side)]
        return self.editors.outcomes(editor, requests, layer, setting)

    def scores(self, side: str, outcomes: Sequence[Outcome]) -> dict[str, float]:
        """Mean ES, PS, NS and S on the probe of the edited side."""
        trials = [case.trials[side] for case in self.of_side(side)]
        edits = [outcome.edit for outcome in outcomes]
        return trial_scores(self.editors.model, trials, edits).means()

    def side_edits(self, side: str, outcomes: Sequence[Outcome]) -> pd.DataFrame:
        """``SideEditsRecord`` but for seed and editor: every edit on all probes."""
        cases, frames = self.of_side(side), []
        for probe in PROBES:
            asked = [place for place, case in enumerate(cases) if probe in case.trials]
            if not asked:
                continue
            edits = [outcomes[place].edit for place in asked]
            after = self._scores(probe, [cases[place] for place in asked], edits)
            frames.append(after.merge(self._before[probe], suffixes=("_post", "_pre"), on=_KEYS))
        named = {"share_pre": "pre", "share_post": "post"}
        return pd.concat(frames).rename(columns=named).assign(edit_side=side)

    @cached_property
    def _before(self) -> dict[str, pd.DataFrame]:
        """By probe, all cases under the untouched model."""
        of_probe = {p: [case for case in self.cases if p in case.trials] for p in PROBES}
        return {probe: self._scores(probe, cases, None) for probe, cases in of_probe.items()}

    def _scores(
        self, probe: str, cases: Sequence[Case], edits: Sequence[Edit] | None
    ) -> pd.DataFrame:
        """Columns ``_KEYS``, share and magnitude; a row per case and measure."""
        found = trial_scores(self.editors.model, [case.trials[probe] for case in cases], edits)
        facts = pd.DataFrame(
            [(case.fact_id, case.relation, case.arm, probe) for case in cases], columns=_KEYS[:4]
        )
        return pd.concat(
            facts.assign(
                measure=measure, share=getattr(found, share), magnitude=getattr(found, magnitude)
            )
            for measure, (share, magnitude) in MEASURES.items()
        )

    def outcome_rows(self, side: str, outcomes: Sequence[Outcome]) -> pd.DataFrame:
        """``EditOutcomesRecord`` but for seed and editor."""
        rows = [
            (case.fact_id, case.arm, o.loss, o.n_steps, o.diverged, o.already_answered,
             self._size(o.edit))
            for case, o in zip(self.of_side(side), outcomes, strict=True)
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=_OUTCOME).assign(edit_side=side)

    def _size(self, edit: Edit) -> float:
        """Norm of the change over that of the matrices that it changes; 0 for no change."""
        change = sum(_squared(d.left, d.right) for d in edit.deltas.values())
        norms = [self._norms[layer] for layer in edit.layers]
        return float((change / sum(norms)) ** 0.5) if norms else 0.0

    @cached_property
    def _norms(self) -> list[float]:
        """Squared norm of each layer's down-projection."""
        modules = ModuleMap(self.editors.model)
        return [
            float(
                projection_matrix(modules.down_projection(layer)).detach().double().square().sum()
            )
            for layer in range(modules.n_layers)
        ]


_KEYS = ["fact_id", "relation", "arm", "probe", "measure"]
_OUTCOME = ["fact_id", "arm", "loss", "n_steps", "diverged", "already_answered", "size"]


def _squared(left: Tensor, right: Tensor) -> float:
    """Squared norm of U V^T."""
    u, v = left.detach().double(), right.detach().double()
    return float(((u.T @ u) * (v.T @ v)).sum())
