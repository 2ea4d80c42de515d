"""Where meanings lead: what a search must not lose where it cannot follow everything that a text would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlcourse.grading.shortcuts.meanings import (
    MORE,
    NOTHING,
    Bound,
    Class,
    Constant,
    Container,
    Data,
    Descriptor,
    Function,
    Instance,
    Made,
    Meanings,
    Opaque,
    Operation,
    Path,
    join,
)

MOST = 5_000  # things that are looked at for one answer


class Leads:
    """Tells the student's own parts and what is forbidden from mere data.

    Parameters
    ----------
    suspicious : callable
        ``suspicious(dotted_name)``: whether any exercise forbids it.
    changes : callable
        How often an object or a container was changed.
    """

    def __init__(self, suspicious: Callable[[str], bool], changes: Callable[[], int] = lambda: 0) -> None:
        self.suspicious = suspicious
        self.changes = changes
        self.known: tuple[int, dict[tuple[Meanings, bool], Meanings]] = (0, {})  # answers, as long as nothing changes

    def among(self, meanings: Meanings, running: bool = False) -> Meanings:
        """Return all that is no data among these and in the containers and objects among them.

        ``running``: also what runs when somebody takes elements from them.
        """
        if all(isinstance(item, Constant | Data) for item in meanings):
            return NOTHING
        now = self.changes()
        if self.known[0] != now:
            self.known = (now, {})
        question = meanings, running
        if question not in self.known[1]:
            self.known[1][question] = self._among(meanings, running)
        return self.known[1][question]

    def _among(self, meanings: Meanings, running: bool) -> Meanings:
        found, seen, waiting = set[Any](), set[Any](), list(meanings)
        while waiting:
            item = waiting.pop()
            if item in seen or isinstance(item, Constant | Data):
                continue
            if len(seen) > MOST:
                found.add(MORE)
                break
            seen.add(item)
            if isinstance(item, Container):
                waiting.extend(item.values() | (item.made_by if running else NOTHING))
            elif isinstance(item, Bound):
                waiting.extend(join(item.functions, item.arguments.everything()))
            elif isinstance(item, Descriptor):
                waiting.extend(item.functions)
            elif isinstance(item, Operation):
                waiting.append(item.owner)
            elif isinstance(item, Function | Class | Instance | Path | Made | Opaque):
                found.add(item)
                waiting.extend(join(*item.attributes.values()) if isinstance(item, Instance) else ())
        return frozenset(found)

    def marks(self, meanings: Meanings) -> frozenset[Any]:
        """Return the same, but for a thing that is made again and again the line that makes it."""
        found = (item.of if isinstance(item, Instance) else item for item in self.among(meanings))
        return frozenset(item.node if isinstance(item, Function | Class) else item for item in found)

    def own_or_forbidden(self, meanings: Meanings) -> Meanings:
        """Return the same, but of what is installed only what an exercise forbids."""
        found = self.among(meanings)
        return frozenset(item for item in found if not isinstance(item, Path) or self.suspicious(item.name))

    def forbidden_in(self, meanings: Meanings) -> bool:
        """Return whether something that an exercise forbids can be taken out of these."""
        return any(isinstance(item, Path | Made | Opaque) for item in self.own_or_forbidden(meanings))

    def around(self, function: Function) -> frozenset[Any]:
        """Return where the names lead that an inner function finds around it, and the texts among them."""
        found, scope = set[Any](), function.scope
        while scope.parent is not None:
            for name, value in scope.names.items():
                found.add((name, self.marks(value), frozenset(item for item in value if isinstance(item, Constant))))
            scope = scope.parent
        return frozenset(found)
