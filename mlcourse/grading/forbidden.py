"""Names that would make an exercise empty: calling what the exercise asks to write.

The search follows names from the submission's own code to the objects behind them. A local function that happens to
have the same name, a comment or a string is no violation. What code builds while it runs (a name put together from
strings) is not found here: `mlcourse.grading.watch` sees it when it is called.
"""

from __future__ import annotations

import dis
import functools
import gc
import inspect
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from mlcourse.grading.shortcuts.names import BORROWING, LENDING, closed_by

UNKNOWN = object()
MANY = 1_000  # of what one container holds
# The types of Python itself, less those that have a search of their own, or that lead to all names of a module.
CONTAINING = ("builtins", "collections", "itertools", "_collections", "_operator", "types", "weakref", "_thread")
NO_CONTAINERS = (
    *(type, types.ModuleType, types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.CodeType),
    *(types.FrameType, types.TracebackType, types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType),
    *(BaseException, types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType),
    *(types.MethodDescriptorType, types.ClassMethodDescriptorType, types.MethodWrapperType),
)
# Neither changes what the next step of the code works on.
SILENT = {"PRECALL", "CACHE", "PUSH_NULL", "EXTENDED_ARG", "COPY_FREE_VARS", "RESUME", "MAKE_CELL", "NOP"}


class Search:
    """One search for forbidden objects in the code of one submission."""

    def __init__(
        self, names: tuple[str, ...], references: Any, home: str = "", own: frozenset[str] = frozenset()
    ) -> None:
        self.names = set(names)
        self.lent = {name.rpartition(".")[2] for name in names if name.startswith(LENDING)}
        self.own = own
        resolved = ((resolve(name), name) for name in names)
        self.targets = {id(found): name for found, name in resolved if found is not UNKNOWN}
        for reference in references if isinstance(references, tuple) else (references,):
            self.targets[id(reference)] = f"{reference.__module__}.{reference.__qualname__}"
        for name in ("mlcourse.exercises.find", "mlcourse.exercises.catalogue"):  # they lead to the references
            if (found := resolve(name)) is not UNKNOWN:
                self.targets[id(found)] = name
        methods = (name for name in names if name.startswith(("torch.Tensor.", "numpy.ndarray.")))
        self.methods = {name.rpartition(".")[2]: name for name in methods}
        self.homes = _homes(references) | ({home} if home else set())
        self.seen: set[int] = set()

    def in_parts(self, parts: Iterable[Any]) -> str | None:
        """Return the first forbidden name that any of these objects is or reaches."""
        return next((found for part in parts if (found := self.in_object(part))), None)

    def in_object(self, part: Any) -> str | None:
        """Return the forbidden name that an object is or reaches, or None."""
        if isinstance(part, Method):
            return None if part.name in self.own else self.methods.get(part.name)
        if isinstance(part, Unloaded):
            inside = any(part.name == home or part.name.startswith(f"{home}.") for home in self.homes)
            top, _, rest = part.name.partition(".")
            alike = top in BORROWING and rest.rpartition(".")[2] in self.lent
            return part.name if inside or alike or not self.names.isdisjoint(closed_by(part.name)) else None
        if id(part) in self.targets:
            return self.targets[id(part)]
        if (home := _home_of(part)) in self.homes:  # the chapter's other references
            return f"{home}.{getattr(part, '__qualname__', '*')}"
        if closed := next((name for name in closed_by(home) if name in self.names), None):
            return closed  # a part of a module that is forbidden as a whole, by whatever name it came
        if id(part) in self.seen or not is_own(part):
            return None
        self.seen.add(id(part))
        return self.in_parts(reached_from(part))


class Method:
    """An attribute of a value that is known only when the code runs, such as ``x.softmax``."""

    def __init__(self, name: str) -> None:
        self.name = name


class Unloaded:
    """A module that nobody has imported yet, or a part of it, known by its dotted name alone."""

    def __init__(self, name: str) -> None:
        self.name = name


def forbidden_use(candidate: Any, names: tuple[str, ...], references: Any, home: str = "") -> str | None:
    """Return the first forbidden name that the candidate's code reaches, or None.

    Parameters
    ----------
    candidate : callable, class, or tuple of them
    names : tuple of str
        Dotted names such as ``torch.softmax``; ``torch.Tensor.softmax`` forbids the method.
    references : callable, class, or tuple of them
        The reference implementation, which is always forbidden; empty where it is not there.
    home : str
        The module of the references, for the place where it is not there.
    """
    parts = candidate if isinstance(candidate, tuple) else (candidate,)
    methods = any(name.startswith(("torch.Tensor.", "numpy.ndarray.")) for name in names)
    search = Search(names, references, home, own_attributes(parts) if methods else frozenset())
    return search.in_parts(parts)


def own_attributes(parts: tuple[Any, ...]) -> frozenset[str]:
    """Return the names that attributes of the submission's own classes and objects have.

    Whose method ``x.softmax`` is, is known only when the code runs. It may be one of these: nobody is accused for it.
    """
    functions = [item for part in parts for item in (part, *_members(part)) if isinstance(item, types.FunctionType)]
    namespace = functions[0].__globals__ if functions else {}
    names = set[str]()
    for value in (*namespace.values(), *parts):
        if is_own(value) and (hasattr(value, "__dict__") or not is_container(value)):  # a namespace has attributes
            kind = value if inspect.isclass(value) else type(value)
            own = [base for base in kind.__mro__ if is_own(base)]
            names.update(name for base in own for name in (*vars(base), *vars(base).get("__annotations__", ())))
            names.update(vars(value) if hasattr(value, "__dict__") and not inspect.isclass(value) else ())
            names.update(name for item in (value, *_members(value)) for name in _defined_inside(item))
    return frozenset(names)


def _members(part: Any) -> list[Any]:
    kind = part if inspect.isclass(part) else type(part)
    return [member for base in kind.__mro__ if is_own(base) for member in vars(base).values()]


def _defined_inside(part: Any) -> Iterator[str]:
    """Yield the attributes that a function sets, and the members of the classes that it defines."""
    waiting = [part.__code__] if isinstance(part, types.FunctionType) else []
    while waiting:
        code = waiting.pop()
        stores = ("STORE_ATTR", "STORE_NAME")  # in a function, only the body of a class stores a name
        yield from (step.argval for step in dis.get_instructions(code) if step.opname in stores)
        waiting += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def called_names(candidate: Any) -> set[str]:
    """Return the names of the student's own functions that the candidate calls, itself left out."""
    parts = candidate if isinstance(candidate, tuple) else (candidate,)
    used = (item for part in parts for item in reached_from(part) if isinstance(item, types.FunctionType))
    return {item.__name__ for item in used if is_own(item)} - {getattr(part, "__name__", "") for part in parts}


def own_globals(candidate: Any) -> dict[str, Any]:
    """Return the names that the candidate's code sees: those of the notebook."""
    parts = candidate if isinstance(candidate, tuple) else (candidate,)
    return next((part.__globals__ for part in parts if isinstance(part, types.FunctionType)), {})


def resolve(name: str) -> Any:
    """Return the object behind a dotted name, or `UNKNOWN` where its module is not loaded.

    Nothing is imported: what nobody has loaded, no submission can hold.
    """
    module_name, attributes = name, list[str]()
    while module_name and module_name not in sys.modules:
        module_name, _, attribute = module_name.rpartition(".")
        attributes.insert(0, attribute)
    current: Any = sys.modules.get(module_name, UNKNOWN)
    for attribute in attributes:
        current = getattr(current, attribute, UNKNOWN)
    return current


def is_own(part: Any) -> bool:
    """Return whether an object is the submission's own code, and not that of an installed package."""
    if isinstance(part, functools.partial | types.MethodType) or is_container(part) or hasattr(part, "__wrapped__"):
        return True
    owner = part if isinstance(part, types.FunctionType) or inspect.isclass(part) else type(part)
    home = (getattr(owner, "__module__", None) or "").partition(".")[0]
    return home not in {"builtins", "numpy", "scipy", "torch", "sklearn", "mlcourse", "array_api_compat", "math"}


def is_container(part: Any) -> bool:
    """Return whether an object is one of Python's own that hold others: a set, a view of a dictionary, an iterator."""
    if isinstance(part, list | tuple | dict | set | frozenset):  # of what holds only ufuncs, gc keeps no track
        return True
    return type(part).__module__ in CONTAINING and not isinstance(part, NO_CONTAINERS) and gc.is_tracked(part)


def _homes(references: Any) -> set[str]:
    """Return the modules of the course in which these references stand."""
    parts = references if isinstance(references, tuple) else (references,)
    return {part.__module__ for part in parts if part.__module__.startswith("mlcourse.")}


def _home_of(part: Any) -> str:
    """Return the module in which a function or class stands, or a module's own name."""
    if isinstance(part, types.ModuleType):
        return part.__name__
    return part.__module__ if isinstance(part, types.FunctionType | type) and isinstance(part.__module__, str) else ""


def reached_from(part: Any) -> Iterator[Any]:
    """Yield every object that a function, class, instance, partial or container names, holds or calls."""
    if isinstance(part, dict):
        yield from list(part.values())[:MANY]
    elif isinstance(part, list | tuple):
        yield from part[:MANY]
    elif is_container(part):
        yield from gc.get_referents(part)[:MANY]
    elif isinstance(part, functools.partial):
        yield from (part.func, *part.args, *part.keywords.values())
    elif isinstance(part, types.MethodType):
        yield part.__func__
    elif isinstance(part, types.FunctionType):
        yield from part.__defaults__ or ()
        yield from (part.__kwdefaults__ or {}).values()
        yield from vars(part).values()  # what functools.wraps leaves behind
        yield from named_in(part.__code__, part)
    elif inspect.isclass(part):
        yield from (base for base in part.__mro__[1:] if is_own(base))
        yield from (getattr(member, "__func__", getattr(member, "fget", member)) for member in vars(part).values())
    elif hasattr(part, "__wrapped__"):  # functools.cache and its kin
        yield part.__wrapped__
    elif callable(part):
        yield type(part)
        yield from vars(part).values() if hasattr(part, "__dict__") else ()


def named_in(code: types.CodeType, function: types.FunctionType) -> Iterator[Any]:
    """Yield every object that the code names: ``torch``, ``torch.nn``, ``torch.nn.functional``, and so on."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    local: dict[str, Any] = {}
    current: Any = UNKNOWN
    imports = Imports()
    steps = deque(step for step in dis.get_instructions(code) if step.opname not in SILENT)
    while steps:
        step = steps.popleft()
        if step.opname in ("STORE_FAST", "STORE_DEREF", "STORE_NAME"):
            local[step.argval] = current
            continue
        if step.opname in ("LOAD_CONST", "IMPORT_NAME", "IMPORT_FROM"):
            current = imports.follow(step)
        else:
            current = _element(_loaded(step, current, local, cells, function), steps)
        if current is not UNKNOWN:
            yield current
    yield from local.values()
    for constant in code.co_consts:  # inner functions and comprehensions see the same names
        if isinstance(constant, types.CodeType):
            yield from named_in(constant, function)


def _loaded(step: dis.Instruction, current: Any, local: dict[str, Any], cells: dict[str, Any], function: Any) -> Any:
    """Return the object that one instruction puts before the next."""
    if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
        builtins = function.__globals__.get("__builtins__", {})
        builtins = builtins if isinstance(builtins, dict) else vars(builtins)
        return function.__globals__.get(step.argval, builtins.get(step.argval, UNKNOWN))
    if step.opname in ("LOAD_FAST", "LOAD_DEREF", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_CLOSURE"):
        return local[step.argval] if step.argval in local else _cell(cells.get(step.argval))
    if step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
        return _attribute(current, step.argval)
    return UNKNOWN


def _element(found: Any, steps: deque[dis.Instruction]) -> Any:
    """Return what the next steps take out of a container by a constant key, or else what was found.

    ``solvers["mine"]`` reaches one of the solvers, and not the one beside it.
    """
    while isinstance(found, dict | list | tuple) and len(steps) > 1 and steps[0].opname == "LOAD_CONST":
        subscript = steps[1].opname == "BINARY_SUBSCR" or (steps[1].opname, steps[1].argrepr) == ("BINARY_OP", "[]")
        try:
            element = found[steps[0].argval] if subscript else found
        except (LookupError, TypeError):
            return found
        if not subscript:
            return found
        steps.popleft()
        steps.popleft()
        found = element
    return found


class Imports:
    """Follows the import statements inside a function, which the interpreter does in several steps."""

    def __init__(self) -> None:
        self.constant: Any = None
        self.named = False  # `from module import name`, and not `import module`
        self.module: Any = UNKNOWN

    def follow(self, step: dis.Instruction) -> Any:
        """Return the module or the object that this step brings in."""
        if step.opname == "LOAD_CONST":
            self.constant = step.argval
            return UNKNOWN
        if step.opname == "IMPORT_NAME":
            self.named = self.constant is not None
            name = step.argval if self.named else step.argval.partition(".")[0]
            self.module = sys.modules.get(name) or Unloaded(name)  # the search runs no import
            return self.module
        found = _attribute(self.module, step.argval)
        if not self.named:  # `import a.b as c` walks from a to b
            self.module = found
        return found


def _cell(cell: Any) -> Any:
    try:
        return UNKNOWN if cell is None else cell.cell_contents
    except ValueError:  # not filled yet
        return UNKNOWN


def _attribute(owner: Any, name: str) -> Any:
    if isinstance(owner, types.ModuleType) or inspect.isclass(owner):
        found = getattr(owner, name, UNKNOWN)
        return Unloaded(f"{owner.__name__}.{name}") if found is UNKNOWN else found
    if isinstance(owner, Unloaded):
        return Unloaded(f"{owner.name}.{name}")
    return Method(name)
