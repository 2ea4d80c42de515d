"""What runs a text as code, and what starts another program."""

from __future__ import annotations

from typing import Any

from mlcourse.grading.shortcuts.guarded import note_change
from mlcourse.grading.shortcuts.interpreter import MAX_CALLS, Interpreter
from mlcourse.grading.shortcuts.known import known
from mlcourse.grading.shortcuts.meanings import (
    ANYTHING,
    DATA,
    NOTHING,
    Arguments,
    Bound,
    Constant,
    Container,
    Data,
    Meanings,
    Namespace,
    Path,
    functions_in,
    join,
    one,
    texts,
)
from mlcourse.grading.shortcuts.scopes import Scope, bindings_of


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
    elif isinstance(place, Namespace) and isinstance(place.owner, Scope):
        scope = place.owner
    elif place is None or isinstance(place, Namespace):
        scope = run.scope
    else:  # a namespace that is known only when the code runs
        note_change(run, place, "")
        scope = Scope("module")
    if run.depth >= MAX_CALLS:
        run.blind = run.blind or not run.was_read(text)
        return NOTHING
    with run.inside(scope, call=True):
        value = _run_here(run, text)
    if isinstance(place, Container):
        for name, meanings in scope.names.items():
            run.put(place.items, name, meanings)
    elif scope.kind == "module" and scope.parent is None and scope is not run.scope.module and scope is not run.module:
        run.hand_on(join(NOTHING, *scope.names.values()), "a namespace that the search does not know")
    return value


def _run_here(run: Interpreter, text: str) -> Meanings:
    expression = run.tree_of(text, "eval")
    if expression is not None:
        return run.evaluate(expression.body)
    tree = run.tree_of(text, "exec")
    if tree is not None:
        run.block(tree.body)
        for name in bindings_of(tree.body).from_module & run.scope.names.keys():
            run.memory.put(run.scope.module.names, name, run.scope.names[name], weak=True, lasting=True)
    return NOTHING


@known("builtins.get_ipython", "IPython.get_ipython", "IPython.core.getipython.get_ipython")
def _shell(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Path("ipython"))


@known("ipython.run_cell_magic")
def _cell_magic(run: Interpreter, arguments: Arguments) -> Meanings:
    python = set(texts(arguments.at(0))) & {"time", "capture", "prun", "timeit", "debug", "python"}
    return run_text(run, Arguments((arguments.at(2),))) if python else DATA


@known("timeit.timeit", "timeit.repeat", "cProfile.run", "cProfile.runctx", "profile.run", "pdb.run")
def _timed(run: Interpreter, arguments: Arguments) -> Meanings:
    for part in (arguments.at(0, "stmt"), arguments.at(1, "setup")):
        if texts(part):
            run_text(run, Arguments((frozenset(Constant(text) for text in texts(part)),)))
        run.call(frozenset(item for item in part if not isinstance(item, Constant | Data)), Arguments())
    return DATA


@known("types.FunctionType", "types.LambdaType")
def _function_of_code(run: Interpreter, arguments: Arguments) -> Meanings:
    code = arguments.at(0, "code")
    inside = functions_in(code)
    if texts(code):  # compiled: what it does is done when it is called, at the latest
        run_text(run, Arguments((code, arguments.at(1, "globals"))))
    return one(Bound(inside)) if inside and len(inside) + len(texts(code)) == len(code) else ANYTHING


@known("ipython.run_line_magic", "ipython.magic")
def _line_magic(run: Interpreter, arguments: Arguments) -> Meanings:
    python = set(texts(arguments.at(0))) & {"time", "timeit", "prun"}
    return run_text(run, Arguments((arguments.at(1),))) if python else DATA


@known("ipython.push")
def _push(run: Interpreter, arguments: Arguments) -> Meanings:
    namespace = run.attribute(one(Namespace(run.module)), "update")
    return run.call(namespace, arguments)


@known("subprocess.run", "subprocess.Popen", "subprocess.check_output", "subprocess.call", "subprocess.check_call")
@known("os.system", "os.popen", "subprocess.getoutput", "ipython.system", "ipython.getoutput")
def _program(run: Interpreter, arguments: Arguments) -> Meanings:
    """Start a program: another Python knows every function."""
    parts = run.leads.among(arguments.everything())
    inner = [item.values() for item in arguments.everything() if isinstance(item, Container)]
    words = " ".join(texts(join(arguments.everything(), *inner)))
    if Path("sys.executable") in parts or "python" in words:
        run.hand_on(ANYTHING, "another program")
        run.note(ANYTHING)
    return DATA


@known("os.fork", "os.forkpty", "pty.fork")
def _fork(run: Interpreter, arguments: Arguments) -> Meanings:
    run.hand_on(ANYTHING, "another process")
    return DATA


@known("numpy.load")
def _load(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Path("pickle.load")) if "allow_pickle" in dict(arguments.keywords) else DATA
