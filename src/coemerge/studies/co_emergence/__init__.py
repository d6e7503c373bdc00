"""Do facts co-emerge across tasks? (methods 3.1-3.4, 3.11)

Reading order: ``config``, ``runs`` (what the parts share), ``pairs`` (failures to follow),
``nulls`` (controls), ``transfer`` (from source to target), ``over_checkpoints`` (emergence and
variance, checkpoint by checkpoint), ``dynamics`` (when facts emerge, and in which order),
``retention`` (what injections leave), ``tables`` (all of them), ``summary`` (what stands beside
published figures).
"""
