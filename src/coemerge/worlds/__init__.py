"""What is true.

Reading order: ``facts`` (Relation, Fact, World), ``names`` (invented words), ``synthetic``
(a world of any size from a seed), ``curated`` (real facts, written by hand), ``readers`` and
``public`` (public data sets), ``edit_cases`` (requests to change their facts), ``agreement`` (number
and gender agreement as minimal pairs).
"""
