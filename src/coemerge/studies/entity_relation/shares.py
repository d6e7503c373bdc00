"""How much of what a state restores comes through attention, and how much through MLPs: of what
they write there, or by what is lost without them (methods 4.4).

All measures are ratios of sums over prompts: a share of attention, AIE_attn / (AIE_attn + AIE_mlp),
or a loss under severing, (AIE - AIE_severed) / AIE. They are read at one site: chosen by the means
of all prompts, and held while facts are resampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from coemerge.localization.tracing_result import TracingResult
from coemerge.statistics.resampling import hierarchical_sums
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.tracing import Traced
from coemerge.studies.shared.means import Rows

DIFFERENCE = "relation - subject"
SHARE, LOSSES = "share_attn", ("loss_mlp_severed", "loss_attn_severed")

_ANSWERING = "last"  # the role of the token at which the answer is predicted
_COMMON = 0.5  # share of the prompts that must have a role


@dataclass(frozen=True)
class _Ratio:
    """One measure at one site. ``values``: per seed the numerator and the denominator of every
    prompt [N,2], NaN of those not kept, or without a token of that role."""

    corrupt: str
    site: str
    measure: str
    role: str
    layer: int
    values: list[np.ndarray]


def attention_shares(traced: Sequence[Traced], config: EntityRelationConfig) -> Rows:
    """``AttentionSharesRecord``: each measure under each corruption, and the difference between
    noise on the relation and on the subject, of prompts kept under both, resampled together.

    A ratio is not defined where what it divides by is not above 0. At the sites ``role`` and
    ``corrupted`` layers are averaged whose windows are alike, and of losses all but the last, where
    nothing is severed.
    """
    rows: Rows = []
    ratios: dict[tuple[str, str, str], _Ratio] = {}
    for corrupt in traced[0].bare.results if traced else ():
        for ratio in _ratios(traced, corrupt):
            ratios[ratio.site, ratio.measure, corrupt] = ratio
            named = {"corrupt": corrupt, "role": ratio.role, "layer": ratio.layer}
            rows += _row(ratio, named, ratio.values, config)
    for (site, measure, corrupt), ratio in ratios.items():
        other = ratios.get((site, measure, "subject"))
        if corrupt == "relation" and other is not None:
            named = {"corrupt": DIFFERENCE, "role": "", "layer": -1}
            pairs = [np.hstack(both) for both in zip(ratio.values, other.values, strict=True)]
            rows += _row(ratio, named, pairs, config)
    return rows


def _row(
    ratio: _Ratio, named: dict, values: Sequence[np.ndarray], config: EntityRelationConfig
) -> Rows:
    tables = [table[~np.isnan(table).any(1)].astype(float) for table in values]
    n = sum(map(len, tables))
    if not n:
        return []
    value, low, high, _ = hierarchical_sums(tables, _of_sums, config.seed, config.bootstrap_draws)
    estimate = {"value": value, "low": low, "high": high, "n": n}
    return [{"site": ratio.site, "measure": ratio.measure, **named, **estimate}]


def _of_sums(sums: np.ndarray) -> np.ndarray:
    """[B,2] -> the ratio [B]; of [B,4] the first one minus the second."""
    above, below = sums[:, 0::2], sums[:, 1::2]
    ratio = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    return ratio[:, 0] - ratio[:, 1] if ratio.shape[1] > 1 else ratio[:, 0]


def _ratios(traced: Sequence[Traced], corrupt: str) -> list[_Ratio]:
    results = [one.bare.results[corrupt] for one in traced]
    effects, windows = results[0].effects, results[0].windows
    ratios: list[_Ratio] = []
    if "mlp" in effects and "attn" in effects:
        parts = [(r.effects["attn"], r.effects["attn"] + r.effects["mlp"]) for r in results]
        layers = np.flatnonzero(windows == windows.max())
        ratios += _at_sites(traced, corrupt, SHARE, parts, layers)
    for measure in LOSSES:
        severed = f"resid_{measure.removeprefix('loss_')}"
        if "resid" in effects and severed in effects:
            lost = [r.effects["resid"] - r.effects[severed] for r in results]  # NaN if not held
            parts = [
                (loss, np.where(np.isnan(loss), np.nan, r.effects["resid"]))
                for loss, r in zip(lost, results, strict=True)
            ]
            ratios += _at_sites(traced, corrupt, measure, parts, np.arange(len(windows) - 1))
    return ratios


def _at_sites(
    traced: Sequence[Traced],
    corrupt: str,
    measure: str,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    layers: np.ndarray,
) -> list[_Ratio]:
    """``parts``: per seed numerator and denominator of every state, each [N,L,T]."""
    kept = [one.bare.kept[corrupt] for one in traced]
    if not len(layers) or not sum(mask.sum() for mask in kept):
        return []
    results = [one.bare.results[corrupt] for one in traced]
    by_role = [
        np.where(mask[:, None, None, None], _by_role(result, *pair)[:, layers], np.nan)
        for result, pair, mask in zip(results, parts, kept, strict=True)
    ]
    whole = np.concatenate(by_role)[..., 1]  # [N,layers,roles]
    known = ~np.isnan(whole)
    mean = np.where(known, whole, 0).sum(0) / np.maximum(known.sum(0), 1)
    names = results[0].role_names
    total = np.concatenate([r.total_effect[m] for r, m in zip(results, kept, strict=True)]).mean()
    common = known.sum(0) >= _COMMON * sum(mask.sum() for mask in kept)
    usable = common & (mean <= total) & (np.array(names) != _ANSWERING)
    if not usable.any():
        return []
    at, role = np.unravel_index(np.where(usable, mean, -np.inf).argmax(), mean.shape)
    best = [values[:, at, role] for values in by_role]
    whole_role = [values[:, :, role].mean(1) for values in by_role]
    corrupted = [
        np.where(mask[:, None], _at_last_corrupted(one, corrupt, pair, layers), np.nan)
        for one, pair, mask in zip(traced, parts, kept, strict=True)
    ]
    last = "last_subject" if corrupt == "subject" else "last_corrupted"
    return [
        _Ratio(corrupt, "best", measure, names[role], int(layers[at]), best),
        _Ratio(corrupt, "role", measure, names[role], -1, whole_role),
        _Ratio(corrupt, "corrupted", measure, last, -1, corrupted),
    ]


def _by_role(result: TracingResult, above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """[N,L,roles,2]."""
    both = replace(result, effects={"above": above, "below": below})
    return np.stack([both.by_role(name) for name in both.effects], axis=-1)


def _at_last_corrupted(
    traced: Traced, corrupt: str, parts: tuple[np.ndarray, np.ndarray], layers: np.ndarray
) -> np.ndarray:
    """[N,2]: of the last token that got noise, the mean over ``layers``."""
    last = [prompt.corrupted(corrupt)[-1] for prompt in traced.bare.prompts]
    rows = np.arange(len(last))
    return np.stack([part[rows, :, last][:, layers].mean(1) for part in parts], axis=1)
