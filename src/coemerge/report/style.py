"""One look for all figures: colours that colour-blind readers can tell apart, one per task."""

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
}
VARIANT_COLOURS = {"once": "#56B4E9", "repeated": "#D55E00", "reworded": "#009E73"}
DISCRIMINATIVE = ("mcqa", "negmcqa", "verification")


def save_figure(figure: Figure, directory: Path, name: str) -> None:
    """PNG for looking, SVG for papers; without dates, so that equal figures have equal bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / f"{name}.png", dpi=150, metadata={"Software": None})
    figure.savefig(directory / f"{name}.svg", metadata={"Date": None, "Creator": None})
