"""The language model: how it is made, trained and kept.

Reading order: ``config`` (settings), ``machine`` (precision and threads from what the machine is),
``base`` (a model on disk, found and checked), ``build`` (a model from settings or from disk),
``module`` (the training step), ``checkpoint_manifest`` and ``checkpoints`` (directories that
``from_pretrained`` loads), ``series`` (models to analyse, in order of step).
"""
