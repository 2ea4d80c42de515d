"""Notebooks whose words alone show that they reach nothing forbidden: no search has to follow what they do.

To reach a function of a library, a text has to name it: by an attribute, by an import, or by something that leads from
a text to a name. A notebook that holds none of these, and of a library only what computes, may be as long and as
tangled as it likes: a small library for derivatives that its author wrote, say.
"""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

from mlcourse.grading.inside.apart import DENIED, FRONT, is_front
from mlcourse.grading.inside.names import computing
from mlcourse.grading.shortcuts import Check
from mlcourse.grading.shortcuts.interpreter import parse
from mlcourse.grading.shortcuts.names import DOORS

LIBRARIES = frozenset(
    (
        *("numpy", "torch", "math", "typing", "itertools", "collections", "random", "functools", "dataclasses", "abc"),
        *("time", "statistics", "fractions", "decimal", "copy", "json", "re", "heapq", "bisect", "textwrap"),
    )
)
OF_THEM = frozenset(
    (
        *(
            "dataclass",
            "field",
            "lru_cache",
            "cache",
            "cached_property",
            "reduce",
            "partial",
            "wraps",
            "total_ordering",
        ),
        *(
            "perf_counter",
            "time",
            "process_time",
            "mean",
            "median",
            "stdev",
            "Fraction",
            "Decimal",
            "deepcopy",
            "random",
        ),
        *("ABC", "abstractmethod", "heappush", "heappop", "heapify", "bisect", "choice", "shuffle", "uniform", "gauss"),
        *("seed", "default_rng", "standard_normal", "normal", "integers", "randn", "rand", "manual_seed", "allclose"),
    )
)
SPECIAL = frozenset(("__init__", "__name__", "__doc__"))
NOT_HERE = frozenset(DENIED) - {"functools", "super", "type", "help"} | {"__import__", "__builtins__", "__loader__"}
OPERATORS = frozenset(name for name in dir(int) if name not in ("__class__", "__new__", "__reduce__", "__reduce_ex__"))
NEVER = (ast.MatchClass, ast.Await, ast.AsyncFor, ast.AsyncWith, ast.AsyncFunctionDef)


# From an object to the frames, the modules and the names around it: no attribute of one's own makes these harmless.
LEADING = frozenset(
    (
        *(name for kind in (types.FrameType, types.TracebackType, types.CodeType) for name in dir(kind)),
        *(name for kind in (types.GeneratorType, types.CoroutineType) for name in dir(kind) if "_" in name),
        *(f"{start}{name}" for name in sys.stdlib_module_names for start in ("", "_")),
        *("modules", "func_globals", "user_ns", "mlcourse", *NOT_HERE),
    )
)


def names_nothing_forbidden(cells: Sequence[str], checks: Mapping[str, Check]) -> bool:
    """Return whether the words of a notebook alone show that it reaches nothing that its exercises forbid.

    Parameters
    ----------
    cells : sequence of str
        The code cells, checks left out, as plain Python.
    checks : mapping of str to Check
        What the exercises forbid.

    Examples
    --------
    >>> check = {"toy.total": Check(2, "total", ("numpy.sum",), "mlcourse.toy")}
    >>> names_nothing_forbidden(["import numpy as np", "def total(x): return np.dot(x, np.ones(len(x)))"], check)
    True
    >>> names_nothing_forbidden(["import numpy as np", "def total(x): return np.sum(x)"], check)
    False
    >>> names_nothing_forbidden(["import numpy as np", "def total(x): return getattr(np, 'su' + 'm')(x)"], check)
    False
    """
    trees = [parse(cell) for cell in cells if not is_front(cell)]
    if any(tree is None for tree in trees):
        return False
    nodes = [node for tree in trees for node in ast.walk(tree)]
    forbidden = {name.rpartition(".")[2] for check in checks.values() for name in check.forbidden}
    # Closed to one's own methods, too: which `backward` a call means is known when it runs, and the watch does not see
    # every call (of a function that torch.jit.script has compiled, for one).
    closed = forbidden | {name.rpartition(".")[2] for name in DOORS} | LEADING
    own = {name for node in nodes for name in _made_by(node)} - closed
    known = (computing() | OF_THEM | own | SPECIAL) - forbidden
    return all(_is_harmless(node, known, closed) for node in nodes)


def _made_by(node: ast.AST) -> list[str]:
    """Return the names of attributes that a part of the text makes."""
    match node:
        case ast.Attribute(attr=name, ctx=ast.Store()):
            return [name]
        case ast.ClassDef(body=body):
            defined = [item.name for item in body if isinstance(item, ast.FunctionDef | ast.ClassDef)]
            named = [item for item in body if isinstance(item, ast.Assign | ast.AnnAssign)]
            targets = [part for item in named for part in ast.walk(item) if isinstance(part, ast.Name)]
            return [name for name in [*defined, *(part.id for part in targets)] if not name.startswith("__")]
    return []


def _is_harmless(node: ast.AST, known: Any, closed: set[str]) -> bool:
    match node:
        case ast.Import(aliases):
            return all(alias.name in LIBRARIES for alias in aliases)
        case ast.ImportFrom("mlcourse.grading", aliases, 0):
            return all(("mlcourse.grading", alias.name) in FRONT for alias in aliases)
        case ast.ImportFrom(str(module), aliases, 0):
            names = {*module.split(".")[1:], *(alias.name for alias in aliases)}
            return module.partition(".")[0] in LIBRARIES and names <= known
        case ast.ImportFrom():
            return False
        case ast.Attribute(attr=name):
            return name in known
        case ast.Name(id=name):
            return name not in NOT_HERE and (name in OPERATORS or not (name.startswith("__") and name.endswith("__")))
        case ast.keyword(arg="metaclass"):
            return False
    return not isinstance(node, NEVER)
