"""Is a fact one thing, asked and edited from its entity side and its relation side? (methods 4)

Follow a number: ``choosing`` says which facts are studied, ``from_prompts`` and ``from_records``
make a counterfactual of each (``cases``). ``tracing`` finds where an answer survives noise, and so
the token and layer to edit; ``editors`` edit, ``judging`` asks before and under every edit, and
``settings`` chooses on facts kept for it. ``transfer``, ``tracing_tables`` and ``shares`` make the
means; ``study`` runs all of it for one model, ``tables`` puts together what the report reads.
"""
