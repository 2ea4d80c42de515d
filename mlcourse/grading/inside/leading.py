"""Words by which a text may lead out of itself, to a function that is forbidden.

A text that a library runs comes with a namespace that nobody knows. So each of its words counts, whatever it stands
for: the last part of a forbidden name, what leads from any object to the names around it, what makes code.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Collection, Iterable

from mlcourse.grading.inside.words import LIBRARIES
from mlcourse.grading.shortcuts.names import DOORS
from mlcourse.grading.shortcuts.trees import parse

FORBIDDEN: set[str] = set()  # in any exercise of the assignment
REACHING = frozenset(
    (
        *("import_module", "attrgetter", "methodcaller", "fork", "forkpty", "system", "popen", "Popen", "check_output"),
        *("setprofile", "getprofile", "settrace", "monitoring", "addaudithook", "cell_contents", "user_global_ns"),
        *("getattr_static", "find_spec", "load_module", "exec_module", "run_module", "run_path", "run_cell", "ctypes"),
        *("modules", "user_ns", "mlcourse", "eval", "exec", "compile", "getattr", "setattr", "vars", "globals"),
        *("locals", "get_ipython", "open", "importlib", "builtins", "pickle", "marshal", "runpy"),
    )
)
# Methods of one's own have these names too.
COMMON = frozenset(
    (
        *("clear", "replace", "Trace", "load", "cast", "measure", "package", "library", "overrides", "ops", "trace"),
        *("stack", "metadata", "config", "loader", "connection", "reduction", "discovery", "Pipe", "Float", "Int"),
        *("Bool", "Shaped", "Num", "Integer", "Inexact", "Complex"),
    )
)
# From any object to the names and the code around it.
SPECIAL = frozenset(
    f"__{name}__"
    for name in (
        *("globals", "builtins", "dict", "subclasses", "mro", "bases", "base", "code", "closure", "self", "func"),
        *("wrapped", "module", "loader", "spec", "import", "getattribute", "getattr", "reduce", "reduce_ex"),
        *("traceback", "context", "cause", "kwdefaults", "defaults", "objclass", "weakref"),
    )
)
FRAMES = (types.FrameType, types.TracebackType, types.CodeType, types.GeneratorType, types.CoroutineType)
LEADING = frozenset(name for kind in FRAMES for name in dir(kind) if "_" in name and not name.startswith("__"))
HARMFUL = LEADING | REACHING | SPECIAL | ({name.rpartition(".")[2] for name in DOORS} - COMMON)


def forbid(names: Iterable[str]) -> None:
    """Have all submissions to come closed to these names in texts that nobody has read."""
    FORBIDDEN.update(names)


def leads_out(
    text: str,
    own: Collection[str] = (),
    home: Collection[str] | None = (),
    *,
    template: bool = False,
    methods: bool = False,
) -> bool:
    """Return whether the words of a text, alone, may lead to a function that is forbidden.

    Parameters
    ----------
    text : str
        Anything that Python is about to compile.
    own : collection of str
        Names of the notebook's own functions, which may be those of forbidden ones.
    home : collection of str, optional
        Libraries that may be imported beside those that compute; None for any.
    template : bool
        Whether the names of attributes stand in it as strings.
    methods : bool
        Whether it is made of methods, whose fields may have any name.

    Examples
    --------
    >>> leads_out("lambda _cls, x: _tuple_new(_cls, (x,))")
    False
    >>> leads_out("from scipy.special import expit"), leads_out("found.append(module.__dict__)")
    (True, True)
    """
    tree = parse(text) or parse(text, "eval")
    if tree is None:  # no code
        return False
    closed = HARMFUL | {name.rpartition(".")[2] for name in FORBIDDEN}
    own = {*own, *_parameters(tree)}
    for node in ast.walk(tree):
        match node:
            case ast.Import(aliases) | ast.ImportFrom(None, aliases) if home is not None:
                if any(_leads(alias.name, closed, home) for alias in aliases):
                    return True
            case ast.ImportFrom(str(module), aliases) if home is not None:
                names = {alias.name for alias in aliases}
                if module == "__main__":  # as timers do: names of the notebook, which stand for what they stand for
                    if not names.isdisjoint(closed - own - {"*"}):
                        return True
                    continue
                if _leads(module, closed, home) or names & closed or ("*" in names and len(tree.body) > 1):
                    return True
            case ast.Name(id=name) if not template and name in closed and name not in own:
                return True
            case ast.Attribute(ast.Name("self" | "other"), attr=name) if methods and name not in SPECIAL:
                pass
            case ast.Attribute(attr=name) if not template and name in closed:
                return True
            case ast.Constant(str(word)) if word in (closed if template else SPECIAL):
                return True
    return False


def _parameters(tree: ast.AST) -> set[str]:
    """Return the names of parameters: what they stand for comes from a call. A default of the same name does not."""
    arguments = [node for node in ast.walk(tree) if isinstance(node, ast.arguments)]
    defaults = [part for found in arguments for part in (*found.defaults, *filter(None, found.kw_defaults))]
    named = {node.id for part in defaults for node in ast.walk(part) if isinstance(node, ast.Name)}
    return {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} - named


def _leads(module: str, closed: Collection[str], home: Collection[str]) -> bool:
    """Return whether a module is none that may be imported, or one of these names stands inside it."""
    top, *parts = module.split(".")
    return (top not in LIBRARIES and top not in home) or not set(parts).isdisjoint(closed)
