"""What is asked: a question as it stands, and the same question where reasoning is to begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from coemerge.prompts.encoding import Encoder
from coemerge.prompts.tasks import get_task
from coemerge.studies.chain_of_thought.config import Cues

DIRECT, COT = "direct", "cot"


@dataclass(frozen=True)
class Questions:
    """N questions of one prompting. ``form``: the two-step form that they belong to, also of direct
    ones; ``ids``: what the model goes on from; ``answers``: first token of the answer;
    ``objects``: tokens of the fact's object; ``cue``: tokens between reasoning and answer, empty
    where the answer comes at once; ``stop``: what closes a document."""

    prompting: str
    fact: np.ndarray
    form: np.ndarray
    ids: list[list[int]]
    answers: list[int]
    objects: list[list[int]]
    cues: list[list[int]]
    stop: int

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, index: np.ndarray) -> "Questions":
        """Some of them, in this order."""
        parts = {
            name: [getattr(self, name)[i] for i in index]
            for name in ("ids", "answers", "objects", "cues")
        }
        return Questions(
            self.prompting, self.fact[index], self.form[index], **parts, stop=self.stop
        )


class Asker:
    """Makes questions out of a table of prompts (``tables.records.PromptRecord``).

    ``objects``: fact -> object. Raises ValueError where a prompt does not hold the reasoning's cue
    once, or the tokenizer joins it with what follows.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, cues: Cues, objects: Mapping[str, str]
    ) -> None:
        self._encoder = Encoder(tokenizer)
        self._cues = cues
        words = sorted(set(objects.values()))
        tokens = dict(zip(words, self._encoder.answer_ids(words), strict=True))
        self._objects = {fact: tokens[word] for fact, word in objects.items()}

    def direct(self, prompts: pa.Table, forms: Sequence[str]) -> Questions:
        """Each form's question in the answered task, without reasoning."""
        tasks = {get_task(form).base: form for form in forms}
        rows = _rows(prompts, list(tasks))
        ids = rows["ids"].to_pylist()
        form = [tasks[task] for task in rows["task"].to_pylist()]
        return self._questions(DIRECT, rows, form, ids, [[] for _ in ids])

    def with_reasoning(self, prompts: pa.Table, forms: Sequence[str]) -> Questions:
        """Each form's prompt, cut off where the reasoning begins."""
        rows = _rows(prompts, forms)
        form = rows["task"].to_pylist()
        ids = self._cut(rows["text"].to_pylist(), rows["ids"].to_pylist())
        closing = {name: self._answer_cue(get_task(name).base) for name in set(form)}
        return self._questions(COT, rows, form, ids, [closing[name] for name in form])

    def _questions(
        self,
        prompting: str,
        rows: pa.Table,
        form: list[str],
        ids: list[list[int]],
        cues: list[list[int]],
    ) -> Questions:
        facts = rows["fact_id"].to_pylist()
        return Questions(
            prompting=prompting,
            fact=np.array(facts, dtype=object),
            form=np.array(form, dtype=object),
            ids=ids,
            answers=[answer[0] for answer in rows["answer_ids"].to_pylist()],
            objects=[self._objects[fact] for fact in facts],
            cues=cues,
            stop=self._encoder.eos,
        )

    def _cut(self, texts: Sequence[str], ids: Sequence[list[int]]) -> list[list[int]]:
        """The ids up to the cue that opens the reasoning."""
        cue = f" {self._cues.reason}"
        for text in texts:
            if text.count(cue) != 1:
                raise ValueError(
                    f"prompts.cot_reason: {self._cues.reason!r} stands {text.count(cue)} times in "
                    f"{text!r}: choose a cue that no question holds"
                )
        heads = [text[: text.index(cue) + len(cue)] for text in texts]
        cut = [found for found, _ in self._encoder.encode(heads)]
        for head, short, whole in zip(heads, cut, ids, strict=True):
            if whole[: len(short)] != short:
                raise ValueError(
                    f"the tokenizer joins the end of {head!r} with what follows: choose one that "
                    "splits at spaces and punctuation"
                )
        return cut

    def _answer_cue(self, task: str) -> list[int]:
        """Its tokens where it follows the end of a sentence."""
        cue = self._cues.answers.get(task, "")
        if not cue:
            raise ValueError(
                f"prompts.answer_cues.{task}: without a cue nobody knows where reasoning ends"
            )
        (before, _), (whole, _) = self._encoder.encode([".", f". {cue}"])
        return whole[len(before) :]


def _rows(prompts: pa.Table, tasks: Sequence[str]) -> pa.Table:
    return prompts.filter(pa.array(np.isin(prompts["task"].to_pylist(), list(tasks))))
