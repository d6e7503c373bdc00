"""Reading and changing activations: the only code that touches a module's inside (methods 2.6-2.8).

Knows tensors and sites, not facts. The model is hooked as it was trained, its weights untouched;
``weight_edits`` alone writes them, and puts them back.
Axes: B batch, T tokens, L layers, H query heads, d_h head width, d residual width, m MLP width,
V vocabulary, J masks.

Reading order: ``architecture`` (where things lie in each architecture, the table to extend),
``sites`` (the names of activations), ``hooks`` (``intervene``, the one mechanism), ``placement``
and ``attention`` (how a function gets to its site), ``capture`` (reading, and means over a
reference set), ``positions`` and ``blend`` (one gate: ablate, patch, freeze), ``gates`` (all gates
of a model at once, a mask per batch row), ``scaling`` (neurons and attention times a factor),
``edits`` and ``weight_edits`` (other weights for a while, or an edit per batch row; ``row_blocks``
groups the rows), ``guard`` (a model is left as it was found), ``speed`` (faster kernels for a
while), ``late_start`` (passes that leave out the layers below one).
"""
