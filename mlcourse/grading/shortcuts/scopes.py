"""Which name belongs to which scope, by Python's rules, and what it means there."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mlcourse.grading.shortcuts.meanings import NOTHING, Meanings, join

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Bindings:
    """The names that a function's body binds itself, and those that it borrows."""

    local: frozenset[str] = frozenset()
    from_module: frozenset[str] = frozenset()
    from_outside: frozenset[str] = frozenset()


@dataclass(eq=False)
class Scope:
    """A module, function, class or comprehension."""

    kind: str
    parent: Scope | None = None
    names: dict[str, Meanings] = field(default_factory=dict)
    bindings: Bindings = Bindings()
    owner: Any = None  # the class in whose body a function stands
    returns: Meanings = NOTHING
    yields: Meanings = NOTHING
    captured: bool = False  # inner functions see its names
    generates: bool = False  # a function with `yield` in it
    stars: list[str] = field(default_factory=list)  # modules, not loaded, of which everything was imported
    name: str = ""  # of a module beside the notebook
    package: str = ""  # where its relative imports begin

    @property
    def module(self) -> Scope:
        """The outermost scope."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def find(self, name: str) -> Meanings | None:
        """Return what a name means when it is read here, or None if nobody has bound it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.bindings.from_module:
                return scope.module.names.get(name)
            visible = scope.kind != "class" or scope is self  # methods do not see the names of their class
            if visible and name in scope.names:
                return scope.names[name]
            if name in scope.bindings.local:
                return NOTHING  # read before it is bound: an error, and not a name from outside
            scope = scope.parent
        return None

    def holder(self, name: str) -> Scope:
        """Return the scope in which an assignment here binds a name."""
        if name in self.bindings.from_module:
            return self.module
        if name in self.bindings.from_outside and self.parent is not None:
            scope: Scope | None = self.parent
            while scope is not None and not (scope.kind == "function" and _binds(scope, name)):
                scope = scope.parent
            return scope or self
        return self


def _binds(scope: Scope, name: str) -> bool:
    return name in scope.names or name in scope.bindings.local


def bindings_of(body: Iterable[ast.AST]) -> Bindings:
    """Return the names that these statements bind, without those of inner functions and classes."""
    local, from_module, from_outside = set[str](), set[str](), set[str]()
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Global):
            from_module.update(node.names)
        elif isinstance(node, ast.Nonlocal):
            from_outside.update(node.names)
        local.update(_bound_by(node))
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef, *COMPREHENSIONS)):
            waiting.extend(ast.iter_child_nodes(node))
    return Bindings(frozenset(local - from_module - from_outside), frozenset(from_module), frozenset(from_outside))


def _bound_by(node: ast.AST) -> Iterable[str]:
    """Return the names that one node binds by itself."""
    if isinstance(node, ast.Name):
        return [] if isinstance(node.ctx, ast.Load) else [node.id]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return [node.name] if node.name else []
    if isinstance(node, ast.MatchMapping):
        return [node.rest] if node.rest else []
    if isinstance(node, COMPREHENSIONS):
        return [inner.target.id for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)]
    return []


class Memory:
    """All that code changes, so that it can be put back: a check must leave no trace for the next."""

    def __init__(self, marks: Callable[[Meanings], frozenset[Any]]) -> None:
        self.marks = marks
        self.changes = 0
        self.turns = 0  # times that a name or an attribute of a class or module led where it had not led before
        self.led: dict[int, tuple[dict[Any, Meanings], dict[Any, frozenset[Any]]]] = {}
        self.journal: list[tuple[dict[Any, Meanings], Any, Meanings | None]] | None = None

    def put(self, mapping: dict[Any, Meanings], key: Any, value: Meanings, weak: bool, lasting: bool = False) -> None:
        """Give a key a new meaning, beside the old ones if it is not certain that this line runs (``weak``).

        ``lasting``: the mapping is no object or container, which code makes again and again.
        """
        old = mapping.get(key)
        new = value if old is None or not weak else join(old, value)
        if old == new:
            return
        self.changes += 1
        if lasting:
            self._note_turn(mapping, key, self.marks(new - old if old else new))
        if self.journal is not None:
            self.journal.append((mapping, key, old))
        mapping[key] = new

    def drop(self, mapping: dict[Any, Meanings], key: Any) -> None:
        """Take a key away."""
        self.changes += 1
        if self.journal is not None:
            self.journal.append((mapping, key, mapping[key]))
        del mapping[key]

    def _note_turn(self, mapping: dict[Any, Meanings], key: Any, marks: frozenset[Any]) -> None:
        led = self.led.setdefault(id(mapping), (mapping, {}))[1]  # it is kept, so that no other one gets its number
        known = led.get(key, frozenset())
        if not marks <= known:
            led[key] = known | marks
            self.turns += 1

    def undo(self) -> None:
        """Take back every change since the journal was opened, and close it."""
        for mapping, key, old in reversed(self.journal or []):
            if old is None:
                mapping.pop(key, None)
            else:
                mapping[key] = old
        self.journal = None
        self.led.clear()
