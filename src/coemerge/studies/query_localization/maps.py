"""Heat maps of attributions: two queries of one fact of each class, with attention as it is, and
with the query's synapses suppressed and enhanced (methods 5.4, 5.6)."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.attention import eager_attention
from coemerge.interventions.capture import capture
from coemerge.interventions.guard import unchanged
from coemerge.interventions.hooks import intervene
from coemerge.interventions.scaling import scale_columns
from coemerge.interventions.sites import Site
from coemerge.localization.paths import path_integral
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.queries import Ids, Queries

CHANGES = {"untouched": 1.0, "suppressed": 0.0, "enhanced": 2.0}
N_QUERIES = 2


def neuron_maps(
    model: nn.Module,
    queries: Queries,
    cs2: pd.DataFrame,
    own: Sequence[Tensor],
    config: QueryLocalizationConfig,
) -> pd.DataFrame:
    """``NeuronMapsRecord``. ``cs2``: fact_id, cls and cs2; ``own``: synapses of every query, bool
    [L,H,T]."""
    rows = []
    for cls, facts in cs2.groupby("cls"):
        fact = _median(facts)
        f = int(np.flatnonzero(queries.facts["fact_id"] == fact)[0])
        for query in range(N_QUERIES):
            row = f * queries.k + query
            for name, factor in CHANGES.items():
                values = attribution_under(
                    model, queries.ids[row], int(queries.answer[row]), own[row], factor, config
                )
                rows += [
                    {
                        "cls": cls,
                        "fact_id": fact,
                        "text": queries.rows["text"].iloc[row],
                        "query": query,
                        "synapses": name,
                        **cell,
                    }
                    for cell in _binned(values, config.bins)
                ]
    return pd.DataFrame(rows)


def _median(facts: pd.DataFrame) -> str:
    """The fact whose cs2 is nearest to the median, the first by name of equals."""
    ordered = facts.sort_values("fact_id")
    distance = (ordered["cs2"] - ordered["cs2"].median()).abs()
    return str(ordered["fact_id"].iloc[int(distance.to_numpy().argmin())])


def _binned(attribution: Tensor, n_bins: int) -> list[Mapping[str, float]]:
    """Highest of each group of neighbouring neurons."""
    parts = attribution.tensor_split(min(n_bins, attribution.shape[1]), dim=1)
    highest = torch.stack([part.amax(1) for part in parts], 1)
    return [
        {"layer": layer, "bin": place, "attribution": value}
        for layer, of_layer in enumerate(highest.tolist())
        for place, value in enumerate(of_layer)
    ]


def attribution_under(
    model: nn.Module,
    ids: Ids,
    answer: int,
    synapses: Tensor,
    factor: float,
    config: QueryLocalizationConfig,
) -> Tensor:
    """The method ``joint`` while attention to ``synapses``, bool [L,H,T], is times ``factor``:
    [L,m], by whole passes, each point of the path a batch row."""
    settings, device = config.attribution("joint"), next(model.parameters()).device
    with unchanged(model), eager_attention(model), torch.enable_grad():
        model.eval().requires_grad_(False)
        tokens = torch.tensor([list(ids)], device=device)
        columns = synapses[None].to(device)
        sites = [Site("mlp_act", layer) for layer in range(ModuleMap(model).n_layers)]
        with intervene(model, scale_columns(columns, factor)), capture(model, sites) as values:
            model(input_ids=tokens, use_cache=False)

        def probability(site: Site, points: Tensor) -> Tensor:
            n = points.shape[1]

            def put(x: Tensor) -> Tensor:
                return torch.cat((x[:, :-1], points[0][:, None].to(x)), 1)

            changes = {**scale_columns(columns.expand(n, -1, -1, -1), factor), site: put}
            with intervene(model, changes):
                logits = model(input_ids=tokens.expand(n, -1), use_cache=False).logits
            return logits[:, -1].float().softmax(-1)[None, :, answer]

        of_layers = [
            path_integral(partial(probability, site), values[site][:, -1], settings)[0]
            for site in sites
        ]
    return torch.stack(of_layers).cpu()
