"""How a function gets to its site: a plain forward hook or pre-hook on the module that shows it.

Layers return a tensor, attention modules a tuple, the model an output object: unwrapped here only.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers.utils import ModelOutput

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.attention import attach_to_pattern
from coemerge.interventions.sites import Site

Function = Callable[[Tensor], Tensor]
Projection = Callable[[Function, Tensor], Tensor]
Detach = Callable[[], None]


def attach(modules: ModuleMap, site: Site, function: Function) -> Detach:
    """Applies ``function`` at the site in every forward pass until the result is called."""
    layer = site.layer or 0
    match site.name:
        case "embed" | "resid_pre":
            return _on_input(modules.layer(layer), function)
        case "attn_pattern":
            return attach_to_pattern(modules.model, modules.attention(layer), function)
        case "head_out":
            return _on_input(modules.output_projection(layer), _per_head(modules, function))
        case "attn_out":
            return _on_output(modules.attn_out(layer), function)
        case "resid_mid":
            return _on_resid_mid(modules, layer, function)
        case "mlp_act":
            return _on_input(modules.down_projection(layer), function)
        case "mlp_out":
            return _on_output(modules.mlp_out(layer), function)
        case "resid_post":
            return _on_output(modules.layer(layer), function)
        case "logits":
            return _on_logits(modules.model, function)
    raise AssertionError(f"site {site} has no place")


def attach_to_projection(modules: ModuleMap, layer: int, projection: Projection) -> Detach:
    """Computes a down-projection as ``projection(project, x)`` instead of ``project(x)``, x
    [B,T,m], until the result is called; nested ones are undone in reverse order.

    It lies inside all hooks: as if the module had other weights, x is what every function at
    ``mlp_act`` has left, whenever it was attached, and ``mlp_out`` is what came of it.
    """
    module: Any = modules.down_projection(layer)
    project, before = module.forward, module.__dict__.get("forward")
    module.forward = lambda x: projection(project, x)

    def detach() -> None:
        del module.forward
        if before is not None:
            module.forward = before

    return detach


def _on_input(module: nn.Module, function: Function) -> Detach:
    def hook(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return function(args[0]), *args[1:]

    return module.register_forward_pre_hook(hook).remove


def _on_output(module: nn.Module, function: Function) -> Detach:
    def hook(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
        return _with_tensor(output, function(_tensor_of(output)))

    return module.register_forward_hook(hook).remove


def _on_logits(model: nn.Module, function: Function) -> Detach:
    def hook(_model: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
        if not isinstance(output, ModelOutput):
            raise ValueError("logits are found by name: call the model with return_dict=True")
        return type(output)(**{**output, "logits": function(output["logits"])})

    return model.register_forward_hook(hook).remove


def _per_head(modules: ModuleMap, function: Function) -> Function:
    """[B,T,H*d_h] -> [B,T,H*d_h] from [B,T,H,d_h] -> [B,T,H,d_h]."""
    shape = (modules.n_heads, modules.d_head)
    return lambda mixture: function(mixture.unflatten(-1, shape)).flatten(-2)


def _on_resid_mid(modules: ModuleMap, layer: int, function: Function) -> Detach:
    """The residual goes two ways from here: into the MLP and past it.

    The MLP receives the new value through its entry; the way past is inside the layer's forward,
    out of reach, so the layer's output receives the difference. Untouched entries have difference
    zero and stay bitwise what they were; changed ones agree up to rounding. The hook on the output
    goes before all others there, so that ``resid_post`` shows the sum in nested contexts too.
    """
    changes: list[Tensor] = []

    def change_entry(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        new = function(args[0])
        changes[:] = [] if new is args[0] else [new - args[0]]
        return new, *args[1:]

    def change_way_past(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
        if not changes:
            return output
        return _with_tensor(output, _tensor_of(output) + changes.pop())

    entry = modules.mlp_entry(layer).register_forward_pre_hook(change_entry)
    way_past = modules.layer(layer).register_forward_hook(change_way_past, prepend=True)

    def detach() -> None:
        entry.remove()
        way_past.remove()

    return detach


def _tensor_of(output: Any) -> Tensor:
    """The activation in a module's output; indexing a tensor by 0 would take a batch row."""
    return output[0] if isinstance(output, tuple) else output


def _with_tensor(output: Any, new: Tensor) -> Any:
    """The same output with another activation in it; the original is not changed."""
    return (new, *output[1:]) if isinstance(output, tuple) else new
