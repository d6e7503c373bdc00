"""Tables of causal tracing, over all seeds: intervals are over seeds, then facts (methods 2.11)."""

from collections.abc import Iterator, Sequence

import numpy as np

from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.shares import attention_shares
from coemerge.studies.entity_relation.tracing import Setting, Traced
from coemerge.studies.shared.means import Rows
from coemerge.studies.shared.traced_means import mean_effects, mean_total_effect

_TOTALS = ("p_clean", "p_corrupted", "total_effect", "n_corrupted")


def tracing_tables(traced: Sequence[Traced], config: EntityRelationConfig) -> dict[str, Rows]:
    """``TracedPromptsRecord``, ``TracingTotalsRecord``, ``TracingEffectsRecord`` and
    ``AttentionSharesRecord``. What no prompt tells has no row in the last two; a total effect that
    none does is NaN."""
    return {
        "traced_prompts": [row for one in traced for row in _prompt_rows(one)],
        "tracing_totals": _totals(traced, config),
        "tracing_effects": _effects(traced, config),
        "attention_shares": attention_shares(traced, config),
    }


def _settings(traced: Traced) -> dict[str, Setting]:
    return {"bare": traced.bare, "prefixed": traced.prefixed}


def _corrupted(setting: Setting, corrupt: str) -> np.ndarray:
    """How many tokens of each prompt got noise, [N]."""
    return np.array([len(prompt.corrupted(corrupt)) for prompt in setting.prompts], int)


def _prompt_rows(traced: Traced) -> Iterator[dict]:
    for name, setting in _settings(traced).items():
        for corrupt, found in setting.results.items():
            n_corrupted = _corrupted(setting, corrupt)
            for i, asked in enumerate(setting.asked):
                yield {
                    "seed": traced.seed,
                    "fact_id": asked.fact_id,
                    "arm": asked.arm,
                    "template_id": asked.template_id,
                    "setting": name,
                    "corrupt": corrupt,
                    "n_corrupted": int(n_corrupted[i]),
                    "p_clean": float(found.p_clean[i]),
                    "p_corrupted": float(found.p_corrupted[i]),
                    "is_top1": bool(found.is_top1[i]),
                    "kept": bool(setting.kept[corrupt][i]),
                }


def _totals(traced: Sequence[Traced], config: EntityRelationConfig) -> Rows:
    rows: Rows = []
    for name in ("bare", "prefixed"):
        settings = [_settings(one)[name] for one in traced]
        for corrupt in settings[0].results if settings else ():
            results = [setting.results[corrupt] for setting in settings]
            tables = [
                np.stack(
                    [r.p_clean, r.p_corrupted, r.total_effect, _corrupted(setting, corrupt)], axis=1
                )[r.is_top1]
                for setting, r in zip(settings, results, strict=True)
            ]
            row = {
                "setting": name,
                "corrupt": corrupt,
                "n": sum(map(len, tables)),
                "n_kept": int(sum(setting.kept[corrupt].sum() for setting in settings)),
                "n_total": sum(len(setting.prompts) for setting in settings),
            }
            rows.append({**row, **mean_total_effect(tables, _TOTALS, config)})
    return rows


def _effects(traced: Sequence[Traced], config: EntityRelationConfig) -> Rows:
    rows: Rows = []
    for corrupt, first in traced[0].bare.results.items() if traced else ():
        results = [one.bare.results[corrupt] for one in traced]
        kept = [one.bare.kept[corrupt] for one in traced]
        for kind in first.effects:
            rows += [
                {"corrupt": corrupt, "kind": kind, **row}
                for row in mean_effects(results, kept, kind, config)
            ]
    return rows
