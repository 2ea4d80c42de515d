"""What calls give: of the student's own functions and classes, and of the few others that lead to more names."""

from __future__ import annotations

import ast
from typing import Any

from mlcourse.grading.shortcuts.classes import ancestors, in_class, lineage
from mlcourse.grading.shortcuts.elements import loosen_in_library
from mlcourse.grading.shortcuts.guarded import note_call
from mlcourse.grading.shortcuts.handed_on import PLAIN_BASES, RECEIVER, called_by_python, only_calls, only_looks
from mlcourse.grading.shortcuts.interpreter import CALLS, MAX_CALLS, MAX_DEPTH, MAX_LEVELS, UNKNOWN, Interpreter
from mlcourse.grading.shortcuts.known import KNOWN, TRANSPARENT, WRAPPERS, canonical
from mlcourse.grading.shortcuts.meanings import (
    ANYTHING,
    DATA,
    GIVEN,
    NOTHING,
    REST,
    Arguments,
    Bound,
    Class,
    Container,
    Data,
    Descriptor,
    Function,
    Getter,
    Instance,
    Made,
    Meanings,
    More,
    Opaque,
    Operation,
    Path,
    View,
    bag,
    functions_in,
    generated,
    is_plain,
    join,
    one,
    several,
    texts,
)
from mlcourse.grading.shortcuts.names import is_class, is_door
from mlcourse.grading.shortcuts.operations import operate
from mlcourse.grading.shortcuts.scopes import Scope

# Of numbers they make arrays and objects out of which no function comes.
COMPUTING = ("numpy", "torch", "scipy", "math", "sklearn", "array_api_compat", "matplotlib", "itertools", "random")
LOST = "a value that is known only when the code runs"
THEMSELVES = ("fit", "to", "double", "float", "cpu", "cuda", "eval", "train", "requires_grad_")


def _function(run: Interpreter, function: Function, arguments: Arguments) -> Meanings:
    """Follow a call of a student's function with its arguments."""
    replaced = function.attributes.get("__code__", NOTHING) - one(function)
    if replaced:
        return join(run.call(replaced, arguments), _follow_call(run, function, arguments))
    return _follow_call(run, function, arguments)


def _follow_call(run: Interpreter, function: Function, arguments: Arguments) -> Meanings:
    key: Any = (function, arguments, run.memory.changes)
    if key in run.running:  # a recursion that tells nothing new
        return NOTHING
    if key in run.results:
        return several(run.results[key])  # objects that this call would make again
    levels = MAX_LEVELS + isinstance(function.node, ast.Lambda)  # functions of functions are written with these
    if (
        run.depth >= MAX_CALLS or run.levels[function.node] >= levels
    ):  # from here on, what comes as data makes no difference
        given = arguments.everything()
        key = (function.node, run.leads.around(function), run.leads.marks(given), run.memory.turns)
        if key in run.running or key in run.results:
            return _unfollowed(run, function, arguments)
        leading = run.leads.own_or_forbidden(given)
        arguments = Arguments(
            tuple(value | leading for value in arguments.positional),
            tuple((name, value | leading) for name, value in arguments.keywords),
            arguments.rest,
        )
    if run.depth >= MAX_DEPTH and run.fuel > 0:
        run.results[key] = _unfollowed(run, function, arguments)
        run.later.append((function, arguments))
        return run.results[key]
    if run.fuel <= 0:
        run.cut = True
        return _unfollowed(run, function, arguments)
    run.running.add(key)
    run.levels[function.node] += 1
    try:
        run.results[key] = run_body(run, function, parameters(function, arguments))
    finally:
        run.running.discard(key)
        run.levels[function.node] -= 1
    return run.results[key]


def _unfollowed(run: Interpreter, function: Function, arguments: Arguments) -> Meanings:
    """Return what a call may give that is not followed: its function, or any of its arguments."""
    run.note(one(function))
    return one(Container({REST: join(one(function), arguments.everything())}, record=True))


def run_body(run: Interpreter, function: Function, names: dict[str, Meanings]) -> Meanings:
    """Follow the body of a function in which its parameters have these meanings."""
    node = function.node
    scope = Scope("function", function.scope, names, run.bindings_in(node), function.scope.owner)
    with run.inside(scope, call=True):
        if isinstance(node, ast.Lambda):
            return run.evaluate(node.body)
        run.block(node.body)
    if not scope.generates and not isinstance(node, ast.AsyncFunctionDef):
        return scope.returns
    run.hand_on(scope.returns if scope.generates else NOTHING, "StopIteration")
    return join(scope.returns, generated(scope.yields, by=one(function)))  # it runs when somebody takes from it


def parameters(function: Function, arguments: Arguments) -> dict[str, Meanings]:
    """Return what each parameter of a function means in a call."""
    accepted = function.node.args
    places = [*accepted.posonlyargs, *accepted.args]
    given = dict(arguments.keywords)
    changed = join(function.attributes.get("__defaults__", NOTHING), function.attributes.get("__kwdefaults__", NOTHING))
    other = join(NOTHING, *(item.values() for item in changed if isinstance(item, Container)))
    names: dict[str, Meanings] = {}
    for index, place in enumerate([*places, *accepted.kwonlyargs]):
        default = join(arguments.rest, function.defaults.get(place.arg, NOTHING), other)
        value = default if index < len(accepted.posonlyargs) else given.pop(place.arg, default)
        names[place.arg] = arguments.positional[index] if index < min(len(places), len(arguments.positional)) else value
    if accepted.vararg is not None:
        extra = dict(enumerate(arguments.positional[len(places) :]))
        names[accepted.vararg.arg] = one(Container(_with_rest(extra, arguments.rest)))
    if accepted.kwarg is not None:
        names[accepted.kwarg.arg] = one(Container(_with_rest(given, arguments.rest)))
    return names


def _with_rest(items: dict[Any, Meanings], rest: Meanings) -> dict[Any, Meanings]:
    return {**items, REST: rest} if rest else items


def _class(run: Interpreter, owner: Class, arguments: Arguments) -> Meanings:
    """Build an object of a student's class."""
    run.note(ancestors(owner))
    made = run.new_object(owner)
    own = frozenset(item for item in in_class(owner, "__init__") if isinstance(item, Function))
    if own:
        run.call(own, Arguments((one(made),)).then(arguments))
    else:
        kinds = [kind for kind in reversed(lineage(owner)) if isinstance(kind, Class)]
        fields = [field for kind in kinds for field in _fields(kind)]
        made.attributes.update(zip(fields, arguments.positional, strict=False))
        made.attributes.update(arguments.keywords)
        run.memory.changes += bool(arguments.positional or arguments.keywords)
        run.hand_on(join(arguments.rest, *arguments.positional[len(fields) :]), f"an object of {owner.node.name}")
    line = lineage(owner)
    by_python = join(*(called_by_python(kind) for kind in line if isinstance(kind, Class)))
    run.hand_on(one(Bound(by_python, Arguments((one(made),)))) if by_python else NOTHING, "Python itself")
    base = next((base.name for base in line if isinstance(base, Path) and base.name not in PLAIN_BASES), "")
    if base:
        run.hand_on(join(one(made), arguments.everything()), base)
    makers = frozenset(item for item in in_class(owner, "__new__") if isinstance(item, Function))
    return join(one(made), run.call(makers, Arguments((one(owner),)).then(arguments)))


def _fields(kind: Class) -> list[str]:
    """Return the names that stand in the body of a class with an annotation."""
    targets = [line.target for line in kind.node.body if isinstance(line, ast.AnnAssign)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def call_method(run: Interpreter, owners: Meanings, name: str, arguments: Arguments = Arguments()) -> Meanings:  # noqa: B008
    """Return what a method of the student's own objects gives."""
    own = frozenset(item for item in owners if isinstance(item, Instance))
    return run.call(run.attribute(own, name), arguments)


def _instance(run: Interpreter, owner: Instance, arguments: Arguments) -> Meanings:
    run.note(frozenset(base for base in ancestors(owner.of) if isinstance(base, Path)))
    answering = in_class(owner.of, "__call__")
    installed = all(isinstance(item, Path) for item in answering)  # it calls `forward`, as `torch.nn.Module` does
    methods = ("__call__", "forward") if answering and installed else ("__call__",) if answering else ("forward",)
    return join(*(call_method(run, one(owner), method, arguments) for method in methods))


def _bound(run: Interpreter, owner: Bound, arguments: Arguments) -> Meanings:
    return run.call(owner.functions, owner.arguments.then(arguments))


def _path(run: Interpreter, owner: Path, arguments: Arguments) -> Meanings:
    """Call something that is installed."""
    owner = Path(canonical(owner.name))
    note_call(run, owner.name, arguments.everything())
    if owner.name in KNOWN:
        return KNOWN[owner.name](run, arguments)
    run.note(arguments.everything(), with_data=True)
    if only_looks(owner.name):
        return GIVEN
    taken = loosen_in_library(run, arguments)
    if is_door(owner.name):
        return one(owner)
    inside = functions_in(arguments.everything())
    if owner.name in TRANSPARENT and owner.name not in WRAPPERS:  # with settings it decorates when it is called again
        return join(DATA, inside) if inside else one(owner)
    if run.suspicious(owner.name) and is_class(owner.name):
        return one(Made(owner.name))
    if not only_calls(owner.name) and owner.name not in TRANSPARENT:
        run.hand_on(arguments.everything(), owner.name)
    if owner.name in WRAPPERS:
        other = NOTHING if owner.name in TRANSPARENT else DATA
        empty = DATA if is_class(owner.name) else one(owner)  # it may be filled later
        return one(Bound(inside)) | other if inside else empty
    computing = owner.name.partition(".")[0] in COMPUTING and not is_class(owner.name)
    if computing and is_plain(arguments.everything()):
        return GIVEN
    return join(DATA, taken, run.call_back(arguments))


def _made(run: Interpreter, owner: Made, arguments: Arguments) -> Meanings:
    run.note(arguments.everything(), with_data=True)
    run.hand_on(arguments.everything(), f"{owner.path}.{owner.method}")
    return one(Made(owner.path)) if owner.method in THEMSELVES else DATA


def _data(run: Interpreter, owner: Data, arguments: Arguments) -> Meanings:
    run.note(arguments.everything(), with_data=True)
    if owner.given and is_plain(arguments.everything()):
        return one(owner)
    run.hand_on(arguments.everything(), RECEIVER if owner.given else LOST)
    run.call_back(arguments)
    return join(DATA, loosen_in_library(run, arguments))


def _descriptor(run: Interpreter, owner: Descriptor, arguments: Arguments) -> Meanings:
    run.note(owner.functions, used=False)
    return run.call(owner.functions, arguments)


def _container(run: Interpreter, owner: Container, arguments: Arguments) -> Meanings:
    run.hand_on(arguments.everything(), UNKNOWN)
    if owner.record:
        return one(owner)
    return run.call(frozenset(item for item in owner.values() if not isinstance(item, Container)), arguments)


def _getter(run: Interpreter, owner: Getter, arguments: Arguments) -> Meanings:
    if owner.kind == "item":
        element = run.element(arguments.at(0), owner.names)
        return join(element, bag(element)) if len(owner.names) > 1 else element
    found = NOTHING
    for name in texts(owner.names):
        current = arguments.at(0)
        for part in name.split("."):
            current = run.attribute(current, part)
            run.note(current, used=False)
        found = join(found, current)
    if len(texts(owner.names)) < len(owner.names):
        found = join(found, ANYTHING)  # a name that is known only when the code runs
    if owner.kind == "method":
        return run.call(found, Arguments())
    return join(found, bag(found)) if len(owner.names) > 1 else found


def _of_more(run: Interpreter, owner: More, arguments: Arguments) -> Meanings:
    return one(owner)


def _opaque(run: Interpreter, owner: Opaque, arguments: Arguments) -> Meanings:
    note_call(run, "what it finds while it runs", arguments.everything() | one(owner))
    run.note(arguments.everything(), with_data=True)
    run.hand_on(arguments.everything(), LOST)
    return one(owner) | DATA


CALLS.update(
    {
        Opaque: _opaque,
        More: _of_more,
        Function: _function,
        Class: _class,
        Instance: _instance,
        Bound: _bound,
        Path: _path,
        Made: _made,
        Data: _data,
        Descriptor: _descriptor,
        Container: _container,
        View: _container,
        Getter: _getter,
        Operation: operate,
    }
)


def decorated(run: Interpreter, made: Any, decorators: list[ast.expr]) -> Meanings:
    """Return what a function or class becomes under its decorators."""
    current = one(made)
    for decorator in reversed(decorators):
        named: list[Meanings] = []
        with run.overheard(named):
            callee = run.evaluate(decorator, used=False)
        made.attached = join(made.attached, *(_installed(meanings) for meanings in named))
        if not callee:
            run.hand_on(current, UNKNOWN)
        result = run.call(callee, Arguments((current,)))
        current = result if result - DATA else current  # of an unknown decorator: it wraps
    return current


def _installed(meanings: Meanings) -> Meanings:
    return frozenset(item for item in meanings if isinstance(item, Path | Made))
