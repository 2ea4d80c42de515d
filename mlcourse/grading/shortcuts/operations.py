"""Methods of strings, lists, dicts and namespaces that pass on what stands in them."""

from __future__ import annotations

from typing import Any

from mlcourse.grading.shortcuts.attributes import set_in_namespace
from mlcourse.grading.shortcuts.constants import text_method
from mlcourse.grading.shortcuts.elements import any_part, loosen, rearrange, set_element, take_away
from mlcourse.grading.shortcuts.interpreter import UNKNOWN, Interpreter
from mlcourse.grading.shortcuts.meanings import (
    CALLABLE,
    DATA,
    NOTHING,
    REST,
    Arguments,
    Bound,
    Constant,
    Container,
    Function,
    Instance,
    Meanings,
    Namespace,
    Operation,
    Path,
    View,
    join,
    listed,
    one,
    texts,
)

# After them, everything in a container still stands under the key that it had before.
IN_ORDER = (
    *("update", "__setitem__", "append", "add", "extend", "items", "keys", "values", "copy", "index", "count"),
    *("__iter__", "__contains__", "__len__"),
)
LOOKING = ("sort", "remove", "discard", "reverse", "clear", "isdisjoint", "issubset", "issuperset", "rotate")
PUTTING = ("update", "__setitem__", "append", "add", "insert", "extend", "appendleft", "extendleft")


def operate(run: Interpreter, operation: Operation, arguments: Arguments) -> Meanings:
    """Return what a method of something plain gives."""
    owner, name = operation.owner, operation.name
    if isinstance(owner, Constant):
        return (text_method(owner.value, name, arguments) if isinstance(owner.value, str) else NOTHING) or DATA
    if isinstance(owner, Function):  # function.__get__(itself)
        return one(Bound(one(owner), Arguments((arguments.at(0),))))
    if name in ("get", "pop", "setdefault", "__getitem__"):
        return _taken(run, owner, name, arguments)
    if isinstance(owner, Container) and owner.made_by:
        run.note(owner.made_by, with_data=True)
    if isinstance(owner, Container | Namespace) and name not in (*IN_ORDER, *LOOKING, *PUTTING):
        run.hand_on(arguments.everything(), f"a method {name} that the search does not know")
    if name == "sort":
        run.call_back(arguments, owner.values() if isinstance(owner, Container) else NOTHING)
    if name == "reverse":
        rearrange(run, owner, list.reverse)
    elif name not in IN_ORDER:
        loosen(run, owner)
    if name in PUTTING:
        _put(run, owner, name, arguments)
        return NOTHING
    return _read(owner, name)


def _taken(run: Interpreter, owner: Any, name: str, arguments: Arguments) -> Meanings:
    if name == "setdefault":
        set_element(run, owner, arguments.at(0), join(arguments.at(1), run.element(one(owner), arguments.at(0))))
    if name != "pop" or not isinstance(owner, Container) or owner.keyed:
        return join(run.element(one(owner), arguments.at(0)), arguments.at(1))
    return take_away(run, owner, arguments.at(0) or one(Constant(-1)))


def _put(run: Interpreter, owner: Any, name: str, arguments: Arguments) -> None:
    if name == "__setitem__":
        set_element(run, owner, arguments.at(0), arguments.at(1))
    elif name == "update":
        given: dict[Any, Meanings] = dict(arguments.keywords)
        for part in arguments.at(0):
            merge(given, pairs(run, part) if isinstance(part, Container) else items_of(run, part))
        for word, value in given.items():
            _put_under(run, owner, word, value)
    elif isinstance(owner, Container):
        more = arguments.everything()
        more = run.element(more) if name in ("extend", "extendleft") else more
        ordered = owner.in_order()
        key: Any = (
            len(ordered) if name == "append" and ordered is not None and not run.branches and not run.depth else REST
        )
        run.put(owner.items, key, join(owner.items.get(key, NOTHING), more))


def _put_under(run: Interpreter, owner: Any, key: Any, value: Meanings) -> None:
    if isinstance(owner, Namespace) and isinstance(key, str):
        set_in_namespace(run, owner.owner, key, value)
    elif isinstance(owner, Namespace):
        run.hand_on(value, UNKNOWN)
    elif isinstance(owner, Container):
        run.put(owner.items, key, value, weak=True)


def pairs(run: Interpreter, given: Container) -> dict[Any, Meanings]:
    """Return the items of a dict, or of a list of pairs."""
    if given.keyed or given.record or (given.in_order() is None and REST not in given.items):
        return given.items
    inside = given.values()
    keys = run.element(inside, one(Constant(0)))
    if not any(isinstance(item, Container) for item in inside):
        return given.items
    known = texts(keys) if len(texts(keys)) == len(keys) else [*texts(keys), REST]
    return dict.fromkeys(known or [REST], run.element(inside, one(Constant(1))))


def items_of(run: Interpreter, thing: Any) -> dict[Any, Meanings]:
    """Return what ``**`` takes out of something."""
    if isinstance(thing, Container):
        return thing.items
    if isinstance(thing, Namespace):
        return {REST: any_part(thing)}
    if isinstance(thing, Instance) or thing == Path("sys.modules"):
        return {REST: run.element(one(thing))}
    return {}


def merge(into: dict[Any, Meanings], more: dict[Any, Meanings]) -> None:
    """Add items to others; which of two stands under a key at the end is not always known."""
    for key, value in more.items():
        into[key] = join(into.get(key, NOTHING), value)


def _read(owner: Any, name: str) -> Meanings:
    if isinstance(owner, Namespace):
        pair = one(View(lambda: {REST: any_part(owner)}))
        return one(owner) if name == "copy" else one(View(lambda: {REST: any_part(owner) | pair}))
    if name == "items":
        each = one(View(lambda: {0: _keys(owner), 1: owner.values()}))
        return one(View(lambda: {REST: each}))
    if name == "keys":
        return one(View(lambda: {REST: _keys(owner)}))
    if name == "copy":
        return one(Container(dict(owner.items), owner.record, owner.keyed))
    if name in ("values", "__iter__"):
        return one(View(lambda: {REST: owner.values()}))
    if name == "popitem":
        return listed(_keys(owner), owner.values())
    if name in ("popleft", "__next__", "send", "throw"):
        return owner.values()
    return NOTHING if name in (*IN_ORDER, *LOOKING, *PUTTING) else join(one(owner), owner.values(), DATA)


def _keys(owner: Container) -> Meanings:
    constants = frozenset(Constant(key) for key in owner.items if key is not REST)
    return constants | frozenset(item for item in owner.items.get(REST, NOTHING) if isinstance(item, CALLABLE))


def looped(run: Interpreter, things: Meanings) -> Meanings:
    """Return what a loop over these takes: of a dict its keys."""
    dicts = [item for item in things if isinstance(item, Container) and _is_dict(item)]
    keys = frozenset(Constant(key) for item in dicts for key in item.items if isinstance(key, str) and key is not REST)
    return join(keys, run.element(things - frozenset(dicts)), *(item.items.get(REST, NOTHING) for item in dicts))


def _is_dict(container: Container) -> bool:
    return not container.record and any(isinstance(key, str) and key is not REST for key in container.items)
