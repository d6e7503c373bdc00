"""Do knowledge neurons belong to a fact, or to the way it is asked for? (methods 5)

Follow a number: ``queries`` chooses what is asked, ``attributions`` finds neurons, ``consistency``
compares those of a fact's queries and splits facts into classes; ``mapping``, ``synapses`` and
``edits`` intervene; ``tables`` puts together what the report reads.
"""
