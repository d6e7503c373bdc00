"""Which class the right word of a BLiMP pair is of: singular or plural, masculine or feminine.

Told from the words alone, in the paradigms on agreement of subject and verb, of determiner and
noun, and of reflexives; pairs of other paradigms are one class without a name.
"""

import re

from coemerge.worlds.agreement import MinimalPair

_DEMONSTRATIVES = {"this": "singular", "that": "singular", "these": "plural", "those": "plural"}
_VERBS = {"is": "singular", "was": "singular", "has": "singular", "does": "singular",
          "are": "plural", "were": "plural", "have": "plural", "do": "plural"}  # fmt: skip
_REFLEXIVES = {"himself": "masculine", "herself": "feminine", "itself": "neuter",
               "themselves": "plural"}  # fmt: skip
_NEGATED = re.compile(r"n['’]t$")


def class_of(pair: MinimalPair) -> str:
    """Of ``pair.good``; empty where this cannot be told."""
    good, bad = (_first_word(text) for text in (pair.good, pair.bad))
    if pair.phenomenon.startswith("determiner_noun_agreement"):
        return _DEMONSTRATIVES.get(good) or _DEMONSTRATIVES.get(pair.cue.lower(), "")
    if pair.phenomenon.startswith("anaphor_"):
        reflexive = _REFLEXIVES.get(good, "")
        by_number = pair.phenomenon.startswith("anaphor_number")
        return "singular" if by_number and reflexive not in ("", "plural") else reflexive
    if pair.phenomenon.startswith("distractor_agreement"):
        return _number(good, bad)
    if "subject_verb_agreement" in pair.phenomenon:
        differs_in_subject = pair.phenomenon.endswith("_2")
        return _number_alone(_first_word(pair.suffix)) if differs_in_subject else _number(good, bad)
    return ""


def _first_word(text: str) -> str:
    return next(iter(text.lower().split()), "").strip(".,;:!?")


def _number(verb: str, other: str) -> str:
    """Of the two forms of one verb the third person singular is the one with -s."""
    known = _VERBS.get(_NEGATED.sub("", verb), "")
    if known:
        return known
    if _has_s(verb, other):
        return "singular"
    return "plural" if _has_s(other, verb) else ""


def _has_s(verb: str, other: str) -> bool:
    return verb in (f"{other}s", f"{other}es") or (other[-1:] == "y" and verb == f"{other[:-1]}ies")


def _number_alone(verb: str) -> str:
    """Of a verb whose other form is not there: two forms of its subject are compared."""
    known = _VERBS.get(_NEGATED.sub("", verb), "")
    return known or ("singular" if re.search(r"[^s]s$", verb) else "plural" if verb else "")
