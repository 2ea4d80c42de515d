"""Watches what a submission calls while it is tried: however it came by a function, the call itself shows it.

The searches (`mlcourse.grading.forbidden`, `mlcourse.grading.shortcuts`) look before anything is called. Here the
interpreter says of every call which function it is. A function of a library may call what the exercise forbids, where
its own code names it; the submission's code may not, and neither may a library's function that was given it.

The interpreter does not tell of calls from C to C, such as ``map(torch.softmax, ...)``: torch itself does. Nobody tells
of NumPy's ufuncs, of what other processes and older threads do, and of the calls inside a function that
``torch.jit.script`` has compiled.
"""

from __future__ import annotations

import functools
import gc
import inspect
import sys
from collections.abc import Callable, Iterator
from sys import getprofile, setprofile  # as they are before a notebook runs
from threading import Thread
from threading import setprofile as setprofile_of_threads
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from mlcourse.grading.calling import ShortcutUsedError, is_library
from mlcourse.grading.forbidden import UNKNOWN, resolve

# Whoever calls one of these may switch the watch off, or look for it.
SWITCHES: dict[str, Any] = {
    "threading.setprofile": setprofile_of_threads,
    "sys.setprofile": setprofile,
    "sys.getprofile": getprofile,
    **{f"gc.{name}": getattr(gc, name) for name in ("get_objects", "get_referrers", "get_referents")},
}
START_OF_A_THREAD = Thread._bootstrap_inner.__code__  # type: ignore[attr-defined]  # it has itself watched
SWITCHED_OFF = (
    "Your notebook changes, while your code is tried, which function is told of its calls (a profiler, or a recursion "
    "without end that is caught)"
)
THROUGH: list[CodeType] = []
PUBLIC_SPECIAL = ("__init__", "__new__", "__call__")  # the others are asked by a library for its own ends
DEEPEST = 20  # how many decorators a function may have


class Watch:
    """Finds calls of forbidden functions inside its block.

    Parameters
    ----------
    names : tuple of str
        Dotted names, as for `mlcourse.grading.forbidden.forbidden_use`.
    found : callable, optional
        ``found(name)`` is asked at once, before the function runs, and before the submission can do anything about it.

    Raises
    ------
    ShortcutUsedError
        At the call, and again at the end of the block if the submission has swallowed it.

    Examples
    --------
    >>> import numpy as np
    >>> hidden = {"f": np.average}.values()
    >>> with Watch(("numpy.average",)):
    ...     next(iter(hidden))([1.0, 3.0])
    Traceback (most recent call last):
    mlcourse.grading.calling.ShortcutUsedError: numpy.average
    """

    def __init__(self, names: tuple[str, ...], found: Callable[[str], None] | None = None) -> None:
        self.found = found
        self.used: str | None = None
        self.switched = False
        self.table = table_of(names)
        self.previous: Any = None
        self.mode: Any = None

    def __enter__(self) -> Watch:
        if self.table.modules != len(sys.modules):
            self.table.refresh()
        self.previous, self.switched = getprofile(), False
        self.event = self._event  # one object, which can be told from any other
        self.mode = None
        if self.table.has_natives and "torch" in sys.modules:
            self.mode = _mode_of_torch()(self)
            self.mode.__enter__()
        setprofile_of_threads(self.event)
        setprofile(self.event)
        _WATCHING.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        still = getprofile() is self.event and not self.switched
        _WATCHING.remove(self)
        setprofile(self.previous if callable(self.previous) else None)
        setprofile_of_threads(None)  # which is how it is switched off
        if self.mode is not None:
            try:
                self.mode.__exit__(kind, *error)
            except Exception:  # somebody has taken it away
                still = False
        if kind is None and (self.used or not still):
            self.tell(self.used or SWITCHED_OFF)

    def _event(self, frame: FrameType, event: str, argument: Any) -> None:
        table = self.table
        if event == "call":
            if len(sys.modules) != table.modules:
                table.refresh()
            target = table.codes.get(id(frame.f_code))
            if target is not None and target.is_called_by_submission(frame.f_back):
                self.tell(SWITCHED_OFF if target.name in SWITCHES else target.name)
        elif event == "c_call" and getattr(argument, "__name__", "") in table.natives:
            self.called(argument, frame)

    def called(self, function: Any, caller: FrameType) -> None:
        """Take note of a call of a function without code of Python."""
        for target in self.table.natives.get(getattr(function, "__name__", ""), ()):
            if target.is_native(function) and target.is_called_by_submission(caller):
                self.tell(SWITCHED_OFF if target.name in SWITCHES else target.name)

    def tell(self, name: str) -> None:
        """End the attempt because of this."""
        self.used = name
        if self.found is not None:
            self.found(name)
        raise ShortcutUsedError(name)


_WATCHING: list[Watch] = []


def guard_the_switch() -> None:
    """Have Python tell, for as long as this process lives, when a watch is switched off, also from C.

    That is no proof of a bad intent: Python itself does it where the memory or the stack ends. Such a call ends with an
    error, and only who returns a value all the same has hidden something.
    """

    def asked(event: str, _: tuple[Any, ...]) -> None:
        if event == "sys.setprofile" and _WATCHING and sys._getframe(1).f_code is not START_OF_A_THREAD:
            _WATCHING[-1].switched = True

    sys.addaudithook(asked)


class Target:
    """One function that may not be called.

    Parameters
    ----------
    name : str
        As the exercise forbids it.
    function : object
    namers : frozenset of str
        The code of a library that names one of these calls the function for its own ends.
    """

    def __init__(self, name: str, function: Any, namers: frozenset[str]) -> None:
        self.name = name
        self.short = getattr(function, "__name__", "")
        self.function = function
        self.namers = namers
        self.codes = list(codes_of(function))  # kept, so that no other code takes their places

    def is_native(self, called: Any) -> bool:
        """Return whether a function without code of Python is this one, bound to an object or not."""
        if called == self.function:
            return True
        owner = getattr(self.function, "__objclass__", None)
        return owner is not None and isinstance(getattr(called, "__self__", None), owner)

    def is_called_by_submission(self, caller: FrameType | None) -> bool:
        """Return whether a call comes from the submission, or from a function that was given this one."""
        between = (*self.codes, *THROUGH)  # its own decorators, and torch's way through a mode
        while caller is not None and any(caller.f_code is code for code in between):
            caller = caller.f_back
        if caller is None:
            return True
        code = caller.f_code
        return not (_is_of_library(caller) and self.namers.intersection(code.co_names + code.co_freevars))


class Table:
    """What is forbidden, by what the interpreter tells of a call.

    Attributes
    ----------
    modules : int
        How many modules were loaded at the last look.
    missing : list of str
        Names whose modules are not loaded.
    packages : dict of str to set of str
        Of a package, its modules that were looked at: more may be loaded later.
    codes : dict of int to Target
        By the identity of the code.
    natives : dict of str to list of Target
        Functions without code of Python, by their short names.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.modules = -1
        self.missing = list(names)
        self.packages: dict[str, set[str]] = {}
        self.codes: dict[int, Target] = {}
        self.natives: dict[str, list[Target]] = {}
        for name, function in SWITCHES.items():  # libraries that name the others use them for their own ends
            short = name.rpartition(".")[2]
            self._add(Target(name, function, frozenset() if name == "threading.setprofile" else frozenset((short,))))

    def refresh(self) -> None:
        """Look for what was missing. What was found stays, whatever a notebook puts in the place of a module."""
        self.modules = len(sys.modules)
        for name in list(self.missing):
            if _is_loading(name):
                self.modules = -1  # not all of it is there: look again
            elif resolve(name) is not UNKNOWN:
                self.missing.remove(name)
                if hasattr(resolve(name), "__path__"):
                    self.packages[name] = set()
                for target in targets_of(name):
                    self._add(target)
        for name, entered in self.packages.items():
            for module in [part for part in list(sys.modules) if part.startswith(f"{name}.") and part not in entered]:
                if _is_loading(module):
                    self.modules = -1
                    continue
                entered.add(module)
                for target in _targets_in(module, name):
                    self._add(target)

    @property
    def has_natives(self) -> bool:
        """Whether a function of torch without code of Python is forbidden."""
        return any(target.name.startswith("torch") for targets in self.natives.values() for target in targets)

    def _add(self, target: Target) -> None:
        if target.codes:  # the last: a decorator's own code serves many functions
            self.codes.setdefault(id(target.codes[-1]), target)
        else:
            self.natives.setdefault(target.short, []).append(target)


@functools.cache
def _mode_of_torch() -> Any:
    """Return what is told by torch of every call of its functions; torch may not be there when this module is."""
    from torch.overrides import TorchFunctionMode, handle_torch_function

    class Told(TorchFunctionMode):
        def __init__(self, watch: Watch) -> None:
            super().__init__()
            self.watch = watch

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            try:  # without a call, such as getattr: the interpreter would tell the watch of it
                name = func.__name__
            except AttributeError:
                name = ""
            if name in self.watch.table.natives:
                self.watch.called(func, sys._getframe(1))
            return func(*args, **(kwargs or {}))

    THROUGH.extend((Told.__torch_function__.__code__, handle_torch_function.__code__))
    return Told


@functools.cache
def table_of(names: tuple[str, ...]) -> Table:
    """Return what these names stand for, as far as it is loaded; asked first before a notebook runs."""
    table = Table(names)
    table.refresh()
    return table


def targets_of(name: str) -> Iterator[Target]:
    """Yield the functions that a forbidden name stands for: a function, those of a class, or those of a module."""
    found = resolve(name)
    if found is UNKNOWN:
        return
    if isinstance(found, ModuleType):
        yield from _targets_in(found.__name__, name)
    else:
        yield from _targets(name, found, {name.rpartition(".")[2], getattr(found, "__name__", "")})


@functools.cache  # many exercises close the same package
def _targets_in(module: str, name: str) -> list[Target]:
    """Return the functions that stand in a module, all under the forbidden name of their package."""
    parts = [part for part in list(vars(sys.modules[module]).values()) if getattr(part, "__module__", None) == module]
    return [target for part in parts for target in _targets(name, part, {getattr(part, "__name__", "")})]


def _targets(name: str, found: Any, namers: set[str]) -> Iterator[Target]:
    if not inspect.isclass(found):
        if callable(found):
            yield Target(name, found, frozenset(namers - {""}))
        return
    for short, member in list(vars(found).items()):
        if any(codes_of(member)) and (not short.startswith("_") or short in PUBLIC_SPECIAL):
            construction = {short} if short in ("__init__", "__new__") else set()  # by a class that builds on it
            yield Target(name, member, frozenset(namers | construction))


def codes_of(function: Any) -> Iterator[CodeType]:
    """Yield the code of a function and of all that decorators have wrapped around it, the outermost first."""
    for _ in range(DEEPEST):
        if isinstance(function, staticmethod | classmethod):
            function = function.__func__
        elif isinstance(function, property):
            function = function.fget
        if isinstance(function, FunctionType):
            yield function.__code__
        function = getattr(function, "__wrapped__", None)
        if function is None:
            return


def _is_loading(name: str) -> bool:
    """Return whether a module on the way to a dotted name is still being imported."""
    while name:
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if getattr(spec, "_initializing", False) is True:
            return True
        name = name.rpartition(".")[0]
    return False


def _is_of_library(frame: FrameType) -> bool:
    """Return whether a frame runs the code of an installed module, and not a text that only claims its file."""
    module = sys.modules.get(frame.f_globals.get("__name__", ""))
    return is_library(frame.f_code.co_filename) and getattr(module, "__dict__", None) is frame.f_globals
