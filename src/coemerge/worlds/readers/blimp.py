"""BLiMP (Warstadt et al. 2020): minimal pairs of sentences, JSON lines per paradigm."""

from pathlib import Path

from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import (
    OBJECT,
    SUBJECT,
    Record,
    files_under,
    json_lines,
    text_field,
)
from coemerge.worlds.readers.records import Reading, RelationInfo, Triple

_MARKS = ".,;:!?"


def read(path: Path) -> Reading:
    """Pairs; those that the words before the difference decide are facts as well: what precedes is
    the subject, the right continuation the object."""
    reading, formats = Reading(), {}
    for file in files_under(path, (".jsonl",), "JSON lines with sentence_good and sentence_bad"):
        for record, where in json_lines(file):
            pair = _pair(record, where)
            if pair is None:
                reading.notes["pairs of equal sentences"] += 1
                continue
            reading.pairs.append(pair)
            good = pair.good.rstrip(_MARKS)
            if pair.cue_follows or not pair.prefix or not good:
                reading.notes["pairs that only whole sentences tell apart (no facts)"] += 1
                continue
            name = pair.phenomenon
            reading.triples.append(Triple(name, pair.prefix, good, where))
            info = RelationInfo(name.replace("_", " "), "beginning", "continuation")
            reading.relations.setdefault(name, info)
            reading.wordings[name] = Wordings((f"{SUBJECT} {OBJECT}",))
            formats[name] = ("completion",)
    reading.formats = formats
    return reading


def _pair(record: Record, where: str) -> MinimalPair | None:
    good, bad = (text_field(record, f"sentence_{kind}", where) for kind in ("good", "bad"))
    name = text_field(record, "UID", where)
    kind = str(record.get("linguistics_term", ""))
    prefix, right, wrong, suffix = split_pair(good, bad)
    if not right and not wrong:
        return None
    follows = not record.get("one_prefix_method", False)
    return MinimalPair(name, kind, prefix, right, wrong, suffix, follows)


def split_pair(good: str, bad: str) -> tuple[str, str, str, str]:
    """(common beginning, good, bad, common end), by words. Neither middle is empty unless the
    sentences are equal: the common end gives up a word where one would be."""
    first, second = good.split(), bad.split()
    if first == second:
        return good, "", "", ""
    start = _common(first, second)
    end = _common(first[start:][::-1], second[start:][::-1])
    if end and start + end >= min(len(first), len(second)):
        end -= 1
    elif start == min(len(first), len(second)):
        start -= 1
    stops = len(first) - end, len(second) - end
    parts = first[:start], first[start : stops[0]], second[start : stops[1]], first[stops[0] :]
    prefix, right, wrong, suffix = (" ".join(words) for words in parts)
    return prefix, right, wrong, suffix


def _common(first: list[str], second: list[str]) -> int:
    pairs = zip(first, second, strict=False)
    return next((k for k, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
