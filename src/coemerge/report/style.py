"""One look for all figures: colours that colour-blind readers can tell apart, one per task and one
per arm."""

from pathlib import Path

from matplotlib.figure import Figure

# Okabe and Ito's palette
TASK_COLOURS = {
    "completion": "#0072B2",
    "fitb": "#56B4E9",
    "openqa": "#009E73",
    "mcqa": "#D55E00",
    "negmcqa": "#E69F00",
    "verification": "#CC79A7",
    "multihop": "#000000",
    "relation_naming": "#882255",
}
ARM_COLOURS = {  # arms of one experiment differ
    "all": "#000000",
    "A0_full": "#D55E00",
    "A1_withheld_target": "#009E73",
    "A2_single_source": "#CC79A7",
    "A3_dose": "#56B4E9",
    "A4_order": "#0072B2",
    "A5_never": "#E69F00",
    "A6_one_direction": "#56B4E9",
    "A7_one_synonym": "#0072B2",
    "A8_wordings": "#882255",
    "entity_only": "#0072B2",
    "relation_only": "#D55E00",
    "both_sides": "#009E73",
    "unknown": "#7F7F7F",
}
VARIANT_COLOURS = {"once": "#56B4E9", "repeated": "#D55E00", "reworded": "#009E73"}
DISCRIMINATIVE = ("mcqa", "negmcqa", "verification", "relation_naming")


def save_figure(figure: Figure, directory: Path, name: str) -> None:
    """PNG for looking, SVG for papers; without dates, so that equal figures have equal bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / f"{name}.png", dpi=150, metadata={"Software": None})
    figure.savefig(directory / f"{name}.svg", metadata={"Date": None, "Creator": None})
