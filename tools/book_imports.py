"""Which modules of a package a piece of code needs, found by reading its imports, without running anything."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

# A module that imports one of these loads its neighbors by name, which no reading of imports can see.
DYNAMIC = {"importlib", "pkgutil"}


def imported_names(code: str, module: str = "") -> set[str]:
    r"""Return the dotted names that the code imports.

    ``from a import b`` gives both ``a`` and ``a.b``, since b may be a module. Lines that are commands of a notebook
    (``%`` and ``!``) are skipped. Code that is no Python imports nothing: running it says what is wrong.

    Parameters
    ----------
    code : str
        Python, or the cells of a notebook joined by line ends.
    module : str
        The name of the package in which the code stands, for relative imports.

    Examples
    --------
    >>> sorted(imported_names("import a.b\n%matplotlib inline\nfrom c import d"))
    ['a', 'a.b', 'c', 'c.d']
    """
    lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in code.splitlines()]
    names: set[str] = set()
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError:
        return names
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, module)
            found = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in found:
            names.update(_prefixes(name))
    return names


def needed_files(code: str, package: Path) -> set[Path]:
    """Return the files of the package that the code imports, directly or through other files of the package.

    Parameters
    ----------
    code : str
        Python.
    package : Path
        The folder of the package; its name is the name of the package.
    """
    waiting = _files(imported_names(code), package)
    needed: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in needed:
            continue
        needed.add(path)
        inside = ".".join([package.name, *path.parent.relative_to(package).parts])
        names = imported_names(path.read_text(encoding="utf-8"), inside)
        waiting |= _files(names, package)
        if names & DYNAMIC:
            waiting |= set(path.parent.glob("*.py"))
    return needed


def _base(node: ast.ImportFrom, module: str) -> str:
    """Return the full name of the module from which the node imports."""
    above = module.split(".")[: len(module.split(".")) - node.level + 1] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def _prefixes(name: str) -> Iterable[str]:
    parts = name.split(".")
    return (".".join(parts[: end + 1]) for end in range(len(parts)))


def _files(names: Iterable[str], package: Path) -> set[Path]:
    """Return the files behind those names that belong to the package."""
    found = set()
    for name in names:
        first, *rest = name.split(".")
        if first != package.name:
            continue
        place = package.joinpath(*rest)
        found |= {path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()}
    return found - {package.with_suffix(".py")}
