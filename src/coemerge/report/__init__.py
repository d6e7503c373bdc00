"""Pictures, tables as text, and the page; from tables alone, never importing torch.

Reading order: ``style``, then what closes a run: ``emergence``, ``dose``, ``forgetting``,
``old_facts``; then the page: ``published`` (what the papers report), ``results`` (what lies in a
directory), ``side_by_side``, ``figures_co_emergence`` with its ``figure_*`` files, ``markup``,
``page``.
"""
