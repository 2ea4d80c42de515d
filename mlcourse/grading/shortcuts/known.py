"""The functions of Python, its library and the notebook that lead from a name or a string to something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlcourse.grading.shortcuts.attributes import module_named, set_attribute
from mlcourse.grading.shortcuts.interpreter import MAX_CALLS, Interpreter
from mlcourse.grading.shortcuts.meanings import (
    DATA,
    MANY,
    NOTHING,
    REST,
    Arguments,
    Bound,
    Class,
    Constant,
    Container,
    Descriptor,
    Getter,
    Instance,
    Meanings,
    Namespace,
    Path,
    Super,
    bag,
    functions_in,
    join,
    listed,
    one,
    texts,
)
from mlcourse.grading.shortcuts.operations import looped
from mlcourse.grading.shortcuts.scopes import Scope

Known = Callable[[Interpreter, Arguments], Meanings]
KNOWN: dict[str, Known] = {}
# What they return calls what they were given.
WRAPPERS = {
    *(f"functools.{name}" for name in ("lru_cache", "cache", "singledispatch", "cmp_to_key", "partialmethod")),
    *(f"torch.{name}" for name in ("compile", "vmap", "no_grad", "enable_grad", "inference_mode", "jit.script")),
    *(f"torch.func.{name}" for name in ("vmap", "grad", "jacrev", "jacfwd", "functional_call", "linearize")),
    *(f"torch.{name}" for name in ("jit.trace", "jit.ignore", "compiler.disable", "nn.Sequential", "nn.ModuleList")),
    *(f"numpy.{name}" for name in ("vectorize", "frompyfunc", "errstate")),
    *(f"contextlib.{name}" for name in ("contextmanager", "suppress", "nullcontext")),
    *("weakref.ref", "weakref.proxy", "types.FunctionType", "types.CodeType", "atexit.register"),
}


def known(*names: str) -> Callable[[Known], Known]:
    """Declare what calls of these installed functions give."""

    def declare(function: Known) -> Known:
        KNOWN.update(dict.fromkeys(names, function))
        return function

    return declare


# Attributes


@known("builtins.getattr", "inspect.getattr_static")
def _getattr(run: Interpreter, arguments: Arguments) -> Meanings:
    return join(*(run.attribute(arguments.at(0), name) for name in texts(arguments.at(1))), arguments.at(2))


@known("builtins.setattr")
def _setattr(run: Interpreter, arguments: Arguments) -> Meanings:
    for name in texts(arguments.at(1)):
        for owner in arguments.at(0):
            set_attribute(run, owner, name, arguments.at(2))
    return NOTHING


@known("builtins.vars")
def _vars(run: Interpreter, arguments: Arguments) -> Meanings:
    if not arguments.positional:
        return one(Namespace(run.scope))
    return run.attribute(arguments.at(0), "__dict__")


@known("builtins.globals")
def _globals(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Namespace(run.scope.module))


@known("builtins.locals")
def _locals(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Namespace(run.scope))


@known("builtins.super")
def _super(run: Interpreter, arguments: Arguments) -> Meanings:
    scope: Scope | None = run.scope
    while scope is not None and scope.owner is None:
        scope = scope.parent
    if scope is None or not isinstance(scope.owner, Class):
        return NOTHING
    given = arguments.at(1) or next(iter(run.scope.names.values()), NOTHING)  # the first parameter of the method
    return one(Super(scope.owner, frozenset(item for item in given if isinstance(item, Instance | Class))))


@known("builtins.type")
def _type(run: Interpreter, arguments: Arguments) -> Meanings:
    if len(arguments.positional) == 3:  # a class made by hand
        members = [item for item in arguments.at(2) if isinstance(item, Container)]
        items = {key: value for item in members for key, value in item.items.items()}
        return one(Container({**items, REST: run.element(arguments.at(1))}, record=True))
    return frozenset(item.of if isinstance(item, Instance) else item for item in arguments.at(0))


@known("operator.attrgetter")
def _attrgetter(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Getter("attribute", arguments.everything()))


@known("operator.methodcaller")
def _methodcaller(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Getter("method", arguments.at(0)))


@known("operator.itemgetter")
def _itemgetter(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Getter("item", arguments.everything()))


@known("operator.getitem")
def _getitem(run: Interpreter, arguments: Arguments) -> Meanings:
    return run.element(arguments.at(0), arguments.at(1))


# Modules by name


@known("importlib.import_module", "importlib.__import__", "sys.modules.get", "sys.modules.__getitem__")
def _import_module(run: Interpreter, arguments: Arguments) -> Meanings:
    names = texts(arguments.at(0, "name"))
    package = next(iter(texts(arguments.at(1, "package"))), "")
    return join(*(module_named(run, f"{package}{name}" if name.startswith(".") else name) for name in names))


@known("runpy.run_module")
def _run_module(run: Interpreter, arguments: Arguments) -> Meanings:
    return frozenset(Namespace(module) for module in _import_module(run, arguments))


@known("builtins.__import__")
def _import(run: Interpreter, arguments: Arguments) -> Meanings:
    whole = arguments.at(3, "fromlist") != NOTHING
    names = [name if whole else name.partition(".")[0] for name in texts(arguments.at(0, "name"))]
    return join(*(module_named(run, name) for name in names))


@known("pkgutil.resolve_name", "pydoc.locate")
def _resolve_name(run: Interpreter, arguments: Arguments) -> Meanings:
    return frozenset(Path(name.replace(":", ".")) for name in texts(arguments.at(0)))


# Code in strings


@known("builtins.compile")
def _compile(run: Interpreter, arguments: Arguments) -> Meanings:
    return arguments.at(0)


@known("builtins.eval", "builtins.exec", "ipython.run_cell", "ipython.ex", "ipython.ev")
def run_text(run: Interpreter, arguments: Arguments) -> Meanings:
    """Follow the code in strings, in the namespace that was given with it."""
    given, found = arguments.at(0), NOTHING
    if len(texts(given)) < len(given) or (arguments.positional and not given):
        run.cut = True  # nobody knows what else it runs
    for text in texts(given):
        for place in arguments.at(1, "globals") or one(None):
            found = join(found, _run_in(run, text, place))
    return found


def _run_in(run: Interpreter, text: str, place: Any) -> Meanings:
    if isinstance(place, Container):
        scope = Scope("module", None, {key: value for key, value in place.items.items() if isinstance(key, str)})
    else:
        scope = place.owner if isinstance(place, Namespace) and isinstance(place.owner, Scope) else run.scope
    if run.depth >= MAX_CALLS:
        run.blind = run.blind or not run.was_read(text)
        return NOTHING
    with run.inside(scope, call=True):
        value = _run_here(run, text)
    if isinstance(place, Container):
        for name, meanings in scope.names.items():
            run.put(place.items, name, meanings)
    return value


def _run_here(run: Interpreter, text: str) -> Meanings:
    expression = run.tree_of(text, "eval")
    if expression is not None:
        return run.evaluate(expression.body)
    tree = run.tree_of(text, "exec")
    if tree is not None:
        run.block(tree.body)
    return NOTHING


@known("builtins.get_ipython", "IPython.get_ipython", "IPython.core.getipython.get_ipython")
def _shell(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Path("ipython"))


@known("ipython.run_cell_magic")
def _cell_magic(run: Interpreter, arguments: Arguments) -> Meanings:
    python = set(texts(arguments.at(0))) & {"time", "capture", "prun", "timeit", "debug", "python"}
    return run_text(run, Arguments((arguments.at(2),))) if python else DATA


@known("ipython.run_line_magic", "ipython.magic")
def _line_magic(run: Interpreter, arguments: Arguments) -> Meanings:
    return run_text(run, Arguments((arguments.at(1),))) if "time" in texts(arguments.at(0)) else DATA


@known("ipython.push")
def _push(run: Interpreter, arguments: Arguments) -> Meanings:
    namespace = run.attribute(one(Namespace(run.module)), "update")
    return run.call(namespace, arguments)


# Strings


@known("builtins.str", "builtins.repr", "builtins.format", "sys.intern")
def _str(run: Interpreter, arguments: Arguments) -> Meanings:
    return frozenset(Constant(text) for text in texts(arguments.at(0))) or DATA


@known("builtins.chr")
def _chr(run: Interpreter, arguments: Arguments) -> Meanings:
    codes = [item.value for item in arguments.at(0) if isinstance(item, Constant)]
    return frozenset(Constant(chr(code)) for code in codes if isinstance(code, int) and 0 <= code < 0x110000) or DATA


# Functions that hold or call functions


@known("functools.partial")
def _partial(run: Interpreter, arguments: Arguments) -> Meanings:
    run.note(arguments.everything())
    return one(Bound(arguments.at(0), Arguments(arguments.positional[1:], arguments.keywords, arguments.rest)))


@known("functools.wraps")
def _wraps(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Path("functools.cache"))


@known("functools.update_wrapper", "copy.copy", "copy.deepcopy", "importlib.reload", "inspect.unwrap")
def _itself(run: Interpreter, arguments: Arguments) -> Meanings:
    return arguments.at(0)


@known("types.MethodType")
def _method(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Bound(arguments.at(0), Arguments((arguments.at(1),))))


@known("operator.call")
def _call(run: Interpreter, arguments: Arguments) -> Meanings:
    return run.call(arguments.at(0), Arguments(arguments.positional[1:], arguments.keywords, arguments.rest))


@known("builtins.map", "builtins.filter", "itertools.starmap")
def _map(run: Interpreter, arguments: Arguments) -> Meanings:
    ordered = [item.in_order() for item in arguments.at(1) if isinstance(item, Container)]
    if len(arguments.positional) == 2 and len(ordered) == len(arguments.at(1)) == 1 and ordered[0] is not None:
        return listed(*(run.call(arguments.at(0), Arguments((part,))) or part for part in ordered[0]))
    taken = tuple(looped(run, part) for part in arguments.positional[1:])
    return bag(run.call(arguments.at(0), Arguments(taken)), *taken)


@known("functools.reduce")
def _reduce(run: Interpreter, arguments: Arguments) -> Meanings:
    ordered = [item.in_order() for item in arguments.at(1) if isinstance(item, Container)]
    steps = (ordered[0] if ordered else None) or [looped(run, arguments.at(1))]
    current = arguments.at(2, "initial")
    run.cut = run.cut or len(steps) > MANY
    for step in steps[:MANY]:
        current = run.call(arguments.at(0), Arguments((current, step))) if current else step
        run.note(current, used=False)
    return current


@known("builtins.staticmethod")
def _static(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Descriptor("static", arguments.at(0)))


@known("builtins.classmethod")
def _class(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Descriptor("class", arguments.at(0)))


@known("builtins.property", "functools.cached_property")
def _property(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Descriptor("property", arguments.at(0)))


# Containers


@known("builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "builtins.iter", "collections.deque")
def _list(run: Interpreter, arguments: Arguments) -> Meanings:
    ordered = [item for item in arguments.at(0) if isinstance(item, Container) and item.in_order() is not None]
    return join(*(one(Container(dict(item.items))) for item in ordered)) or bag(looped(run, arguments.at(0)))


@known("builtins.sorted", "builtins.reversed", "itertools.chain", "itertools.cycle", "itertools.repeat")
def _any_order(run: Interpreter, arguments: Arguments) -> Meanings:
    run.note(functions_in(arguments.everything()), with_data=True)
    return bag(*(looped(run, part) for part in arguments.positional))


@known("builtins.next", "builtins.max", "builtins.min", "random.choice")
def _one_of(run: Interpreter, arguments: Arguments) -> Meanings:
    run.note(functions_in(arguments.everything()), with_data=True)
    return join(looped(run, arguments.at(0)), *arguments.positional[1:])


@known("builtins.zip", "builtins.enumerate", "itertools.product")
def _tuples(run: Interpreter, arguments: Arguments) -> Meanings:
    return bag(bag(*(looped(run, part) for part in arguments.positional)))


@known("builtins.dict", "types.MappingProxyType", "collections.OrderedDict", "collections.ChainMap")
def _dict(run: Interpreter, arguments: Arguments) -> Meanings:
    namespaces = frozenset(item for item in arguments.at(0) if isinstance(item, Namespace))
    items: dict[Any, Meanings] = dict(arguments.keywords)
    for given in arguments.at(0):
        if isinstance(given, Container):
            items.update(_pairs(run, given))
    return join(namespaces, one(Container(items, keyed=True)))


def _pairs(run: Interpreter, given: Container) -> dict[Any, Meanings]:
    """Return the items of a dict, or of a list of pairs."""
    if given.in_order() is None and REST not in given.items:
        return given.items
    pairs = given.values()
    keys = texts(run.element(pairs, one(Constant(0))))
    return dict.fromkeys([*keys, REST], run.element(pairs, one(Constant(1)))) if keys else given.items


@known("types.SimpleNamespace", "argparse.Namespace")
def _record(run: Interpreter, arguments: Arguments) -> Meanings:
    rest = join(*arguments.positional, arguments.rest)
    return one(Container({**dict(arguments.keywords), REST: rest}, record=True))


@known("collections.namedtuple", "collections.UserDict")
def _record_type(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Path("types.SimpleNamespace"))
