"""What the entry scripts and the pipeline stages call; the only package that imports hydra.

Reading order: ``schema`` (typed configuration), ``settings`` (a composed configuration, checked),
``cli`` (errors for people), ``identity`` (run id and fingerprint), ``run_directory`` (a run's state
on disk), ``data`` (find or build the data set), ``training`` (assemble and fit), ``summary`` (what
came out), ``build`` (the pipeline's build stage); for ``analyze.py``
``analysis`` (what was asked for) and ``studies`` (what is done).
"""
