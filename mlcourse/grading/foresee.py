"""What the search of a notebook's text will say when it is graded, for `mlcourse check`: no surprise in the marks."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

from mlcourse.exercises.protocol import Exercise
from mlcourse.grading.companions import files_named_in, modules_among
from mlcourse.grading.inside.words import names_nothing_forbidden
from mlcourse.grading.refusal import refuse_shortcut
from mlcourse.grading.report import Report, write_report
from mlcourse.grading.shortcuts import Check, ExhaustedError, find_shortcuts
from mlcourse.grading.submission import NOT_SEARCHED, asked_of, find_checks


def refused_for_its_text(notebook: Any, exercises: Mapping[str, Exercise], folder: Path) -> dict[str, Report]:
    """Return the reports of the exercises that are refused for what the text of a notebook says.

    Parameters
    ----------
    notebook : nbformat notebook
    exercises : mapping of str to Exercise
        Those of its assignment by their names.
    folder : Path
        Where the notebook lies: the modules beside it that it names are read, too.
    """
    checks = find_checks(notebook, dict(exercises))
    marked = {id(check.cell) for check in checks}
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    sources = [_plain(str(cell.source)) for cell in cells if id(cell) not in marked]
    files, _ = files_named_in(folder, "\n".join(sources))
    for library in {name.partition(".")[0] for item in exercises.values() for name in item.forbidden}:
        with contextlib.suppress(ImportError):  # what is loaded is compared by what it is, and not by its name
            importlib.import_module(library)
    asked = {check.exercise.name: Check(**asked_of(check)) for check in checks}
    modules = modules_among(files)
    try:
        reached = modules or not names_nothing_forbidden(sources, asked)
        found = find_shortcuts(sources, asked, modules) if reached else {}
    except (ExhaustedError, MemoryError):
        return {
            check.exercise.name: write_report(
                check.exercise.name, 0.0, check.exercise.points, "error", [("not searched", NOT_SEARCHED)]
            )
            for check in checks
        }
    return {name: refuse_shortcut(exercises[name], shortcut) for name, shortcut in found.items()}


def _plain(source: str) -> str:
    """Return a cell as plain Python: magics become calls, as they do when it runs."""
    try:
        return TransformerManager().transform_cell(source)
    except Exception:  # a cell that is no Python fails in words when it runs
        return source
