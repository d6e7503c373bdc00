"""Makes the callbacks and loggers that the settings name, and quiets the libraries they use."""

import inspect
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import transformers
from hydra.utils import get_object, instantiate


def quiet_libraries() -> None:
    """Silences advice and inner progress bars; their warnings about real trouble still show."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


def instantiate_entries(entries: Mapping[str, Any], **offered: Any) -> list[Any]:
    """Instantiates the named entries that are not null, each with those of the offered arguments
    that its target takes: own callbacks get ``run``, any Lightning callback works as it is."""
    made = []
    for entry in entries.values():
        if entry is None:
            continue
        parameters = inspect.signature(get_object(entry["_target_"])).parameters
        arguments = {k: v for k, v in offered.items() if k in parameters and k not in entry}
        # partial: hydra would turn dataclasses among the arguments into plain dicts
        make = instantiate({**entry, "_partial_": True}, _convert_="all")
        made.append(make(**arguments))
    return made
