"""The search for forbidden shortcuts in the text of a notebook, before any of it has run.

`mlcourse.grading.forbidden` looks at the objects that code has made, in the process that ran the code. A hostile
notebook can change that process. This search reads the text alone: it follows names from cell to cell through imports,
assignments, calls, classes and containers, and then from the function of an exercise to all that its code names or
calls. Nothing is run and nothing is imported, and only the standard library is needed.

It finds names that the text tells, also in strings that are put together from constants and in strings that are run as
code. What goes into a library may come out of it again: a text that hands on what is forbidden, to where this search
cannot follow, is refused (`handed_on`). It does not find what a notebook copies, or reads from files and runs.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlcourse.grading.shortcuts import attributes, calls, elements, known_code, known_iterables, operators, statements
from mlcourse.grading.shortcuts.handed_on import may_write, with_parts
from mlcourse.grading.shortcuts.interpreter import MAX_STEPS, Interpreter
from mlcourse.grading.shortcuts.meanings import DATA, FOREIGN, WRITES
from mlcourse.grading.shortcuts.names import Targets
from mlcourse.grading.shortcuts.search import Named, Search
from mlcourse.grading.shortcuts.trees import parse, read

__all__ = ["Check", "ExhaustedError", "find_shortcuts", "too_deep"]
CHANGES = "Your notebook "
HANDED_ON = ", handed on to "
# They fill the tables of the interpreter.
TABLES = (attributes, calls, elements, known_code, known_iterables, operators, statements)


class ExhaustedError(Exception):
    """A text that is too long to be searched: nobody knows what it does."""


@dataclass(frozen=True)
class Check:
    """Where an exercise is checked, and what it forbids.

    Attributes
    ----------
    position : int
        The check stands behind so many code cells.
    expression : str
        What it checks: ``"softmax"``, or ``"(split_heads, merge_heads)"``.
    forbidden : tuple of str
        Dotted names such as ``torch.softmax``; ``torch.Tensor.softmax`` forbids the method.
    home : str
        The chapter's module of references, in which everything is forbidden.
    """

    position: int
    expression: str
    forbidden: tuple[str, ...]
    home: str


def find_shortcuts(
    cells: Sequence[str], checks: Mapping[str, Check], modules: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the exercises whose code reaches what it was asked to write, each with the forbidden name.

    Parameters
    ----------
    cells : sequence of str
        The code cells of a notebook in their order, as plain Python. One that is no Python is left out.
    checks : mapping of str to Check
        The checks by the names of their exercises.
    modules : mapping of str to str, optional
        The modules that lie beside the notebook: their dotted names, and their text.

    Returns
    -------
    dict of str to str

    Raises
    ------
    ExhaustedError
        If there is too much text or too much to follow, or a module that is nested too deeply.

    Examples
    --------
    >>> check = Check(2, "softmax", ("torch.softmax",), "mlcourse.attention")
    >>> find_shortcuts(["import torch", "def softmax(x): return torch.softmax(x, -1)"], {"toy.softmax": check})
    {'toy.softmax': 'torch.softmax'}
    """
    targets = {name: Targets(check.forbidden, check.home) for name, check in checks.items()}
    run = Interpreter(
        suspicious=lambda dotted: any(target.match(dotted) for target in targets.values()),
        holds=lambda dotted: any(target.inside(dotted) for target in targets.values()),
    )
    if any(too_deep(text) for text in (modules or {}).values()):
        raise ExhaustedError("A module beside the notebook is nested too deeply.")
    run.run_beside(modules or {})
    places = {name: min(max(check.position, 0), len(cells)) for name, check in checks.items()}
    found: dict[str, str] = {}
    foreign = set[str]()  # exercises whose code uses a value out of which anything may come
    for position in range(len(cells) + 1):
        for name in (name for name, place in places.items() if place == position):
            cells_change, run.changes_guarded, cut = run.changes_guarded, "", run.cut
            reached = _reached(run, checks[name].expression)
            if {meaning for meaning, _ in reached} >= FOREIGN:
                foreign.add(name)
            if shortcut := targets[name].first_among(reached) or _what_it_changes(run):
                found[name] = shortcut
                run.cut = cut  # what was found needs no more of the text
            elif run.cut:
                raise ExhaustedError("There is more to follow than the search can, and what it saw does not suffice.")
            run.changes_guarded = cells_change  # what a candidate changes when it is called harms it alone
        if position < len(cells):
            run.run_cell(cells[position])
        if run.steps > MAX_STEPS or run.blind:
            raise ExhaustedError("The text is too long to be searched to its end.")
    found.update(_handed_on(run, {name: target for name, target in targets.items() if name not in found}, foreign))
    if changes := _what_it_changes(run):
        found = {**dict.fromkeys(targets, changes), **found}
    return found


def too_deep(source: str) -> bool:
    """Return whether a cell is nested so deeply that its text cannot be searched.

    Such a cell should not be run either: a notebook can raise Python's own limit and hide a shortcut in it.

    Examples
    --------
    >>> too_deep("x = 0" + " + 0" * 100_000), too_deep("x = ")
    (True, False)
    """
    try:
        read(source)
    except (RecursionError, MemoryError):
        return True
    except (SyntaxError, ValueError, OverflowError):
        return False
    return False


def _handed_on(run: Interpreter, targets: Mapping[str, Targets], foreign: set[str]) -> dict[str, str]:
    """Return the exercises of which the text hands on what they forbid, with the forbidden name and to whom.

    That alone harms nobody: the exercise's code has to use a value out of which anything may come (``foreign``), or
    what was handed on has to write functions where the exercise's code may find them.
    """
    if not run.handed_on.things:
        return {}
    run.cut = False  # what cells behind the checks do is another question
    reached = Search(run, DATA).reached(run.handed_on.as_meanings)
    named = {meaning for meaning, _ in reached}
    writes = named >= WRITES or any(may_write(to) for _, to in run.handed_on)
    asked = {name: target for name, target in targets.items() if writes or name in foreign}
    held = [name for name, target in asked.items() if target.first_among(reached)]
    if (run.cut or run.handed_on.too_many) and len(held) < len(asked):
        raise ExhaustedError("The text hands on more than the search can follow.")
    found: dict[str, str] = {}
    for thing, to in run.handed_on if held else ():  # again one by one: whose fault is it?
        reached = Search(run, DATA).reached(functools.partial(with_parts, thing))
        for name in held:
            if name not in found and (shortcut := targets[name].first_among(reached)):
                found[name] = f"{shortcut}{HANDED_ON}{to}"
    return found


def _what_it_changes(run: Interpreter) -> str | None:
    """Return what code does to what it may not change, in words."""
    return f"{CHANGES}{run.changes_guarded}" if run.changes_guarded else None


def _reached(run: Interpreter, expression: str) -> Named:
    """Return what the candidate of a check reaches."""
    tree = parse(expression.strip(), "eval")
    return set() if tree is None else Search(run).from_candidate(tree)
