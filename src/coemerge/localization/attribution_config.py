"""Settings of neuron attribution; free of heavy imports."""

from dataclasses import dataclass

METHODS = ("joint", "single", "gradient")
GRIDS = ("midpoint", "right", "ends", "gauss")


@dataclass(frozen=True)
class AttributionConfig:
    """How neurons are credited with an answer (methods 2.9).

    method: ``joint`` integrates the gradient while all neurons of a layer grow together from 0 to
        their activation; ``single`` is the loss of probability when a neuron alone is set to 0;
        ``gradient`` takes the gradient at the activation, without a path.
    steps: points of the path; only ``joint`` has one.
    grid: where they lie. ``midpoint``: in the middle of equal parts of [0,1]. ``right``: at their
        right ends, which is biased. ``ends``: evenly from 0 to 1, both included, each with weight
        1/steps, as in public code. ``gauss``: the Gauss-Legendre points and weights.
    rows_per_chunk: tokens in one forward pass; None: what suits the model and its device.
    """

    method: str = "joint"
    steps: int = 20
    grid: str = "midpoint"
    rows_per_chunk: int | None = None

    def check(self, where: str = "attribution") -> None:
        """Raises ValueError naming the key."""
        for key, allowed in (("method", METHODS), ("grid", GRIDS)):
            if getattr(self, key) not in allowed:
                raise ValueError(f"{where}.{key}: {getattr(self, key)!r} is not one of {allowed}")
        least = 2 if self.grid == "ends" else 1
        if not _is_whole(self.steps) or self.steps < least:
            raise ValueError(
                f"{where}.steps: must be a whole number of at least {least} with grid "
                f"{self.grid!r}, got {self.steps!r}"
            )
        rows = self.rows_per_chunk
        if rows is not None and (not _is_whole(rows) or rows < 1):
            raise ValueError(
                f"{where}.rows_per_chunk: must be a positive whole number or null, got {rows!r}"
            )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
