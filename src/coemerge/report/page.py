"""The report: one HTML file that needs nothing else, made of the tables of a run or an analysis."""

from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template

from coemerge.files import write_text
from coemerge.report.answers import answers
from coemerge.report.chain_of_thought import chain_of_thought
from coemerge.report.comparison import comparison, short_names
from coemerge.report.entity_relation import entity_relation
from coemerge.report.figures_co_emergence import PICTURES
from coemerge.report.knowledge_neurons import knowledge_neurons
from coemerge.report.localization import localization
from coemerge.report.markup import Html, element, join, number, table, to_html
from coemerge.report.own_studies import own_studies
from coemerge.report.page_style import PAGE
from coemerge.report.picture import clear_figures, figures
from coemerge.report.published import ARMS, STUDIES, UNKNOWN_ARM
from coemerge.report.query_localization import query_localization
from coemerge.report.results import USUAL_RULE, Results, Row, code_version, pick, read_results
from coemerge.report.side_by_side import side_by_side, waiting
from coemerge.report.verdict import verdict

TITLE = "Do facts co-emerge across task formats?"
_QUESTION = (
    "When a language model learns a fact in one task format, does it know the fact in the others "
    "too?"
)
_DESIGN = (
    "Chance decided which formats show each fact in training; every fact was then asked in every "
    "format, in wordings that training never used."
)
_OBSERVED = (
    "These models were trained elsewhere: which formats showed them a fact is not known. Every "
    "fact was asked in every format."
)
_KINDS = (
    "Formats are generative, where the model writes the answer (completion, fill in the blank, "
    "open question), or discriminative, where it picks one (multiple choice, which one is not, "
    "yes or no)."
)
_NOTES = (
    "Names of formats: completion; fitb, fill in the blank; openqa, open question; mcqa, multiple "
    "choice; negmcqa, which of two options is not true; verification, is the statement true, yes "
    "or no; relation_naming, which relation joins a subject and an object, or none. A task in the "
    "papers is a format here.",
    "A score is the probability of the answer, such that 0 is what a guess is worth and 1 is "
    "certain. Option sets of lettered formats are fresh unless said otherwise: training never "
    "showed these options together.",
    "A fact has emerged in a format when its score, averaged over held-out wordings, exceeds 0.6; "
    "a model is competent at a format when a quarter of the facts has.",
    "A pair of fact and format is testable from the first checkpoint at which the model is "
    "competent at the format and the fact has emerged in another one; pairs whose prerequisite is "
    "lost again at the end are excluded. This rule is ours, the published one is not known to us.",
    "Intervals of rates are over facts, clustered in seeds; the spread that the papers print is "
    "across facts. Prompts, thresholds and exclusions select easy facts.",
    "An interaction of fact and format does not show separate stores: one shared fact may have "
    "accessors that fail for some entities.",
    "A synthetic positive shows that a mechanism is possible, and under which exposure, not that "
    "large models use it.",
)
_SECTIONS: dict[str, tuple[str, Callable[[Results, Path], Html]]] = {  # by study
    "task_localization": ("Where each fact lives", localization),
    "chain_of_thought": ("Does reasoning reach other formats?", chain_of_thought),
    "query_localization": ("Are neurons of the fact or of the query?", query_localization),
    "entity_relation": ("Does an edit of one side show on the other?", entity_relation),
    "knowledge_neurons": ("What have knowledge neurons to do with knowledge?", knowledge_neurons),
}
_EXAMPLES = 10


def write_report(directory: Path, out: Path, others: Sequence[Path] = ()) -> Path:
    """Writes out/index.html, and its figures as PNG and SVG under out/figures/; returns the page.

    ``directory`` is that of a run, or of an analysis of several; ``others`` are more of them, which
    get a row each in a table beside it, and lend the results of studies that it lacks. Equal tables
    give equal bytes. Raises FileNotFoundError where there is no such directory.
    """
    results = read_results(directory, others)
    directories = [directory, *others]
    names = dict(zip(directories, short_names(directories), strict=True))
    lender = {study: names[path] for study, path in results.borrowed.items()}
    drawn = out / "figures"
    clear_figures(drawn)
    sections = (
        element(
            "p", f"{_QUESTION} {_OBSERVED if _is_observed(results) else _DESIGN}", class_="lead"
        ),
        element("p", _KINDS, " ", _extent(results)),
        _section("What came out", _outcome(results), lender.get("co_emergence")),
        _section("Beside the published figures", side_by_side(results)),
        _section("Figures", figures(results, PICTURES, drawn)),
        *[
            _section(title, write(results, drawn), lender.get(study))
            for study, (title, write) in _SECTIONS.items()
        ],
        _section("Other studies", own_studies(results)),
        _section("Other models and settings", comparison(directories)),
        _section("What the models answer", answers(results)),
        _section("How to read this", element("ul", *[element("li", note) for note in _NOTES])),
        _section("Arms of the experiment", _arms(results)),
        _section("Pairs that failed", _failed(results)),
        _section("Not run yet", _missing(results)),
        _section("Runs", _runs(results)),
    )
    page = out / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(
        page,
        Template(PAGE).substitute(title=to_html(TITLE), body=join(filter(None, sections), "\n")),
    )
    return page


def _section(title: str, content: Html, lender: str | None = None) -> Html:
    """``lender``: the directory whose results these are, where it is not that of the page."""
    if not content:
        return Html("")
    told = element("p", "Measured on ", element("strong", lender), ".") if lender else ""
    return element("section", element("h2", title), told, content)


def _is_observed(results: Results) -> bool:
    pairs = results.table("pairs")
    return "arm" in pairs and set(pairs["arm"]) == {UNKNOWN_ARM}


def _extent(results: Results) -> str:
    """How much this page rests on."""
    pairs = results.table("pairs")
    if pairs.empty:
        return ""
    sizes = {number(manifest.get("n_parameters")) for manifest in results.manifests} - {"–"}
    counted = ((pairs["fact_id"], "fact"), (pairs["task"], "format"), (pairs["seed"], "seed"))
    parts = [_plural(column.nunique(), name) for column, name in counted]
    parts += [f"{size} parameters" for size in sorted(sizes)]
    return f"This page: {', '.join(parts)}."


def _plural(n: int, name: str) -> str:
    return f"{n:,} {name}{'' if n == 1 else 's'}"


def _outcome(results: Results) -> Html:
    findings = verdict(results)
    if findings:
        return element("ul", *[element("li", found) for found in findings], class_="verdict")
    if results.summary or results.tables:
        return element("p", "No verdict: the results lack figures that it needs; run the study ",
                       "co_emergence again.")  # fmt: skip
    return element("p", "No study has been run on these models yet.")


def _missing(results: Results) -> Html:
    command = "python analyze.py study={} run=DIR"
    commands = [
        element(
            "li",
            STUDIES[name],
            element("code", command.format(name)),
            element("div", waiting(results, name), class_="waiting"),
        )
        for name in results.missing
    ]
    if not commands:
        return Html("")
    where = "DIR is the directory of a run, or '[DIR0,DIR1]' of several:"
    return join([element("p", where), element("ul", *commands, class_="commands")])


def _failed(results: Results) -> Html:
    pairs = results.table("pairs")
    if pairs.empty:
        return Html("")
    usual = pick(pairs, **USUAL_RULE, testable=True, co_emerged=False)
    if "excluded_reason" in usual:
        usual = usual[usual["excluded_reason"].isna() | (usual["excluded_reason"] == "")]
    first = usual.sort_values(["fact_id", "task", "seed"]).head(_EXAMPLES)
    rows = [
        (results.facts.get(r.fact_id, r.fact_id), r.task, r.arm, r.seed, f"{r.prerequisite_step:,}")
        for r in first.itertuples()
    ]
    header = ("Fact", "Not known in", "Arm", "Seed", "Testable from step")
    note = f"The first {len(rows)} of {len(usual):,} in the order of the facts' ids, not chosen."
    return join([element("p", note), table(header, rows)]) if rows else Html("")


def _arms(results: Results) -> Html:
    found: set[str] = set()
    for frame in results.tables.values():
        found |= set(frame["arm"].dropna()) if "arm" in frame else set()
    names = sorted(found - {"all"}) or list(ARMS)
    return table(("Arm", "Facts of it are"), [(name, ARMS.get(name)) for name in names])


def _runs(results: Results) -> Html:
    header = ("Run", "Seed", "Parameters", "Steps", "Tokens", "Time", "Data", "Weights", "Code")
    versions = {v for m in results.manifests for v in (m.get("versions") or {}).items()}
    with_what = ", ".join(f"{name} {version}" for name, version in sorted(versions))
    return join(
        [
            table(header, [_run(manifest) for manifest in results.manifests], class_="runs"),
            *[_models(manifest) for manifest in results.manifests],
            element("p", element("small", with_what)) if with_what else "",
        ]
    )


def _models(manifest: Row) -> Html:
    """Of an analysis of models from elsewhere: which these were."""
    models = manifest.get("models")
    if not isinstance(models, list) or not models:
        return Html("")
    named = element("summary", f"{_plural(len(models), 'model')} of {manifest.get('run_id')}")
    return element("details", named, element("ul", *[element("li", model) for model in models]))


def _run(manifest: Row) -> tuple[object, ...]:
    seconds = number(manifest.get("wall_s"))
    hashes = [str(manifest.get(name) or "–") for name in ("data_hash", "final_weights_sha256")]
    return (
        manifest.get("run_id"),
        number(manifest.get("seed")),
        *[number(manifest.get(name)) for name in ("n_parameters", "steps", "tokens")],
        seconds if seconds == "–" else f"{seconds} s",
        *[element("code", digest[:16], title=digest) for digest in hashes],
        code_version(manifest) or None,
    )
