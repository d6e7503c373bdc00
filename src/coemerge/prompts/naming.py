"""The other side of a fact: which relation joins a subject and an object, if any (methods 4.7)?

One list of phrasings serves all relations, so that nothing but the pair tells the answer, and each
relation has a name of one word. Pairs that no relation joins are answered by a word of their own:
without them naming a relation would take no more than to recognise the kind of the object.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from coemerge.inputs import read_yaml
from coemerge.prompts.templates import PAIR, Naming, list_problems
from coemerge.worlds.facts import Fact, World

UNRELATED_SHARE = 0.5  # of the pairs asked about, in training as in scoring


def load_naming(
    path: Path, relation_ids: Sequence[str], n_held_out: int
) -> tuple[Naming, tuple[str, ...]]:
    """(names of these relations, phrasings for all) from a YAML file with the keys ``names``,
    ``none`` and ``pair``. Raises ValueError listing every faulty entry."""
    if not path.is_file():
        raise ValueError(f"prompts.naming_path: {path} is missing; it names the relations")
    content = read_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("names"), dict):
        raise ValueError(f"{path}: expected a mapping with names, none and {PAIR}")
    problems = [f"{path}: unknown key {k!r}" for k in content if k not in ("names", "none", PAIR)]
    problems += list_problems(path, PAIR, content.get(PAIR), n_held_out)
    names = {relation: content["names"].get(relation) for relation in relation_ids}
    problems += _word_problems(path, names, content.get("none"))
    if problems:
        raise ValueError("; ".join(problems))
    return Naming(names, content["none"]), tuple(content[PAIR])


def _word_problems(path: Path, names: Mapping[str, object], none: object) -> list[str]:
    problems = []
    taken = Counter(word for word in (*names.values(), none) if isinstance(word, str))
    for key, word in {**{f"names.{r}": name for r, name in names.items()}, "none": none}.items():
        if not isinstance(word, str) or len(word.split()) != 1:
            problems.append(f"{path}: {key}: needs one word, got {word!r}")
        elif taken[word] > 1:
            problems.append(f"{path}: {key}: {word!r} is another answer too")
    return problems


class Pairs:
    """Which objects a subject is joined with, over all relations of a world.

    Only relations whose answer sets overlap can join a subject with one object in two ways, so only
    their facts are held in memory.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def related(self, fact: Fact) -> list[str]:
        """Objects that any relation joins with the subject of ``fact``, its own ones included."""
        others = (
            obj
            for rival in self._rivals[fact.relation_id]
            for obj in self._objects[rival].get(fact.subject, ())
        )
        return [*self._world.true_objects(fact), *others]

    def check(self) -> None:
        """Raises ValueError naming pairs that two relations join: both names would be right."""
        twice = [
            f"{subject!r} and {obj!r} ({name}, {rival})"
            for name, rivals in self._rivals.items()
            for rival in rivals
            for subject, objects in self._objects[name].items()
            for obj in objects
            if name < rival and obj in self._objects[rival].get(subject, ())
        ]
        if twice:
            raise ValueError(
                f"relation_naming: {len(twice)} pairs are joined by two relations, such as "
                f"{'; '.join(twice[:3])}: leave out one of the relations (world.use)"
            )

    @cached_property
    def _rivals(self) -> dict[str, list[str]]:
        """For each relation those that share an object with it."""
        sets = {name: frozenset(objects) for name, objects in self._world.candidates.items()}
        return {
            name: [other for other in sets if other != name and sets[name] & sets[other]]
            for name in sets
        }

    @cached_property
    def _objects(self) -> dict[str, dict[str, list[str]]]:
        """For each relation with a rival: subject -> objects."""
        found: dict[str, dict[str, list[str]]] = {}
        for name in (name for name, rivals in self._rivals.items() if rivals):
            found[name] = defaultdict(list)
            for position in self._world.positions[name]:
                fact = self._world.facts[position]
                found[name][fact.subject].append(fact.object)
        return found
