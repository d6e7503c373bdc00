"""Edit requests of public data sets (CounterFact, RaKE) as token ids and subject spans.

The texts are asked as they stand, without a format's cue, and targets follow a space (methods 7).
What cannot be asked is left out and counted: a whole request where its own prompt or its targets
cannot be, its relation's side likewise, else the one prompt.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coemerge.prompts.encoding import Encoded, Encoder, stands_alone, with_spans
from coemerge.prompts.pairs import with_object
from coemerge.prompts.render import Rendered, Span
from coemerge.prompts.templates import SUBJECT
from coemerge.worlds.edit_cases import EditCase

NONE = "None"  # RaKE's answer where no relation joins subject and object
SAME_TARGETS = "the new target is the true one"
JOINED_SUBJECT = "the tokenizer joins the subject with its neighbours"
JOINED_TARGET = "the tokenizer joins a target with its neighbours"
NO_PAIR = "a prompt does not name the subject and its object just once"
FURTHER = "further requests to change the same fact (the first is used)"

Ids = list[int]


@dataclass(frozen=True, slots=True)
class AboutSubject:
    """``ids`` of a prompt, and the token span of the subject in it."""

    ids: Ids
    subject: Span


@dataclass(frozen=True, slots=True)
class RelationPrompts:
    """The relation's side. ``add`` names the subject and the new object, ``remove`` the subject and
    the true one; ``added`` and ``removed`` are other wordings of these. ``name``: the answer where
    the relation joins the two, ``none``: where it does not."""

    name: Ids
    none: Ids
    add: AboutSubject
    remove: AboutSubject | None
    added: list[Ids]
    removed: list[Ids]


@dataclass(frozen=True, slots=True)
class EditPrompts:
    """One request: ``rewrite`` has the answer ``true`` and should get ``new``. ``neighbours`` ask
    for other subjects, to which ``true`` is right. ``relation``: None where relations are not asked
    for."""

    case_id: str
    rewrite: AboutSubject
    true: Ids
    new: Ids
    paraphrases: list[Ids]
    neighbours: list[Ids]
    relation: RelationPrompts | None


@dataclass
class EncodedEdits:
    """``prompts``, or in ``skipped`` why there are none, by fact. ``notes`` counts what was left
    out or is missing, by reason; ``first`` names the request where it was met first."""

    prompts: dict[str, EditPrompts] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def note(self, reason: str, case: EditCase, n: int = 1) -> None:
        if n:
            self.notes[reason] += n
            self.first.setdefault(reason, f"case {case.case_id}, {case.subject!r}")

    def lines(self) -> list[str]:
        """The notes, for people."""
        return [f"{reason}: {n:,}, first {self.first[reason]}" for reason, n in self.notes.items()]


class _Unusable(ValueError):
    """A prompt that cannot be asked; the message is the reason to be counted."""


def encode_edits(encoder: Encoder, cases: Mapping[str, Sequence[EditCase]]) -> EncodedEdits:
    """By fact, the first of its requests that can be used; in a chat if ``encoder`` is."""
    found = EncodedEdits()
    for fact, of_fact in cases.items():
        for number, case in enumerate(of_fact, start=1):
            try:
                found.prompts[fact] = _Request(encoder, case, found).prompts()
            except _Unusable as error:
                found.note(f"requests left out: {error}", case)
                found.skipped.setdefault(fact, str(error))
                continue
            found.skipped.pop(fact, None)
            found.note(FURTHER, case, len(of_fact) - number)
            break
    return found


class _Request:
    """Encodes one request and notes what is left out of it."""

    def __init__(self, encoder: Encoder, case: EditCase, found: EncodedEdits) -> None:
        self._encoder, self._case, self._found = encoder, case, found

    def prompts(self) -> EditPrompts:
        case = self._case
        start = case.prompt.index(SUBJECT)
        text = case.prompt.replace(SUBJECT, case.subject)
        span = (start, start + len(case.subject))
        now, wanted = (self._about(text, span, t) for t in (case.target_true, case.target_new))
        true, new = (item.ids[slice(*item.answer)] for item in (now, wanted))
        if true == new:
            raise _Unusable(SAME_TARGETS)
        paraphrases = self._others("paraphrases", case.paraphrase_prompts, text)
        neighbours = self._others("neighbourhood prompts", case.neighborhood_prompts, text)
        return EditPrompts(
            case.case_id,
            _cut(now),
            true,
            new,
            self._ids("paraphrases", paraphrases, case.target_true),
            self._ids("neighbourhood prompts", neighbours, case.target_true),
            self._relation(),
        )

    def _relation(self) -> RelationPrompts | None:
        case = self._case
        if not case.add_relation_prompt:
            return None
        try:
            if not case.relation_names:
                raise _Unusable("the relation has no name")
            name = case.relation_names[0]
            add, none = (self._pair(case.add_relation_prompt, case.target_new, a)
                         for a in (name, NONE))  # fmt: skip
            remove = None
            if case.remove_relation_prompt:
                remove = _cut(self._pair(case.remove_relation_prompt, case.target_true, NONE))
        except _Unusable as error:
            self._found.note(f"requests without their relation's side: {error}", case)
            return None
        added, removed = self._other_wordings()
        return RelationPrompts(
            add.ids[slice(*add.answer)],
            none.ids[slice(*none.answer)],
            _cut(add),
            remove,
            self._ids("relation prompts", added, name),
            self._ids("relation prompts", removed, NONE) if remove else [],
        )

    def _other_wordings(self) -> tuple[list[str], list[str]]:
        """(about the new object, about the true one): as the data set has them, and with the one
        object in the place of the other."""
        case = self._case
        added: list[str] = []
        removed: list[str] = []
        asked = self._others("relation prompts", case.relation_prompts, case.add_relation_prompt)
        for text in asked:
            for old in (case.target_new, case.target_true):
                try:
                    added.append(with_object(text, case.subject, old, case.target_new)[0])
                    removed.append(with_object(text, case.subject, old, case.target_true)[0])
                    break
                except ValueError:
                    continue
            else:
                self._found.note(f"relation prompts left out: {NO_PAIR}", case)
        return (
            [text for text in dict.fromkeys(added) if text != case.add_relation_prompt],
            [text for text in dict.fromkeys(removed) if text != case.remove_relation_prompt],
        )

    def _pair(self, text: str, obj: str, answer: str) -> Encoded:
        try:
            _, span = with_object(text, self._case.subject, obj, obj)
        except ValueError as error:
            raise _Unusable(NO_PAIR) from error
        return self._about(text, span, answer)

    def _about(self, text: str, subject: Span, answer: str) -> Encoded:
        """Raises _Unusable if the subject or the answer is no token or more of its own."""
        item = self._encoder.framed(Rendered(text, answer, subject, (0, len(text))))
        ((ids, offsets),) = self._encoder.encode([item.document])
        if not stands_alone(offsets, item.subject, item.document):
            raise _Unusable(JOINED_SUBJECT)
        try:
            return with_spans(item, ids, offsets)
        except ValueError as error:
            raise _Unusable(JOINED_TARGET) from error

    def _others(self, kind: str, texts: Sequence[str], asked: str) -> list[str]:
        """Without empty ones, repetitions, and the prompt that is edited."""
        kept = [text for text in dict.fromkeys(texts) if text and text != asked]
        self._found.note(f"{kind} left out: empty or repeated", self._case, len(texts) - len(kept))
        self._found.note(f"requests without {kind}", self._case, not kept)
        return kept

    def _ids(self, kind: str, texts: Sequence[str], answer: str) -> list[Ids]:
        items = [
            self._encoder.framed(Rendered(text, answer, (0, len(text)), (0, len(text))))
            for text in texts
        ]
        found = []
        encoded = self._encoder.encode([item.document for item in items])
        for item, (ids, offsets) in zip(items, encoded, strict=True):
            try:
                found.append(_cut(with_spans(item, ids, offsets)).ids)
            except ValueError:
                self._found.note(f"{kind} left out: {JOINED_TARGET}", self._case)
        return found


def _cut(encoded: Encoded) -> AboutSubject:
    return AboutSubject(encoded.ids[: encoded.answer[0]], encoded.subject)
