"""The functions of Python, its library and the notebook that lead from a name or a string to something else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

from mlcourse.grading.shortcuts.attributes import delete_attribute, module_named, set_attribute
from mlcourse.grading.shortcuts.constants import is_plain_encoding
from mlcourse.grading.shortcuts.elements import all_known, any_part
from mlcourse.grading.shortcuts.interpreter import UNKNOWN, Interpreter
from mlcourse.grading.shortcuts.meanings import (
    ANYTHING,
    DATA,
    NOTHING,
    REST,
    Arguments,
    Bound,
    Class,
    Constant,
    Container,
    Descriptor,
    Function,
    Getter,
    Instance,
    Meanings,
    Namespace,
    Opaque,
    Path,
    Super,
    bag,
    functions_in,
    join,
    one,
    texts,
)
from mlcourse.grading.shortcuts.names import MISSING, resolve
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
# They return what they were given, and keep nothing else of it.
TRANSPARENT = {
    *("functools.lru_cache", "functools.cache", "dataclasses.dataclass"),
    *(f"torch.{name}" for name in ("compile", "vmap", "no_grad", "enable_grad", "inference_mode", "jit.script")),
    *(f"torch.func.{name}" for name in ("vmap", "grad", "jacrev", "jacfwd")),
    *("numpy.vectorize", "numpy.errstate", "contextlib.contextmanager", "abc.abstractmethod"),
    *("torch.nn.Sequential", "torch.nn.ModuleList"),
}


@functools.cache
def canonical(name: str) -> str:
    """Return the name under which a function of Python stands in these tables: ``posix.system`` is ``os.system``."""
    found = resolve(name)
    if name in KNOWN or found is MISSING or isinstance(found, ModuleType):
        return name
    return _by_object().get(id(found), name)


@functools.cache
def _by_object() -> dict[int, str]:
    names = (name for name in (*KNOWN, *WRAPPERS) if not name.startswith("ipython."))
    return {id(found): name for name in names if (found := resolve(name)) is not MISSING}


def known(*names: str) -> Callable[[Known], Known]:
    """Declare what calls of these installed functions give."""

    def declare(function: Known) -> Known:
        KNOWN.update(dict.fromkeys(names, function))
        return function

    return declare


# Attributes


@known("builtins.getattr", "inspect.getattr_static")
def _getattr(run: Interpreter, arguments: Arguments) -> Meanings:
    names = arguments.at(1, "attr")
    found = join(*(run.attribute(arguments.at(0), name) for name in texts(names)), arguments.at(2, "default"))
    return found if all_known(run, names) else join(found, _any_attribute(run, arguments.at(0)))


def _any_attribute(run: Interpreter, owners: Meanings) -> Meanings:
    """Return what an attribute may be whose name is known only when the code runs."""
    found = [one(Opaque("torch.Tensor")) | DATA] if owners >= DATA else []
    spaces = (item for item in owners if isinstance(item, Path | Instance | Class))
    return join(NOTHING, *found, *(any_part(Namespace(item)) for item in spaces))


@known("builtins.setattr")
def _setattr(run: Interpreter, arguments: Arguments) -> Meanings:
    if not all_known(run, arguments.at(1)):
        run.hand_on(arguments.at(2), UNKNOWN)
    for name in texts(arguments.at(1)):
        for owner in arguments.at(0):
            set_attribute(run, owner, name, arguments.at(2))
    return NOTHING


@known("builtins.delattr")
def _delattr(run: Interpreter, arguments: Arguments) -> Meanings:
    for name in texts(arguments.at(1)):
        delete_attribute(run, arguments.at(0), name)
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
    run.hand_on(join(*arguments.positional[1:], *(value for _, value in arguments.keywords)), "operator.methodcaller")
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
    given = arguments.at(0, "name")
    names = texts(given)
    if not all_known(run, given):
        return ANYTHING
    package = next(iter(texts(arguments.at(1, "package"))), "")
    return join(*(module_named(run, f"{package}{name}" if name.startswith(".") else name) for name in names))


@known("runpy.run_module")
def _run_module(run: Interpreter, arguments: Arguments) -> Meanings:
    return frozenset(Namespace(module) for module in _import_module(run, arguments))


@known("builtins.__import__")
def _import(run: Interpreter, arguments: Arguments) -> Meanings:
    whole = arguments.at(3, "fromlist") != NOTHING
    given = arguments.at(0, "name")
    names = [name if whole else name.partition(".")[0] for name in texts(given)]
    if not all_known(run, given):
        return ANYTHING
    return join(*(module_named(run, name) for name in names))


@known("pkgutil.resolve_name", "pydoc.locate")
def _resolve_name(run: Interpreter, arguments: Arguments) -> Meanings:
    given = arguments.at(0)
    named = frozenset(Path(name.replace(":", ".")) for name in texts(given))
    return named if all_known(run, given) else named | ANYTHING


@known("sys.modules.values", "sys.modules.items", "sys.modules.copy", "sys.modules.popitem")
def _any_module(run: Interpreter, arguments: Arguments) -> Meanings:
    return bag(ANYTHING, bag(ANYTHING))


@known("inspect.getmodule")
def _module_of(run: Interpreter, arguments: Arguments) -> Meanings:
    return ANYTHING


@known("inspect.getmembers", "inspect.getmembers_static")
def _members(run: Interpreter, arguments: Arguments) -> Meanings:
    return bag(bag(_any_attribute(run, arguments.at(0) - DATA) | DATA))


@known("hypothesis.given", "hypothesis.settings", "hypothesis.example", "pytest.fixture", "pytest.mark.parametrize")
def _decorator_of_tests(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Path("functools.cache"))


# Strings


@known("builtins.str", "builtins.repr", "builtins.format", "sys.intern")
def _str(run: Interpreter, arguments: Arguments) -> Meanings:
    if not is_plain_encoding(Arguments(arguments.positional[1:], arguments.keywords)):
        return DATA
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
    return one(Bound(one(Path("functools.update_wrapper")), Arguments((), (("wrapped", arguments.at(0, "wrapped")),))))


@known("functools.update_wrapper")
def _update_wrapper(run: Interpreter, arguments: Arguments) -> Meanings:
    for item in arguments.at(0):
        if isinstance(item, Function):
            set_attribute(run, item, "__wrapped__", join(one(item), arguments.at(1, "wrapped")))
    return arguments.at(0)


@known("typing.cast", "typing.assert_type")
def _cast(run: Interpreter, arguments: Arguments) -> Meanings:
    return arguments.at(1, "val")


@known("inspect.signature")
def _signature(run: Interpreter, arguments: Arguments) -> Meanings:
    own = (item for item in arguments.at(0) if isinstance(item, Function))
    run.hand_on(join(NOTHING, *(value for item in own for value in item.defaults.values())), "inspect.signature")
    return DATA


@known("copyreg.pickle", "copyreg.constructor")
def _copyreg(run: Interpreter, arguments: Arguments) -> Meanings:
    run.hand_on(ANYTHING, "copyreg")
    return NOTHING


@known("types.ModuleType", "types.new_class", "types.prepare_class")
def _new_module(run: Interpreter, arguments: Arguments) -> Meanings:
    run.hand_on(arguments.everything(), "types")
    return one(Container(record=True))


@known("typing.final", "typing.runtime_checkable", "typing.overload", "typing.no_type_check", "enum.unique")
@known("functools.total_ordering")
@known("copy.copy", "copy.deepcopy", "importlib.reload", "inspect.unwrap")
def _itself(run: Interpreter, arguments: Arguments) -> Meanings:
    return arguments.at(0)


@known("types.MethodType")
def _method(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Bound(arguments.at(0), Arguments((arguments.at(1),))))


@known("operator.call")
def _call(run: Interpreter, arguments: Arguments) -> Meanings:
    return run.call(arguments.at(0), Arguments(arguments.positional[1:], arguments.keywords, arguments.rest))


@known("builtins.staticmethod")
def _static(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Descriptor("static", arguments.at(0)))


@known("builtins.classmethod")
def _class(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Descriptor("class", arguments.at(0)))


@known("builtins.property", "functools.cached_property")
def _property(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Descriptor("property", functions_in(arguments.everything())))
