"""What was probably meant."""

from difflib import get_close_matches


def suggest(word: str, known: list[str]) -> str:
    """' (did you mean ...?)' or nothing."""
    close = get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
