"""Which checks may wait for the end of the notebook, because nothing after them can change what they would have found.

A check means the state at its own place. Where every later cell only adds definitions and imports under new names,
the state at the end serves as well, and one copy of the process serves many checks.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Sequence

from mlcourse.grading.shortcuts.interpreter import parse

CONSTANTS = (ast.Constant, ast.Name, ast.Attribute, ast.Tuple, ast.UnaryOp, ast.USub, ast.Load)


def checks_apart(cells: Sequence[str], checks: Mapping[str, tuple[int, str]], beside: Sequence[str] = ()) -> list[str]:
    """Return the names of the checks that may wait.

    Parameters
    ----------
    cells : sequence of str
        The code cells in their order, checks left out, as plain Python.
    checks : mapping of str to tuple
        How many of the cells stand before each check, and the expression of its candidate.
    beside : sequence of str
        The names of the modules that lie beside the notebook: an import of one may do anything.

    Examples
    --------
    >>> cells = ["import numpy as np", "def f(x): return np.sum(x)", "def g(x): return f(x)", "np.sum = max"]
    >>> checks_apart(cells[:3], {"f": (2, "f"), "g": (3, "g")})
    ['f', 'g']
    >>> checks_apart(cells, {"f": (2, "f"), "g": (3, "g"), "last": (4, "g")})
    ['last']
    >>> checks_apart(["def f(x): return h(x)", "def h(x): return x"], {"f": (1, "f"), "h": (2, "h")})  # no h yet
    ['h']
    """
    own = {name.partition(".")[0] for name in beside}
    first = len(cells)  # every cell from here on only adds names
    added: set[str] = set()
    known = [_names(cell) for cell in cells]
    while first > 0:
        new = _added(cells[first - 1], own)
        asked = [_names(expression) for position, expression in checks.values() if position < first]
        if new is None or new & (_union(known[: first - 1]) | _union(asked) | added | set(dir(builtins))):
            break
        first -= 1
        added |= new
    return [name for name, (position, _) in checks.items() if position >= first]


def _union(sets: Sequence[set[str]]) -> set[str]:
    return set().union(*sets)


def _names(cell: str) -> set[str]:
    """Return every name and every text that a cell mentions: a text may become a name."""
    tree = parse(cell)
    if tree is None:
        return set(cell.split())
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(name) | ast.Attribute(attr=name) | ast.Constant(str(name)):
                found.add(name)
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                found.add(name)
            case ast.alias(name, asname):
                found.add(asname or name.partition(".")[0])
            case ast.Global(names):
                found.update(names)
    return found


def _added(cell: str, own: set[str]) -> set[str] | None:
    """Return the names that a cell adds, or None where it may do more than that."""
    tree = parse(cell)
    if tree is None:
        return None
    found: set[str] = set()
    for statement in tree.body:
        new = _bound(statement, own)
        if new is None:
            return None
        found |= new
    return found


def _bound(statement: ast.stmt, own: set[str]) -> set[str] | None:
    match statement:
        case ast.Expr(ast.Constant()) | ast.Pass():
            return set()
        case ast.Import(aliases):
            if own & {alias.name.partition(".")[0] for alias in aliases}:
                return None
            return {alias.asname or alias.name.partition(".")[0] for alias in aliases}
        case ast.ImportFrom(module, aliases, 0):
            if (module or "").partition(".")[0] in own or aliases[0].name == "*":
                return None
            return {alias.asname or alias.name for alias in aliases}
        case ast.FunctionDef(name, arguments, _, [], returns):
            outside = [*arguments.defaults, *filter(None, arguments.kw_defaults), *_annotations(arguments), returns]
            return {name} if all(part is None or _only_names(part) for part in outside) else None
    return None


def _annotations(arguments: ast.arguments) -> list[ast.expr | None]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [argument.annotation for argument in every if argument is not None]


def _only_names(expression: ast.expr) -> bool:
    """Return whether an expression only looks things up, and calls nothing that a student has written."""
    allowed = (*CONSTANTS, ast.Subscript, ast.BinOp, ast.BitOr, ast.List)
    return all(isinstance(node, allowed) for node in ast.walk(expression))
