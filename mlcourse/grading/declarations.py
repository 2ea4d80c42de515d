"""What the exercises of an assignment declare for the sandbox, read from their text: to import them takes long."""

from __future__ import annotations

import ast

from mlcourse.grading.sandbox.view import PACKAGE


def uses_of(assignment: str) -> tuple[str, ...]:
    """Return the chapters whose references an assignment may import: what its exercises declare as ``USES``."""
    for statement in _declarations(assignment).body:
        match statement:
            case ast.Assign([ast.Name("USES")], value) | ast.AnnAssign(ast.Name("USES"), _, value) if value is not None:
                return tuple(ast.literal_eval(value))
    return ()


def modules_of(assignment: str) -> tuple[str, ...]:
    """Return the libraries that its submissions need and that take long to import."""
    for statement in _declarations(assignment).body:
        match statement:
            case ast.Import(aliases) if "torch" in {alias.name for alias in aliases}:
                return ("torch",)
            case ast.ImportFrom("torch"):
                return ("torch",)
    return ()


def _declarations(assignment: str) -> ast.Module:
    path = PACKAGE / "exercises" / f"{assignment}.py"
    return ast.parse(path.read_text(encoding="utf-8"))
