"""What expressions mean."""

from __future__ import annotations

import ast
import builtins
from typing import Any

from mlcourse.grading.shortcuts.attributes import patch_of
from mlcourse.grading.shortcuts.constants import evaluated, glue, sliced
from mlcourse.grading.shortcuts.interpreter import EXPRESSIONS, UNKNOWN, Interpreter, look_at_parts
from mlcourse.grading.shortcuts.meanings import (
    ANYTHING,
    DATA,
    FOREIGN,
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
    Namespace,
    Path,
    bag,
    generated,
    join,
    listed,
    one,
    several,
)
from mlcourse.grading.shortcuts.operations import items_of, looped, merge
from mlcourse.grading.shortcuts.scopes import Scope, bindings_of

LONGEST_DISPLAY = 500
NOTEBOOK_NAMES = ("get_ipython", "display", "In", "exit", "quit")
NAMES_OF_MODULES = {"__name__": Constant("__main__"), "__builtins__": Path("builtins")}
RUNNING = ("eval", "exec", "getattr", "__import__", "vars", "globals", "locals", "compile")
ENDING = ("builtins.exit", "builtins.quit", "sys.exit", "os._exit", "os.abort")


def _constant(run: Interpreter, node: ast.Constant) -> Meanings:
    value = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value  # as text
    if isinstance(value, str | int) and not isinstance(value, bool):
        return one(Constant(value))
    return NOTHING if value is None or value is ... else GIVEN


def _name(run: Interpreter, node: ast.Name) -> Meanings:
    found = run.scope.find(node.id)
    if run.searching and found is not None and not _is_local(run.scope, node.id) and is_foreign(found):
        run.note(FOREIGN)
    if found is not None and (node.id not in RUNNING or (DATA.isdisjoint(found) and found)):
        return found
    if found is not None:  # it may be the one of Python after all
        return join(found, one(Path(f"builtins.{node.id}")))
    if node.id == "__name__" and run.scope.module.name:
        return one(Constant(run.scope.module.name))
    hidden = _in_own_class(run, node.id)
    if hidden is not None:
        return hidden
    if node.id in NAMES_OF_MODULES:
        return one(NAMES_OF_MODULES[node.id])
    if hasattr(builtins, node.id) or node.id in NOTEBOOK_NAMES:
        return run.attribute(one(Path("builtins")), node.id)
    added = patch_of(run, Path("builtins"), node.id)
    if added:
        return added
    if run.module.stars:  # bound by nobody else
        return join(*(run.attribute(one(Path(module)), node.id) for module in run.module.stars))
    run.fails_here()
    return NOTHING


def _is_local(scope: Scope, name: str) -> bool:
    while scope.kind == "comprehension" and scope.parent is not None and name not in scope.names:
        scope = scope.parent
    return scope.kind != "module" and name in scope.names


def is_foreign(found: Meanings) -> bool:
    """Return whether a function that the search has lost may come out of a value."""
    raised = any(isinstance(item, Path) and item.name.startswith("builtins.BaseException") for item in found)
    return not found or raised or bool(found & (DATA | ANYTHING))


def _in_own_class(run: Interpreter, name: str) -> Meanings | None:
    """Return what the class around means by ``__class__``, and by a name such as ``__x``, which Python spells out."""
    scope: Scope | None = run.scope
    while scope is not None and not isinstance(scope.owner, Class):
        scope = scope.parent
    if scope is None or not name.startswith("__"):
        return None
    return one(scope.owner) if name == "__class__" else run.scope.find(f"_{scope.owner.node.name.lstrip('_')}{name}")


def _attribute(run: Interpreter, node: ast.Attribute) -> Meanings:
    owners = run.evaluate(node.value, used=False)
    found = run.attribute(owners, node.attr)
    if run.searching and found & DATA and any(isinstance(owner, Instance | Bound | Container) for owner in owners):
        run.note(FOREIGN)
    return found


def _subscript(run: Interpreter, node: ast.Subscript) -> Meanings:
    owners = run.evaluate(node.value, used=False)
    if not isinstance(node.slice, ast.Slice):
        keys = run.evaluate(node.slice)
        if any(isinstance(owner, Path | Data) for owner in owners):
            functions = (key for key in run.leads.among(keys) if isinstance(key, Path | Function))
            run.hand_on(frozenset(functions), "a subscript of a library")
        return run.element(owners, keys)
    bounds = [run.evaluate(part) for part in (node.slice.lower, node.slice.upper, node.slice.step)]
    parts = [sliced(owner, *bounds) or _any_slice(run, owner) for owner in owners]
    return join(*parts)


def _any_slice(run: Interpreter, owner: Any) -> Meanings:
    if isinstance(owner, Container):
        return one(owner)
    found = run.element(one(owner))
    return join(found, bag(found)) if isinstance(owner, Instance) else found


def _call(run: Interpreter, node: ast.Call) -> Meanings:
    callees = run.evaluate(node.func, used=False)
    run.note(frozenset(callee for callee in callees if isinstance(callee, Path)))  # as a whole
    arguments = _arguments(run, node)
    if not callees:
        run.hand_on(arguments.everything(), UNKNOWN)
    if run.searching and is_foreign(callees) and not (callees and isinstance(node.func, ast.Attribute)):
        run.note(FOREIGN)
    if any(isinstance(callee, Path) and callee.name in ENDING for callee in callees):
        run.fails_here()
    return run.call(callees, arguments)


def _arguments(run: Interpreter, node: ast.Call) -> Arguments:
    positional: list[Meanings] = []
    keywords: dict[str, Meanings] = {}
    rest, unknown = NOTHING, False
    for part in node.args:
        value = run.evaluate(part.value if isinstance(part, ast.Starred) else part)
        if not isinstance(part, ast.Starred):
            if unknown:  # in which place it stands
                rest = join(rest, value)
            else:
                positional.append(value)
            continue
        ordered = [item.in_order() for item in value if isinstance(item, Container)]
        if len(ordered) == len(value) == 1 and ordered[0] is not None:
            positional.extend(ordered[0])
        else:
            unknown = True
            rest = join(rest, looped(run, value))
    for word in node.keywords:
        value = run.evaluate(word.value)
        if word.arg is not None:
            keywords[word.arg] = value
            continue
        for item in value:
            known = items_of(run, item)
            keywords.update({key: part for key, part in known.items() if isinstance(key, str)})
            rest = join(rest, known.get(REST, NOTHING))
    return Arguments(tuple(positional), tuple(keywords.items()), rest)


def new_function(run: Interpreter, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Function:
    """Return the function that a definition makes; its defaults are those of now."""
    places = [*node.args.posonlyargs, *node.args.args]
    pairs = [*zip(reversed(places), reversed(node.args.defaults), strict=False)]
    pairs += [(place, value) for place, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if value]
    defaults = {place.arg: run.evaluate(value) for place, value in pairs}
    for part in _assigned_in_annotations(node):
        run.evaluate(part)
    run.scope.captured = run.scope.kind == "function"
    return Function(node, run.scope, defaults)


def _assigned_in_annotations(node: Any) -> list[ast.NamedExpr]:
    """Return the assignments in the annotations of a definition, which Python runs when it defines."""
    places = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    notes = [place.annotation for place in places if place is not None] + [getattr(node, "returns", None)]
    return [part for note in notes if note for part in ast.walk(note) if isinstance(part, ast.NamedExpr)]


def _lambda(run: Interpreter, node: ast.Lambda) -> Meanings:
    return one(new_function(run, node))


def _any_of(run: Interpreter, node: ast.BoolOp) -> Meanings:
    first = run.evaluate(node.values[0])
    with run.perhaps():
        return join(first, *(run.evaluate(part) for part in node.values[1:]))


def _conditional(run: Interpreter, node: ast.IfExp) -> Meanings:
    run.evaluate(node.test)
    with run.perhaps():
        return join(run.evaluate(node.body), run.evaluate(node.orelse))


def _walrus(run: Interpreter, node: ast.NamedExpr) -> Meanings:
    value = run.evaluate(node.value)
    scope = run.scope
    while scope.kind == "comprehension" and scope.parent is not None:
        scope = scope.parent
    with run.inside(scope):
        run.bind(node.target.id, value)
    return value


def _display(run: Interpreter, node: ast.List | ast.Tuple | ast.Set) -> Meanings:
    values = [run.evaluate(part) for part in node.elts]
    if not any(isinstance(part, ast.Starred) for part in node.elts) and len(values) <= LONGEST_DISPLAY:
        return listed(*values)
    return bag(*values)


def _starred(run: Interpreter, node: ast.Starred) -> Meanings:
    return looped(run, run.evaluate(node.value))


def _dict(run: Interpreter, node: ast.Dict) -> Meanings:
    items: dict[Any, Meanings] = {}
    namespaces = NOTHING
    for key, value in zip(node.keys, node.values, strict=True):
        keys = NOTHING if key is None else run.evaluate(key)
        found = run.evaluate(value)
        if key is not None:
            _add(items, keys, found)
            continue
        for part in found:
            merge(items, items_of(run, part))
            namespaces |= one(part) if isinstance(part, Namespace) else NOTHING
    return join(one(Container(items, keyed=True)), namespaces)


def _add(items: dict[Any, Meanings], keys: Meanings, value: Meanings) -> None:
    known = [key.value for key in keys if isinstance(key, Constant)]
    if known and len(known) == len(keys):
        items.update(dict.fromkeys(known, value))
    else:  # a loop over a dict takes its keys
        items[REST] = join(items.get(REST, NOTHING), value, keys - DATA - GIVEN)


def _comprehension(run: Interpreter, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Meanings:
    from mlcourse.grading.shortcuts.statements import assign

    first = looped(run, run.evaluate(node.generators[0].iter))  # in the scope around it
    scope = Scope("comprehension", run.scope, {}, bindings_of([part.target for part in node.generators]))
    with run.inside(scope):
        for index, part in enumerate(node.generators):
            assign(run, part.target, first if index == 0 else looped(run, run.evaluate(part.iter)))
            for condition in part.ifs:
                run.evaluate(condition)
        if isinstance(node, ast.GeneratorExp):  # all of it runs when somebody takes from it
            return generated(run.evaluate(node.elt), by=one(_as_function(run, node)))
        if not isinstance(node, ast.DictComp):
            return bag(several(run.evaluate(node.elt)))
        items: dict[Any, Meanings] = {}
        _add(items, run.evaluate(node.key), several(run.evaluate(node.value)))
        return one(Container(items, keyed=True))


def _as_function(run: Interpreter, node: ast.GeneratorExp) -> Function:
    """Return a function that does what a generator does when somebody takes from it."""
    if node not in run.lazy:
        accepted = ast.arguments([], [], None, [], [], None, [])
        run.lazy[node] = ast.Lambda(accepted, ast.ListComp(node.elt, node.generators))
    outside = run.scope.parent if run.scope.kind == "comprehension" and run.scope.parent else run.scope
    return Function(run.lazy[node], outside)


def _text(run: Interpreter, node: ast.JoinedStr) -> Meanings:
    return glue(run.evaluate(part) for part in node.values)


def _text_part(run: Interpreter, node: ast.FormattedValue) -> Meanings:
    specification = run.evaluate(node.format_spec) if node.format_spec else one(Constant(""))
    constants = [item.value for item in run.evaluate(node.value) if isinstance(item, Constant)]
    return join(*(evaluated(format, value, Arguments((specification,))) for value in constants))


def _await(run: Interpreter, node: ast.Await) -> Meanings:
    return run.evaluate(node.value)


def _yield(run: Interpreter, node: ast.Yield | ast.YieldFrom) -> Meanings:
    value = run.evaluate(node.value)
    taken = looped(run, value) if isinstance(node, ast.YieldFrom) else value
    run.scope.yields = join(run.scope.yields, taken)
    run.scope.generates = True
    return join(DATA, taken) if isinstance(node, ast.YieldFrom) else DATA


EXPRESSIONS.update(
    {
        ast.Constant: _constant,
        ast.Name: _name,
        ast.Attribute: _attribute,
        ast.Subscript: _subscript,
        ast.Call: _call,
        ast.Lambda: _lambda,
        ast.BoolOp: _any_of,
        ast.IfExp: _conditional,
        ast.NamedExpr: _walrus,
        ast.List: _display,
        ast.Tuple: _display,
        ast.Set: _display,
        ast.Starred: _starred,
        ast.Dict: _dict,
        ast.ListComp: _comprehension,
        ast.SetComp: _comprehension,
        ast.GeneratorExp: _comprehension,
        ast.DictComp: _comprehension,
        ast.JoinedStr: _text,
        ast.FormattedValue: _text_part,
        ast.Await: _await,
        ast.Yield: _yield,
        ast.YieldFrom: _yield,
        ast.Slice: look_at_parts,
    }
)
