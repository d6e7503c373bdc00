"""What studies share: ``scored``, a run's scores as arrays, completed from its checkpoints."""
