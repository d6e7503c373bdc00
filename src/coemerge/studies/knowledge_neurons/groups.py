"""Groups of prompts that neurons are looked for in: of a class, and of single words and facts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

import numpy as np

from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.sides import (
    Sides,
    chance,
    class_sides,
    item_sides,
    least_of_item,
)
from coemerge.studies.knowledge_neurons.subject import (
    CLASS,
    FACTS,
    ITEM,
    Group,
    Pool,
    Subject,
    Word,
)

DETERMINER, NEUTRAL = "determiner", "neutral"  # classes of the grammar
ANSWER = "answer"
MOST_WORDS = 40  # of pairs that no grammar tells the words of


def make_groups(
    pools: Sequence[Pool], subject: Subject, config: KnowledgeNeuronsConfig
) -> list[Group]:
    """Of the pools that are studied: one group of each, then ``n_items`` of each topic. Pools and
    items with too few prompts on a side have none."""
    groups = [
        _group(pool, CLASS, pool.name, sides, _words(pool, subject))
        for pool in pools
        if (sides := class_sides(pool, config)).enough(config.min_prompts)
    ]
    topics: dict[tuple[str, str], list[Pool]] = defaultdict(list)
    for pool in pools:
        topics[pool.kind, pool.topic].append(pool)
    return groups + list(chain.from_iterable(_items(of, config) for of in topics.values()))


def _items(pools: Sequence[Pool], config: KnowledgeNeuronsConfig) -> list[Group]:
    """Of one topic, classes in turn; a word that is of two classes is there once."""
    in_turn = chain.from_iterable(zip_longest(*(_of_pool(pool, config) for pool in pools)))
    named: dict[str, Group] = {}
    for group in in_turn:
        if group is not None and len(named) < config.n_items:
            named.setdefault(group.name, group)
    return list(named.values())


def _of_pool(pool: Pool, config: KnowledgeNeuronsConfig) -> Iterable[Group]:
    """Groups of its items, by lot."""
    places: dict[str, list[int]] = defaultdict(list)
    for i, prompt in enumerate(pool.prompts):
        places[prompt.item].append(i)
    for item in sorted(places, key=lambda name: chance(config.seed, "item", name)):
        sides = item_sides(pool, np.array(places[item]), config)
        if sides.enough(least_of_item(config)):
            yield _group(pool, ITEM, item, sides)


def _group(pool: Pool, level: str, name: str, sides: Sides, words: tuple[Word, ...] = ()) -> Group:
    search, test = (tuple(pool.prompts[i] for i in side) for side in (sides.search, sides.test))
    return Group(pool.kind, pool.topic, level, name, search, test, words)


def _words(pool: Pool, subject: Subject) -> tuple[Word, ...]:
    """Inspected under changes of the class's neurons; every token and every text once."""
    if pool.kind == FACTS:
        words = _answers(pool, subject)
    else:
        words = _of_grammar(pool, subject) or _of_pairs(pool, subject)
    by_token = {word.token: word for word in reversed(words)}  # the first of each stays
    by_text = {word.text: word for word in reversed(words) if by_token[word.token] is word}
    return tuple(reversed(by_text.values()))


def _answers(pool: Pool, subject: Subject) -> list[Word]:
    """First tokens of the relation's answers."""
    tokens = sorted({prompt.answer[0] for prompt in pool.prompts})
    return [Word(subject.decode([token]).strip(), token, ANSWER) for token in tokens]


def _of_grammar(pool: Pool, subject: Subject) -> list[Word]:
    """All of the classes that its targets belong to, and beside determiners those of one form; none
    where the grammar does not know its targets."""
    classes = {subject.words[p.item][0] for p in pool.prompts if p.item in subject.words}
    if DETERMINER in classes:
        classes.add(NEUTRAL)
    return [
        Word(text, subject.token_ids[text], form or NEUTRAL)
        for text, (name, form) in subject.words.items()
        if name in classes and text in subject.token_ids
    ]


def _of_pairs(pool: Pool, subject: Subject) -> list[Word]:
    """The phenomenon's good words, then bad ones that are good in no pair: they are of the other
    class, where there are two. At most ``MOST_WORDS``: those that are good or bad in most pairs, as
    data sets such as BLiMP have hundreds of words in a few pairs each."""
    prompts = [prompt for prompt in subject.pairs if prompt.pair.phenomenon == pool.topic]
    classes = {prompt.pair.word_class for prompt in prompts}
    other = {name: (classes - {name}).pop() if len(classes) == 2 else "" for name in classes}
    good = [Word(p.pair.good, p.good_id, p.pair.word_class or NEUTRAL) for p in prompts]
    bad = [Word(p.pair.bad, p.bad_id, other[p.pair.word_class] or NEUTRAL) for p in prompts]
    counts = Counter(word.token for word in good + bad)
    kept = {token for token, _ in counts.most_common(MOST_WORDS)}
    return [word for word in good + bad if word.token in kept]
