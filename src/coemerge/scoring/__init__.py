"""What a model answers.

Reading order: ``forward`` (answer probabilities from batched forward passes), ``probe`` (which
prompts to ask), ``metrics`` (torchmetrics sums over them), ``acquisition`` (tables and emergence),
``generation`` (what it says by itself), ``minimal_pairs`` (which of two words it finds likelier).
Takes a plain torch model: a live one, a checkpoint's or a hub model.
"""
