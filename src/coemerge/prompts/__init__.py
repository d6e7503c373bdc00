"""How it is asked.

Reading order: ``tasks`` (the formats), ``templates`` (paraphrases as data), ``options`` (answer
choices), ``render`` (text of a question and its answer), ``encoding`` (token ids and spans),
``build`` (the table of prompts to score), ``pairs`` (prompts of it with another object),
``edit_prompts`` (requests of a data set of edits), ``minimal_pairs`` (pairs of sentences).
"""
