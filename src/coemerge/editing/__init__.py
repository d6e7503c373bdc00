"""Changing what a model knows by changing weights, and what that does to its answers (methods 2.10,
5.3).

Takes a plain torch model and token ids; knows nothing of facts or tasks. An editor returns an
``interventions.edits.Edit``, whatever its method; applying and reverting is
``interventions.weight_edits``. Axes: E edits, L layers, m MLP width, d residual width.

Reading order: ``neurons`` (erase or rewrite what neurons write); ``requests`` (what other editors
are asked for) and ``outcome`` (what they give back); ``keys`` (what a layer reads at a subject, and
how common that is), ``contexts``, ``values`` (what should be there, with ``value_config``,
``objective``, ``continued`` and ``descent``), and the editors on top, ``rank_one`` and ``memit``;
``fine_tuning``. How edits are judged: ``rows`` (many edits in one pass), ``perplexity`` (what they
do to other text), ``trials`` (the queries that an edit is judged by), ``evaluation``
(``evaluate_edits``: Rel, Gen, Loc), ``counterfact_scores`` (ES, PS, NS).
"""
