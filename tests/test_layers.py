"""The direction of imports (design 1), enforced on the source without running it, and its size."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

SRC = ROOT / "src" / "coemerge"
SCRIPTS = ("train.py", "analyze.py")

_DATA_CHAIN = {"files", "inputs", "statistics", "tables", "worlds", "prompts", "corpus"}
_METHODS = _DATA_CHAIN | set("units interventions lm scoring localization editing studies".split())
# What each package (or top-level module) of coemerge may import of the others.
MAY_IMPORT: dict[str, set[str]] = {
    "files": set(),
    "inputs": set(),
    "units": set(),
    "statistics": {"files"},
    "tables": {"files"},
    "worlds": {"files", "inputs", "statistics", "tables"},
    "prompts": {"files", "inputs", "statistics", "tables", "worlds"},
    "corpus": _DATA_CHAIN - {"corpus"},
    # knows tensors and sites, not facts
    "interventions": {"files", "statistics", "tables"},
    "lm": _DATA_CHAIN | {"interventions"},
    "scoring": _DATA_CHAIN | {"interventions"},
    "localization": _DATA_CHAIN | {"units", "interventions", "lm", "scoring"},
    "editing": _DATA_CHAIN | {"units", "interventions", "lm", "scoring"},
    "studies": _METHODS - {"studies"},
    "callbacks": _METHODS,
    "tracking": _METHODS,  # beside callbacks: neither knows the other
    "report": {"files", "statistics", "tables"},
    "app": _METHODS | {"callbacks", "tracking", "report"},
}
# Third-party packages that only these may import ("" is the entry scripts).
ONLY_IN: dict[str, set[str]] = {"hydra": {"app", ""}, "wandb": {"tracking"}}
FRAMEWORKS = {"lightning", "pytorch_lightning", "hydra", "wandb", "dvc"}
FORBIDDEN: dict[str, set[str]] = {
    "report": {"torch", "transformers", "lightning", "torchmetrics"},
    **dict.fromkeys(("scoring", "interventions", "localization", "editing", "studies"), FRAMEWORKS),
}
MAX_FUNCTION_LINES = 50
MAX_FILE_LINES = 300


def source_files() -> list[Path]:
    return sorted(SRC.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(module: str) -> str:
    """``scoring`` for ``coemerge.scoring.probe``; "" for the package itself and for scripts."""
    parts = module.split(".")
    return parts[1] if parts[0] == "coemerge" and len(parts) > 1 else ""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def is_module(name: str) -> bool:
    path = SRC.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    """Every module that a file imports, wherever in it, relative imports resolved."""
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module_name(path).split(".")
                if path.stem != "__init__":
                    here = here[:-1]
                base = ".".join([*here[: len(here) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.append(inner if is_module(inner) else base)
    return tuple(found)


def files_and_scripts() -> Iterator[tuple[str, Path]]:
    for path in source_files():
        yield package_of(module_name(path)), path
    for name in SCRIPTS:
        if (ROOT / name).is_file():
            yield "", ROOT / name


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_package_has_its_place():
    packages = {package_of(module_name(path)) for path in source_files()} - {""}

    assert packages <= set(MAY_IMPORT), f"say what {packages - set(MAY_IMPORT)} may import"


@pytest.mark.parametrize("path", source_files(), ids=label)
def test_imports_go_one_way(path: Path):
    package = package_of(module_name(path))
    targets = {m for m in imports_of(path) if m.split(".")[0] == "coemerge"}

    allowed = MAY_IMPORT.get(package, set()) | {package, ""}
    wrong = sorted(m for m in targets if package_of(m) not in allowed)

    assert not wrong, f"{label(path)} imports {wrong}"


def test_the_rules_themselves_have_no_cycle():
    """Directions above are acyclic: following them from any package never leads back to it."""
    for start in MAY_IMPORT:
        reached, open_ends = set(), set(MAY_IMPORT[start])
        while open_ends:
            package = open_ends.pop()
            reached.add(package)
            open_ends |= MAY_IMPORT[package] - reached
        assert start not in reached


def test_no_two_modules_import_each_other_in_a_circle():
    graph = {}
    for path in source_files():
        graph[module_name(path)] = {m for m in imports_of(path) if m.startswith("coemerge.")}
    finished: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module not in finished:
            for target in graph.get(module, set()) - {module}:
                visit(target, (*trail, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("third_party", ONLY_IN)
def test_some_packages_are_imported_in_one_place_only(third_party: str):
    importers = {
        package: label(path)
        for package, path in files_and_scripts()
        if any(m.split(".")[0] == third_party for m in imports_of(path))
    }

    assert set(importers) <= ONLY_IN[third_party], importers


@pytest.mark.parametrize("package", [p for p in FORBIDDEN if (SRC / p).is_dir()])
def test_packages_that_stay_free_of_frameworks(package: str):
    for path in (SRC / package).rglob("*.py"):
        used = {m.split(".")[0] for m in imports_of(path)} & FORBIDDEN[package]
        assert not used, f"{label(path)} imports {used}"


def loaded_after(modules: list[str]) -> set[str]:
    """Top-level packages in a fresh interpreter after importing these."""
    code = (
        f"import sys; import {', '.join(modules)}; print(*{{m.split('.')[0] for m in sys.modules}})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(result.stdout.split())


@pytest.mark.parametrize("package", [p for p in FORBIDDEN if (SRC / p).is_dir()])
def test_nothing_that_they_import_brings_frameworks_in(package: str):
    modules = [module_name(path) for path in (SRC / package).rglob("*.py")]

    assert not loaded_after(modules) & FORBIDDEN[package]


def test_settings_are_read_without_heavy_imports():
    loaded = loaded_after(["coemerge.app.cli", "coemerge.app.schema", "coemerge.app.settings"])

    assert not loaded & {"torch", "lightning", "transformers", "wandb", "pandas", "matplotlib"}


def test_no_study_imports_another():
    """A study is a folder; ``shared`` is what all of them may use, and imports none."""
    folders = [p for p in (SRC / "studies").iterdir() if (p / "__init__.py").is_file()]
    names = {module_name(folder / "__init__.py") for folder in folders}
    assert {f"coemerge.studies.{name}" for name in ("shared", "co_emergence")} <= names

    for folder in folders:
        own = module_name(folder / "__init__.py")
        for path in folder.rglob("*.py"):
            others = {n for n in names - {own, "coemerge.studies.shared"} for m in imports_of(path)
                      if m == n or m.startswith(f"{n}.")}  # fmt: skip
            assert not others, f"{label(path)} imports {others}"


def test_files_needs_nothing_but_the_standard_library():
    imported = {m.split(".")[0] for m in imports_of(SRC / "files.py")}

    assert imported <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", SCRIPTS)
def test_entry_scripts_are_tables_of_contents(name: str):
    assert len((ROOT / name).read_text().splitlines()) < 60


@pytest.mark.parametrize("path", source_files(), ids=label)
def test_files_stay_short(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("path", source_files(), ids=label)
def test_functions_stay_short(path: Path):
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 >= MAX_FUNCTION_LINES
    }

    assert not long, f"{label(path)}: {long}"


@pytest.mark.parametrize("path", source_files(), ids=label)
def test_the_library_does_not_print_nor_touch_the_import_path(path: Path):
    """Style 4.12."""
    for node in ast.walk(tree_of(path)):
        where = f"{label(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"print", "input"}, where
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), where
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) != ("sys", "path"), where
