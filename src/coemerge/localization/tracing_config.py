"""Settings of causal tracing; free of heavy imports."""

from dataclasses import dataclass
from typing import TypeGuard

CORRUPTIONS = ("subject", "relation", "both", "neutral")
KINDS = ("resid", "mlp", "attn")
SEVERED = ("mlp", "attn")
SEVERED_POSITIONS = ("last_corrupted", "all")


@dataclass(frozen=True)
class TracingConfig:
    """What is corrupted, what is restored, and how much of it (methods 2.8, 4.4).

    corrupt: whose tokens get noise: ``subject``, ``relation``, ``both`` of them, or a ``neutral``
        span of the prompt, the control.
    kinds: what is restored. ``resid``: the residual after one layer; ``mlp``, ``attn``: outputs of
        a window of layers.
    severed: which outputs, each in a run of its own, are held at their corrupted values at the
        position where a residual is restored; none is allowed.
    severed_positions: where that is done: at the ``last_corrupted`` token alone, or at ``all``.
    noise_scale: standard deviations of the subjects' embeddings that make one of the noise.
    noise_std: the noise's standard deviation itself, instead; None: measured on the prompts.
    samples: corrupted copies of each prompt.
    window: layers restored together around each one, for ``mlp`` and ``attn``; None:
        ``window_share`` of the model's, one at least. Windows are cut at the first and last layer.
    min_total_effect: prompts whose answer loses no more than this are left out of averages.
    seed: of the noise, which depends on it and on the prompt's tokens alone.
    tokens_per_pass: tokens in one forward pass; None: what suits the device.
    """

    corrupt: str = "subject"
    kinds: tuple[str, ...] = KINDS
    severed: tuple[str, ...] = SEVERED
    severed_positions: str = "last_corrupted"
    noise_scale: float = 3.0
    noise_std: float | None = None
    samples: int = 10
    window: int | None = None
    window_share: float = 0.2
    min_total_effect: float = 0.05
    seed: int = 0
    tokens_per_pass: int | None = None

    def check(self, where: str = "tracing", n_layers: int | None = None) -> None:
        """Raises ValueError naming the key; ``n_layers``: of the model, where it is known."""
        _check_choice(where, "corrupt", [self.corrupt], CORRUPTIONS)
        _check_choice(where, "kinds", self.kinds, KINDS)
        _check_choice(where, "severed", self.severed, SEVERED)
        _check_choice(where, "severed_positions", [self.severed_positions], SEVERED_POSITIONS)
        if not self.kinds and not self.severed:
            raise ValueError(f"{where}.kinds: nothing is restored; name some of {KINDS}")
        for key in ("samples", "window", "tokens_per_pass"):
            value = getattr(self, key)
            if not (value is None and key != "samples") and not _is_positive_whole(value):
                raise ValueError(f"{where}.{key}: must be a positive whole number, got {value!r}")
        for key in ("noise_scale", "noise_std", "min_total_effect"):
            value = getattr(self, key)
            if value is not None and not (_is_number(value) and value >= 0):
                raise ValueError(f"{where}.{key}: must be 0 or more, got {value!r}")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"{where}.seed: must be a whole number from 0, got {self.seed!r}")
        if not (_is_number(self.window_share) and 0 < self.window_share <= 1):
            raise ValueError(
                f"{where}.window_share: a share of the layers, above 0 and at most 1, got "
                f"{self.window_share!r}"
            )
        if n_layers is not None and self.window is not None and self.window > n_layers:
            raise ValueError(
                f"{where}.window: {self.window} layers, but the model has {n_layers}; leave it "
                f"null for {self.window_share:g} of them"
            )

    def window_in(self, n_layers: int) -> int:
        """Layers of a window that is not cut."""
        return self.window or max(1, round(self.window_share * n_layers))

    def window_around(self, layer: int, n_layers: int) -> tuple[int, int]:
        """First layer of the window around ``layer``, and the one after its last; centred as in
        the public code, an even window reaching further down than up.

        Raises ValueError for a layer that the model does not have.
        """
        if not 0 <= layer < n_layers:
            raise ValueError(f"layer {layer}: the model's layers are 0 to {n_layers - 1}")
        size = self.window_in(n_layers)
        return max(0, layer - size // 2), min(n_layers, layer + (size + 1) // 2)


def _check_choice(where: str, key: str, values: object, allowed: tuple[str, ...]) -> None:
    if isinstance(values, str) or not isinstance(values, list | tuple):
        raise ValueError(f"{where}.{key}: must be a list of some of {allowed}, got {values!r}")
    for value in values:
        if value not in allowed:
            raise ValueError(f"{where}.{key}: {value!r} is not one of {allowed}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
