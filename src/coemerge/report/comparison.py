"""Several runs or analyses beside each other: one row each, the same figures of all."""

from collections.abc import Sequence
from pathlib import Path

from coemerge.report.markup import Html, element, join, lines, number, table
from coemerge.report.published import PUBLISHED
from coemerge.report.results import Results, read_results
from coemerge.report.side_by_side import counts, seeds, value_text
from coemerge.statistics.thresholds import THETA

_TRANSFER = "transfer/exposed/fresh"
_COLUMNS = {
    "Failures to co-emerge": f"failure/{THETA:g}/all",
    "Generative → generative": f"{_TRANSFER}/generative/generative",
    "Generative → discrim.": f"{_TRANSFER}/generative/discriminative",
    "Discrim. → generative": f"{_TRANSFER}/discriminative/generative",
    "Discrim. → discrim.": f"{_TRANSFER}/discriminative/discriminative",
    "Into generative: difference": "difference/into_generative/fresh",
    "Across: difference": "difference/exposed/fresh",
    "Across, beyond luck": "difference/beyond_never/fresh",
    "Variance due to fact × task": "interaction/raw/total",
}
_HEADER = ("Directory", "Model", "Seeds", *_COLUMNS)
_NOTE = (
    f"Failures: θ = {THETA:g}, all arms. Transfer and difference: facts shown in the source alone, "
    "fresh option sets. Brackets: 95 % over facts, and seeds where there are several; of variance "
    "the range over seeds. n: pairs of fact and format. –: not measured there, as the exposure of "
    "models from elsewhere is not known."
)


def comparison(directories: Sequence[Path]) -> Html:
    """Empty for one alone. Raises FileNotFoundError where one of them is no directory."""
    if len(directories) < 2:
        return Html("")
    found = [read_results(directory) for directory in directories]
    names = short_names(directories)
    rows = [_row(name, results) for name, results in zip(names, found, strict=True)]
    missing = [name for name, results in zip(names, found, strict=True) if not results.summary]
    return join([table(_HEADER, rows, class_="side-by-side"), element("p", element("small", _NOTE)),
                 *[_to_run(name) for name in missing]])  # fmt: skip


def short_names(directories: Sequence[Path]) -> list[str]:
    """The last part of each path, with the one before it where names repeat."""
    paths = [path.resolve() for path in directories]
    short = [path.name for path in paths]
    return [
        f"{path.parent.name}/{path.name}" if short.count(path.name) > 1 else path.name
        for path in paths
    ]


def _row(name: str, results: Results) -> list[object]:
    figures = [_figure(results, figure) for figure in _COLUMNS.values()]
    listed = results.summary[0] if results.summary else {"seeds": len(results.manifests)}
    return [element("strong", name), _model(results), seeds(listed), *figures]


def _model(results: Results) -> Html:
    """Architectures and sizes, each once."""
    told: dict[str, None] = {}
    for manifest in results.manifests:
        size = number(manifest.get("n_parameters"))
        parts = [str(manifest[key]) for key in ("architecture", "base_model") if manifest.get(key)]
        parts += [f"{size} parameters"] if size != "–" else []
        models = manifest.get("models")
        parts += [f"{len(models)} models"] if isinstance(models, list) else []
        told[", ".join(parts) or "–"] = None
    return lines(told or ["–"])


def _figure(results: Results, name: str) -> Html:
    row = results.named(name)
    published = next((p for p in PUBLISHED if p.id == row.get("id")), PUBLISHED[0])
    if not row:
        return Html("–")
    return lines([value_text(row, published), element("small", f"n = {counts(row)}")])


def _to_run(name: str) -> Html:
    command = element("code", "python analyze.py study=co_emergence run=DIR")
    return element("p", f"{name} has no results yet: ", command, f", DIR being that of {name}.")
