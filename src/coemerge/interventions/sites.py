"""The names of activations, the same for every architecture (methods 2.6).

============== ============ ==================================================================
embed          [B,T,d]      token (+ position) embedding as the first layer receives it
resid_pre.l    [B,T,d]      residual before layer l (resid_pre.0 is the same tensor as embed)
attn_pattern.l [B,H,T,S]    attention after the softmax: rows are queries, columns keys
head_out.l     [B,T,H,d_h]  each head's mixture of values, before the output projection
attn_out.l     [B,T,d]      what attention adds to the residual, after any post-norm
resid_mid.l    [B,T,d]      residual between attention and MLP; not in parallel blocks
mlp_act.l      [B,T,m]      input of the down-projection; of a gated MLP act(gate) * up
mlp_out.l      [B,T,d]      what the MLP adds to the residual, after any post-norm
resid_post.l   [B,T,d]      residual after layer l
logits         [B,T,V]      as the model returns them, soft-capped where it caps; a loss that the
                            model computes itself from labels comes before them
============== ============ ==================================================================

T counts the tokens of one forward pass; with cached keys S also counts those before it.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.attention import EAGER, EAGER_WITH_FUNCTIONS

PER_LAYER = (
    "resid_pre",
    "attn_pattern",
    "head_out",
    "attn_out",
    "resid_mid",
    "mlp_act",
    "mlp_out",
    "resid_post",
)
WHOLE_MODEL = ("embed", "logits")


@dataclass(frozen=True, slots=True)
class Site:
    """One activation: ``Site("mlp_act", 3)``, written ``mlp_act.3``; ``Site("embed")``.

    Raises ValueError for an unknown name and for a layer that is missing or superfluous.
    """

    name: str
    layer: int | None = None

    def __post_init__(self) -> None:
        if self.name not in PER_LAYER + WHOLE_MODEL:
            known = ", ".join((*WHOLE_MODEL, *(f"{name}.<layer>" for name in PER_LAYER)))
            raise ValueError(f"no site is called {self.name!r}; there are {known}")
        if self.name in WHOLE_MODEL and self.layer is not None:
            raise ValueError(f"site {self.name!r} belongs to no layer, but {self.layer} was given")
        if self.name in PER_LAYER and (self.layer is None or self.layer < 0):
            raise ValueError(
                f"site {self.name!r} needs a layer counted from 0, as in '{self.name}.0', not "
                f"{self.layer}"
            )

    def __str__(self) -> str:
        return self.name if self.layer is None else f"{self.name}.{self.layer}"

    @classmethod
    def parse(cls, text: str) -> "Site":
        """The inverse of ``str``. Raises ValueError."""
        name, dot, layer = text.partition(".")
        if dot and not layer.isdecimal():
            raise ValueError(f"{text!r} is not a site: {layer!r} is not a layer counted from 0")
        return cls(name, int(layer) if dot else None)

    @property
    def rank(self) -> tuple[int, int]:
        """Sites of one model sort by it into the order in which a forward pass computes them."""
        if self.layer is None:
            return (-1, 0) if self.name == "embed" else (sys.maxsize, 0)
        return (self.layer, PER_LAYER.index(self.name))


def all_sites(modules: ModuleMap) -> list[Site]:
    """Every site that can be hooked in this model as it is, in order of computation."""
    per_layer = (Site(name, layer) for layer in range(modules.n_layers) for name in PER_LAYER)
    inner = [site for site in per_layer if _obstacle(modules, site) is None]
    return [Site("embed"), *inner, Site("logits")]


def gated_sites(n_layers: int) -> Iterator[tuple[int, Site, Site]]:
    """Per layer (layer, its heads, its neurons): the components that masks are made of."""
    for layer in range(n_layers):
        yield layer, Site("head_out", layer), Site("mlp_act", layer)


def check_site(modules: ModuleMap, site: Site) -> None:
    """Raises ValueError, naming the site and the remedy, if the model does not offer it."""
    obstacle = _obstacle(modules, site)
    if obstacle:
        raise ValueError(f"{site}: {obstacle}")


def _obstacle(modules: ModuleMap, site: Site) -> str | None:
    if site.layer is not None and site.layer >= modules.n_layers:
        return f"the model's layers are 0 to {modules.n_layers - 1}"
    if site.name == "resid_mid" and modules.is_parallel:
        return (
            f"the blocks of this {modules.model_type} model are parallel, attention and MLP both "
            "read resid_pre, so nothing lies between them; use resid_pre or attn_out"
        )
    if site.name == "attn_pattern":
        return _pattern_obstacle(modules)
    return None


def _pattern_obstacle(modules: ModuleMap) -> str | None:
    if modules.attention_kind not in (EAGER, EAGER_WITH_FUNCTIONS):
        return (
            f"{modules.attention_kind!r} attention does not compute patterns; call "
            "model.set_attn_implementation('eager') first, or load with "
            "attn_implementation='eager'"
        )
    if modules.upcasts_patterns:
        return "patterns are not offered where config.reorder_and_upcast_attn is set"
    return None
