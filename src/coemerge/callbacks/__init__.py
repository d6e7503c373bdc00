"""What happens while a model trains; each is optional and changes nothing about the training.

Reading order: ``context`` (what a callback may use), ``schedule`` (at which steps), ``base`` (when
a scheduled callback fires), then one file per callback: ``training_log``, ``exposure``,
``acquisition``, ``checkpoints``, ``resume``, ``progress``.
"""
