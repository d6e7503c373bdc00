"""What an editor does to every fact, asked for from one side and looked at from both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from coemerge.editing.counterfact_scores import harmonic_mean, trial_scores
from coemerge.editing.outcome import Outcome
from coemerge.editing.rows import top_tokens
from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.edits import Edit, LowRank
from coemerge.interventions.guard import unchanged
from coemerge.studies.entity_relation.cases import PROBES, SAME_SUBJECT, SIDES, Case
from coemerge.studies.shared.editors import Editors
from coemerge.studies.shared.grids import Setting
from coemerge.studies.shared.kept import Frames, Kept

MEASURES = {  # and what scores call share and magnitude
    "efficacy": ("es", "em"),
    "generalisation": ("ps", "pm"),
    "specificity": ("ns", "nm"),
}


@dataclass(frozen=True)
class Judge:
    """Edits of one model's cases. ``kept``: where what was found is kept, if anywhere."""

    editors: Editors
    cases: Sequence[Case]
    kept: Kept | None = None

    def frames(
        self, n: int, units: Sequence[object], make: Callable[[int], Frames], desc: str, unit: str
    ) -> list[Frames]:
        """``n`` frames of each unit, made or read. ``desc`` and ``unit``: of the bar of progress,
        where they are kept."""
        if self.kept is None:
            return [make(i) for i in range(len(units))]
        return self.kept.frames(n, [(one, self.cases) for one in units], make, desc, unit)

    def of_side(self, side: str) -> list[Case]:
        """Those that can be edited from it."""
        return [case for case in self.cases if side in case.requests]

    def edit(self, editor: str, side: str, layer: int, setting: Setting) -> list[Outcome]:
        """One per case of the side."""
        requests = [case.requests[side] for case in self.of_side(side)]
        return self.editors.outcomes(editor, requests, layer, setting)

    def scores(self, side: str, outcomes: Sequence[Outcome]) -> dict[str, float]:
        """Mean es, ps, ns on the probe of the edited side, ks: what stays of the subject's other
        facts, and s: the harmonic mean of those that are defined."""
        cases, edits = self.of_side(side), [outcome.edit for outcome in outcomes]
        trials = [case.trials[side] for case in cases]
        found = trial_scores(self.editors.model, trials, edits).means()
        stay = self._stay(cases, edits)
        means = {name: found[name] for name in ("es", "ps", "ns")}
        means["ks"] = float(np.nanmean(stay)) if not np.isnan(stay).all() else float("nan")
        defined = [value for value in means.values() if not np.isnan(value)]
        return {**means, "s": float(harmonic_mean(*defined))}

    def side_edits(self, side: str, outcomes: Sequence[Outcome]) -> pd.DataFrame:
        """``SideEditsRecord`` but for seed and editor: every edit on all probes."""
        cases = self.of_side(side)
        edits = [outcome.edit for outcome in outcomes]
        frames = [self._compared(probe, cases, edits) for probe in PROBES]
        stay = pd.DataFrame({**_names(cases), "probe": SAME_SUBJECT, "measure": "specificity"})
        stay["pre"] = [self._stay_before[case.fact_id] for case in cases]
        stay["post"] = self._stay(cases, edits)
        frames.append(stay.dropna(subset=["pre"]))
        controls = self._mismatched(side, edits), self._turned(side, edits)
        return pd.concat([*[f.assign(control="none") for f in frames], *controls]).assign(
            edit_side=side
        )

    def _mismatched(self, side: str, edits: Sequence[Edit]) -> pd.DataFrame:
        """Each fact asked under the edit of the next of its relation; none where it is alone."""
        cases = self.of_side(side)
        of_relation: dict[str, list[int]] = {}
        for place, case in enumerate(cases):
            of_relation.setdefault(case.relation, []).append(place)
        after: dict[int, int] = {}
        for places in of_relation.values():
            after.update(zip(places, [*places[1:], places[0]], strict=True))
        places = [place for place in range(len(cases)) if after[place] != place]
        others = [edits[after[place]] for place in places]
        return self._rewrites([cases[place] for place in places], others, "mismatched")

    def _turned(self, side: str, edits: Sequence[Edit]) -> pd.DataFrame:
        """Each edit with its outputs turned in one random direction: same keys, same size."""
        d_model = ModuleMap(self.editors.model).d_model
        generator = torch.Generator().manual_seed(self.editors.config.seed)
        turn, _ = torch.linalg.qr(torch.randn(d_model, d_model, generator=generator))
        return self._rewrites(self.of_side(side), [turned(e, turn) for e in edits], "random")

    def _rewrites(self, cases: Sequence[Case], edits: Sequence[Edit], control: str) -> pd.DataFrame:
        """Of the edited prompts of both sides alone."""
        frames = [self._compared(probe, cases, edits, alone=True) for probe in SIDES]
        found = pd.concat(frames)
        return found[found["measure"] == "efficacy"].assign(control=control)

    def _compared(
        self, probe: str, cases: Sequence[Case], edits: Sequence[Edit], alone: bool = False
    ) -> pd.DataFrame:
        """Before and under the edits, of the cases that have the probe."""
        asked = [place for place, case in enumerate(cases) if probe in case.trials]
        chosen, under = [cases[place] for place in asked], [edits[place] for place in asked]
        after = self._scores(probe, chosen, under, alone)
        both = after.merge(self._before[probe], suffixes=("_post", "_pre"), on=_KEYS)
        return both.rename(columns={"share_pre": "pre", "share_post": "post"})

    @cached_property
    def _before(self) -> dict[str, pd.DataFrame]:
        """By probe, all cases under the untouched model."""
        of_probe = {p: [case for case in self.cases if p in case.trials] for p in PROBES}
        return {probe: self._scores(probe, cases, None) for probe, cases in of_probe.items()}

    @cached_property
    def _stay_before(self) -> dict[str, float]:
        """The same of the subject's other facts, by fact."""
        names = [case.fact_id for case in self.cases]
        return dict(zip(names, self._stay(self.cases, None), strict=True))

    def _stay(self, cases: Sequence[Case], edits: Sequence[Edit] | None) -> np.ndarray:
        """Of each case, the share of its subject's other facts that are answered right, [E]; NaN
        without any."""
        rows = [
            (e, ids, answer) for e, case in enumerate(cases) for ids, answer in case.same_subject
        ]
        share = np.full(len(cases), np.nan)
        if not rows:
            return share
        case_of, prompts, answers = zip(*rows, strict=True)
        under = None if edits is None else np.array(case_of)
        with unchanged(self.editors.model):
            self.editors.model.eval()
            said = top_tokens(self.editors.model, prompts, edits=edits or (), edit_of_row=under)
        right = pd.Series(said == np.array(answers)).groupby(list(case_of)).mean()
        share[right.index] = right
        return share

    def _scores(
        self,
        probe: str,
        cases: Sequence[Case],
        edits: Sequence[Edit] | None,
        alone: bool = False,
    ) -> pd.DataFrame:
        """Columns ``_KEYS``, share and magnitude; a row per case and measure. ``alone``: of the
        edited prompts, without paraphrases and neighbours."""
        trials = [case.trials[probe] for case in cases]
        if alone:
            trials = [replace(trial, paraphrases=(), neighbours=()) for trial in trials]
        found = trial_scores(self.editors.model, trials, edits)
        facts = pd.DataFrame({**_names(cases), "probe": probe})
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


def _names(cases: Sequence[Case]) -> dict[str, list[str]]:
    return {name: [getattr(case, name) for case in cases] for name in _KEYS[:3]}


def turned(edit: Edit, turn: Tensor) -> Edit:
    """The edit with what it writes multiplied by ``turn`` [d,d]; what it erases stays erased."""
    deltas = {
        layer: LowRank(turn.to(delta.left) @ delta.left, delta.right)
        for layer, delta in edit.deltas.items()
    }
    return Edit(deltas, edit.erased)


def _squared(left: Tensor, right: Tensor) -> float:
    """Squared norm of U V^T."""
    u, v = left.detach().double(), right.detach().double()
    return float(((u.T @ u) * (v.T @ v)).sum())
