"""Pictures, tables as text, and the page; from tables alone, never importing torch.

Reading order: ``style``, then what closes a run: ``emergence``, ``dose``, ``forgetting``,
``old_facts``; then the page: ``published`` (what the papers report), ``results`` (what lies in a
directory), ``verdict`` (what came out, in words), ``side_by_side``, ``comparison`` (of runs),
``answers``, ``figures_co_emergence`` with its ``figure_*`` files, ``markup``, ``page``.
"""
