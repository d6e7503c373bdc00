"""What property-based tests share: the same examples every time, and documents gone wrong."""

import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# The same examples in every run: a failure is a finding, not bad luck.
often = settings(
    derandomize=True,
    database=None,
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
Place = tuple[str | int, ...]

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", " ", "[X]", "[Y]", "{}", "a\nb", "\0", "\ud800", "é" * 70, "1", "no"])
    | st.text(max_size=6)
)


def values(keys: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Any]:
    """Anything that JSON can hold."""
    keys = keys or st.text(max_size=6)
    return st.recursive(
        _scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=6,
    )


def places(document: Any) -> Iterator[Place]:
    """Where something stands in nested lists and mappings, the whole first."""
    yield ()
    inner = document.items() if isinstance(document, dict) else ()
    inner = enumerate(document) if isinstance(document, list) else inner
    for key, value in inner:
        yield from ((key, *rest) for rest in places(value))


@st.composite
def gone_wrong(draw: st.DrawFn, document: Any) -> Any:
    """A sound document of which one or two parts were left out or are something else."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        *above, last = draw(st.sampled_from(list(places(changed)))) or (None,)
        if last is None:
            return draw(values())
        holder = changed
        for key in above:
            holder = holder[key]
        if draw(st.booleans()):
            holder[last] = draw(values())
        elif isinstance(holder, dict) and draw(st.booleans()):
            holder[draw(st.text(max_size=4))] = holder.pop(last)
        else:
            del holder[last]
        if not isinstance(changed, (dict, list)):
            return changed
    return changed


def put(folder: Path, name: str, content: str | bytes) -> Path:
    """A file whose content replaces an earlier example's."""
    path = folder / f"{os.getpid()}-{name}"
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    path.write_bytes(raw)
    return path


def attempted(function: Callable[[], Any], file: Path) -> Any:
    """What it gives; None where it refuses, which has to name the file in one line of its own."""
    try:
        return function()
    except (ValueError, FileNotFoundError) as error:
        refusal = error
    assert type(refusal) in (ValueError, FileNotFoundError), f"told by a library: {refusal!r}"
    assert str(file) in str(refusal)
    assert "\n" not in str(refusal)
    return None
