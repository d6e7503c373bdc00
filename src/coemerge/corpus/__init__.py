"""What is shown when.

Reading order: ``arms`` (which fact may be shown in which format), ``patterns`` (the few distinct
ways that follow), ``plan`` (how often and when), ``background`` (text without facts), ``documents``
(the stream of texts in training order), ``tokenizer``, ``packing`` (documents into rows), ``store``
(rows on disk), ``cooccurrence`` (words of a grammar shown together), ``records`` (tables),
``builder`` (all of it as streams), ``dataset`` (a directory, built or opened), ``ledger`` (what was
really shown), ``loader`` (batches, resumable).
"""
