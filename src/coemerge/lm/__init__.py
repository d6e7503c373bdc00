"""The language model: how it is made, trained and kept.

Reading order: ``config`` (settings), ``machine`` (precision and threads from what the machine is),
``build`` (a model from settings), ``module`` (the training step), ``checkpoints`` (directories that
``from_pretrained`` loads).
"""
