"""What statements do to the meaning of names."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import partial
from importlib.machinery import PathFinder
from typing import Any

from mlcourse.grading.shortcuts.attributes import delete_attribute, module_named, set_attribute
from mlcourse.grading.shortcuts.calls import call_method, decorated
from mlcourse.grading.shortcuts.classes import lineage
from mlcourse.grading.shortcuts.elements import loosen, set_element, take_away
from mlcourse.grading.shortcuts.expressions import new_function
from mlcourse.grading.shortcuts.handed_on import PLAIN_BASES, called_by_python
from mlcourse.grading.shortcuts.interpreter import STATEMENTS, UNKNOWN, Interpreter, look_at_parts
from mlcourse.grading.shortcuts.meanings import (
    DATA,
    NOTHING,
    Arguments,
    Bound,
    Class,
    Constant,
    Container,
    Descriptor,
    Function,
    Instance,
    Meanings,
    Namespace,
    Operation,
    Path,
    bag,
    functions_in,
    join,
    one,
    texts,
)
from mlcourse.grading.shortcuts.names import exported
from mlcourse.grading.shortcuts.operations import looped, operate
from mlcourse.grading.shortcuts.operators import operated
from mlcourse.grading.shortcuts.scopes import Bindings, Scope, bindings_of

MAX_ROUNDS = 50


def assign(run: Interpreter, target: ast.AST, value: Meanings) -> None:
    """Bind a target: a name, an attribute, an element, or several of them."""
    if isinstance(target, ast.Name):
        run.bind(target.id, value)
    elif isinstance(target, ast.Attribute):
        owners = run.evaluate(target.value, used=False)
        if not owners:
            run.hand_on(value, UNKNOWN)
        for owner in owners:
            set_attribute(run, owner, target.attr, value)
    elif isinstance(target, ast.Subscript):
        keys = run.evaluate(target.slice)
        value = run.element(value) if isinstance(target.slice, ast.Slice) else value
        owners = run.evaluate(target.value, used=False)
        if not owners:
            run.hand_on(value, UNKNOWN)
        for owner in owners:
            if isinstance(target.slice, ast.Slice):
                loosen(run, owner)
            set_element(run, owner, keys, value)
    elif isinstance(target, ast.Starred):
        assign(run, target.value, bag(value))
    elif isinstance(target, ast.Tuple | ast.List):
        _unpack(run, target.elts, value)


def _unpack(run: Interpreter, targets: list[ast.expr], value: Meanings) -> None:
    starred = any(isinstance(target, ast.Starred) for target in targets)
    for index, target in enumerate(targets):
        known = run.element(value) if starred else run.element(value, one(Constant(index)))
        assign(run, target, known)


def _assign(run: Interpreter, node: ast.Assign) -> None:
    value = run.evaluate(node.value)
    for target in node.targets:
        assign(run, target, value)


def _expression(run: Interpreter, node: ast.Expr) -> None:
    run.last = run.evaluate(node.value)


def _augmented(run: Interpreter, node: ast.AugAssign) -> None:
    reading = ast.copy_location(_as_read(node.target), node)
    old, more = run.evaluate(reading, used=False), run.evaluate(node.value)
    grown = [item for item in old if isinstance(item, Container | Namespace)] if run.leads.marks(more) else []
    for owner in grown:  # other names of it see what is added
        name = "update" if isinstance(node.op, ast.BitOr) else "extend"
        operate(run, Operation(owner, name), Arguments((more,)))
    assign(run, node.target, join(operated(run, node.op, old, more, begin="i"), frozenset(grown)))


def _as_read(target: Any) -> ast.expr:
    if isinstance(target, ast.Name):
        return ast.Name(target.id, ast.Load())
    if isinstance(target, ast.Attribute):
        return ast.Attribute(target.value, target.attr, ast.Load())
    return ast.Subscript(target.value, target.slice, ast.Load())


def _annotated(run: Interpreter, node: ast.AnnAssign) -> None:
    if node.value is not None:
        assign(run, node.target, run.evaluate(node.value))
    if isinstance(node.target, ast.Name) and run.scope.kind in ("module", "class"):  # Python keeps the annotation
        doubt = run.doubt
        kept = run.evaluate(node.annotation, used=False)
        known = run.scope.names.get("__annotations__") or one(Container())
        run.doubt = doubt
        for owner in known:
            set_element(run, owner, one(Constant(node.target.id)), kept)
        run.bind("__annotations__", known)


def _if(run: Interpreter, node: ast.If) -> None:
    run.evaluate(node.test)
    run.either(partial(run.block, node.body), partial(run.block, node.orelse))


def _loop(run: Interpreter, node: ast.For | ast.AsyncFor | ast.While) -> None:
    def once() -> None:
        if isinstance(node, ast.While):
            run.evaluate(node.test)
        else:
            assign(run, node.target, looped(run, values))  # it may have grown
        run.block(node.body)

    def never() -> None:
        return None

    values = NOTHING if isinstance(node, ast.While) else run.evaluate(node.iter)
    _repeat(run, partial(run.either, never, once))
    run.block(node.orelse)


def _repeat(run: Interpreter, once_more: Callable[[], None]) -> None:
    """Follow what is repeated until another round leads nowhere else, and twice where it makes other data."""
    before = run.memory.changes, dict(run.scope.names)
    once_more()
    steps, turns, leads = run.steps, -1, dict[str, Any]()
    for _ in range(MAX_ROUNDS):  # what the rounds before left behind
        last, leads = leads, _leads(run)
        if before == (run.memory.changes, run.scope.names) or (turns, last) == (run.memory.turns, leads):
            return
        if run.fuel <= 0:
            run.cut = True
            return
        turns = run.memory.turns
        once_more()
        run.fuel -= run.steps - steps
        steps = run.steps
    # Something still wanders from name to name: it may arrive at any of them.
    moved = [name for name, lead in _leads(run).items() if lead != leads.get(name)]
    everything = join(*(run.scope.names[name] for name in moved))
    for name in moved:
        run.bind(name, everything)


def _leads(run: Interpreter) -> dict[str, Any]:
    """Return where the names lead, to compare it with what a repetition makes of it."""
    found = {}
    for name, value in run.scope.names.items():
        if marks := run.leads.marks(value):
            found[name] = marks, value if run.leads.forbidden_in(value) else NOTHING
    return found


def _with(run: Interpreter, node: ast.With | ast.AsyncWith) -> None:
    for item in node.items:
        entered = _entered(run, run.evaluate(item.context_expr))
        if item.optional_vars is not None:
            assign(run, item.optional_vars, entered)
    # A context may swallow an error, and with it the rest of its lines.
    doubt, run.doubt = run.doubt, True
    run.tries += 1
    run.either(lambda: None, partial(run.block, node.body))
    run.tries -= 1
    run.doubt = doubt


def _entered(run: Interpreter, context: Meanings) -> Meanings:
    entered = call_method(run, context, "__enter__")
    call_method(run, context, "__exit__", Arguments(rest=DATA))  # at the end, or after an error
    return join(context, entered, run.element(context))


def _try(run: Interpreter, node: Any) -> None:
    handlers = [partial(_handler, run, handler) for handler in node.handlers]

    def whole() -> None:
        run.doubt = run.doubt or bool(handlers or node.finalbody)  # any line may fail
        run.block(node.body)
        run.block(node.orelse)

    def broken() -> None:
        run.doubt = True
        run.either(lambda: None, partial(run.block, node.body))
        run.either(lambda: None, *handlers)

    doubt = run.doubt
    run.tries += 1
    if handlers:
        run.either(whole, broken)
        run.doubt = doubt
    else:
        whole()
    run.tries -= 1
    run.doubt = doubt
    run.block(node.finalbody)


def _handler(run: Interpreter, handler: ast.ExceptHandler) -> None:
    run.evaluate(handler.type)
    if handler.name:
        run.bind(handler.name, one(Path("builtins.BaseException")))  # what was raised was handed on
    run.block(handler.body)


def _match(run: Interpreter, node: ast.Match) -> None:
    subject = run.evaluate(node.subject)
    inner = join(subject, run.element(subject), run.leads.among(subject))

    def case(one_case: ast.match_case) -> None:
        nonlocal inner
        for part in ast.walk(one_case.pattern):
            if isinstance(part, ast.MatchClass):  # it reads attributes
                inner = join(inner, *(run.attribute(subject, name) for name in part.kwd_attrs))
        for part in ast.walk(one_case.pattern):
            name = getattr(part, "name", None) or getattr(part, "rest", None)
            if isinstance(name, str):
                run.bind(name, inner)
        run.evaluate(one_case.guard)
        run.block(one_case.body)

    run.either(lambda: None, *(partial(case, one_case) for one_case in node.cases))


def _function(run: Interpreter, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    function = new_function(run, node)
    run.note(one(function))
    run.bind(node.name, decorated(run, function, node.decorator_list))


def _class(run: Interpreter, node: ast.ClassDef) -> None:
    in_order = tuple(run.evaluate(base) for base in (*node.bases, *(word.value for word in node.keywords)))
    borrowed = bindings_of(node.body)
    bindings = Bindings(frozenset(), borrowed.from_module, borrowed.from_outside)
    made = Class(node, join(*in_order), Scope("class", run.scope, {}, bindings), in_order)
    made.namespace.owner = made
    with run.inside(made.namespace):
        run.block(node.body)
    run.note(one(made))
    given = [value for word, value in zip(node.keywords, in_order[len(node.bases) :], strict=True) if word.arg]
    _hand_on_class(run, made, join(NOTHING, *given))
    for base in lineage(made)[1:]:
        if isinstance(base, Class) and "__init_subclass__" in base.namespace.names:
            run.call(functions_in(base.namespace.names["__init_subclass__"]), Arguments((one(made),)))
    run.bind(node.name, decorated(run, made, node.decorator_list))


def _hand_on_class(run: Interpreter, made: Class, given: Meanings) -> None:
    """Take note of what Python and the libraries get when a class is defined."""
    line, members = lineage(made), made.namespace.names.values()
    run.hand_on(frozenset(item for item in given if not isinstance(item, Class)), f"the class {made.node.name}")
    library = next((base.name for base in line if isinstance(base, Path) and base.name not in PLAIN_BASES), "")
    if library:
        kept = (item for value in members for item in value if not isinstance(item, Function | Descriptor))
        run.hand_on(frozenset(kept), library)
    by_python = join(NOTHING, *members) if Path("builtins.type") in line else called_by_python(made)
    if by_python:
        run.hand_on(one(Bound(by_python, Arguments((one(Instance(made)),)))), "Python itself")


def _return(run: Interpreter, node: ast.Return) -> None:
    value = run.evaluate(node.value)
    run.scope.returns = join(run.scope.returns, value)


def _delete_element(run: Interpreter, target: ast.Subscript) -> None:
    keys = run.evaluate(target.slice)
    call_method(run, run.evaluate(target.value, used=False), "__delitem__", Arguments((keys,)))
    if not keys or len(texts(keys)) < len(keys):  # under a text nothing else moves up
        for owner in run.evaluate(target.value, used=False):
            take_away(run, owner, keys)


def _delete(run: Interpreter, node: ast.Delete) -> None:
    for target in node.targets:
        if isinstance(target, ast.Subscript):
            _delete_element(run, target)
        if isinstance(target, ast.Attribute):
            delete_attribute(run, run.evaluate(target.value, used=False), target.attr)
        if (
            isinstance(target, ast.Name)
            and not run.doubt
            and not run.branches
            and run.scope.holder(target.id) is run.scope
        ):
            if run.scope.kind == "class":
                run.scope.names.pop(target.id, None)
            else:
                run.bind(target.id, NOTHING)


def _import(run: Interpreter, node: ast.Import) -> None:
    for alias in node.names:
        whole = module_named(run, alias.name)
        _doubt_absent(run, alias.name)
        run.note(whole)
        first = alias.name.partition(".")[0]
        run.bind(alias.asname or first, whole if alias.asname else module_named(run, first))


def _import_from(run: Interpreter, node: ast.ImportFrom) -> None:
    module = _absolute(run, node)
    if not module:
        return
    _doubt_absent(run, module)
    for alias in node.names:
        if alias.name == "*":
            _import_everything(run, module)
            continue
        found = run.attribute(module_named(run, module), alias.name)
        run.note(found)
        run.bind(alias.asname or alias.name, found)


def _absolute(run: Interpreter, node: ast.ImportFrom) -> str:
    """Return the module of an import by its whole name; empty where a relative one leads nowhere."""
    if not node.level:
        return node.module or ""
    package = run.scope.module.package.split(".")
    kept = package[: len(package) - node.level + 1]
    return ".".join([*kept, node.module] if node.module else kept)


def _import_everything(run: Interpreter, module: str) -> None:
    if module in run.beside:
        for name, found in list(run.beside[module].items.items()):
            run.bind(name, found)
        return
    names = exported(module)
    if names is None:
        run.scope.stars.append(module)
    for name in names or ():
        run.bind(name, run.attribute(one(Path(module)), name))


def _doubt_absent(run: Interpreter, module: str) -> None:
    """Take note of an import that certainly fails."""
    first = module.partition(".")[0]
    known = first in run.beside or first in sys.modules or first in sys.stdlib_module_names
    if not known and run.depth == 0 and run.watcher is None and PathFinder.find_spec(first) is None:
        run.fails_here()


def _raise(run: Interpreter, node: ast.Raise) -> None:
    run.hand_on(join(run.evaluate(node.exc), run.evaluate(node.cause)), "an exception")
    run.fails_here()


def _assert(run: Interpreter, node: ast.Assert) -> None:
    look_at_parts(run, node)
    if isinstance(node.test, ast.Constant) and not node.test.value:
        run.fails_here()


STATEMENTS.update(
    {
        ast.Expr: _expression,
        ast.Assign: _assign,
        ast.AugAssign: _augmented,
        ast.AnnAssign: _annotated,
        ast.If: _if,
        ast.For: _loop,
        ast.AsyncFor: _loop,
        ast.While: _loop,
        ast.With: _with,
        ast.AsyncWith: _with,
        ast.Try: _try,
        ast.TryStar: _try,
        ast.Match: _match,
        ast.FunctionDef: _function,
        ast.AsyncFunctionDef: _function,
        ast.ClassDef: _class,
        ast.Return: _return,
        ast.Delete: _delete,
        ast.Import: _import,
        ast.ImportFrom: _import_from,
        ast.Raise: _raise,
        ast.Assert: _assert,
    }
)
