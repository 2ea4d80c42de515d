"""The pages of worked solutions, made from the nbgrader sources: each question visible, each answer folded."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path

import jupytext
from nbformat import NotebookNode

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
FENCE = ":" * 6  # longer than any that stands inside an answer
INTRODUCTION = """\
The questions of the {exercises}, each with a worked answer that is folded. Try first, and let the check tell you
what is wrong; an answer that you only read is soon forgotten. Other answers are right, too: the checks accept every
function that does what is asked.
"""


def write_solution_pages(sources: Path, target: Path, wanted: bool = True, chapters: Collection[str] = ()) -> None:
    """Write a page for each source into ``target``, which holds nothing else; write none if none are wanted.

    Parameters
    ----------
    sources, target : Path
        Folders.
    wanted : bool
        Whether the book has pages of worked solutions.
    chapters : collection of str
        The chapters that have a page to which a link can lead.
    """
    if target.exists():
        shutil.rmtree(target)
    if not wanted:
        return
    target.mkdir(parents=True)
    for path in sorted(sources.glob("*.md")):
        page = solution_page(jupytext.read(path), path.stem if path.stem in chapters else "")
        (target / path.name).write_text(page, encoding="utf-8")


def solution_page(notebook: NotebookNode, chapter: str = "") -> str:
    """Return the MyST page of an nbgrader source.

    Parameters
    ----------
    notebook : NotebookNode
        The source, with the worked solutions inside.
    chapter : str
        The name of the chapter's page; empty if there is none.
    """
    exercises = f"{{doc}}`exercises of the chapter </{chapter}>`" if chapter else "exercises"
    parts = [_title(notebook), INTRODUCTION.format(exercises=exercises)]
    started = False
    for cell in notebook.cells:
        started = started or (cell.cell_type == "markdown" and cell.source.lstrip().startswith("## "))
        if started or cell.cell_type == "code":
            parts.append(_show(cell))
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _title(notebook: NotebookNode) -> str:
    first = re.search(r"^# (.+)$", "\n".join(cell.source for cell in notebook.cells), flags=re.MULTILINE)
    subject = first[1].split(":")[0].strip() if first else "Exercises"
    return f"# {subject}: worked solutions"


def _show(cell: NotebookNode) -> str:
    """Return a cell as MyST: an answer folded, a check left out, the rest as it is."""
    role = cell.metadata.get("nbgrader", {})
    if role.get("grade") and not role.get("solution"):
        return "" if cell.cell_type == "code" else cell.source
    text = cell.source if cell.cell_type == "markdown" else f"```python\n{without_markers(cell.source)}\n```"
    if not role.get("solution"):
        return text
    name = "Worked solution" if cell.cell_type == "code" else "Model answer"
    return f"{FENCE}{{dropdown}} {name}\n{text.strip()}\n{FENCE}"


def without_markers(code: str) -> str:
    r"""Return the code without the lines that mark where the solution begins and ends.

    Examples
    --------
    >>> without_markers("def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION")
    'def f():\n    return 1'
    """
    return "\n".join(line for line in code.splitlines() if line.strip() not in (BEGIN, END))
