"""Do facts co-emerge across tasks? (methods 3.1-3.4)

Reading order: ``config``, ``pairs`` (failures to follow, transfer, null models),
``over_checkpoints`` (emergence and variance, checkpoint by checkpoint), ``summary`` (what stands
beside published figures).
"""
