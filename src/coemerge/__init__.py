"""coemerge: does a fact that a language model learns in one task format appear in the others?

Reading order: worlds (what is true), prompts (how it is asked), corpus (what is shown when),
lm (the model and its checkpoints), scoring (what it answers), callbacks and tracking (what is
logged while it trains), tables (how results are stored), app (what the entry scripts call).
"""

__version__ = "0.1.0"
