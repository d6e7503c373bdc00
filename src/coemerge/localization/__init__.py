"""Where a model holds a fact for a task: trained masks over heads and neurons (methods 3.5).

Takes a plain torch model and a table of prompts; knows facts and tasks by their ids alone. Axes: J
masks, L layers, H query heads, m neurons of a layer, B rows of a batch, T tokens, V vocabulary.

Reading order: ``config`` (every weight, and two presets), ``prompts``, ``corruption`` and
``examples`` (what each mask is trained and evaluated on), ``relaxation`` and ``losses`` (gates that
gradients can move, and the terms they minimise), ``batches`` and ``activations`` (rows in forward
passes, and what those leave behind), ``objective`` (all terms of many masks, each batch row under
its own), ``stopping`` and ``masks`` (the training), ``trained`` (its result), ``chunks``
(``train_masks``: what fits memory, and is never trained twice); then ``answering``, ``controls``,
``metrics`` and ``effects`` (``evaluate_masks``: what masks do to held-out answers). ``selection``
chooses facts and phrasings before all that.

And which neurons an answer is due to (methods 2.9): ``attribution_config``, ``paths`` (the
integral along a path, of any function), ``last_position`` (a model as such a function),
``knowledge_neurons`` (``attribute``: all neurons of many prompts), ``neuron_sets``.

Which neurons and which attention a single query relies on (methods 5.4): ``first_tokens`` (the
probability of an answer meanwhile), ``suppression`` (neurons times a factor), ``synapses`` (columns
of attention, and those of an unrelated query).

And which states carry an answer past corrupted words (methods 2.8, 4.4): ``tracing_config``,
``tracing_prompts`` (spans and roles of tokens), ``tracing_noise``, ``restored_runs`` (runs that
compute only what a restored state can change; ``visibility`` has their masks), ``traced_batch``
(every state of some prompts), ``causal_tracing`` (``trace``), ``tracing_result`` (averages).
"""
