"""Pictures from tables alone; never imports torch. Reading order: ``style``, ``emergence``."""
