"""What attributes mean: of modules, of the student's own objects, and of data."""

from __future__ import annotations

import ast
import functools
import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

from mlcourse.grading.shortcuts.classes import BASES, in_class, in_line, lineage, spellings
from mlcourse.grading.shortcuts.guarded import note_change
from mlcourse.grading.shortcuts.handed_on import PLAIN_BASES
from mlcourse.grading.shortcuts.interpreter import ATTRIBUTES, UNKNOWN, Interpreter
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
    Descriptor,
    Function,
    Instance,
    Made,
    Meanings,
    More,
    Namespace,
    Opaque,
    Operation,
    Path,
    Super,
    View,
    bag,
    join,
    listed,
    one,
)
from mlcourse.grading.shortcuts.names import MISSING, is_class, resolve
from mlcourse.grading.shortcuts.scopes import Scope

GETATTR = Path("builtins.getattr")
TEXTS = ("__name__", "__qualname__", "__doc__")
GETTERS = ("__getattribute__", "__getattr__")
LEADING_ANYWHERE = ("__globals__", "__self__", "__loader__", "__spec__", "__subclasses__", "__builtins__")
LONGEST_PATH = 300
PARTS = {  # of a `torch.nn.Module` that holds others, as methods of a dict
    **dict.fromkeys(("children", "modules"), "values"),
    **dict.fromkeys(("named_children", "named_modules"), "items"),
    "get_submodule": "__getitem__",
    "_modules": "",
}


def set_attribute(run: Interpreter, owner: Any, name: str, value: Meanings) -> None:
    """Give an attribute a meaning."""
    note_change(run, owner, name)
    if isinstance(owner, Path) and owner.name == "__main__":
        run.memory.put(run.module.names, name, value, weak=True, lasting=True)
    elif isinstance(owner, Path | Data):
        run.hand_on(value, f"the attribute {name} of a library")
        run.put(run.patches, _patch_key(owner, name), value, lasting=True)
        if isinstance(owner, Path) and is_class(owner.name):  # its objects have it too
            run.memory.put(run.patches, (Data(), name), value, weak=True, lasting=True)
    elif isinstance(owner, Instance):
        _set_in_instance(run, owner, name, value)
    elif isinstance(owner, Function):
        known = value and all(isinstance(item, Function | Container) for item in value)
        code = join(value, NOTHING if known else ANYTHING)  # put together while it runs
        run.put(owner.attributes, name, code if name == "__code__" else value, lasting=True)
    elif isinstance(owner, Class):
        run.put(owner.namespace.names, name, value, lasting=True)
    elif isinstance(owner, Container) and owner.record:
        run.put(owner.items, name, value, weak=True)
    else:
        run.hand_on(value, UNKNOWN)


def _set_in_instance(run: Interpreter, owner: Instance, name: str, value: Meanings) -> None:
    run.put(owner.attributes, name, value, weak=True)
    if name == "__class__":  # it has the methods of another class now
        for kind in (item for item in value if isinstance(item, Class)):
            for key, member in kind.namespace.names.items():
                run.put(owner.attributes, key, bound_to(run, member, kind, one(owner)), weak=True)
    there = in_class(owner.of, name)
    setters = in_class(owner.of, "__setattr__")
    run.call(
        frozenset(item for item in setters if isinstance(item, Function)),
        Arguments((one(owner), one(Constant(name)), value)),
    )
    for item in there:
        if isinstance(item, Descriptor) and item.kind == "property":
            run.call(item.functions, Arguments((one(owner), value)))
        elif isinstance(item, Instance):
            run.call(run.attribute(one(item), "__set__"), Arguments((one(owner), value)))


def delete_attribute(run: Interpreter, owners: Meanings, name: str) -> None:
    """Take note that an attribute of an object is gone: that of its class is seen again."""
    for owner in owners:
        if isinstance(owner, Instance):
            below = bound_to(run, in_class(owner.of, name), owner.of, one(owner))
            run.put(owner.attributes, name, below, weak=True)


def _patch_key(owner: Path | Data, name: str) -> Any:
    """Return one key for all names of the same module."""
    if isinstance(owner, Data):
        return Data(), name
    found = resolve(owner.name)
    return owner.name if found is MISSING else id(found), name


def patch_of(run: Interpreter, owner: Path, name: str) -> Meanings | None:
    """Return what somebody has put in the place of a module's attribute, or None."""
    return run.patches.get(_patch_key(owner, name)) if run.patches else None


def module_named(run: Interpreter, name: str) -> Meanings:
    """Return what an import of a module gives: what somebody has put in its place, or the module."""
    patched = run.patches.get(("sys.modules", name))
    if patched:
        return patched
    if name not in run.beside:
        return one(Path(name))
    # Which of the two is meant, where both have the name, depends on the path at that moment.
    return join(one(run.beside[name]), one(Path(name)) if _is_installed(name) else NOTHING)


def _is_installed(name: str) -> bool:
    """Return whether Python has a module of this name that is not one beside the notebook."""
    first = name.partition(".")[0]
    if first in sys.stdlib_module_names or first in sys.builtin_module_names:
        return True
    return PathFinder.find_spec(first, [place for place in sys.path if place]) is not None


def _of_path(run: Interpreter, owner: Path, name: str) -> Meanings:
    if owner.name == "__main__":
        return run.module.find(name) or NOTHING
    if name == "__dict__":
        return one(Namespace(owner))
    if name in GETTERS:
        return one(GETATTR) if owner.name in BASES else one(Bound(one(GETATTR), Arguments((one(owner),))))
    if name in LEADING_ANYWHERE:
        return ANYTHING
    if name in TEXTS:
        return GIVEN if name == "__doc__" else one(Constant(owner.name.rpartition(".")[2]))
    if owner.name == "ipython" and name == "user_ns":
        return one(Namespace(run.module))
    patched = patch_of(run, owner, name)
    if patched is not None:
        return patched
    return ANYTHING if len(owner.name) > LONGEST_PATH else one(Path(plainly(f"{owner.name}.{name}")))


@functools.lru_cache(maxsize=4096)
def plainly(name: str) -> str:
    """Return the shortest name of a module of Python's library: ``os.sys`` is ``sys``."""
    found = resolve(name)
    if found is sys.modules:
        return "sys.modules"
    own = getattr(found, "__name__", "") if isinstance(found, ModuleType) else ""
    return own if own.partition(".")[0] in sys.stdlib_module_names else name


def _of_data(run: Interpreter, owner: Data, name: str) -> Meanings:
    if name in GETTERS:
        return one(Bound(one(GETATTR), Arguments((DATA,))))
    if name in LEADING_ANYWHERE:
        return ANYTHING
    if not owner.unknown:
        run.note_method(name)
    return join(one(owner) if owner.given else DATA, run.patches.get((Data(), name), NOTHING))


def _of_made(run: Interpreter, owner: Made, name: str) -> Meanings:
    """Return a method of the object of a forbidden class; what it learned, such as ``coef_``, is data."""
    kind = resolve(owner.path)
    if isinstance(kind, type):
        is_method = any(name in vars(base) for base in kind.__mro__)
    else:
        is_method = not name.endswith("_") or name.endswith("__")
    return one(Made(owner.path, name)) if is_method and not owner.method else DATA


def _of_function(run: Interpreter, owner: Function, name: str) -> Meanings:
    if name in owner.attributes:
        return owner.attributes[name]
    if found := _in_dict(owner.attributes, name):
        return join(*found)
    if name in ("__call__", "__wrapped__", "__func__", "__code__"):
        return one(owner)
    if name == "__closure__":
        return bag(one(Container({"cell_contents": _around(owner)}, record=True)))
    if name == "__globals__":
        return one(Namespace(owner.scope.module))
    if name == "__annotations__":
        return _annotations(run, owner)
    if name in TEXTS:
        return _text_of(owner.node, name)
    if name == "__defaults__":
        return listed(*owner.defaults.values())
    if name == "__kwdefaults__":
        return bag(*owner.defaults.values())
    return one(Operation(owner, name)) if name == "__get__" else NOTHING


def _around(owner: Function) -> Meanings:
    """Return what an inner function may find around it."""
    found, scope = [NOTHING], owner.scope
    while scope.parent is not None:
        found += scope.names.values()
        scope = scope.parent
    return join(*found)


def _text_of(node: Any, name: str) -> Meanings:
    """Return the name or the docstring of a function or class."""
    if name != "__doc__":
        return one(Constant(getattr(node, "name", "<lambda>")))
    text = None if isinstance(node, ast.Lambda) else ast.get_docstring(node, clean=False)
    return NOTHING if text is None else one(Constant(text))


def _annotations(run: Interpreter, owner: Function) -> Meanings:
    accepted = owner.node.args
    places = [*accepted.posonlyargs, *accepted.args, *accepted.kwonlyargs]
    with run.inside(owner.scope):
        items: dict[Any, Meanings] = {place.arg: run.evaluate(place.annotation, used=False) for place in places}
        items["return"] = run.evaluate(getattr(owner.node, "returns", None), used=False)
    return one(Container(items))


def _of_descriptor(run: Interpreter, owner: Descriptor, name: str) -> Meanings:
    """Return the decorator of a property's other functions."""
    return one(Bound(one(Path("builtins.property")), Arguments((owner.functions,))))


def _of_bound(run: Interpreter, owner: Bound, name: str) -> Meanings:
    if name in ("func", "__func__", "__wrapped__"):
        return owner.functions
    if name == "keywords":
        return one(Container({**dict(owner.arguments.keywords), REST: owner.arguments.rest}, keyed=True))
    if name in ("args", "__self__"):
        return listed(*owner.arguments.positional, owner.arguments.everything())
    if name == "__call__":
        return one(owner)
    if name in PARTS:
        return _parts(join(one(owner), owner.functions), name)
    own = run.attribute(frozenset(item for item in owner.functions if isinstance(item, Instance)), name)
    return join(one(owner), DATA, own)  # whatever it does, it may call its functions


def _parts(held: Meanings, name: str) -> Meanings:
    """Return what gives the parts of a `torch.nn.Module`."""
    parts = Container({REST: held}, keyed=True)
    return one(Operation(parts, PARTS[name]) if PARTS[name] else parts)


def bound_to(run: Interpreter, found: Meanings, owner: Class, itself: Meanings) -> Meanings:
    """Return what stands in a class as it comes out of an object (``itself``) or out of the class."""
    return join(*(_bind(run, meaning, owner, itself) for meaning in found))


def _bind(run: Interpreter, meaning: Any, owner: Class, itself: Meanings) -> Meanings:
    if isinstance(meaning, Descriptor):
        if meaning.kind == "static":
            return meaning.functions
        if meaning.kind == "class":
            return one(Bound(meaning.functions, Arguments((one(owner),))))
        return run.call(meaning.functions, Arguments((itself,))) if itself else meaning.functions
    if isinstance(meaning, Instance) and (getter := in_class(meaning.of, "__get__")):
        return run.call(getter, Arguments((one(meaning), itself, one(owner))))
    is_method = isinstance(meaning, Function) or (isinstance(meaning, Bound) and meaning.arguments == Arguments())
    return one(Bound(one(meaning), Arguments((itself,)))) if is_method and itself else one(meaning)


def _of_class(run: Interpreter, owner: Class, name: str) -> Meanings:
    if name == "__dict__":
        return one(Namespace(owner))
    if name in ("__bases__", "__mro__", "__base__"):
        return join(owner.bases, listed(owner.bases)) if name == "__base__" else listed(owner.bases)
    if name == "__subclasses__":
        return ANYTHING
    found = in_class(owner, name)
    if all(isinstance(item, Path) for item in found):
        note_getters(run, owner)
        note_callable_by_base(run, owner, found)
    if not found and name in TEXTS:
        return _text_of(owner.node, name)
    return bound_to(run, found, owner, NOTHING)


def note_getters(run: Interpreter, owner: Class, names: tuple[str, ...] = GETTERS) -> None:
    """Tell the search what may answer for an attribute in place of a class, or of its metaclass."""
    for name in names:
        run.note(frozenset(item for item in in_class(owner, name) if isinstance(item, Function)))


def note_callable_by_base(run: Interpreter, owner: Class, found: Meanings) -> None:
    """Tell the search that a method of a library may call the student's own ones."""
    bases = {item.name.rpartition(".")[0] for item in found if isinstance(item, Path)}
    if bases - PLAIN_BASES:
        run.note(one(owner), with_data=True)


def _of_instance(run: Interpreter, owner: Instance, name: str) -> Meanings:
    note_getters(run, owner.of, GETTERS[:1])
    kept = [owner.attributes[spelling] for spelling in spellings(owner.of, name) if spelling in owner.attributes]
    kept += _in_dict(owner.attributes, name)
    if kept:
        return join(*kept)
    if name in ("__dict__", "__class__"):
        return one(Namespace(owner) if name == "__dict__" else owner.of)
    found = in_class(owner.of, name)
    if found and name in PARTS and all(isinstance(item, Path) for item in found):
        return _parts(frozenset(item for item in run.leads.among(one(owner)) if isinstance(item, Instance)), name)
    if found:
        note_callable_by_base(run, owner.of, found)
        return bound_to(run, found, owner.of, one(owner))
    note_getters(run, owner.of)
    fallback = bound_to(run, in_class(owner.of, "__getattr__"), owner.of, one(owner))
    own = frozenset(item for item in fallback if isinstance(item, Bound))
    return run.call(own, Arguments((one(Constant(name)),)))


def _in_dict(attributes: dict[str, Meanings], name: str) -> list[Meanings]:
    """Return what stands under a name in a dict that an object was given for its attributes."""
    given = [item for item in attributes.get("__dict__", NOTHING) if isinstance(item, Container)]
    found = [item.element(one(Constant(name))) for item in given]
    return [meanings for meanings in found if meanings]


def _of_super(run: Interpreter, owner: Super, name: str) -> Meanings:
    kinds = frozenset(item.of if isinstance(item, Instance) else item for item in owner.itself)
    lines = [lineage(kind) for kind in kinds if isinstance(kind, Class)]
    after = [line[line.index(owner.of) + 1 :] for line in (*lines, lineage(owner.of)) if owner.of in line]
    found = join(*(in_line(line, name) for line in after))
    return bound_to(run, found, owner.of, owner.itself)


def _of_container(run: Interpreter, owner: Container, name: str) -> Meanings:
    if owner.keyed and name in ("data", "maps"):  # of a `UserDict` or a `ChainMap`
        return one(owner) if name == "data" else listed(one(owner))
    if not owner.record or name in ("_replace", "_make", "_asdict"):
        return one(Operation(owner, name))
    if name == "__dict__":
        return one(owner)
    found = owner.element(one(Constant(name)))
    if not found and owner in run.beside.values():  # a module may answer for what it does not hold
        return run.call(owner.items.get("__getattr__", NOTHING), Arguments((one(Constant(name)),)))
    return found


def _of_text(run: Interpreter, owner: Any, name: str) -> Meanings:
    return one(Operation(owner, name))


def _of_more(run: Interpreter, owner: More, name: str) -> Meanings:
    return one(owner)


ATTRIBUTES.update(
    {
        More: _of_more,
        Opaque: _of_more,
        Descriptor: _of_descriptor,
        Path: _of_path,
        Data: _of_data,
        Made: _of_made,
        Function: _of_function,
        Bound: _of_bound,
        Class: _of_class,
        Instance: _of_instance,
        Super: _of_super,
        Container: _of_container,
        View: _of_container,
        Constant: _of_text,
        Namespace: _of_text,
    }
)


def in_namespace(run: Interpreter, owner: Any, name: str) -> Meanings:
    """Return what stands under a name in ``globals()``, ``vars(x)`` or ``x.__dict__``."""
    if isinstance(owner, Scope):
        return owner.find(name) or NOTHING
    if isinstance(owner, Class):
        return in_class(owner, name)
    return run.attribute(one(owner), name)


def set_in_namespace(run: Interpreter, owner: Any, name: str, value: Meanings) -> None:
    """Set a name through ``globals()``, ``vars(x)`` or ``x.__dict__``."""
    if isinstance(owner, Scope):
        weak = bool(run.depth or run.doubt or run.branches)
        run.memory.put(owner.names, name, value, weak, lasting=True)
    else:
        set_attribute(run, owner, name, value)
