"""Where meanings lead: what a search must not lose where it cannot follow everything that a text would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlcourse.grading.shortcuts.meanings import (
    Bound,
    Class,
    Constant,
    Container,
    Function,
    Instance,
    Made,
    Meanings,
    Path,
    join,
)

MOST = 2_000  # things that are looked at for one answer


class Leads:
    """Tells the student's own parts and what is forbidden from mere data.

    Parameters
    ----------
    suspicious : callable
        ``suspicious(dotted_name)``: whether any exercise forbids it.
    """

    def __init__(self, suspicious: Callable[[str], bool]) -> None:
        self.suspicious = suspicious

    def among(self, meanings: Meanings) -> Meanings:
        """Return all that is no data among these and in the containers and objects among them."""
        found, seen, waiting = set[Any](), set[Any](), list(meanings)
        while waiting and len(seen) < MOST:
            item = waiting.pop()
            if item in seen:
                continue
            seen.add(item)
            if isinstance(item, Container):
                waiting.extend(item.values())
            elif isinstance(item, Bound):
                waiting.extend(join(item.functions, item.arguments.everything()))
            elif isinstance(item, Function | Class | Instance | Path | Made):
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
        return any(isinstance(item, Path | Made) for item in self.own_or_forbidden(meanings))

    def around(self, function: Function) -> frozenset[Any]:
        """Return where the names lead that an inner function finds around it, and the texts among them."""
        found, scope = set[Any](), function.scope
        while scope.parent is not None:
            for name, value in scope.names.items():
                found.add((name, self.marks(value), frozenset(item for item in value if isinstance(item, Constant))))
            scope = scope.parent
        return frozenset(found)
