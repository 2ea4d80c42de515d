"""How many cells a notebook may have: some hundreds are an honest day's work, and each of them takes time."""

from __future__ import annotations

from typing import Any

MOST_CELLS = 2_000


def too_many_cells(content: Any, name: str) -> str:
    """Return in words why a notebook, as its JSON says, has too many cells to be graded; nothing where it has not.

    Counted before anything else is done with them: to read a million empty cells takes minutes.

    Examples
    --------
    >>> too_many_cells({"cells": []}, "shapes.ipynb")
    ''
    >>> too_many_cells({"cells": [{}] * 350_000}, "shapes.ipynb")
    'shapes.ipynb has 350,000 cells, more than 2,000. Delete those that are not needed, and hand it in again'
    """
    number = _cells_in(content)
    if number <= MOST_CELLS:
        return ""
    return (
        f"{name} has {number:,} cells, more than {MOST_CELLS:,}. Delete those that are not needed, and hand it in again"
    )


def _cells_in(content: Any) -> int:
    """Return the number of cells of a notebook; those of nbformat 3 stand in worksheets."""
    if not isinstance(content, dict):
        return 0
    sheets = content.get("worksheets")
    parts = [content, *(sheets if isinstance(sheets, list) else [])]
    found = [part.get("cells") for part in parts if isinstance(part, dict)]
    return sum(len(cells) for cells in found if isinstance(cells, list))
