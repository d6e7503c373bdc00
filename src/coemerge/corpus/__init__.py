"""What is shown when.

Reading order: ``arms`` (which fact may be shown in which format), ``plan`` (how often and when),
``background`` (text without facts), ``documents`` (the stream of texts in training order),
``tokenizer``, ``packing`` (documents into rows), ``store`` (rows on disk), ``dataset`` (builds all
of it), ``ledger`` (what was really shown), ``loader`` (batches, resumable).
"""
