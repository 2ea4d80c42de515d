"""The order in which Python asks a class and its bases, and what stands in them."""

from __future__ import annotations

from typing import Any

from mlcourse.grading.shortcuts.meanings import (
    Class,
    Meanings,
    Path,
)

BASES = ("builtins.object", "builtins.type", "types.ModuleType")
LONGEST_LINE = 1_000


def lineage(owner: Class) -> list[Class | Path]:
    """Return a class and its bases in the order in which Python asks them, but for the oddest of inheritances."""
    found: list[Class | Path] = []
    waiting: list[tuple[Class | Path, tuple[Class, ...]]] = [(owner, ())]
    while waiting and len(found) < LONGEST_LINE:
        current, below = waiting.pop()
        if current in below:  # a class that is its own base
            continue
        found.append(current)
        if isinstance(current, Class):
            bases = [sorted(base, key=_age) for base in current.in_order] + [sorted(current.bases, key=_age)]
            own = [base for part in bases for base in part if isinstance(base, Class | Path)]
            waiting += [(base, (*below, current)) for base in reversed(list(dict.fromkeys(own)))]
    return list(dict.fromkeys(reversed(found)))[::-1]  # a base of two classes comes behind both


def _age(meaning: Any) -> tuple[int, str]:
    return getattr(meaning, "serial", -1), getattr(meaning, "name", "")


def spellings(owner: Class, name: str) -> tuple[str, ...]:
    """Return the names under which an attribute may stand: ``_C__x`` is ``__x`` inside the class ``C``."""
    prefix = f"_{owner.node.name.lstrip('_')}"
    private = name.startswith("__") and not name.endswith("__")
    return (name, f"{prefix}{name}" if private else name.removeprefix(prefix))


def in_class(owner: Class, name: str) -> Meanings:
    """Return what a class or one of its bases has under this name, as it stands there."""
    return in_line(lineage(owner), name)


def in_line(line: list[Class | Path], name: str) -> Meanings:
    """Return what the first of these classes that has a name has under it."""
    for current in line:
        if not isinstance(current, Class):
            continue
        for spelling in spellings(current, name):
            if spelling in current.namespace.names:
                return current.namespace.names[spelling]
    installed = (base for base in line if isinstance(base, Path) and base.name not in BASES)
    return frozenset(Path(f"{base.name}.{name}") for base in installed)


def ancestors(owner: Class) -> Meanings:
    """Return all classes from which a class inherits."""
    found, waiting = set[Any](), list(owner.bases)
    while waiting:
        base = waiting.pop()
        if base not in found:
            found.add(base)
            waiting += base.bases if isinstance(base, Class) else ()
    return frozenset(found)
