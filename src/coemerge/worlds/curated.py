"""A small world of real facts, written by hand: one YAML file per relation, strictly checked."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coemerge.inputs import check_inside, is_line, read_yaml
from coemerge.worlds.facts import Fact, ListedFacts, Relation, World, check_world, fact_id


@dataclass
class CuratedWorldConfig:
    """``facts_dir`` holds ``<relation>.yaml`` with keys domain, range, facts {subject: object};
    ``use`` names the relations; ``facts_per_relation`` null means all."""

    seed: int = 0
    facts_dir: str = ""
    use: list[str] = field(default_factory=list)
    facts_per_relation: int | None = None

    def check(self) -> None:
        """Raises ValueError naming file and key; reads the files, which are small."""
        self.build()

    def inputs(self) -> list[Path]:
        return []

    def build(self, single_token: Callable[[str], bool] | None = None) -> World:
        """Raises ValueError that lists what is wrong with the files."""
        if not self.use or len(set(self.use)) < len(self.use):
            raise ValueError(f"world.use: needs relations, each once, got {self.use}")
        if self.facts_per_relation is not None and self.facts_per_relation < 2:
            raise ValueError(f"world.facts_per_relation: {self.facts_per_relation} is below 2")
        if odd := [name for name in self.use if not re.fullmatch(r"[\w-]+", name)]:
            raise ValueError(
                f"world.use: {odd} are no names of relations: letters, digits, _ and -"
            )
        tables = {name: _read(Path(self.facts_dir) / f"{name}.yaml") for name in self.use}
        relations = {
            name: Relation(name, table["domain"], table["range"], label=name.replace("_", " "))
            for name, table in tables.items()
        }
        facts: list[Fact] = []
        positions, candidates = {}, {}
        for name, table in tables.items():
            pairs = list(table["facts"].items())[: self.facts_per_relation]
            start = len(facts)
            facts += [Fact(fact_id(name, s, o), name, s, o) for s, o in pairs]
            positions[name] = range(start, len(facts))
            candidates[name] = tuple(sorted({o for _, o in pairs}))
        listed = ListedFacts(facts, positions, candidates)
        world = World("curated", relations, listed, positions, candidates)
        check_world(world)
        return world


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise ValueError(f"world.use: {path}: no such file; there are: {known or 'none'}")
    check_inside(path, path.parent)
    content = read_yaml(path)
    wanted = {"domain": str, "range": str, "facts": dict}
    for key, kind in wanted.items():
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise ValueError(f"{path}: needs {key!r} ({kind.__name__})")
    for subject, obj in content["facts"].items():
        if not (is_line(subject) and is_line(obj) and subject.strip() and obj.strip()):
            raise ValueError(f"{path}: facts: {subject!r}: {obj!r} are not both text; quote them")
    assert isinstance(content, dict)
    return content
