"""BLiMP: pairs of sentences of which one is grammatical, a thousand for each of 67 paradigms.

Warstadt et al. (2020), "BLiMP: The Benchmark of Linguistic Minimal Pairs for English". JSON lines.
Where the words before the difference decide which sentence is right, a pair is also a triple: what
comes before, and the word that has to follow.
"""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.blimp_classes import class_of
from coemerge.worlds.readers.files import Record, add_triple, json_lines, list_files
from coemerge.worlds.readers.records import Reading, RelationInfo
from coemerge.worlds.readers.wordings import OBJECT, SUBJECT, safe_id

LAYOUT = 'JSON lines with "sentence_good", "sentence_bad", "UID", ..., one file per paradigm'
_GIVEN = ("one_prefix_prefix", "one_prefix_word_good", "one_prefix_word_bad")
_DEMONSTRATIVES = {"this", "that", "these", "those"}
_DETERMINERS = _DEMONSTRATIVES | set("a an the some every each all most many no lot of".split())
_PUNCTUATION = ".,;:!?"


def read(path: Path) -> Reading:
    """Raises FileNotFoundError, or ValueError naming file and line."""
    reading = Reading()
    formats: dict[str, tuple[str, ...]] = {}
    for file in list_files(path, ".jsonl", LAYOUT):
        for record in json_lines(file, LAYOUT):
            pair = _pair(record, file.stem, reading.notes)
            if pair is None:
                continue
            reading.pairs.append(pair)
            if pair.cue_follows:
                reading.notes["pairs that only whole sentences can tell"] += 1
            elif not pair.prefix:
                reading.notes["pairs that differ in their first word (no triple)"] += 1
            else:
                relation_id = safe_id(pair.phenomenon, record.where)
                obj = pair.good.rstrip(_PUNCTUATION)
                add_triple(reading, relation_id, pair.prefix, obj, record.where)
                formats[relation_id] = ("completion",)
    for relation_id in formats:
        name = relation_id.replace("_", " ")
        reading.relations[relation_id] = RelationInfo(name, "beginning", "word")
        reading.wordings[relation_id] = Wordings((f"{SUBJECT} {OBJECT}",))
    reading.formats = formats
    return reading


def _pair(record: Record, stem: str, notes: Counter[str]) -> MinimalPair | None:
    """None where the two sentences are one."""
    good, bad = (" ".join(record.text(f"sentence_{side}").split()) for side in ("good", "bad"))
    if not good or not bad:
        raise ValueError(f"{record.where}: an empty sentence; expected a good and a bad one")
    if good == bad:
        notes["pairs of equal sentences passed over"] += 1
        return None
    given = all(record.text(name, "") for name in _GIVEN)
    one_prefix = record.flag("one_prefix_method", default=given)
    pair = _by_fields(record, good, bad, notes) if given else None
    if pair is None:
        pair = _by_words(good.split(), bad.split())
    is_last = bool(pair.prefix) and not pair.suffix and " " not in pair.good + pair.bad
    phenomenon = record.text("UID", "") or stem
    named = replace(
        pair,
        phenomenon=phenomenon,
        cue_follows=not (one_prefix or is_last),
        cue=_cue(phenomenon, pair.prefix.split()) if one_prefix or is_last else "",
    )
    return replace(named, word_class=class_of(named))


def _cue(phenomenon: str, before: list[str]) -> str:
    """The word before the difference that decides over it, in the paradigms studied; else empty.

    Of subject and verb the word right before; of a determiner and its noun the last demonstrative;
    of a reflexive the head of the subject, which the sentence begins with.
    """
    if re.match(r"(ir)?regular_plural_subject_verb_agreement", phenomenon):
        return before[-1] if before else ""
    if phenomenon.startswith("determiner_noun_agreement"):
        return next((word for word in reversed(before) if word.lower() in _DEMONSTRATIVES), "")
    if phenomenon.startswith("anaphor_"):
        heads = (word for word in before if word.lower() not in _DETERMINERS)
        return next(heads, "")
    return ""


def _by_fields(record: Record, good: str, bad: str, notes: Counter[str]) -> MinimalPair | None:
    """The words that the file says decide; None where its sentences do not hold them."""
    prefix, good_word, bad_word = (" ".join(record.text(name).split()) for name in _GIVEN)
    rest, other_rest = (
        _rest(sentence, f"{prefix} {word}")
        for sentence, word in ((good, good_word), (bad, bad_word))
    )
    if rest is None or other_rest is None:
        notes["one_prefix fields that their sentences do not hold (split by words instead)"] += 1
        return None
    if rest != other_rest:
        notes["pairs that go on differently after the deciding word (left out from there)"] += 1
        rest = ""
    return MinimalPair("", "", good[: len(prefix)], good_word, bad_word, rest)


def _rest(sentence: str, head: str) -> str | None:
    """What follows ``head``, or None where the sentence does not begin with these words."""
    rest = sentence[len(head) :]
    if sentence[: len(head)].lower() != head.lower() or re.match(r"[\w'’-]", rest):
        return None
    return rest.strip()


def _by_words(good: list[str], bad: list[str]) -> MinimalPair:
    """Common words before and after; what is between differs, and is never empty."""
    start, shorter = 0, min(len(good), len(bad))
    while start < shorter and good[start] == bad[start]:
        start += 1
    end = 0
    while end < shorter - start and good[-1 - end] == bad[-1 - end]:
        end += 1
    if start + end == shorter:  # one sentence only has more words: take in one that both have
        start, end = (start, end - 1) if end else (start - 1, end)
    prefix, suffix = " ".join(good[:start]), " ".join(good[len(good) - end :])
    right, wrong = (" ".join(words[start : len(words) - end]) for words in (good, bad))
    return MinimalPair("", "", prefix, right, wrong, suffix)
