"""Settings of the prompts; free of heavy imports, so that they can be checked at once."""

from dataclasses import dataclass, field
from pathlib import Path

from coemerge.prompts.render import Frames, check_frames
from coemerge.prompts.templates import TemplateBook, load_templates


@dataclass
class PromptsConfig:
    """``templates_dir`` holds one YAML file per relation. The other fields are the frames around a
    phrasing (see ``render.Frames``)."""

    templates_dir: str = ""
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
    facts_per_relation: int | None = None

    def frames(self) -> Frames:
        """Raises ValueError if two formats share their first word."""
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

    def book(self, relation_ids: list[str]) -> TemplateBook:
        return load_templates(Path(self.templates_dir), relation_ids, self.n_held_out)

    def answer_words(self) -> list[str]:
        return [*self.letters, self.yes, self.no]
