"""What a name in a student's code can mean, as far as its text tells.

A name has a set of meanings, because code branches. The empty set stands for what the search does not know: nobody is
accused for it. `DATA` stands for what is known to exist only when the code runs: arguments and results.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlcourse.grading.shortcuts.scopes import Scope

Meanings = frozenset[Any]
NOTHING: Meanings = frozenset()
MANY = 500
SERIAL = itertools.count()
REST: Any = object()  # the key in `Container.items` of what stands under no known key


@dataclass(frozen=True)
class Data:
    """A value that is known only when the code runs.

    ``given``: no function of the student, or of a library by way of the student, can come out of it. Such are the
    arguments with which the grader calls a candidate, numbers, and arrays that libraries make of them.
    """

    given: bool = False
    unknown: bool = False  # the argument of a function that nobody was seen to call: no one is accused for it


@dataclass(frozen=True)
class Constant:
    """A string or a whole number that stands in the text, or is put together from such."""

    value: str | int


@dataclass(frozen=True)
class Path:
    """A module, or a part of an installed package, by its dotted name."""

    name: str


@dataclass(frozen=True)
class Method:
    """An attribute of data, such as ``x.softmax``."""

    name: str


@dataclass(frozen=True)
class Made:
    """An object that a forbidden class of an installed package made, or a method of one."""

    path: str
    method: str = ""


@dataclass(frozen=True)
class Arguments:
    """The arguments of a call; ``rest`` may stand in any place that is not filled."""

    positional: tuple[Meanings, ...] = ()
    keywords: tuple[tuple[str, Meanings], ...] = ()
    rest: Meanings = NOTHING

    def at(self, index: int, name: str = "") -> Meanings:
        """Return the argument in this place or of this name."""
        if index < len(self.positional):
            return self.positional[index]
        return dict(self.keywords).get(name, self.rest)

    def everything(self) -> Meanings:
        """Return all arguments as one set."""
        return join(*self.positional, *(value for _, value in self.keywords), self.rest)

    def then(self, more: Arguments) -> Arguments:
        """Return these arguments followed by others."""
        keywords = {**dict(self.keywords), **dict(more.keywords)}
        return Arguments(self.positional + more.positional, tuple(keywords.items()), self.rest | more.rest)


@dataclass(frozen=True)
class Bound:
    """A function with some of its arguments: a method of an object, `functools.partial`, or a mere wrapper."""

    functions: Meanings
    arguments: Arguments = Arguments()


@dataclass(frozen=True)
class Getter:
    """What ``operator`` makes: it takes an attribute, a method's result or an item from its argument."""

    kind: str
    names: Meanings


@dataclass(frozen=True)
class Descriptor:
    """A function in a class that is no plain method: static, class or property."""

    kind: str
    functions: Meanings


@dataclass(frozen=True)
class Namespace:
    """The attributes of something as a dict: ``vars(torch)``, ``globals()``."""

    owner: Any


@dataclass(frozen=True)
class Operation:
    """A method of a string, a container or a namespace."""

    owner: Any
    name: str


@dataclass(frozen=True)
class Super:
    """What ``super()`` returns in a method."""

    of: Any
    itself: Meanings


@dataclass(frozen=True)
class Sign:
    """What a search notes of code beside the names: that it uses a ``"foreign"`` value, or ``"writes"`` functions."""

    what: str


@dataclass(frozen=True)
class Opaque:
    """Some part of something installed: which one is known only when the code runs. Without a name, of anything."""

    owner: str = ""


@dataclass(frozen=True)
class More:
    """More of the student's own things than are kept."""


@dataclass(eq=False)
class Container:
    """A list, tuple, set, dict or record, by its keys as far as they are known."""

    items: dict[Any, Meanings] = field(default_factory=dict)
    record: bool = False  # its items are attributes
    keyed: bool = False  # a dict, so that whole numbers are names too
    made_by: Meanings = NOTHING  # what runs when an element is taken: it is a generator
    several: bool = False  # it stands for any number of them
    serial: int = field(default_factory=SERIAL.__next__)

    def values(self) -> Meanings:
        """Return what any of its elements may be."""
        return join(*self.items.values())

    def element(self, keys: Meanings) -> Meanings:
        """Return what may stand under these keys."""
        known = [key.value for key in keys if isinstance(key, Constant)]
        numbers = [key for key in known if isinstance(key, int)]
        if len(known) < len(keys) or not known or any(key < 0 or self.record for key in numbers):
            return self.values()
        return join(self.items.get(REST, NOTHING), *(self.items.get(key, NOTHING) for key in known))

    def in_order(self) -> list[Meanings] | None:
        """Return the elements in their order, or None where it is not known."""
        if len(self.items) > MANY or any(not isinstance(key, int) for key in self.items):
            return None
        return [self.items[key] for key in sorted(self.items)]


class View(Container):
    """What goes on showing other containers as they are: the values of a dict, or an iterator."""

    def __init__(self, show: Callable[[], dict[Any, Meanings]], made_by: Meanings = NOTHING) -> None:
        self.show = show
        super().__init__(made_by=made_by)

    @property
    def items(self) -> dict[Any, Meanings]:
        """The elements as they are now."""
        return self.show()

    @items.setter
    def items(self, _: dict[Any, Meanings]) -> None: ...


@dataclass(eq=False)
class Function:
    """A function or lambda of the student, with the scope in which it stands."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    defaults: dict[str, Meanings] = field(default_factory=dict)
    attached: Meanings = NOTHING  # what its decorators name
    attributes: dict[str, Meanings] = field(default_factory=dict)
    serial: int = field(default_factory=SERIAL.__next__)


@dataclass(eq=False)
class Class:
    """A class of the student."""

    node: ast.ClassDef
    bases: Meanings
    namespace: Scope
    in_order: tuple[Meanings, ...] = ()  # the same bases as they stand in the text
    attached: Meanings = NOTHING
    serial: int = field(default_factory=SERIAL.__next__)


@dataclass(eq=False)
class Instance:
    """An object of a student's class."""

    of: Class
    attributes: dict[str, Meanings] = field(default_factory=dict)
    several: bool = False  # it stands for any number of them
    serial: int = field(default_factory=SERIAL.__next__)


DATA: Meanings = frozenset({Data()})
GIVEN: Meanings = frozenset({Data(given=True)})
UNKNOWN_ARGUMENT: Meanings = frozenset({Data(given=True, unknown=True)})
FOREIGN: Meanings = frozenset({Sign("foreign")})
WRITES: Meanings = frozenset({Sign("writes")})
ANYTHING: Meanings = frozenset({Opaque()})
MORE = More()
CALLABLE = (Function, Class, Instance, Path, Bound, Made, Descriptor, Opaque)


def one(meaning: Any) -> Meanings:
    """Return the set of a single meaning."""
    return frozenset((meaning,))


def join(*parts: Meanings) -> Meanings:
    """Return the union; of very many constants none is kept, and of very many own things the oldest."""
    together = NOTHING.union(*parts)
    if len(together) <= MANY:
        return together
    installed = {item for item in together if isinstance(item, Path | Made | Opaque)}
    own = [item for item in together if not isinstance(item, Constant | Path | Made | Opaque | More)]
    kept = sorted(own, key=lambda item: getattr(item, "serial", 0))[: MANY // 2]
    dropped = MORE in together or len(kept) < len(own)
    return frozenset(installed.union(kept, one(MORE) if dropped else ()))


def texts(meanings: Iterable[Any]) -> list[str]:
    """Return the strings among some meanings."""
    return sorted(item.value for item in meanings if isinstance(item, Constant) and isinstance(item.value, str))


def functions_in(meanings: Meanings) -> Meanings:
    """Return what can be called among some meanings, also inside containers."""
    inner = [item.values() for item in meanings if isinstance(item, Container)]
    return frozenset(item for item in join(meanings, *inner) if isinstance(item, CALLABLE))


def is_plain(meanings: Meanings) -> bool:
    """Return whether no function can come out of any of these."""
    return all(isinstance(item, Constant) or is_given(item) for item in meanings)


def is_given(item: Any) -> bool:
    """Return whether something is data out of which no function comes."""
    return isinstance(item, Data) and item.given


def several(meanings: Meanings) -> Meanings:
    """Take note that these objects, and those in them, stand for any number that one line makes."""
    waiting = list(meanings)
    while waiting:
        item = waiting.pop()
        if isinstance(item, Container | Instance) and not item.several:
            item.several = True
            inner = item.items if isinstance(item, Container) else item.attributes
            waiting.extend(join(*inner.values()))
    return meanings


def listed(*elements: Meanings) -> Meanings:
    """Return a list or tuple of these elements."""
    if len(elements) > 100:
        return bag(*elements)
    return one(Container(dict(enumerate(elements))))


def bag(*elements: Meanings) -> Meanings:
    """Return a container whose order is not known."""
    return one(Container({REST: join(*elements)}))


def generated(elements: Meanings, by: Meanings, of: Meanings = NOTHING) -> Meanings:
    """Return what gives elements one after another, and runs something (``by``) for each.

    Of containers (``of``) it gives what stands in them when it is asked.
    """
    shown = [item for item in of if isinstance(item, Container) and not item.keyed]
    if not shown:
        return one(Container({REST: elements}, made_by=by))
    return one(View(lambda: {REST: join(elements, *(item.values() for item in shown))}, by))
