"""One question per folder, answered from checkpoints and tables.

``shared`` (scores of a series of models, as arrays), ``co_emergence`` (do facts emerge
across tasks?).
"""
