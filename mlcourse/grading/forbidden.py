"""Names that would make an exercise empty: calling what the exercise asks to write.

The search follows names from the submission's own code to the objects behind them. A local function that happens to
have the same name, a comment or a string is no violation.
"""

from __future__ import annotations

import dis
import importlib
import inspect
import types
from collections.abc import Iterator
from typing import Any

UNKNOWN = object()


def forbidden_use(candidate: Any, names: tuple[str, ...], references: Any) -> str | None:
    """Return the first forbidden name that the candidate's code reaches, or None.

    Parameters
    ----------
    candidate : callable, class, or tuple of them
    names : tuple of str
        Dotted names such as ``torch.softmax``; ``torch.Tensor.softmax`` forbids the method.
    references : callable, class, or tuple of them
        The reference implementation, which is always forbidden.
    """
    targets = {id(resolved): name for name in names if (resolved := resolve(name)) is not UNKNOWN}
    for reference in references if isinstance(references, tuple) else (references,):
        targets[id(reference)] = f"{reference.__module__}.{reference.__qualname__}"
    methods = {name.rpartition(".")[2]: name for name in names if name.startswith(("torch.Tensor.", "numpy.ndarray."))}
    seen: set[types.CodeType] = set()
    for part in candidate if isinstance(candidate, tuple) else (candidate,):
        if id(part) in targets:
            return targets[id(part)]
        for function in functions_of(part):
            found = _search(function.__code__, function, targets, methods, seen)
            if found:
                return found
    return None


def resolve(name: str) -> Any:
    """Return the object behind a dotted name, or `UNKNOWN` when its package is not installed."""
    module_name, attributes = name, list[str]()
    while module_name:
        try:
            current: Any = importlib.import_module(module_name)
        except ImportError:
            module_name, _, attribute = module_name.rpartition(".")
            attributes.insert(0, attribute)
            continue
        for attribute in attributes:
            current = getattr(current, attribute, UNKNOWN)
        return current
    return UNKNOWN


def functions_of(part: Any) -> Iterator[types.FunctionType]:
    """Yield the Python functions that a function or a class consists of."""
    if isinstance(part, types.FunctionType):
        yield part
    elif inspect.isclass(part):
        for member in vars(part).values():
            member = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(member, types.FunctionType):
                yield member


def called_names(candidate: Any) -> set[str]:
    """Return the names of the student's own functions that the candidate reaches, itself left out."""
    found: set[str] = set()
    for part in candidate if isinstance(candidate, tuple) else (candidate,):
        for function in functions_of(part):
            for used in _reached(function.__code__, function):
                if isinstance(used, types.FunctionType) and used.__globals__ is function.__globals__:
                    found.add(used.__name__)
    return found - {
        getattr(part, "__name__", "") for part in (candidate if isinstance(candidate, tuple) else [candidate])
    }


def _search(
    code: types.CodeType,
    function: types.FunctionType,
    targets: dict[int, str],
    methods: dict[str, str],
    seen: set[types.CodeType],
) -> str | None:
    if code in seen:
        return None
    seen.add(code)
    for used in _reached(code, function):
        if isinstance(used, _Method):
            if used.name in methods:
                return methods[used.name]
            continue
        if id(used) in targets:
            return targets[id(used)]
        if isinstance(used, types.FunctionType) and used.__globals__ is function.__globals__:
            found = _search(used.__code__, used, targets, methods, seen)
            if found:
                return found
    for constant in code.co_consts:  # inner functions, comprehensions
        if isinstance(constant, types.CodeType):
            found = _search(constant, function, targets, methods, seen)
            if found:
                return found
    return None


class _Method:
    """An attribute of a value that is known only when the code runs, such as ``x.softmax``."""

    def __init__(self, name: str) -> None:
        self.name = name


def _reached(code: types.CodeType, function: types.FunctionType) -> Iterator[Any]:
    """Yield every object that the code names: ``torch``, ``torch.nn``, ``torch.nn.functional``, ..."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    current: Any = UNKNOWN
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            builtins = function.__globals__.get("__builtins__", {})
            builtins = builtins if isinstance(builtins, dict) else vars(builtins)
            current = function.__globals__.get(step.argval, builtins.get(step.argval, UNKNOWN))
        elif step.opname == "LOAD_DEREF" and step.argval in cells:
            current = _cell(cells[step.argval])
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            current = _attribute(current, step.argval)
        elif step.opname == "IMPORT_NAME":
            current = resolve(step.argval)
        elif step.opname == "IMPORT_FROM":
            yield _attribute(current, step.argval)
            continue
        elif step.opname in ("PRECALL", "CACHE", "PUSH_NULL", "EXTENDED_ARG"):
            continue
        else:
            current = UNKNOWN
        if current is not UNKNOWN:
            yield current


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return UNKNOWN


def _attribute(owner: Any, name: str) -> Any:
    if isinstance(owner, types.ModuleType) or inspect.isclass(owner):
        return getattr(owner, name, UNKNOWN)
    return _Method(name)
