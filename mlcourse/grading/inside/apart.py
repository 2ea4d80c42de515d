"""Which checks may wait for the end of the notebook, because nothing after them can change what they would have found.

A check means the state at its own place. One process serves many checks where the notebook holds nothing but imports of
known libraries and functions that compute: no call outside of a function, no object that could keep something from one
call to the next, no way from a text to a name, and of a library only what computes (`mlcourse.grading.inside.names`).
Then the later cells only add names, and the state at the end serves as well. Whoever writes more than that loses
nothing but speed.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping, Sequence

from mlcourse.grading.inside.names import computing
from mlcourse.grading.shortcuts.interpreter import parse

LIBRARIES = frozenset(
    (
        *("numpy", "torch", "math", "scipy", "sklearn", "array_api_compat"),
        *("typing", "itertools", "collections", "mlcourse"),  # no jaxtyping: it computes what stands in its texts
    )
)
FRONT = {("mlcourse.grading", "check")}  # all that a notebook needs of the grader
NO_REFERENCES = ("data", "device", "grading", "plotting", "training", "validation")  # they read files, or keep settings
# From a text to a name, out of the process, or to another library through one that imports it. What is not good in the
# libraries themselves is not on the list of what computes.
DENIED = frozenset(
    (
        *("globals", "locals", "vars", "eval", "exec", "compile", "getattr", "setattr", "delattr", "open", "input"),
        *("breakpoint", "memoryview", "type", "super", "os", "sys", "io", "builtins", "importlib", "inspect", "gc"),
        *("ctypes", "types", "threading", "multiprocessing", "subprocess", "signal", "mmap", "socket", "pickle"),
        *("pathlib", "tempfile", "shutil", "warnings", "functools", "operator", "weakref", "atexit", "copyreg"),
        *("In", "Out", "_ih", "_oh", "_dh", "get_ipython", "display", "exit", "quit", "help"),  # a notebook's own
        *("copyright", "credits", "license"),
    )
)
IN_SIGNATURES = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.Tuple, ast.List, ast.Subscript, ast.UnaryOp, ast.USub, ast.Load),
    *(ast.BinOp, ast.BitOr),
)
# The question of the first cell of a released notebook; what follows from it does not run here.
IS_INSTALLED = ast.dump(ast.parse('importlib.util.find_spec("mlcourse") is None', mode="eval").body)
NEVER = (
    *(ast.Global, ast.Nonlocal, ast.ClassDef, ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith),
    ast.MatchClass,  # it reads attributes by names that are no attributes of the tree
)


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
    >>> cells = ["import numpy as np", "def f(x): return np.sum(x)", "def g(x): return f(x)"]
    >>> checks_apart(cells, {"f": (2, "f"), "g": (3, "g")})
    ['f', 'g']
    >>> checks_apart([*cells, "np.sum = max"], {"f": (2, "f"), "g": (3, "g"), "last": (4, "g")})
    []
    >>> checks_apart(["def f(x): return h(x)", "def h(x): return x"], {"f": (1, "f"), "h": (2, "h")})  # no h yet
    ['h']
    """
    own = {name.partition(".")[0] for name in beside}
    bound = [_added(cell, own) for cell in cells]
    known = [set() if is_front(cell) else _names(cell) for cell in cells]
    first = len(cells)  # every cell from here on only adds names
    added: set[str] = set(dir(builtins))
    if None in bound or not _union(known).isdisjoint(DENIED):
        return []
    while first > 0:
        new = bound[first - 1] or set()
        asked = [_names(expression) for position, expression in checks.values() if position < first]
        if new & (_union(known[: first - 1]) | _union(asked) | added):
            break
        first -= 1
        added |= new
    return [name for name, (position, asked) in checks.items() if position >= first and _is_plain(asked)]


def _is_plain(expression: str) -> bool:
    """Return whether the expression of a check is a name, or a tuple of names: any other may do anything."""
    tree = parse(expression.strip(), "eval")
    match tree and tree.body:
        case ast.Name():
            return True
        case ast.Tuple(parts):
            return all(isinstance(part, ast.Name) for part in parts)
    return False


def _union(sets: Sequence[set[str]]) -> set[str]:
    return set().union(*sets)


def _names(cell: str) -> set[str]:
    """Return every name that a cell mentions."""
    tree = parse(cell)
    found: set[str] = set()
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Name(name) | ast.Attribute(attr=name) | ast.FunctionDef(name) | ast.arg(name):
                found.add(name)
            case ast.alias(name, asname):
                found.update(name.split("."))
                found.add(asname or name)
            case ast.ImportFrom(module):
                found.update((module or "").split("."))
    return found


def is_front(cell: str) -> bool:
    """Return whether a cell only asks whether the course's package is installed, which it is."""
    tree = parse(cell)
    match tree and tree.body:
        case [ast.Import([ast.alias("importlib.util", None)]), ast.If(question, _, [])]:
            return ast.dump(question) == IS_INSTALLED
    return False


def _added(cell: str, own: set[str]) -> set[str] | None:
    """Return the names that a cell adds, or None where it may do more than that."""
    if is_front(cell):
        return {"importlib"}
    tree = parse(cell)
    if tree is None or not all(_harmless(node, own) for node in ast.walk(tree)):
        return None
    found: set[str] = set()
    for statement in tree.body:
        match statement:
            case ast.Expr(ast.Constant()) | ast.Pass():
                pass
            case ast.Import(aliases) | ast.ImportFrom(_, aliases):
                found |= {alias.asname or alias.name.partition(".")[0] for alias in aliases}
            case ast.FunctionDef(name):
                found.add(name)
            case _:
                return None
    return found


def _harmless(node: ast.AST, own: set[str]) -> bool:
    """Return whether a part of a cell neither keeps anything beyond a call nor reaches what its text does not name."""
    match node:
        case ast.Import(aliases):
            return all(alias.asname or "." not in alias.name for alias in aliases) and all(
                _is_library(alias.name, own) and _computes(alias.name.split(".")[1:]) for alias in aliases
            )
        case ast.ImportFrom("mlcourse.grading", aliases, 0):
            return all(("mlcourse.grading", alias.name) in FRONT for alias in aliases)
        case ast.ImportFrom(str(module), aliases, 0) if module.startswith("mlcourse."):
            return _is_library(module, own) and module.count(".") == 1 and aliases[0].name != "*"
        case ast.ImportFrom(module, aliases, 0):
            parts = [*(module or "").split(".")[1:], *(alias.name for alias in aliases)]
            return _is_library(module or "", own) and _computes(parts)
        case ast.ImportFrom():
            return False
        case ast.FunctionDef():
            return not node.decorator_list and all(map(_only_names, _signature(node)))
        case ast.Lambda():
            return all(isinstance(value, ast.Constant) for value in _defaults(node.args))
        case ast.Attribute():  # one that is set, or one that is Python's own
            return isinstance(node.ctx, ast.Load) and _computes([node.attr])
        case ast.Name():
            return not node.id.startswith("__")
    return not isinstance(node, NEVER)


def _is_library(module: str, own: set[str]) -> bool:
    home, _, rest = module.partition(".")
    if home == "mlcourse" and rest in NO_REFERENCES:
        return False
    return home in LIBRARIES and home not in own


def _computes(names: Sequence[str]) -> bool:
    return computing().issuperset(names)


def _defaults(arguments: ast.arguments) -> Iterator[ast.expr]:
    yield from arguments.defaults
    yield from filter(None, arguments.kw_defaults)


def _signature(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """Yield what is computed when a function is defined."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    yield from filter(None, (argument.annotation for argument in every if argument is not None))
    if function.returns is not None:
        yield function.returns
    for value in _defaults(arguments):
        # A list would be the same one in every call.
        yield value if not any(isinstance(part, ast.List) for part in ast.walk(value)) else ast.Yield()


def _only_names(expression: ast.expr) -> bool:
    """Return whether an expression only looks up what libraries hold, and calls nothing."""
    return all(isinstance(node, IN_SIGNATURES) for node in ast.walk(expression))
