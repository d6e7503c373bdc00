"""``intervene``: the single mechanism by which activations are read and changed.

Hooks are global state of a model: whatever is put on here is taken off exactly when the block ends,
however it ends.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.placement import Function, attach
from coemerge.interventions.sites import Site, check_site

SiteFunctions = Mapping[Site, Function | Sequence[Function]]


@contextmanager
def intervene(model: nn.Module, functions: SiteFunctions) -> Iterator[dict[Site, int]]:
    """Every forward pass inside the block passes each site through its function, or functions.

    A function is pure, ``tensor -> tensor`` of the same shape and type; gradients flow through it.
    Functions of one site are applied in order, and those of an outer block before those of an
    inner one. Yields how often each site has fired so far; with cached keys and values each chunk
    of tokens counts, and T is the length of the chunk.

    Raises ValueError for a site that the model does not offer, and from the forward pass, naming
    the site, for a function that returns something else or changes its input in place;
    RuntimeError at the end of the block if a site did not fire.
    """
    modules = ModuleMap(model)
    for site in functions:
        check_site(modules, site)
    counts = dict.fromkeys(functions, 0)
    with ExitStack() as hooks:
        for site in sorted(functions, key=lambda site: site.rank):
            given = functions[site]
            chain = [given] if callable(given) else list(given)
            hooks.callback(attach(modules, site, _checked(site, chain, counts)))
        yield counts
    silent = [str(site) for site, count in counts.items() if not count]
    if silent:  # not reached when the block raised: its exception is the one to see
        raise RuntimeError(
            f"never fired, so nothing was read or changed there: {', '.join(silent)}"
        )


def _checked(site: Site, chain: Sequence[Function], counts: dict[Site, int]) -> Function:
    def apply(x: Tensor) -> Tensor:
        counts[site] += 1
        for function in chain:
            x = _call(site, function, x)
        return x

    return apply


def _call(site: Site, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    version = _version(x)
    try:
        new = function(x)
    except ValueError as error:
        raise ValueError(f"{site}: {error}") from error
    if not isinstance(new, Tensor):
        raise ValueError(f"{site}: the function returned {type(new).__name__}, not a tensor")
    if _version(x) != version:
        raise ValueError(f"{site}: the function changed its input in place; return a new tensor")
    if (new.shape, new.dtype) != (x.shape, x.dtype):
        raise ValueError(
            f"{site}: the function returned {_kind(new)} for {_kind(x)}; shape and type must stay"
        )
    return new


def _version(x: Tensor) -> int:
    """Counts writes to the tensor; inference mode does not count."""
    return 0 if x.is_inference() else x._version


def _kind(x: Tensor) -> str:
    return f"{list(x.shape)} {str(x.dtype).removeprefix('torch.')}"
