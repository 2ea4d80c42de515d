"""Trees of Python's own parts: what is read from them is what the compiler takes from them.

The compiler reads a tree a second time. A part of a class of one's own, a list that is none, or a class of `ast` that
has been changed may show two different things at two looks.
"""

from __future__ import annotations

import ast
import sys
from typing import Any

KINDS = frozenset(kind for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST))
AS_THEY_WERE = {kind: dict(vars(kind)) for kind in KINDS}
ASIDE = {"__annotations__", "__annotate__", "__annotations_cache__"}  # who asks for annotations leaves them there
PLAIN = (str, bytes, int, float, complex, bool, type(None), type(...), tuple, frozenset)
threads = sys._current_frames  # as it is before a notebook runs


def are_intact() -> bool:
    """Return whether the classes of `ast` are as they were when Python started.

    Examples
    --------
    >>> are_intact()
    True
    """
    for kind, before in AS_THEY_WERE.items():
        now = dict(vars(kind))
        if any(now.get(name) is not value for name, value in before.items()) or now.keys() - before.keys() - ASIDE:
            return False
    return True


def is_whole(tree: ast.AST) -> bool:
    """Return whether all that a tree holds is of Python's own classes.

    Examples
    --------
    >>> is_whole(ast.parse("x + 1"))
    True
    >>> class Name(ast.Name): pass
    >>> is_whole(ast.Expression(Name("x", ast.Load())))
    False
    """
    waiting: list[Any] = [tree]
    seen = set[int]()
    while waiting:
        part = waiting.pop()
        kind = type(part)
        if kind is list:
            waiting.extend(part)
        elif kind in KINDS and id(part) not in seen:  # such as one Load for all names
            seen.add(id(part))
            waiting.extend(part.__dict__.values())
        elif kind not in KINDS and kind not in PLAIN:
            return False
    return True
