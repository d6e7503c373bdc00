"""Settings of the prompts; free of heavy imports, so that they can be checked at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coemerge.prompts.generic import phrasings_from
from coemerge.prompts.naming import load_naming
from coemerge.prompts.render import Frames, check_frames
from coemerge.prompts.tasks import NAMING
from coemerge.prompts.templates import PAIR, TemplateBook, load_templates
from coemerge.worlds.facts import World


@dataclass
class PromptsConfig:
    """``templates_dir`` holds one YAML file per relation; ``own_templates_dir`` those of one's own:
    of other relations, or of more formats of these (empty: none). The other fields are the frames
    around a phrasing (see ``render.Frames``). ``facts_per_relation`` bounds how many facts of a
    relation are scored (null: all). ``naming_path`` names the file for relation_naming, empty
    without it."""

    templates_dir: str = ""
    own_templates_dir: str = ""
    n_held_out: int = 3
    cues: dict[str, str] = field(default_factory=dict)
    answer_cues: dict[str, str] = field(default_factory=dict)
    cot_cue: str = "Reason:"
    cot_reason: str = "Think:"
    list_cue: str = "List:"
    letters: list[str] = field(default_factory=lambda: ["A", "B", "C", "D"])
    yes: str = "yes"
    no: str = "no"
    blank: str = "___"
    facts_per_relation: int | None = 200
    naming_path: str = ""

    def frames(self) -> Frames:
        """Raises ValueError if two formats share their first word, or one lacks its own."""
        if self.n_held_out < 1:
            raise ValueError(
                f"prompts.n_held_out: needs at least 1, got {self.n_held_out}: facts count as "
                "known by wordings that training does not show"
            )
        if self.facts_per_relation is not None and self.facts_per_relation < 1:
            raise ValueError(
                f"prompts.facts_per_relation: must be positive, got {self.facts_per_relation}; "
                "null scores all facts"
            )
        if self.naming_path and NAMING not in self.cues:
            raise ValueError(f"prompts.cues.{NAMING}: missing, but prompts.naming_path is given")
        frames = Frames(
            self.cues,
            self.answer_cues,
            self.cot_cue,
            self.cot_reason,
            tuple(self.letters),
            self.yes,
            self.no,
            self.blank,
        )
        check_frames(frames)
        taken = [cue.split()[0] for cue in (*self.cues.values(), self.cot_cue)]
        if self.list_cue.split()[:1] in [[], *([word] for word in taken)]:
            raise ValueError(
                f"prompts.list_cue: {self.list_cue!r} must open with a word of its own ({taken})"
            )
        return frames

    def book(self, world: World, also: Sequence[str] = ()) -> TemplateBook:
        """Phrasings of a world's relations, and of the relations in ``also``: from the world's own
        wordings where it brings them, else from files. Raises ValueError naming file and entry."""
        files = [name for name in (*world.relations, *also) if name not in world.wordings]
        own = Path(self.own_templates_dir) if self.own_templates_dir else None
        book = load_templates(Path(self.templates_dir), files, self.n_held_out, own)
        made = {
            name: phrasings_from(world.relations[name], wordings)
            for name, wordings in world.wordings.items()
        }
        phrasings = {**made, **book.phrasings}
        if not self.naming_path:
            return TemplateBook(phrasings, self.n_held_out)
        naming, pairs = load_naming(Path(self.naming_path), [*world.relations], self.n_held_out)
        asked = {name: {**phrasings[name], PAIR: pairs} for name in world.relations}
        return TemplateBook({**phrasings, **asked}, self.n_held_out, naming)

    def answer_words(self) -> list[str]:
        return [*self.letters, self.yes, self.no]
