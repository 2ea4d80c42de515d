"""Which dotted names are the same object. Nothing is imported and nothing is called."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any

from mlcourse.grading.shortcuts.meanings import Made, Method, Opaque, Sign

MISSING = object()
# They lead from a text, or from a name that is registered, to any function: nobody can see what they call.
DOORS = (
    *("torch.library", "torch.fx", "torch.overrides", "torch.ops", "torch._C", "torch._ops", "torch._refs"),
    *(f"torch.jit.{name}" for name in ("CompilationUnit", "ScriptModule", "RecursiveScriptModule")),
    *("torch.package", "torch.utils.cpp_extension", "torch._dynamo"),
    "torch._vmap_internals",
    # They run a text, or find what a text names.
    *("trace.Trace", "bdb", "pdb", "codeop", "doctest", "mako", "pydoc.locate", "pydoc.importfile", "pydoc.safeimport"),
    *("pkgutil.resolve_name", "importlib.metadata", "logging.config", "traitlets.import_item", "unittest.TestLoader"),
    *("traitlets.utils.importstring", "IPython.utils.importstring", "wrapt", "unittest.loader", "site.addsitedir"),
    *("multiprocessing.reduction", "multiprocessing.connection", "multiprocessing.Pipe", "sklearn.utils.discovery"),
    *("numpy.testing.runstring", "numpy.testing.measure", "numpy.testing.rundocs", "numpy.f2py", "numpy.bmat"),
    *("typing.get_type_hints", "typing.evaluate_forward_ref", "inspect.get_annotations", "code.InteractiveInterpreter"),
    # Where a value is compared with such a type. Annotations, and what decorates a function by them, are no violation.
    *(f"jaxtyping.{name}" for name in ("Float", "Int", "Bool", "Shaped", "Num", "Integer", "Inexact", "Complex")),
    # They lead to every name and object of the process.
    *("sys._getframe", "sys._current_frames", "sys._current_exceptions", "builtins.BaseException.__traceback__"),
    *(f"inspect.{name}" for name in ("currentframe", "stack", "trace", "getouterframes", "getinnerframes")),
    *(f"gc.{name}" for name in ("get_objects", "get_referrers", "get_referents")),
    # They make functions of bytes, of files, or of memory.
    *("cffi", "pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib.load"),
    *("torch.load", "pandas.read_pickle", "types.CodeType", "importlib.machinery", "runpy.run_path", "zipimport"),
    *(f"importlib.util.{name}" for name in ("spec_from_file_location", "spec_from_loader", "module_from_spec")),
    *(f"ctypes.{name}" for name in ("pythonapi", "py_object", "cast", "CDLL", "PyDLL", "cdll", "pydll", "memmove")),
)
DOOR_NAMES = frozenset(DOORS)
# Many modules of these hold functions of `scipy.special`, under the same names. No watch sees a call of a ufunc.
BORROWING, LENDING = frozenset(("scipy", "sklearn", "gensim")), "scipy.special."
LEADING_TO_REFERENCES = ("mlcourse.exercises", "mlcourse.trainings", "mlcourse.grading.evaluate")


def resolve(name: str) -> Any:
    """Return the object behind a dotted name in the modules that are loaded, or `MISSING`.

    Only dictionaries are read: a module's own ``__getattr__`` might import something.
    """
    parts = name.split(".")
    for length in range(1, len(parts) + 1):  # a package may have a function where it has a module of the same name
        current: Any = sys.modules.get(".".join(parts[:length]), MISSING)
        for part in parts[length:]:
            current = _member(current, part)
        if current is not MISSING and current is not None:
            return current
    return MISSING


def _member(owner: Any, name: str) -> Any:
    if isinstance(owner, ModuleType):
        found = vars(owner).get(name, MISSING)
        return sys.modules.get(f"{owner.__name__}.{name}", MISSING) if found is MISSING else found
    if isinstance(owner, type):
        return next((vars(base)[name] for base in owner.__mro__ if name in vars(base)), MISSING)
    return MISSING


def closed_by(module: str) -> Iterator[str]:
    """Yield a module's name and those of the packages around it: who forbids one of them forbids its parts.

    Examples
    --------
    >>> list(closed_by("sklearn.linear_model._ridge"))
    ['sklearn.linear_model._ridge', 'sklearn.linear_model', 'sklearn']
    """
    while module:
        yield module
        module = module.rpartition(".")[0]


def is_door(name: str) -> bool:
    """Return whether a dotted name is one of `DOORS`, or a part of one."""
    while name and name not in DOOR_NAMES:
        name = name.rpartition(".")[0]
    return bool(name)


def is_class(name: str) -> bool:
    """Return whether a dotted name is a class: where its module is not loaded, by its capital letter."""
    found = resolve(name)
    return name.rpartition(".")[2][:1].isupper() if found is MISSING else isinstance(found, type)


def exported(module: str) -> list[str] | None:
    """Return the names that ``from module import *`` brings in, or None where the module is not loaded."""
    found = resolve(module)
    if not isinstance(found, ModuleType):
        return None
    names = vars(found).get("__all__")
    if isinstance(names, list | tuple):
        return [name for name in names if isinstance(name, str)]
    return [name for name in list(vars(found)) if not name.startswith("_")]


class Targets:
    """The names that are forbidden in one exercise.

    Parameters
    ----------
    forbidden : sequence of str
        Dotted names; ``torch.Tensor.softmax`` forbids the method too.
    home : str
        The module of the exercise's chapter: everything in it is forbidden.
    """

    def __init__(self, forbidden: Sequence[str], home: str) -> None:
        self.forbidden = tuple(forbidden)
        self.home = home
        self.packages = (home, *LEADING_TO_REFERENCES) if home else LEADING_TO_REFERENCES
        self.named = frozenset((*self.forbidden, *DOORS))
        names = (*DOORS, *LEADING_TO_REFERENCES, *forbidden)
        self.objects = {id(found): name for name in names if (found := resolve(name)) is not MISSING}
        owners = ("torch.Tensor.", "numpy.ndarray.")
        self.methods = {name.rpartition(".")[2]: name for name in forbidden if name.startswith(owners)}
        self.known: dict[str, str | None] = {}
        self.parts: dict[str, str | None] = {}

    def match(self, name: str) -> str | None:
        """Return the forbidden name that is the same object as this dotted name, or None."""
        if name not in self.known:
            self.known[name] = name if name in self.named else self._in_package(name) or self._same_object(name)
        owner = name.rpartition(".")[0]  # the method of a forbidden class is forbidden too
        return self.known[name] or (self.match(owner) if owner else None)

    def inside(self, owner: str) -> str | None:
        """Return a forbidden name that is a part of a module or a class, or None; without a name, of anything."""
        if owner not in self.parts:
            self.parts[owner] = self._inside(owner)
        return self.parts[owner]

    def _inside(self, owner: str) -> str | None:
        listed = [name for name in (*self.forbidden, *self.packages) if not owner or name.startswith(f"{owner}.")]
        if listed:
            return listed[0]
        found = resolve(owner)
        members = list(vars(found).values()) if isinstance(found, ModuleType) else ()
        alike = [self.objects[id(member)] for member in members if id(member) in self.objects]
        return next((name for name in alike if name in self.forbidden), None)

    def first_among(self, reached: Iterable[tuple[Any, bool]]) -> str | None:
        """Return a forbidden name among what code reaches, to tell the student.

        It is the first in the order of the exercise's list, so that it never varies. What is reached comes with whether
        it is used as a whole: a module of which only a part is used is named by that part.
        """
        found = {name for meaning, used in reached if (name := self._forbidden(meaning, used))}
        return self._first_of(found)

    def _forbidden(self, meaning: Any, used: bool) -> str | None:
        if isinstance(meaning, Sign):
            return None
        if isinstance(meaning, Method):
            return self.methods.get(meaning.name)
        if isinstance(meaning, Opaque):
            return self.inside(meaning.owner)
        name = meaning.path if isinstance(meaning, Made) else meaning.name
        whole = used or isinstance(meaning, Made) or name not in self.packages
        return self.match(name) if whole else None

    def _first_of(self, names: set[str]) -> str | None:
        listed = [name for name in self.forbidden if name in names]
        return next(iter(listed or sorted(names, key=lambda name: (-name.count("."), name))), None)

    def _in_package(self, name: str) -> str | None:
        for package in self.packages:
            if name == package:
                return name
            if name.startswith(f"{package}."):
                return f"{package}.{name[len(package) + 1 :].partition('.')[0]}"
        return None

    def _same_object(self, name: str) -> str | None:
        found = resolve(name)
        if found is MISSING:
            return self._same_text(name)
        if id(found) in self.objects:
            return self.objects[id(found)]
        if isinstance(found, FunctionType | type):
            whole = next((part for part in closed_by(str(found.__module__)) if part in self.forbidden), None)
            return whole or self._in_package(f"{found.__module__}.{found.__qualname__}")
        return None

    def _same_text(self, name: str) -> str | None:
        """Compare with a module that is not loaded: ``sklearn.linear_model._base.Ridge`` is ``Ridge`` of `sklearn`."""
        package, *middle = name.split(".")
        last = middle.pop() if middle else ""
        alike = [known for known in self.named if known.rpartition(".")[2] == last]
        if package in BORROWING and (found := [known for known in alike if known.startswith(LENDING)]):
            return min(found)
        # Of a package that is loaded, a part that is not: its own function of the same name may be another one.
        if package in sys.modules and not any(part.startswith("_") for part in middle):
            return None
        return min((known for known in alike if known.partition(".")[0] == package), default=None)
