"""What a training does where several processes share it; light, as most trainings are of one."""

from typing import Any

from coemerge.app.ranks import place
from coemerge.app.settings import Settings


def follow(settings: Settings) -> dict[str, Any]:
    """What all processes but the first do."""
    from coemerge.app.following import train_with_first

    return train_with_first(settings)


def dismiss_others(settings: Settings) -> None:
    """Lets those go that ``torchrun`` or ``srun`` has started where there is nothing to do."""
    if place().world_size > 1:
        from coemerge.app.processes import dismiss

        dismiss(settings)
