"""Settings of trained masks, and two presets of them; free of heavy imports."""

from dataclasses import dataclass, fields, replace
from typing import Any

PRESETS = ("small", "published")
_CHOICES: dict[str, tuple[str, ...]] = {
    "gate": ("straight_through", "hard_concrete"),
    "necessity": ("kl_to_uniform", "nll_of_rest"),
    "specificity": ("kl", "nll"),
    "reference": ("zero", "mean", "corrupted"),
    "positions": ("all", "subject", "last"),
    "corruption": ("swap", "placeholder"),
    "precision": ("float32", "bfloat16"),
}
_POSITIVE = (
    "steps",
    "lr",
    "temperature",
    "logit_bound",
    "rows_nec",
    "rows_suf",
    "rows_facts",
    "rows_tasks",
    "control_facts",
    "control_prompts",
    "stop_every",
)
_NOT_NEGATIVE = (
    "initial_noise",
    "average_steps",
    "lambda_nec",
    "lambda_suf",
    "lambda_spec_facts",
    "lambda_spec_tasks",
    "lambda_spar",
    "w_heads",
    "w_neurons",
    "attribution_batches",
    "attribution_units",
)
_FRACTIONS = ("lr_final", "sparsity_ramp")


@dataclass
class MaskConfig:
    """How the masks of (fact, task) pairs are trained (methods 3.5).

    Relaxation:
        gate: ``straight_through`` rounds a sigmoid and passes gradients as if it had not;
            ``hard_concrete`` samples, with ``temperature`` and ``stretch_low``, ``stretch_high``.
        initial_logit, initial_noise: mean and standard deviation of the logits at the start.
        average_steps: a mask is read off a moving average of its logits over about so many steps,
            since units whose gates hover about the threshold open and close from step to step; 1
            or 0: off the last ones.
        logit_bound: logits stay in [-logit_bound, logit_bound].
    Optimisation:
        steps, lr: of Adam, one step of all masks at once; ``lr_final`` is the share of ``lr`` that
            it has fallen to at the end, in a straight line.
        rows_nec, rows_suf, rows_facts, rows_tasks: prompts per mask and step of each kind.
        attribution_batches: steps over which gradients at closed gates are averaged before the
            start (0: none); the ``attribution_units`` components of each mask, in multiples of
            heads per layer or a share of neurons, with the steepest descent start open.
    Objective:
        necessity: ``kl_to_uniform`` over the candidates, or ``nll_of_rest``, -log(1 - p) with p
            normalised by chance. ``specificity``: ``kl`` to the clean output, or ``nll`` of the
            answer.
        lambda_*: weights of the terms; lambda_spar grows from 0 during the first
            ``sparsity_ramp`` of the steps. w_heads, w_neurons: within sparsity.
    Interventions:
        reference: what ablated components become. positions: where gates act.
        corruption: of the subject, ``swap`` with another one or ``placeholder`` tokens.
    Which masks, when:
        exclusive: components of earlier tasks of a fact (random order) are forbidden.
        control_facts, control_prompts: other facts of the relation in the pool, and distinct
            control prompts per mask and kind.
        early_stop: whether a mask ends once its averaged losses are below ``stop_nec``,
            ``stop_suf`` and ``stop_spec`` and its size has settled (see ``stopping``), looked at
            every ``stop_every`` steps.
        facts_per_chunk: facts whose masks are trained together; None: what fits memory and cache.
        precision: of passes in training; masks are evaluated in float32 in any case.
        seed: of orders, prompts and noise.
    """

    gate: str = "straight_through"
    steps: int = 150
    lr: float = 0.2
    lr_final: float = 0.1
    initial_logit: float = -1.0
    initial_noise: float = 0.0
    average_steps: int = 20
    logit_bound: float = 6.0
    temperature: float = 2 / 3
    stretch_low: float = -0.1
    stretch_high: float = 1.1
    rows_nec: int = 3
    rows_suf: int = 2
    rows_facts: int = 5
    rows_tasks: int = 3
    attribution_batches: int = 0
    attribution_units: float = 0.02
    necessity: str = "nll_of_rest"
    specificity: str = "nll"
    lambda_nec: float = 5.0
    lambda_suf: float = 2.0
    lambda_spec_facts: float = 4.5
    lambda_spec_tasks: float = 1.6
    lambda_spar: float = 30.0
    sparsity_ramp: float = 0.0
    w_heads: float = 1.5
    w_neurons: float = 1.0
    reference: str = "mean"
    positions: str = "all"
    corruption: str = "swap"
    exclusive: bool = True
    control_facts: int = 32
    control_prompts: int = 64
    early_stop: bool = False
    stop_every: int = 10
    stop_nec: float = 0.2
    stop_suf: float = 0.5
    stop_spec: float = 0.1
    facts_per_chunk: int | None = None
    precision: str = "bfloat16"
    seed: int = 0

    def check(self, prefix: str = "masks") -> None:
        """Raises ValueError naming the key."""
        self._check_types(prefix)
        for key, allowed in _CHOICES.items():
            if getattr(self, key) not in allowed:
                raise ValueError(f"{prefix}.{key}: {getattr(self, key)!r} is not one of {allowed}")
        for key in _POSITIVE:
            if not getattr(self, key) > 0:
                raise ValueError(f"{prefix}.{key}: must be positive, got {getattr(self, key)}")
        for key in _NOT_NEGATIVE:
            if getattr(self, key) < 0:
                raise ValueError(f"{prefix}.{key}: must not be negative, got {getattr(self, key)}")
        for key in _FRACTIONS:
            if not 0 <= getattr(self, key) <= 1:
                raise ValueError(f"{prefix}.{key}: must be in [0, 1], got {getattr(self, key)}")
        if not self.stretch_low < 0 < 1 < self.stretch_high:
            raise ValueError(
                f"{prefix}.stretch_low, {prefix}.stretch_high: must enclose [0, 1], got "
                f"{self.stretch_low} and {self.stretch_high}"
            )
        if self.facts_per_chunk is not None and self.facts_per_chunk < 1:
            raise ValueError(
                f"{prefix}.facts_per_chunk: must be positive or null, got {self.facts_per_chunk}"
            )

    def _check_types(self, prefix: str) -> None:
        """A whole number where the default is one, a number, a word, yes or no likewise."""
        for spec in fields(self):
            value, usual = getattr(self, spec.name), spec.default
            kind: Any = int if usual is None else type(usual)
            fits = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
            if kind is float:
                fits = isinstance(value, int | float) and not isinstance(value, bool)
            if not fits and not (usual is None and value is None):
                words = {bool: "true or false", int: "a whole number", float: "a number"}
                raise ValueError(
                    f"{prefix}.{spec.name}: must be {words.get(kind, 'a word')}, got {value!r}"
                )


_PUBLISHED: dict[str, Any] = {
    "gate": "hard_concrete",
    "steps": 500,
    "lr": 0.05,
    "lr_final": 1.0,
    "initial_logit": -2.0,
    "initial_noise": 0.01,
    "average_steps": 0,
    "attribution_batches": 0,
    "necessity": "kl_to_uniform",
    "specificity": "kl",
    "lambda_nec": 1.0,
    "lambda_suf": 1.0,
    "lambda_spec_facts": 0.5,
    "lambda_spec_tasks": 0.5,
    "lambda_spar": 1.0,
    "sparsity_ramp": 0.5,
    "w_heads": 1.0,
    "reference": "zero",
    "corruption": "placeholder",
    "early_stop": False,
    "precision": "float32",
}


def preset(name: str = "small", **changes: Any) -> MaskConfig:
    """``small``: what works on models of some million parameters; ``published``: methods 10.

    Raises ValueError for another name, TypeError for a change that is no field.
    """
    if name not in PRESETS:
        raise ValueError(f"masks.preset: {name!r} is not one of {PRESETS}")
    fixed = _PUBLISHED if name == "published" else {}
    return replace(MaskConfig(**fixed), **changes)
