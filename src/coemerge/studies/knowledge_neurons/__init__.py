"""What knowledge neurons have to do with knowledge: syntax beside facts, and what edits imply
(methods 6).

Reading order: ``config``, ``subject`` (what is asked), ``groups`` (which prompts belong together),
``neurons`` (their sets), ``effects``, ``shifts`` and ``surface`` (what the sets do), ``tracing`` and
``rewriting`` (the same tools on syntax), ``implications`` (what edits of facts imply), ``study``,
``tables``, ``summary``.
"""
