"""What subscripts and loops take out of things, and what is put into them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlcourse.grading.shortcuts.attributes import in_namespace, module_named, set_in_namespace
from mlcourse.grading.shortcuts.interpreter import ELEMENTS, Interpreter
from mlcourse.grading.shortcuts.meanings import (
    DATA,
    NOTHING,
    REST,
    Arguments,
    Class,
    Constant,
    Container,
    Data,
    Instance,
    Meanings,
    More,
    Namespace,
    Path,
    join,
    one,
    texts,
)


def set_element(run: Interpreter, owner: Any, keys: Meanings, value: Meanings) -> None:
    """Put something under any of these keys into a container, or where unknown under any key."""
    if isinstance(owner, Container):
        known = [key.value for key in keys if isinstance(key, Constant)]
        for key in known if known and len(known) == len(keys) else [REST]:
            run.put(owner.items, key, value if key != REST else join(owner.items.get(REST, NOTHING), value))
    elif isinstance(owner, Namespace):
        for name in texts(keys):
            set_in_namespace(run, owner.owner, name, value)
    elif owner == Path("sys.modules"):
        for name in texts(keys):
            run.put(run.patches, ("sys.modules", name), value, lasting=True)
    elif isinstance(owner, Instance):
        run.call(run.attribute(one(owner), "__setitem__"), Arguments((keys, value)))


def loosen(run: Interpreter, owner: Any) -> None:
    """Take note that nobody knows any longer under which key of a container its elements stand."""
    if isinstance(owner, Container) and not owner.record:
        run.put(owner.items, REST, owner.values())


def rearrange(run: Interpreter, owner: Any, change: Callable[[list[Meanings]], Any]) -> None:
    """Change the elements of a list in their order where all is known, and loosen it otherwise."""
    ordered = owner.in_order() if isinstance(owner, Container) and run.certain and not owner.keyed else None
    if ordered is None:
        loosen(run, owner)
        return
    try:
        change(ordered)
    except IndexError:  # the line fails
        return
    for key, value in enumerate(ordered):
        run.put(owner.items, key, value)
    for key in [key for key in owner.items if key >= len(ordered)]:
        run.memory.drop(owner.items, key)


def take_away(run: Interpreter, owner: Any, keys: Meanings) -> Meanings:
    """Take one element out of a list, so that those behind it move up, and return what it may be."""
    taken = owner.values() if isinstance(owner, Container) else NOTHING
    numbers = [key.value for key in keys if isinstance(key, Constant) and isinstance(key.value, int)]

    def change(elements: list[Meanings]) -> None:
        nonlocal taken
        taken = elements.pop(numbers[0])

    if len(numbers) == len(keys) == 1:
        rearrange(run, owner, change)
    else:
        loosen(run, owner)
    return taken


def loosen_in_library(run: Interpreter, arguments: Arguments) -> Meanings:
    """Return what a function of a library may take out of containers, which it may have put in another order."""
    given = arguments.everything()
    containers = [item for item in given if isinstance(item, Container) and run.leads.marks(item.values())]
    for container in containers:
        loosen(run, container)
    elements = join(*(container.values() for container in containers))
    return join(elements, *(one(Container(dict(part.items), keyed=part.keyed)) for part in containers))


def _of_container(run: Interpreter, owner: Container, keys: Meanings) -> Meanings:
    return owner.element(keys)


def _of_namespace(run: Interpreter, owner: Namespace, keys: Meanings) -> Meanings:
    return join(*(in_namespace(run, owner.owner, name) for name in texts(keys)))


def _of_path(run: Interpreter, owner: Path, keys: Meanings) -> Meanings:
    if owner.name == "sys.modules":
        return join(*(module_named(run, name) for name in texts(keys)))
    if owner.name == "builtins":
        return join(*(run.attribute(one(owner), name) for name in texts(keys)))
    return DATA


def _of_instance(run: Interpreter, owner: Instance, keys: Meanings) -> Meanings:
    for method, arguments in (("__getitem__", Arguments((keys,))), ("__iter__", Arguments())):
        if found := run.attribute(one(owner), method):
            given = run.call(found, arguments)
            return given if method == "__getitem__" else run.element(given - one(owner))
    return NOTHING


def _of_class(run: Interpreter, owner: Class, keys: Meanings) -> Meanings:
    return one(owner)


def _of_data(run: Interpreter, owner: Data, keys: Meanings) -> Meanings:
    return DATA


def _of_text(run: Interpreter, owner: Constant, keys: Meanings) -> Meanings:
    return NOTHING


def _of_more(run: Interpreter, owner: More, keys: Meanings) -> Meanings:
    return one(owner)


ELEMENTS.update(
    {
        More: _of_more,
        Container: _of_container,
        Namespace: _of_namespace,
        Path: _of_path,
        Instance: _of_instance,
        Class: _of_class,
        Data: _of_data,
        Constant: _of_text,
    }
)
