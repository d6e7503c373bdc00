"""A function at an attention pattern: the one site inside an attention module, out of hooks' reach.

A forward hook on the module would see the pattern only after it has been used, so changing it there
would silently have no effect. transformers lets a model choose its attention function by name; the
one registered here calls the architecture's own eager function, passes the pattern through the
site's functions, and mixes the values with what they return.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

EAGER = "eager"
EAGER_WITH_FUNCTIONS = "eager_with_pattern_functions"
_FUNCTIONS = "pattern_functions"  # attribute of an attention module while functions are on it


@contextmanager
def eager_attention(model: Any) -> Iterator[None]:
    """Patterns are computed, and so can be read and changed, until the block ends, however it ends;
    other kinds of attention do not compute them."""
    before = model.config._attn_implementation
    if before in (EAGER, EAGER_WITH_FUNCTIONS):
        yield
        return
    model.set_attn_implementation(EAGER)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def attach_to_pattern(
    model: Any, attention: nn.Module, function: Callable[[Tensor], Tensor]
) -> Callable[[], None]:
    """Applies ``function`` [B,H,T,S] -> [B,H,T,S] to the pattern; returns what undoes it.

    The pattern is after dropout, when in train mode. Rows that no longer sum to 1 are used as they
    are.
    """
    model.set_attn_implementation(EAGER_WITH_FUNCTIONS)
    functions: list[Callable[[Tensor], Tensor]] = attention.__dict__.setdefault(_FUNCTIONS, [])
    functions.append(function)

    def detach() -> None:
        functions.remove(function)
        if not functions:
            attention.__dict__.pop(_FUNCTIONS, None)
        if not any(_FUNCTIONS in module.__dict__ for module in model.modules()):
            model.set_attn_implementation(EAGER)

    return detach


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, Tensor]:
    """(mixture [B,T,H,d_h], pattern [B,H,T,S]), as transformers' attention functions return."""
    own = sys.modules[type(module).__module__].eager_attention_forward
    mixture, pattern = own(module, query, key, value, mask, **kwargs)
    changed = pattern
    for function in module.__dict__.get(_FUNCTIONS, []):
        changed = function(changed)
    if changed is pattern:
        return mixture, pattern
    n_sharing = changed.shape[1] // value.shape[1]  # query heads per key/value head
    mixture = changed @ value.repeat_interleave(n_sharing, dim=1)
    return mixture.transpose(1, 2).contiguous(), changed


AttentionInterface.register(EAGER_WITH_FUNCTIONS, _attend)
AttentionMaskInterface.register(EAGER_WITH_FUNCTIONS, eager_mask)
