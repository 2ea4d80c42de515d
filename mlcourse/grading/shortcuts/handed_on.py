"""What a text hands on to where the search cannot follow it: to libraries, to exceptions, to Python itself.

What goes into a library may come out of it, at any place and at any time. A text may call a forbidden function, to
compare with it, and may keep it where the search can follow. It may not hand it on, or a function of its own that uses
it, where an exercise's code uses values that may have come out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mlcourse.grading.shortcuts.leads import Leads
from mlcourse.grading.shortcuts.meanings import (
    NOTHING,
    Bound,
    Class,
    Meanings,
    More,
    Namespace,
    Opaque,
    Path,
    join,
)
from mlcourse.grading.shortcuts.names import is_class

MOST = 2_000
# They look at what they are given, and keep nothing of it.
LOOKING = {
    *(f"builtins.{name}" for name in ("print", "repr", "str", "format", "help", "display", "callable", "isinstance")),
    *(f"builtins.{name}" for name in ("issubclass", "id", "hash", "len", "bool", "dir", "hasattr", "any", "all")),
    *(f"builtins.{name}" for name in ("abs", "round", "int", "float", "ascii", "object", "range")),
    *(f"inspect.{name}" for name in ("getsource", "getsourcelines", "getsourcefile", "getdoc", "getfile")),
    *(f"inspect.{name}" for name in ("isfunction", "isbuiltin", "isclass", "isroutine", "ismodule")),
    *(f"time.{name}" for name in ("time", "perf_counter", "process_time")),
    *(f"numpy.testing.{name}" for name in ("assert_allclose", "assert_array_almost_equal", "assert_almost_equal")),
    *(f"numpy.testing.{name}" for name in ("assert_equal", "assert_array_equal", "assert_array_less")),
    *("dataclasses.asdict", "dataclasses.astuple", "pprint.pprint", "torch.testing.assert_close"),
    *("mlcourse.grading.check", "mlcourse.grading.evaluate", "math.isclose", "importlib.util.find_spec"),
    *("pytest.approx", "timeit.default_timer"),
}
# They call what they are given, at once, and keep nothing of it.
CALLING = {
    *(f"numpy.{name}" for name in ("apply_along_axis", "apply_over_axes", "fromfunction", "piecewise")),
    *("numpy.testing.assert_raises", "torch.autograd.gradcheck", "torch.autograd.gradgradcheck", "pytest.raises"),
    *(f"torch.autograd.functional.{name}" for name in ("jacobian", "hessian", "vjp", "jvp", "hvp", "vhp")),
    "doctest.testmod",
}
LOOKING_PACKAGES = ("IPython.display", "array_api_compat", "mlcourse.plotting")
CALLING_PACKAGES = ("scipy.optimize", "scipy.integrate")
WRITERS = {"copyreg", "types", "builtins.setattr", "builtins.__build_class__", "builtins.object.__setattr__"}
RECEIVER = "an array or an object of a library"  # out of which the code of an exercise may take anything
# Classes of libraries whose objects call methods of the student only where the text does.
PLAIN_BASES = {
    *(f"builtins.{name}" for name in ("object", "Exception", "ValueError", "TypeError", "RuntimeError", "KeyError")),
    *(f"builtins.{name}" for name in ("ArithmeticError", "AssertionError", "NotImplementedError", "IndexError")),
    *(f"typing.{name}" for name in ("Protocol", "Generic", "Any")),
    *("abc.ABC", "abc.ABCMeta", "torch.nn.Module", "torch.nn.modules.Module", "torch.nn.modules.module.Module"),
    *("unittest.TestCase", "builtins.type"),
}
# Methods that Python calls only where the text says so, and that the search follows there.
ARITHMETIC = ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift")
BITWISE = ("or", "xor", "and")
FOLLOWED = {
    *("__init__", "__new__", "__call__", "__getitem__", "__iter__", "__enter__", "__getattr__", "__init_subclass__"),
    *(f"__{begin}{name}__" for begin in ("", "r", "i") for name in (*ARITHMETIC, *BITWISE)),
    *(f"__{name}__" for name in ("eq", "ne", "lt", "gt", "le", "ge", "contains", "neg", "pos", "invert", "setattr")),
    *("__next__", "__setitem__", "__delitem__", "__exit__"),
}


class HandedOn:
    """What was handed on, and to whom.

    Parameters
    ----------
    leads : Leads
    holds : callable
        ``holds(dotted_name)``: whether something that an exercise forbids is a part of this module.
    """

    def __init__(self, leads: Leads, holds: Callable[[str], bool]) -> None:
        self.leads = leads
        self.holds = holds
        self.things: dict[Any, str] = {}
        self.too_many = False

    def add(self, meanings: Meanings, to: str) -> None:
        """Keep what is no data among these, and in the containers and objects among them."""
        bound = frozenset(item for item in meanings if isinstance(item, Bound))  # of its object only what it uses
        for thing in self.leads.among(_opened(meanings - bound), running=True) | bound:
            self.too_many = self.too_many or isinstance(thing, More)
            if isinstance(thing, Path) and not self._leads_on(thing.name):
                continue
            if len(self.things) < MOST:
                self.things.setdefault(thing, to)
            else:
                self.too_many = True

    def _leads_on(self, name: str) -> bool:
        return self.leads.suspicious(name) or (self.holds(name) and not is_class(name))

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        return iter(list(self.things.items()))

    def as_meanings(self) -> Meanings:
        """Return all of it."""
        return join(NOTHING, *(with_parts(thing) for thing, _ in self))


def may_write(to: str) -> bool:
    """Return whether what was handed on comes out where the search sees no foreign value."""
    return to == RECEIVER or to in WRITERS or to.startswith(("unittest.mock.", "the attribute "))


def with_parts(thing: Any) -> Meanings:
    """Return a thing and, of a module, any part of it."""
    is_module = isinstance(thing, Path) and not is_class(thing.name)
    return frozenset((thing, Opaque(thing.name)) if is_module else (thing,))


def _opened(meanings: Meanings) -> Meanings:
    """Return the same with all that stands in a namespace such as ``globals()``."""
    spaces = [item.owner for item in meanings if isinstance(item, Namespace) and hasattr(item.owner, "names")]
    return join(meanings, *(value for space in spaces for value in space.names.values()))


def only_looks(name: str) -> bool:
    """Return whether a function of a library looks at what it is given, and no more."""
    return name in LOOKING or name.startswith(tuple(f"{package}." for package in LOOKING_PACKAGES))


def only_calls(name: str) -> bool:
    """Return whether a function of a library calls what it is given, at once, and keeps nothing of it."""
    return name in CALLING or name.startswith(tuple(f"{package}." for package in CALLING_PACKAGES))


def called_by_python(made: Class) -> Meanings:
    """Return the methods of a class that Python calls where the text does not say so, such as ``__del__``."""
    members = made.namespace.names.items()
    names = [name for name, _ in members if name.startswith("__") and name.endswith("__") and name not in FOLLOWED]
    return join(NOTHING, *(made.namespace.names[name] for name in names))
