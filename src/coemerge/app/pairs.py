"""The minimal pairs that a study asks, and what is known of their words."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from transformers import PreTrainedTokenizerFast

from coemerge.app.elsewhere import check_fits
from coemerge.app.sources import Source
from coemerge.prompts.encoding import Encoder
from coemerge.prompts.minimal_pairs import PairPrompt, pair_prompts
from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.public import PublicWorldConfig

log = logging.getLogger(__name__)
UNKNOWN_WORD = "pairs with a word that the tokenizer does not know (skipped)"


def asked_pairs(
    source: Source, path: str | None, phenomena: Sequence[str] | None = None
) -> tuple[list[PairPrompt], Counter[str]]:
    """Prompts of the pairs that training showed or that the world holds, else of the BLiMP file or
    folder ``path``; of ``phenomena``, if these are named. How many were skipped, by reason, is
    returned and told. Neither, for a source without pairs.

    Needs no weights. Raises ValueError naming the key: two origins, phenomena that there are not,
    no pair that can be asked, and pairs that a model cannot take.
    """
    pairs = _of_phenomena(_found(source, path), phenomena)
    tokenizer = source.questions.tokenizer
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    prompts, notes = pair_prompts(Encoder(tokenizer), pairs)
    if tokenizer.unk_token_id is not None:
        known = [prompt for prompt in prompts if tokenizer.unk_token_id not in _tokens(prompt)]
        notes[UNKNOWN_WORD] += len(prompts) - len(known)
        prompts = known
    skipped = [f"{n:,} {reason}" for reason, n in notes.items() if n]
    if pairs and not prompts:
        raise ValueError(f"{source.run_id}: no minimal pair can be asked: {'; '.join(skipped)}")
    if prompts:
        key = "run" if source.series.run else "model.path"
        tokens = [_tokens(prompt) for prompt in prompts]
        longest = max(len(prompt.ids) + 1 for prompt in prompts)
        check_fits(key, source.series.members, longest, max(map(max, tokens)))
        told = "; ".join([f"{len(prompts):,} minimal pairs", *skipped])
        log.info("%s: %s", source.run_id, told)
    return prompts, notes


def grammar_words(source: Source) -> tuple[Mapping[str, tuple[str, str]], Mapping[str, int]]:
    """Each word of the grammar that training showed -> (its class, its form), and -> its token as
    it follows a space, where that is one. Both empty where nobody knows the grammar."""
    if source.cooccurrence is None:
        return {}, {}
    tokenizer = source.questions.tokenizer
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    rows = source.cooccurrence.drop_duplicates("first")
    forms = zip(rows["first_class"], rows["first_form"], strict=True)
    words = dict(zip(rows["first"], forms, strict=True))
    ids = Encoder(tokenizer).answer_ids(list(words))
    return words, {w: of[0] for w, of in zip(words, ids, strict=True) if len(of) == 1}


def _found(source: Source, path: str | None) -> Sequence[MinimalPair]:
    if path is None:
        return source.pairs
    if source.pairs:
        raise ValueError(
            f"study.pairs: {source.run_id} has minimal pairs of its own, so {path} is not asked: "
            "leave study.pairs out, or ask models from elsewhere (model.path, world=blimp)"
        )
    try:
        pairs, notes = PublicWorldConfig(format="blimp", path=path).pairs()
    except ValueError as error:
        raise ValueError(f"study.pairs: {error}") from error
    for reason, count in notes.items():
        log.info("study.pairs: %s: %s", reason, f"{count:,}")
    return pairs


def _of_phenomena(
    pairs: Sequence[MinimalPair], phenomena: Sequence[str] | None
) -> Sequence[MinimalPair]:
    if phenomena is None:
        return pairs
    known = dict.fromkeys(pair.phenomenon for pair in pairs)
    unknown = [name for name in phenomena if name not in known]
    if unknown:
        raise ValueError(
            f"study.phenomena: there are no minimal pairs of {', '.join(map(repr, unknown))}, but "
            f"of {', '.join(known) or 'nothing'}"
        )
    return [pair for pair in pairs if pair.phenomenon in phenomena]


def _tokens(prompt: PairPrompt) -> tuple[int, ...]:
    return (*prompt.ids, prompt.good_id, prompt.bad_id)
