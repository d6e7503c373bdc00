"""Pictures from tables alone; never imports torch. Reading order: ``style``, then
one file per picture and table: ``emergence``, ``dose``, ``forgetting``, ``old_facts``."""
