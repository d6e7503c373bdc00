"""A byte-level BPE tokenizer trained on the corpus, as a Hugging Face tokenizer."""

import itertools
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from coemerge.corpus.tokenizer_config import TokenizerConfig

EOS, PAD = "<eos>", "<pad>"
_WEIGHT = 50  # how often an answer is repeated, so that its merges come early


def train_tokenizer(
    texts: Iterable[str], answers: Sequence[str], config: TokenizerConfig
) -> PreTrainedTokenizerFast:
    """Trains on the first ``config.sample`` texts, and on ``answers`` so that each is one token.

    Neither adds nor removes anything around a text: there is no beginning-of-sequence token.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[PAD, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    weighted = (" " + " ".join(answers) for _ in range(_WEIGHT))
    sample = itertools.islice(texts, config.sample)
    tokenizer.train_from_iterator(itertools.chain(weighted, sample), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD)
