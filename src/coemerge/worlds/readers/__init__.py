"""Readers of public data sets, one module each.

Reading order: ``records`` (what a reader hands over), ``files`` (files and records that know where
they stand), ``wordings`` (slots and names), then the data sets: ``pararel``, ``lre``,
``counterfact``, ``popqa``, ``known_facts``, ``fictional_knowledge``, ``blimp``.
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
