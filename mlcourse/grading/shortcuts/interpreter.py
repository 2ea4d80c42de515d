"""Follows code in the order in which it would run, without running it.

What the single kinds of expressions, statements and meanings do stands in tables, which the modules beside this one
fill: `expressions`, `statements`, `attributes`, `elements` and `calls`.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlcourse.grading.shortcuts.handed_on import HandedOn
from mlcourse.grading.shortcuts.leads import Leads
from mlcourse.grading.shortcuts.meanings import (
    DATA,
    MORE,
    NOTHING,
    WRITES,
    Arguments,
    Bound,
    Class,
    Constant,
    Container,
    Function,
    Instance,
    Meanings,
    Method,
    Path,
    bag,
    is_plain,
    join,
    one,
)
from mlcourse.grading.shortcuts.scopes import Bindings, Memory, Scope, bindings_of
from mlcourse.grading.shortcuts.trees import leaves, parse, read

FUEL = 200_000  # nodes looked at again, in calls and repetitions; every line is read once in any case
MAX_CALLS = 6  # calls inside calls that are followed with all their arguments
MAX_LEVELS = 2  # calls of a function inside itself that are followed with all their arguments
MAX_DEPTH = 32  # calls inside calls that are followed at all
MANY_OBJECTS = 30  # of one class, which are told apart where they are made in calls and repetitions
MAX_STEPS = 3_000_000
MAX_TEXT = 2_000_000  # characters of strings that are run as code
MAX_PIECES = 2_000
PIECE = 40
UNKNOWN = "something that the search does not know"
FRAMES = ("tb_frame", "gi_frame", "cr_frame", "ag_frame", "f_back", "f_globals", "f_locals", "f_builtins")

Watcher = Callable[[Meanings, bool, bool], None]
EXPRESSIONS: dict[type, Callable[["Interpreter", Any], Meanings]] = {}
STATEMENTS: dict[type, Callable[["Interpreter", Any], Any]] = {}
ATTRIBUTES: dict[type, Callable[["Interpreter", Any, str], Meanings]] = {}
ELEMENTS: dict[type, Callable[["Interpreter", Any, Meanings], Meanings]] = {}
CALLS: dict[type, Callable[["Interpreter", Any, Arguments], Meanings]] = {}


class Interpreter:
    """What the names of a notebook mean after each of its cells.

    Parameters
    ----------
    suspicious : callable
        ``suspicious(dotted_name)``: whether any exercise forbids it.
    holds : callable
        ``holds(dotted_name)``: whether any exercise forbids a part of it.
    """

    def __init__(self, suspicious: Callable[[str], bool], holds: Callable[[str], bool]) -> None:
        self.suspicious = suspicious
        self.leads = Leads(suspicious, lambda: self.memory.changes)
        self.handed_on = HandedOn(self.leads, holds)
        self.module = Scope("module")
        self.scope = self.module
        self.memory = Memory(self.leads.marks)
        self.patches: dict[Any, Meanings] = {}  # attributes that were given to modules and to data
        self.beside: dict[str, Container] = {}  # modules that lie beside the notebook
        self.fuel = FUEL
        self.steps = self.pieces = 0
        self.depth = 0  # calls under way
        self.branches = 0  # conditions around this line
        self.doubt = False  # an earlier line of this cell fails, so that this one may not run
        self.tries = 0  # statements around this line that go on where it fails
        self.watcher: Watcher | None = None
        self.searching = False  # for what a candidate reaches: nothing runs
        self.running: set[Any] = set()
        self.levels: Counter[ast.AST] = Counter()  # how often a function's text is under way, inside itself
        self.taking: set[Any] = set()  # the texts of the generators that somebody takes elements from
        self.results: dict[Any, Meanings] = {}
        self.later: list[tuple[Function, Arguments]] = []  # calls too far inside other calls to be followed there
        self.objects: dict[Class, list[Instance]] = {}
        self.trees: dict[tuple[str, str], Any] = {}
        self.text_left = MAX_TEXT
        self.blind = False  # whether code may run that could not be read
        self.cut = False  # whether something was not followed because there was too much of it
        self.changes_guarded = ""  # what the text does to what it may not change
        self.last = NOTHING  # what the last expression that stood alone gave
        self.bindings: dict[ast.AST, Bindings] = {}
        self.leaving: dict[ast.stmt, bool] = {}
        self.lazy: dict[ast.AST, ast.Lambda] = {}  # the functions that generators are

    def run_cell(self, source: str) -> None:
        """Follow one cell of the notebook."""
        tree = parse(source)
        self.doubt = False
        if tree is None:
            return
        for statement in tree.body:
            with self.guarded():
                self.execute(statement)
                self.catch_up()
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            self.keep_output(self.last)
        self.keep_input(source)

    def catch_up(self) -> None:
        """Follow the calls that were put off."""
        while self.later and self.fuel > 0:
            function, arguments = self.later.pop()
            self.call(one(function), arguments)
        self.cut = self.cut or bool(self.later)
        self.later.clear()

    def new_object(self, kind: Class) -> Instance:
        """Return an object of a student's class: where very many are made, one that stands for all further ones."""
        made = self.objects.setdefault(kind, [])
        if len(made) < MANY_OBJECTS:
            made.append(Instance(kind, several=len(made) == MANY_OBJECTS - 1))
            return made[-1]
        return made[-1] if self.depth or self.branches else Instance(kind)

    def run_beside(self, modules: Mapping[str, str]) -> None:
        """Follow the modules that lie beside the notebook, each in a scope of its own."""
        scopes = {name: Scope("module", name=name, package=_package(name, modules)) for name in modules}
        self.beside = {name: Container(scope.names, record=True) for name, scope in scopes.items()}
        for name in [*self.beside]:
            while "." in name:  # a part of a package is an attribute of the package
                outer, _, last = name.rpartition(".")
                holder = self.beside.setdefault(outer, Container(record=True))
                holder.items.setdefault(last, one(self.beside[name]))
                name = outer
        # Twice: they may import one another in any order.
        for name, text in [*modules.items(), *modules.items()]:
            tree = parse(text)
            with self.inside(scopes[name]):
                for statement in tree.body if tree else ():
                    with self.guarded():
                        self.execute(statement)
                        self.catch_up()
            self.doubt = False

    def keep_output(self, value: Meanings) -> None:
        """Bind what a notebook keeps of the last line of a cell."""
        if value:
            self.memory.put(self.module.names, "_", value, weak=True)
            self.memory.put(self.module.names, "Out", bag(value), weak=True)

    def keep_input(self, source: str) -> None:
        """Bind what a notebook keeps of the text of its cells: ``_i`` and ``In``."""
        text = one(Constant(source))
        for name, value in (("_i", text), ("In", bag(text))):
            self.memory.put(self.module.names, name, value, weak=True)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Go on behind text that was made to break the search."""
        try:
            yield
        except MemoryError:
            self.blind = True
        except RecursionError:
            self.cut = True
        except Exception:
            pass

    def evaluate(self, node: ast.AST | None, used: bool = True) -> Meanings:
        """Return what an expression may mean.

        ``used`` is False where only a part is taken from it or where it is called: what is then followed is the part
        or the call, and not everything that it holds.
        """
        if node is None or self.steps > MAX_STEPS:
            return NOTHING
        self.steps += 1
        self.fuel -= self.depth > 0
        found = EXPRESSIONS.get(type(node), look_at_parts)(self, node)
        if found:
            self.note(found, used)
        return found

    def attribute(self, owners: Meanings, name: str) -> Meanings:
        """Return what an attribute of any of these may be."""
        if name in FRAMES:  # they lead to every name
            return one(Path("sys._getframe"))
        return join(*(ATTRIBUTES[type(item)](self, item, name) for item in owners if type(item) in ATTRIBUTES))

    def element(self, owners: Meanings, keys: Meanings = NOTHING) -> Meanings:
        """Return what an element of any of these may be, under any key if none is given."""
        return join(*(ELEMENTS[type(item)](self, item, keys) for item in owners if type(item) in ELEMENTS))

    def call(self, callees: Meanings, arguments: Arguments) -> Meanings:
        """Return what a call of any of these may give."""
        if any(type(item) not in CALLS for item in callees):
            self.hand_on(arguments.everything(), UNKNOWN)
        return join(*(CALLS[type(item)](self, item, arguments) for item in callees if type(item) in CALLS))

    def note(self, meanings: Meanings, used: bool = True, with_data: bool = False) -> None:
        """Tell the search that code reaches these. ``with_data``: it may call them with any arguments."""
        if self.watcher is not None:
            self.cut = self.cut or MORE in meanings
            self.watcher(meanings, used, with_data)

    def hand_on(self, meanings: Meanings, to: str) -> None:
        """Take note that something goes to where the search cannot follow it."""
        if not self.searching and not is_plain(meanings - DATA):
            self.handed_on.add(meanings, to)

    def call_back(self, arguments: Arguments, elements: Meanings = NOTHING) -> Meanings:
        """Follow what the student's own functions do that a library calls, with ``elements`` or with data."""
        given = arguments.everything()
        own = frozenset(item for item in given if isinstance(item, Function | Bound))
        if not own or self.searching:
            return NOTHING
        with self.perhaps():
            return self.call(own, Arguments(rest=join(DATA, given - own, elements)))

    @contextmanager
    def perhaps(self) -> Iterator[None]:
        """Follow something that may run, or not, or several times."""
        doubt, self.doubt = self.doubt, True
        self.branches += 1
        try:
            yield
        finally:
            self.branches -= 1
            self.doubt = doubt

    def note_written(self, value: Meanings) -> None:
        """Tell the search that code keeps functions where other code finds them."""
        if self.leads.own_or_forbidden(value):
            self.note(WRITES)

    def note_method(self, name: str) -> None:
        """Tell the search that code uses this attribute of data."""
        self.note(one(Method(name)))

    def block(self, body: Iterable[ast.stmt]) -> None:
        """Follow statements one after another."""
        for statement in body:
            self.execute(statement)
            self.doubt = self.doubt or self.leaves(statement)

    def leaves(self, statement: ast.stmt) -> bool:
        """Return whether a statement may leave those behind it undone."""
        if statement not in self.leaving:
            self.leaving[statement] = leaves(statement)
        return self.leaving[statement]

    def execute(self, statement: ast.stmt) -> None:
        """Follow one statement; one that is nested too deeply is taken to pieces."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            return
        try:
            STATEMENTS.get(type(statement), look_at_parts)(self, statement)
        except RecursionError:
            self.cut = True  # what its parts bind is lost
            self.take_to_pieces(statement)

    def take_to_pieces(self, statement: ast.stmt) -> None:
        """Look at the parts of something too deep by themselves, from the outside to the inside."""
        waiting: list[tuple[ast.AST, int]] = [(statement, 0)]
        while waiting and self.pieces < MAX_PIECES:
            node, level = waiting.pop()
            inner = list(ast.iter_child_nodes(node))
            if isinstance(node, ast.expr) and (not inner or (level and level % PIECE == 0)):
                self.pieces += 1
                try:
                    self.evaluate(node)
                    continue
                except RecursionError:  # still too deep: go on with its parts
                    pass
            waiting.extend((part, level + 1) for part in inner)

    def bind(self, name: str, value: Meanings) -> None:
        """Give a name a meaning in the scope to which it belongs."""
        scope = self.scope.holder(name)
        if self.searching and scope is not self.scope:
            self.note_written(value)
        if scope is self.scope and scope.kind != "module":
            old = scope.names.get(name, NOTHING)
            scope.names[name] = join(value, old) if self.doubt else value
            self.memory.changes += scope.captured and old != scope.names[name]
        else:
            weak = scope is not self.scope or self.doubt or self.depth > 1
            self.memory.put(scope.names, name, value, weak, lasting=True)

    def put(
        self, mapping: dict[Any, Meanings], key: Any, value: Meanings, lasting: bool = False, weak: bool = False
    ) -> None:
        """Set an attribute or an element; ``lasting``: of a module, a class or a function."""
        if self.searching:
            self.note_written(value)
        self.memory.put(mapping, key, value, weak or not self.certain, lasting)

    @property
    def certain(self) -> bool:
        """Whether this line runs, and runs once."""
        return not (self.depth or self.branches or self.doubt)

    def fails_here(self) -> None:
        """Take note that a line of the module certainly fails: the rest of its cell may not run."""
        if self.depth == 0:
            self.doubt = True

    @contextmanager
    def inside(self, scope: Scope, call: bool = False) -> Iterator[None]:
        """Look at names from inside another scope."""
        before, self.scope = self.scope, scope
        doubt = self.doubt
        self.depth += call
        self.doubt = self.doubt and not (call and not self.tries)
        try:
            yield
        finally:
            self.scope = before
            self.depth -= call
            self.doubt = doubt if call else self.doubt

    @contextmanager
    def overheard(self, heard: list[Meanings]) -> Iterator[None]:
        """Keep what the expressions that are evaluated here name, without the functions that they call."""
        outer, depth = self.watcher, self.depth

        def listen(meanings: Meanings, used: bool, with_data: bool) -> None:
            if self.depth == depth:
                heard.append(meanings)
            if outer is not None:
                outer(meanings, used, with_data)

        self.watcher = listen
        try:
            yield
        finally:
            self.watcher = outer

    def either(self, *ways: Callable[[], None]) -> None:
        """Follow each of several ways, and keep what the names mean after any of them."""
        names = self.scope.names
        before = dict(names)
        self.fuel -= len(names) // 10
        after: dict[str, Meanings] = {}
        self.branches += 1
        try:
            for way in ways:
                _replace(names, before)
                way()
                for name, value in names.items():
                    after[name] = join(after[name], value) if name in after else value
        finally:
            self.branches -= 1
            self.memory.changes += bool(after) and after != before
            _replace(names, after or before)

    def bindings_in(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Bindings:
        """Return the names that a function or lambda binds."""
        if node not in self.bindings:
            body: list[Any] = node.body if isinstance(node.body, list) else [node.body]
            self.bindings[node] = bindings_of(body)
        return self.bindings[node]

    def tree_of(self, text: str, mode: str) -> Any:
        """Return the syntax tree of a text that code runs, or None where it is none or where there are too many."""
        key = (text, mode)
        if key in self.trees:
            self.cut = self.cut or self.fuel <= 0
            return self.trees[key] if self.fuel > 0 else None
        if not self.was_read(text):  # it counts once, not for each way to read it
            self.text_left -= len(text)
            self.fuel -= len(text) // 10
        self.trees[key] = self._tree_within_limits(text.strip(), mode)
        return self.trees[key]

    def was_read(self, text: str) -> bool:
        """Return whether a text that code runs was read before."""
        return (text, "eval") in self.trees or (text, "exec") in self.trees

    def _tree_within_limits(self, text: str, mode: str) -> Any:
        if self.text_left < 0:
            self.blind = True
            return None
        try:
            return read(text, mode)
        except (RecursionError, MemoryError):
            self.blind = True
        except (SyntaxError, ValueError, OverflowError):
            pass  # it is no Python
        return None


def look_at_parts(run: Interpreter, node: Any) -> Meanings:
    """Look at all parts of a node; what they give together is known only when the code runs."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.stmt):
            run.execute(part)
        else:
            run.evaluate(part)
    return DATA


def _package(name: str, modules: Mapping[str, str]) -> str:
    """Return the package to which a module belongs, itself if it is one."""
    is_package = any(other.startswith(f"{name}.") for other in modules)
    return name if is_package else name.rpartition(".")[0]


def _replace(names: dict[str, Meanings], by: dict[str, Meanings]) -> None:
    names.clear()
    names.update(by)
