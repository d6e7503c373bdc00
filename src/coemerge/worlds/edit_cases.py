"""What a data set of edits says of a fact beside the fact: what to change, and how it is judged."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EditCase:
    """One record of CounterFact or RaKE: an edit request with the prompts that judge it.

    ``prompt`` holds [X]; the other prompts are whole texts. The last four are RaKE's.
    """

    case_id: str
    relation_id: str
    subject: str
    prompt: str
    target_true: str
    target_new: str
    paraphrase_prompts: tuple[str, ...] = ()
    neighborhood_prompts: tuple[str, ...] = ()
    attribute_prompts: tuple[str, ...] = ()
    generation_prompts: tuple[str, ...] = ()
    relation_names: tuple[str, ...] = ()
    relation_prompts: tuple[str, ...] = ()
    add_relation_prompt: str = ""
    remove_relation_prompt: str = ""
