"""What a candidate reaches: the search from the function of an exercise to all that its code names or calls."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable
from typing import Any

from mlcourse.grading.shortcuts.attributes import bound_to
from mlcourse.grading.shortcuts.calls import parameters, run_body
from mlcourse.grading.shortcuts.expressions import is_foreign
from mlcourse.grading.shortcuts.interpreter import FUEL, Interpreter
from mlcourse.grading.shortcuts.meanings import (
    FOREIGN,
    GIVEN,
    NOTHING,
    UNKNOWN_ARGUMENT,
    Arguments,
    Bound,
    Class,
    Container,
    Descriptor,
    Function,
    Getter,
    Instance,
    Made,
    Meanings,
    Method,
    Opaque,
    Operation,
    Path,
    Sign,
    Super,
    join,
    one,
)

Named = set[tuple[Any, bool]]
MANY_FUNCTIONS = 50  # of one line; of more, those that differ in where they lead


class Search:
    """One search for all that is not the student's own.

    A function that is called is followed with the arguments of that call. One that is only named is followed with
    unknown arguments: nobody is accused for what its parameters might be. A function that goes to somebody else, as
    the candidate does, is followed with data for its arguments.
    """

    def __init__(self, run: Interpreter, given: Meanings = GIVEN) -> None:
        self.run = run
        self.given = given
        self.named: Named = set()
        self.waiting: deque[tuple[Any, bool]] = deque()
        self.seen: set[Any] = set()
        self.made: dict[Any, int] = {}  # how many functions of one line were followed

    def from_candidate(self, tree: ast.Expression) -> Named:
        """Return what an expression reaches."""
        return self.reached(lambda: self.run.evaluate(tree.body))

    def reached(self, begin: Callable[[], Meanings]) -> Named:
        """Return what something reaches, and whether as a whole; the interpreter stays as it was."""
        run, names = self.run, dict(self.run.module.names)
        run.memory.journal = []
        run.watcher, run.searching = self.note, True
        run.results.clear()
        fuel, run.fuel = run.fuel, FUEL // 2
        steps, run.steps, run.doubt = run.steps, 0, False
        try:
            with run.guarded():
                first = begin()
                self.note(first, True, True)
                if is_foreign(first):
                    run.note(FOREIGN)
            while self.waiting:
                with run.guarded():
                    self.follow(*self.waiting.popleft())
        finally:
            run.watcher, run.searching, run.fuel, run.steps = None, False, fuel, steps
            run.results.clear()
            run.later.clear()  # the functions themselves were followed
            run.memory.undo()
            run.module.names.clear()
            run.module.names.update(names)
        return self.named

    def note(self, meanings: Meanings, used: bool, with_data: bool) -> None:
        """Write down what code names, and keep the student's own parts to be followed."""
        for meaning in meanings:
            if isinstance(meaning, Path | Made | Method | Opaque | Sign):
                self.named.add((meaning, used))
            elif used:
                self.keep(meaning, with_data)

    def keep(self, meaning: Any, with_data: bool) -> None:
        """Put one of the student's own parts on the list, once."""
        key = self.key(meaning)
        if (key, with_data) not in self.seen and (key, True) not in self.seen:
            self.seen.add((key, with_data))
            self.waiting.append((meaning, with_data))
            if isinstance(meaning, Function):
                self.made[meaning.node] = self.made.get(meaning.node, 0) + 1

    def key(self, meaning: Any) -> Any:
        """Return what stands for one of the student's own parts: a line may make any number of functions."""
        if not isinstance(meaning, Function) or self.made.get(meaning.node, 0) < MANY_FUNCTIONS:
            return meaning
        return meaning.node if self.run.fuel <= 0 else (meaning.node, self.run.leads.around(meaning))

    def follow(self, meaning: Any, with_data: bool) -> None:
        """Look at all that one of the student's own parts holds or names."""
        run = self.run
        if isinstance(meaning, Function):
            self.follow_body(meaning, Arguments(rest=self.given if with_data else UNKNOWN_ARGUMENT))
        elif isinstance(meaning, Bound):
            self.follow_bound(meaning, with_data)
        elif isinstance(meaning, Class):
            generic = Instance(meaning)
            members = join(*meaning.namespace.names.values())
            own = frozenset(item for item in members if not _is_property(item))
            self.note(join(meaning.bases, meaning.attached), True, False)
            self.note(bound_to(run, own, meaning, one(generic)), True, with_data)
            for item in members - own:
                self.note(one(Bound(item.functions, Arguments((one(generic),)))), True, with_data)
        elif isinstance(meaning, Instance):
            self.note(join(one(meaning.of), *meaning.attributes.values()), True, with_data)
        elif isinstance(meaning, Container):
            self.note(meaning.values() | meaning.made_by, True, with_data)
        elif isinstance(meaning, Descriptor):
            self.note(meaning.functions, True, with_data)
        elif isinstance(meaning, Getter) and with_data:
            run.call(one(meaning), Arguments((self.given,)))
        elif isinstance(meaning, Operation | Super):
            self.note(one(meaning.owner if isinstance(meaning, Operation) else meaning.of), True, False)

    def follow_bound(self, bound: Bound, with_data: bool) -> None:
        """Follow a function whose first arguments are known."""
        arguments = bound.arguments.then(Arguments(rest=self.given if with_data else UNKNOWN_ARGUMENT))
        own = frozenset(item for item in bound.functions if isinstance(item, Function))
        for function in own:
            self.follow_body(function, arguments)
        self.note(bound.functions - own, True, with_data)
        values = [*bound.arguments.positional, *(value for _, value in bound.arguments.keywords)]
        instances = frozenset(item for value in values for item in value if isinstance(item, Instance))
        self.note(join(*values) - instances, True, False)  # of the object itself, what its method uses

    def follow_body(self, function: Function, arguments: Arguments) -> None:
        """Follow a function's body, its defaults and its decorators."""
        replaced = (function.attributes.get(name, NOTHING) for name in ("__code__", "__defaults__", "__kwdefaults__"))
        self.note(join(function.attached, *function.defaults.values(), *replaced), True, False)
        run_body(self.run, function, parameters(function, arguments))


def _is_property(item: Any) -> bool:
    return isinstance(item, Descriptor) and item.kind == "property"
