"""Readers of public data sets: what a file holds, line by line, and what had to be passed over.

Reading order: ``records`` (what a reader hands over), ``files`` (records with where they stand),
then one module per data set.
"""

from collections.abc import Callable
from pathlib import Path

from coemerge.worlds.readers import (
    blimp,
    counterfact,
    fictional_knowledge,
    known_facts,
    lre,
    pararel,
    popqa,
)
from coemerge.worlds.readers.records import Reading

READERS: dict[str, Callable[[Path], Reading]] = {
    "pararel": pararel.read,
    "lre": lre.read,
    "counterfact": counterfact.read,
    "popqa": popqa.read,
    "known_facts": known_facts.read,
    "fictional_knowledge": fictional_knowledge.read,
    "blimp": blimp.read,
}
