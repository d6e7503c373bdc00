"""What happens while a model trains; each is optional and changes nothing about the training.

Reading order: ``context`` (what a callback may use), ``schedule`` (at which steps), ``base`` (when
a scheduled callback fires), ``probing`` (what those that ask questions share), then one file per
callback: ``training_log``, ``exposure``, ``acquisition``, ``old_facts``, ``injections``,
``checkpoints``, ``localization`` (and ``localizing``, what it asks and measures), ``resume``,
``progress``; ``clock`` (what each of them costs).
"""
