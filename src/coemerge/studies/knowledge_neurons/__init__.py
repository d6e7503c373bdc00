"""What knowledge neurons have to do with knowledge: syntax beside facts, and what edits imply
(methods 6).

Reading order: ``config``, ``subject`` (what is asked), ``pools`` (all prompts of a class) and
``groups`` (those that neurons are looked for in), ``neurons`` (their sets), ``effects``, ``shifts``
and ``surface`` (what the sets do), ``tracing`` and ``rewriting`` (the same tools on syntax),
``implications`` (what edits of facts imply), ``study``, ``tables``, ``summary``.
"""
