"""Pure functions on arrays: ``intervals`` and the ``thresholds`` in use."""
