"""What counts as emerged and as competent (methods 3.2), in one place."""

THETA = 0.6  # a fact has emerged on a task when its score exceeds this
COMPETENT = 0.25  # a model is competent at a task when this share of facts has emerged
