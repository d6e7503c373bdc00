"""What training in one task gives the others (methods 2.4, 3.3): the matrix from source to target,
transfer between kinds of tasks, and its dose response. Rows of ``tables.co_emergence_records``."""

import itertools

import numpy as np

from coemerge.prompts.tasks import get_task
from coemerge.statistics.co_emergence import is_competent
from coemerge.statistics.resampling import hierarchical_bootstrap, hierarchical_rate
from coemerge.statistics.thresholds import THETA
from coemerge.studies.co_emergence.runs import (
    ALL,
    NEVER,
    POOLED,
    SINGLE,
    OnRuns,
    Rows,
    arms_of,
    draws_of,
    interval,
    of_arm,
)
from coemerge.studies.shared.scored import Scores

KINDS = ("generative", "discriminative")
DIFFERENCE = "difference"  # in place of a target: of the rates of two pairs of kinds


class Transfer(OnRuns):
    """Tables of transfer, one method each."""

    def matrix(self) -> Rows:
        """P(target | source) at the last checkpoint, for facts exposed in the source or emerged in
        it, by arm and kind of option sets."""
        rows: Rows = []
        for theta in self.config.thetas:
            for options in ("fresh", "seen"):
                for basis in ("exposed", "emerged"):
                    for arm in (ALL, *arms_of(self.runs)):
                        rows += self._transfers(theta, options, basis, arm)
        return rows

    def _transfers(self, theta: float, options: str, basis: str, arm: str) -> Rows:
        tasks = self.runs[0].tasks
        cells = list(itertools.permutations(range(len(tasks)), 2))
        pooled = [_known(run, theta, basis, arm, options, cells) for run in self.runs]
        rows = []
        for column, (s, t) in enumerate(cells):
            known = [values[:, [column]] for values in pooled]
            if n := _count(known):
                estimate = hierarchical_rate(known, self.config.seed, draws_of(self.config, theta))
                rows.append(
                    {
                        "basis": basis,
                        "theta": theta,
                        "source": tasks[s],
                        "target": tasks[t],
                        "arm": arm,
                        "options": options,
                        **interval(estimate, "rate"),
                        "n": n,
                    }
                )
        return rows

    def by_kind(self) -> Rows:
        """Transfer between kinds of tasks, pooled over their cells: of facts shown in the source
        alone (arm A2), of facts of any arm that have emerged on the source, and what facts never
        shown (A5) reach by luck. Then by how much generative sources transfer further to the other
        kind (``target`` difference), as it is and beyond that luck.
        """
        rows: Rows = []
        for options in ("fresh", "seen"):
            for basis, arm in (("exposed", SINGLE), ("emerged", ALL), ("never", NEVER)):
                names = {"basis": basis, "arm": arm, "options": options}
                sources = KINDS if basis != "never" else ("nothing",)
                for source, target in itertools.product(sources, KINDS):
                    known = self._between(source, target, **names)
                    if n := _count(known):
                        draws = self.config.bootstrap_draws
                        estimate = hierarchical_rate(known, self.config.seed, draws)
                        cell = {"n": n, "n_facts": estimate.n, **interval(estimate, "rate")}
                        rows.append({**names, "source": source, "target": target, **cell})
            rows += self._differences(options)
        return rows

    def _between(
        self, source: str, target: str, basis: str, arm: str, options: str
    ) -> list[np.ndarray]:
        """``_known`` per run, for the cells of two kinds."""
        kinds = [get_task(task).kind for task in self.runs[0].tasks]
        pairs = itertools.permutations(range(len(kinds)), 2)
        cells = [(s, t) for s, t in pairs if (kinds[s], kinds[t]) == (source, target)]
        if basis == "never":
            cells = [(t, t) for t, kind in enumerate(kinds) if kind == target]
        return [_known(run, THETA, basis, arm, options, cells) for run in self.runs]

    def _differences(self, options: str) -> Rows:
        """Contrasts of facts shown in one source alone: into generative tasks, from generative less
        from discriminative sources; across kinds, generative -> discriminative less the way back;
        and the latter beyond luck. A fact counts for all rates that it has cells of, and is
        resampled once."""
        names = {"options": options, "source": KINDS[0], "target": DIFFERENCE, "arm": SINGLE}
        generative, discriminative = KINDS
        shown = ("exposed", SINGLE, options)
        across = [
            self._between(generative, discriminative, *shown),
            self._between(discriminative, generative, *shown),
        ]
        luck = [
            self._between("nothing", kind, "never", NEVER, options)
            for kind in (discriminative, generative)
        ]
        contrasts = {
            "into_generative": [self._between(generative, generative, *shown), across[1]],
            "exposed": across,
            "beyond_never": across + luck,
        }
        rows: Rows = []
        for basis, used in contrasts.items():
            if not all(map(_count, used)):
                continue
            tallies = [np.hstack([_tally(k) for k in known]) for known in zip(*used, strict=True)]
            facts = [table[table[:, 1::2].any(axis=1)] for table in tallies]
            draws = self.config.bootstrap_draws
            estimate = hierarchical_bootstrap(facts, _contrast, self.config.seed, draws)
            cell = {"n": sum(map(_count, used)), "n_facts": estimate.n}
            rows.append({**names, "basis": basis, **cell, **interval(estimate, "rate")})
        return rows

    def by_exposures(self) -> Rows:
        """T[s -> t]: mean score on t of facts shown in s alone, by number of exposures, and that of
        facts never shown (methods 2.4)."""
        rows: Rows = []
        tasks = self.runs[0].tasks
        for s, source in enumerate(tasks):
            for dose in sorted({int(x) for run in self.runs for x in _alone(run, s)} - {0}):
                for t, target in enumerate(tasks):
                    shown = [run.mean[_alone(run, s) == dose, t, -1] for run in self.runs]
                    never = [run.mean[of_arm(run, NEVER), t, -1] for run in self.runs]
                    if not sum(map(len, shown)):
                        continue
                    draws = self.config.bootstrap_draws
                    estimate = hierarchical_bootstrap(shown, seed=self.config.seed, draws=draws)
                    floor = float(np.concatenate(never).mean()) if sum(map(len, never)) else np.nan
                    rows.append(
                        {
                            "seed": self.runs[0].seed if len(self.runs) == 1 else POOLED,
                            "source": source,
                            "target": target,
                            "exposures": dose,
                            **interval(estimate, "score"),
                            "never": floor,
                            "n": estimate.n,
                        }
                    )
        return rows


def _known(
    run: Scores, theta: float, basis: str, arm: str, options: str, cells: list[tuple[int, int]]
) -> np.ndarray:
    """Whether each fact of the basis is known on the target of each (source, target), [F, cells];
    NaN where the fact does not count or the target is not competent."""
    last = _last(run, options)
    emerged = last > theta
    competent = is_competent(run.mean > theta)[:, -1]
    counted = {
        "emerged": emerged,
        "exposed": run.exposures[..., -1] > 0,
        "never": np.ones_like(emerged),
    }
    chosen = counted[basis] & of_arm(run, arm)[:, None] & np.isfinite(last)
    known = np.full((len(last), len(cells)), np.nan)
    for column, (s, t) in enumerate(cells):
        counts = chosen[:, s] & competent[t] & np.isfinite(last[:, t])
        known[counts, column] = emerged[counts, t]
    return known


def _count(known: list[np.ndarray]) -> int:
    return sum(int(np.isfinite(values).sum()) for values in known)


def _last(run: Scores, options: str) -> np.ndarray:
    return run.seen if options == "seen" else run.mean[..., -1]


def _alone(run: Scores, source: int) -> np.ndarray:
    """Documents in the source, [F]; 0 for facts that were shown elsewhere too."""
    counts = run.exposures[..., -1]
    others = run.shown_anywhere - counts[:, source]
    return np.where(others == 0, counts[:, source], 0).astype(int)


def _tally(known: np.ndarray) -> np.ndarray:
    """Cells known and cells that count of each fact, [F, 2]."""
    return np.stack([np.nansum(known, axis=1), np.isfinite(known).sum(axis=1)], axis=1)


def _contrast(facts: np.ndarray) -> float:
    """Difference of the first two rates, of tallies side by side [F, 2 x rates]. With two more, of
    facts never shown, each rate is first taken beyond its luck: (p - luck) / (1 - luck), as scores
    are beyond chance (methods 2.5). NaN where a rate has no cell."""
    known, cells = facts.sum(axis=0).reshape(-1, 2).T
    if not cells.all():
        return np.nan
    rates = known / cells
    if len(rates) == 4:
        luck = rates[2:]
        if (luck == 1).any():
            return np.nan
        rates = (rates[:2] - luck) / (1 - luck)
    return float(rates[0] - rates[1])
