"""Where the parts of a model lie, by ``config.model_type``: one table, one entry per architecture.

A new architecture is an entry in ``LAYOUTS``; the tests of this package, run on it, are its
contract.
"""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Layout:
    """Module paths: the first four from the causal LM, the others from one of its layers.

    ``attn_out`` and ``mlp_out`` are the modules whose output is what the residual receives: the
    post-norm where there is one, a dropout or the block itself elsewhere. A pre-norm of None says
    that the block reads the residual as it is.
    """

    embedding: str
    layers: str
    final_norm: str
    unembedding: str
    attention: str
    output_projection: str
    mlp: str
    down_projection: str
    attn_pre_norm: str | None
    mlp_pre_norm: str | None
    attn_out: str
    mlp_out: str


_LLAMA = Layout(
    embedding="model.embed_tokens",
    layers="model.layers",
    final_norm="model.norm",
    unembedding="lm_head",
    attention="self_attn",
    output_projection="self_attn.o_proj",
    mlp="mlp",
    down_projection="mlp.down_proj",
    attn_pre_norm="input_layernorm",
    mlp_pre_norm="post_attention_layernorm",
    attn_out="self_attn",
    mlp_out="mlp",
)
_OLMO = replace(  # no pre-norms: the norms follow attention and MLP
    _LLAMA,
    attn_pre_norm=None,
    mlp_pre_norm=None,
    attn_out="post_attention_layernorm",
    mlp_out="post_feedforward_layernorm",
)
LAYOUTS: dict[str, Layout] = {
    "gpt2": Layout(
        embedding="transformer.wte",
        layers="transformer.h",
        final_norm="transformer.ln_f",
        unembedding="lm_head",
        attention="attn",
        output_projection="attn.c_proj",
        mlp="mlp",
        down_projection="mlp.c_proj",
        attn_pre_norm="ln_1",
        mlp_pre_norm="ln_2",
        attn_out="attn",
        mlp_out="mlp",
    ),
    "gpt_neox": Layout(
        embedding="gpt_neox.embed_in",
        layers="gpt_neox.layers",
        final_norm="gpt_neox.final_layer_norm",
        unembedding="lm_head",
        attention="attention",
        output_projection="attention.dense",
        mlp="mlp",
        down_projection="mlp.dense_4h_to_h",
        attn_pre_norm="input_layernorm",
        mlp_pre_norm="post_attention_layernorm",
        attn_out="post_attention_dropout",
        mlp_out="post_mlp_dropout",
    ),
    "llama": _LLAMA,
    "qwen3": _LLAMA,
    "olmo2": _OLMO,
    "olmo3": _OLMO,
    "gemma2": replace(  # norms before and after
        _LLAMA,
        mlp_pre_norm="pre_feedforward_layernorm",
        attn_out="post_attention_layernorm",
        mlp_out="post_feedforward_layernorm",
    ),
}


class ModuleMap:
    """The modules and sizes of one model; sizes are read from its weights, never from a formula.

    ``n_heads`` counts query heads, also where heads share keys and values. ``is_parallel``:
    attention and MLP both read ``resid_pre``.

    Raises ValueError for an architecture that is not in ``LAYOUTS`` or a model that does not
    follow its layout.
    """

    def __init__(self, model: nn.Module) -> None:
        config: Any = getattr(model, "config", None)
        self.model = model
        self.model_type = str(getattr(config, "model_type", type(model).__name__))
        if self.model_type not in LAYOUTS:
            raise ValueError(
                f"interventions do not know the architecture {self.model_type!r}, only "
                f"{', '.join(sorted(LAYOUTS))}: add it to LAYOUTS in {__name__}"
            )
        self.layout = LAYOUTS[self.model_type]
        self.layers = self._find(model, self.layout.layers)
        self.n_layers = len(self.layers)
        self.n_heads: int = config.num_attention_heads
        self.is_parallel: bool = getattr(config, "use_parallel_residual", False)
        self.upcasts_patterns: bool = getattr(config, "reorder_and_upcast_attn", False)
        mixture_width, self.d_model = projection_matrix(self.output_projection(0)).shape
        self.d_head, rest = divmod(mixture_width, self.n_heads)
        if rest:
            raise ValueError(
                f"the output projection reads {mixture_width} values, which {self.n_heads} heads "
                "cannot share evenly"
            )
        self.d_mlp = projection_matrix(self.down_projection(0)).shape[0]

    @property
    def attention_kind(self) -> str:
        """The name of the attention function in use: eager, sdpa, ..."""
        return str(self.model.config._attn_implementation)  # type: ignore[union-attr]

    @property
    def embedding(self) -> nn.Module:
        return self._find(self.model, self.layout.embedding)

    @property
    def final_norm(self) -> nn.Module:
        return self._find(self.model, self.layout.final_norm)

    @property
    def unembedding(self) -> nn.Module:
        return self._find(self.model, self.layout.unembedding)

    def layer(self, layer: int) -> nn.Module:
        return self.layers[layer]

    def attention(self, layer: int) -> nn.Module:
        return self._find(self.layer(layer), self.layout.attention)

    def output_projection(self, layer: int) -> nn.Module:
        return self._find(self.layer(layer), self.layout.output_projection)

    def mlp(self, layer: int) -> nn.Module:
        return self._find(self.layer(layer), self.layout.mlp)

    def down_projection(self, layer: int) -> nn.Module:
        return self._find(self.layer(layer), self.layout.down_projection)

    def attn_out(self, layer: int) -> nn.Module:
        """The module whose output attention adds to the residual, any post-norm included."""
        return self._find(self.layer(layer), self.layout.attn_out)

    def mlp_out(self, layer: int) -> nn.Module:
        """The module whose output the MLP adds to the residual, any post-norm included."""
        return self._find(self.layer(layer), self.layout.mlp_out)

    def mlp_entry(self, layer: int) -> nn.Module:
        """The first module on the residual's way into the MLP: its pre-norm, or the MLP itself."""
        return self._find(self.layer(layer), self.layout.mlp_pre_norm or self.layout.mlp)

    def _find(self, root: nn.Module, path: str) -> Any:
        try:
            return root.get_submodule(path)
        except AttributeError as error:
            raise ValueError(
                f"{type(root).__name__} has no {path!r}, where a causal LM of type "
                f"{self.model_type!r} has it: {error}"
            ) from error


def projection_matrix(module: nn.Module) -> Tensor:
    """The weight of a linear map as [inputs, outputs]: ``x @ W`` for nn.Linear and GPT-2's Conv1D.

    A view of the parameter, not a copy.
    """
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight.T if isinstance(module, nn.Linear) else weight
