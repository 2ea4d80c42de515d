"""What subscripts and loops take out of things, and what is put into them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlcourse.grading.shortcuts.attributes import in_namespace, module_named, set_in_namespace
from mlcourse.grading.shortcuts.guarded import note_change
from mlcourse.grading.shortcuts.handed_on import RECEIVER
from mlcourse.grading.shortcuts.interpreter import ELEMENTS, MAX_CALLS, UNKNOWN, Interpreter
from mlcourse.grading.shortcuts.meanings import (
    ANYTHING,
    DATA,
    GIVEN,
    NOTHING,
    REST,
    Arguments,
    Bound,
    Class,
    Constant,
    Container,
    Data,
    Function,
    Instance,
    Meanings,
    More,
    Namespace,
    Opaque,
    Path,
    View,
    is_given,
    join,
    one,
    texts,
)
from mlcourse.grading.shortcuts.names import is_door


def set_element(run: Interpreter, owner: Any, keys: Meanings, value: Meanings) -> None:
    """Put something under any of these keys into a container, or where unknown under any key."""
    for name in texts(keys) or [""]:
        note_change(run, owner, name)
    if isinstance(owner, Container):
        known = [key.value for key in keys if isinstance(key, Constant)]
        for key in known if known and len(known) == len(keys) else [REST]:
            run.put(owner.items, key, value if key is not REST else value | (keys - DATA - GIVEN), weak=True)
    elif isinstance(owner, Namespace):
        for name in texts(keys):
            set_in_namespace(run, owner.owner, name, value)
        if not all_known(run, keys):
            run.hand_on(value, UNKNOWN)
    elif owner == Path("sys.modules"):
        for name in texts(keys):
            run.put(run.patches, ("sys.modules", name), value, lasting=True)
    elif isinstance(owner, Instance) and (setter := run.attribute(one(owner), "__setitem__")):
        run.call(setter, Arguments((keys, value)))
    else:
        run.hand_on(value, RECEIVER if is_given(owner) else UNKNOWN)


def loosen(run: Interpreter, owner: Any) -> None:
    """Take note that nobody knows any longer under which key of a container its elements stand."""
    if isinstance(owner, Container) and not owner.record:
        run.put(owner.items, REST, owner.values())


def rearrange(run: Interpreter, owner: Any, change: Callable[[list[Meanings]], Any]) -> None:
    """Change the elements of a list in their order where all is known, and loosen it otherwise."""
    plain = isinstance(owner, Container) and run.certain and not owner.keyed and not owner.several
    ordered = owner.in_order() if plain else None
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
    if len(containers) == 1:
        return elements | one(Container(dict(containers[0].items), keyed=containers[0].keyed))
    return elements | one(Container({REST: elements})) if containers else NOTHING


def _of_container(run: Interpreter, owner: Container, keys: Meanings) -> Meanings:
    found = owner.element(keys)
    if not owner.made_by:
        return found
    run.note(owner.made_by, with_data=True)
    makers = _texts_of(owner.made_by)
    if run.depth >= MAX_CALLS - 1 or not makers.isdisjoint(run.taking):  # a generator that takes from itself
        return found
    run.taking |= makers
    try:
        given = run.leads.own_or_forbidden(found) | DATA  # where a generator builds lists, they differ in every call
        made = run.call(owner.made_by, Arguments(rest=given))  # again: names may mean something else by now
    finally:
        run.taking -= makers
    return join(found, made, *(item.values() for item in made if isinstance(item, Container))) - owner.made_by


def _texts_of(functions: Meanings) -> set[Any]:
    return {item.node for item in functions if isinstance(item, Function)}


def _of_namespace(run: Interpreter, owner: Namespace, keys: Meanings) -> Meanings:
    named = join(*(in_namespace(run, owner.owner, name) for name in texts(keys)))
    return named if all_known(run, keys) else join(named, any_part(owner))


def all_known(run: Interpreter, names: Meanings) -> bool:
    """Return whether all of these are texts that the search knows.

    No name that leads on is given by the grader, and nobody is accused for what a parameter might be.
    """
    return bool(names or run.searching) and all(_is_text(name) or is_given(name) for name in names)


def _is_text(meaning: Any) -> bool:
    return isinstance(meaning, Constant) and isinstance(meaning.value, str)


def any_part(owner: Namespace) -> Meanings:
    """Return what may stand in a namespace under a name that is known only when the code runs."""
    if isinstance(owner.owner, Path):
        return one(Opaque(owner.owner.name)) | DATA
    if isinstance(owner.owner, Instance):
        return join(*owner.owner.attributes.values())
    inside = owner.owner.namespace if isinstance(owner.owner, Class) else owner.owner
    return join(*getattr(inside, "names", {}).values())


def _of_path(run: Interpreter, owner: Path, keys: Meanings) -> Meanings:
    if owner.name == "sys.modules":
        unknown = NOTHING if all_known(run, keys) else ANYTHING
        return join(*(module_named(run, name) for name in texts(keys)), unknown)
    if owner.name == "builtins":
        return join(*(run.attribute(one(owner), name) for name in texts(keys)))
    return one(owner) if is_door(owner.name) else DATA


def _of_instance(run: Interpreter, owner: Instance, keys: Meanings) -> Meanings:
    for method, arguments in (("__getitem__", Arguments((keys,))), ("__iter__", Arguments())):
        if (found := run.attribute(one(owner), method)) and not all(isinstance(item, Path) for item in found):
            given = run.call(found, arguments)
            if method == "__getitem__":
                return given
            return join(run.element(given - one(owner)), call_next(run, given))
    return join(call_next(run, one(owner)), *owner.attributes.values())


def call_next(run: Interpreter, owners: Meanings) -> Meanings:
    """Return what the student's own iterators give."""
    own = frozenset(item for item in owners if isinstance(item, Instance))
    return run.call(run.attribute(own, "__next__"), Arguments())


def _of_class(run: Interpreter, owner: Class, keys: Meanings) -> Meanings:
    return one(owner) | DATA


def _of_function(run: Interpreter, owner: Function, keys: Meanings) -> Meanings:
    return one(owner)


def _of_data(run: Interpreter, owner: Data, keys: Meanings) -> Meanings:
    return one(owner) if owner.given else DATA


def _of_text(run: Interpreter, owner: Constant, keys: Meanings) -> Meanings:
    return NOTHING


def _of_more(run: Interpreter, owner: More, keys: Meanings) -> Meanings:
    return one(owner)


def _of_bound(run: Interpreter, owner: Bound, keys: Meanings) -> Meanings:
    return one(owner) | DATA


ELEMENTS.update(
    {
        More: _of_more,
        Opaque: _of_more,
        Bound: _of_bound,
        Function: _of_function,
        Container: _of_container,
        View: _of_container,
        Namespace: _of_namespace,
        Path: _of_path,
        Instance: _of_instance,
        Class: _of_class,
        Data: _of_data,
        Constant: _of_text,
    }
)
