"""Pictures, tables as text, and the page; from tables alone, never importing torch.

Reading order: ``style``, then what closes a run: ``emergence``, ``dose``, ``forgetting``,
``old_facts``; then the page: ``published`` (what the papers report), ``results`` (what lies in a
directory), ``verdict`` (what came out, in words) with ``findings`` and ``findings_masks``,
``findings_queries``, ``findings_query_effects``, ``findings_sides``, ``findings_tracing``,
``findings_neurons``, ``findings_neuron_changes`` and ``findings_implications``, ``side_by_side``,
``comparison`` (of runs), ``answers``; what is drawn: ``picture``, ``plotting``, ``bars``,
``dumbbells``, ``violins``, ``heat_map``, then a list of pictures per study, each with its
``figure_*`` files: ``figures_co_emergence``;
``figures_localization`` and its section ``localization`` (rows chosen in ``mask_rows``);
``chain_of_thought``; ``figures_query_localization`` and its section ``query_localization`` (rows
chosen in ``query_rows``) with ``edit_tables``; ``figures_entity_relation`` and its section
``entity_relation`` (rows chosen in ``side_rows``) with ``side_tables`` and ``side_folds``;
``figures_knowledge_neurons`` and its section ``knowledge_neurons`` (rows chosen in ``neuron_rows``)
with ``neuron_tables`` and ``rewrite_tables``; at last ``markup``, ``page``.
"""
