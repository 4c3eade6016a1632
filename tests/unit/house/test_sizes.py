"""The house stays easy to live in: one name for one thing, no circles, no attics, no long functions."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

_PRODUCT = ("schemas", "ingest", "processors", "ops")
_FILES_MAX = 22
_LINES_MAX = 45


def product() -> Iterator[tuple[str, Path, ast.Module]]:
    """Every module of the product: its dotted name, its file and its syntax tree."""
    for package in _PRODUCT:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield name, path, ast.parse(path.read_text(encoding="utf-8"))


def test_a_class_name_stands_once() -> None:
    """A reader who finds a class name knows which class it is: none stands twice in the product."""
    places = defaultdict(list)
    for name, _, tree in product():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(name)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


def imported(tree: ast.Module, names: Mapping[str, object]) -> set[str]:
    """The modules of the product that a module imports anywhere, in functions and for types too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & names.keys()
            # `from package import module` needs the package's own file only where it takes something else from there.
            found |= submodules if len(submodules) == len(node.names) else submodules | {node.module}
    return found & names.keys()


def circles(imports: Mapping[str, set[str]]) -> list[str]:
    """The modules that import each other, in a circle of any length."""
    left = {name: set(others) for name, others in imports.items()}
    while leaves := [name for name, others in left.items() if not others & left.keys()]:
        for name in leaves:
            del left[name]
    # What only imports from a circle is in none itself.
    while roots := [name for name in left if not any(name in others for others in left.values())]:
        for name in roots:
            del left[name]
    return sorted(left)


def test_no_modules_import_each_other() -> None:
    """Each module can be read before those that import it: there is no circle, not even for types."""
    trees = {name: tree for name, _, tree in product()}
    assert circles({name: imported(tree, trees) - {name} for name, tree in trees.items()}) == []


def test_a_circle_would_be_seen() -> None:
    """The search finds a circle of three, and nothing beside it."""
    imports = {"a": {"b"}, "b": {"c", "leaf"}, "c": {"a"}, "leaf": set(), "root": {"a"}}
    assert circles(imports) == ["a", "b", "c"]


@pytest.mark.parametrize("package", [*_PRODUCT, "tests", "examples"])
def test_a_folder_fits_on_a_screen(package: str) -> None:
    """No folder has more than 22 Python files side by side."""
    files: dict[str, int] = defaultdict(int)
    for path in (ROOT / package).rglob("*.py"):
        files[str(path.parent.relative_to(ROOT))] += 1
    assert {folder: count for folder, count in files.items() if count > _FILES_MAX} == {}


def test_a_function_fits_on_a_screen() -> None:
    """No function of the product has more than 45 lines, docstring included."""
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for _, path, tree in product()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _lines(node) > _LINES_MAX
    ]
    assert long == []


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
