"""One question per folder, answered from checkpoints and tables.

``shared`` (a run's scores as arrays), ``co_emergence`` (do facts emerge across tasks?).
"""
