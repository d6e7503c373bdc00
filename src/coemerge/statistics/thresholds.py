"""What counts as emerged and as competent (methods 3.2), in one place."""

THETA = 0.6  # a fact has emerged on a task when its score exceeds this
COMPETENT = 0.25  # a model is competent at a task when this share of facts has emerged

# A mask is valid if its target drop is at least NECESSARY, all other drops at most SPARED, and its
# recovery at least SUFFICIENT (methods 3.5, step 5).
NECESSARY, SPARED, SUFFICIENT = 0.2, 0.1, 0.5
