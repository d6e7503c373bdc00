"""Names of the metrics that trainings and analyses log, for whoever draws or logs them.

Callbacks spell those of a training themselves; a test compares them with what a training logged.
"""

TRAINING = {
    "train/loss": "Loss",
    "train/lr": "Learning rate",
    "train/grad_norm": "Gradient norm",
    "train/tokens_per_s": "Tokens per second",
}
N_DOCUMENTS = "exposure/n_documents"
N_MASKS = "localization/n_masks"
FAILURE_RATE = "co_emergence/failure_rate"
INTERACTION_SHARE = "co_emergence/interaction_share"


def emerged_fraction(task: str, arm: str | None = None) -> str:
    """Share of facts that have emerged on a task, of one arm or of all."""
    cell = task if arm is None else f"{arm}/{task}"
    return f"acquisition/{cell}/emerged_fraction"


def score(task: str) -> str:
    """Mean score of all facts on a task."""
    return f"acquisition/{task}/score"


def transfer(source: str, target: str) -> str:
    """Share of facts shown in ``source`` alone that have emerged on ``target``."""
    return f"co_emergence/{source}_to_{target}"


def localization(task: str, measure: str) -> str:
    """Mean over a task's masks: necessity, specificity, sufficiency or density."""
    return f"localization/{task}/{measure}"


def localization_overlap(task: str, other_task: str) -> str:
    """Mean Jaccard overlap of a fact's masks for two tasks."""
    return f"localization/overlap/{task}_{other_task}"


def query_localization(group: str, name: str) -> str:
    """Of the study of queries: ``group`` is inconsistent (a share of facts), cs2 or a kind of edit;
    ``name`` a localiser, with its control, or whose neurons are edited."""
    return f"query_localization/{group}/{name}"


def entity_relation(group: str, name: str) -> str:
    """Of the study of two sides: ``group`` is transfer, net_transfer, pre, post, total_effect or
    attention_share; ``name`` an editor with its edited side and the probe, or what got noise."""
    return f"entity_relation/{group}/{name}"


def knowledge_neurons(group: str, name: str) -> str:
    """Of the study of knowledge neurons: ``group`` is n_neurons, excess, error_change, p_change, a
    score of edits (es, ps, ns, top1, s), pre or post (of what edits imply; stated_known_pre and
    stated_known_post), total_effect or cooccurrence; ``name`` syntax or facts with a level, a
    change or an editor, or a family with an editor and a check."""
    return f"knowledge_neurons/{group}/{name}"


def chain_of_thought(prompting: str, masks: str) -> str:
    """Drop of accuracy, direct or with reasoning (cot); ``masks``: whose units were ablated."""
    return f"chain_of_thought/{prompting}/{masks}"
