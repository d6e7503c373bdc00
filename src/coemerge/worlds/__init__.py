"""What is true.

Reading order: ``facts`` (Relation, Fact, World), ``edit_cases`` (requests to change facts),
``names`` (invented words), ``synthetic`` (a world of any size from a seed), ``curated`` (real
facts, written by hand), ``readers`` and ``public`` (public data sets), ``agreement`` (minimal
pairs, and a small grammar), ``grammar_file``, ``grammar`` and ``grammar_sentences`` (a grammar as
data).
"""
