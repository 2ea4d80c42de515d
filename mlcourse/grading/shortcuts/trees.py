"""Syntax trees: how they are read, and where they leave lines undone."""

from __future__ import annotations

import ast
import functools
import warnings
from typing import Any


@functools.lru_cache(maxsize=256)  # one cell is read for several questions; nobody changes a tree
def read(text: str, mode: str = "exec") -> Any:
    """Return the syntax tree of a piece of code; what Python has to say about its style is not printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode=mode)


def parse(text: str, mode: str = "exec") -> Any:
    """Return the syntax tree of a piece of code, or None where it is no Python."""
    try:
        return read(text, mode)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None


def leaves(statement: ast.stmt) -> bool:
    """Return whether a statement may leave those behind it undone, of the same function, loop or cell."""
    waiting: list[tuple[ast.AST, bool]] = [(statement, False)]
    while waiting:
        node, in_loop = waiting.pop()
        if isinstance(node, ast.Return | ast.Raise | ast.Assert):
            return True
        if isinstance(node, ast.Break | ast.Continue) and not in_loop:
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr):
            inner = in_loop or isinstance(node, ast.For | ast.AsyncFor | ast.While)
            waiting.extend((part, inner) for part in ast.iter_child_nodes(node))
    return False
