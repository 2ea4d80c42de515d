"""`mlcourse check`: every check of a notebook, from a shell, for one's own work."""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from mlcourse.exercises import chapter_exercises
from mlcourse.exercises.catalogue import chapters
from mlcourse.grading.by_hand import ByHand, graded_by_hand
from mlcourse.grading.check import REPORT_FILE
from mlcourse.grading.foresee import refused_for_its_text
from mlcourse.grading.report import Report, write_report
from mlcourse.grading.size import too_many_cells

CELL_TIMEOUT = 60


class NotebookError(Exception):
    """A notebook that cannot be checked; the text says why, in one sentence."""


@dataclass(frozen=True)
class NotebookReport:
    """The reports of all exercises of one notebook, and what no check can grade."""

    assignment: str
    reports: list[Report]
    by_hand: ByHand = field(default_factory=ByHand)

    @property
    def score(self) -> float:
        """Points in all."""
        return sum(report.score for report in self.reports)

    @property
    def max_score(self) -> float:
        """Points that could be had."""
        return sum(report.max_score for report in self.reports)

    @property
    def passed(self) -> bool:
        """Whether every exercise earns all its points."""
        return all(report.status == "passed" for report in self.reports)


def check_notebook(path: Path, assignment: str | None = None) -> NotebookReport:
    """Run a notebook in a fresh kernel and collect the report of every exercise of its assignment.

    Parameters
    ----------
    path : Path
        The notebook (.ipynb).
    assignment : str, optional
        The assignment that it must be. Default: what its check cells and its name say.

    Raises
    ------
    NotebookError
        If the file is no notebook, holds no check, or belongs to another assignment.
    """
    notebook = read_notebook(path)
    assignment = find_assignment(notebook, path, assignment)
    found = {report.name: report for report in _run(notebook, path)}
    refused = refused_for_its_text(notebook, _exercises(assignment), path.resolve().parent)
    reports = [
        refused.get(name) or found.get(name) or _missing(name, exercise.points, why_missing(notebook, name))
        for name, exercise in _exercises(assignment).items()
    ]
    return NotebookReport(assignment, reports, by_hand_in(notebook))


def read_notebook(path: Path) -> Any:
    """Read a notebook, or say in one sentence why it is none."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise NotebookError(f"{path} is no ordinary file, so it is no notebook.")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotebookError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise NotebookError(f"{path} is a folder. Name the notebook inside it.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise NotebookError(f"{path} cannot be read as text, so it is no notebook: {error}.") from None
    if not text.strip():
        raise NotebookError(f"{path} is empty. Download the exercise notebook again.")
    if why := _too_many(text, path):
        raise NotebookError(f"{why}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing or duplicated cell ids, which nbformat mends
            notebook = nbformat.reads(text, as_version=4)
            nbformat.validate(notebook)
    except Exception as error:  # nbformat raises many kinds for what is no notebook
        reason = str(error).strip().split("\n")[0][:120]
        raise NotebookError(f"{path} is no valid Jupyter notebook ({reason}).") from None
    if not notebook.cells:
        raise NotebookError(f"{path} is a notebook without cells. Download the exercise notebook again.")
    return notebook


def _too_many(text: str, path: Path) -> str:
    """Return why a notebook has too many cells; nothing where it has not, or is none."""
    try:
        return too_many_cells(json.loads(text), str(path))
    except (ValueError, RecursionError):
        return ""


def by_hand_in(notebook: Any) -> ByHand:
    """Return what a person grades in a notebook."""
    return graded_by_hand(cell.metadata.get("nbgrader") for cell in notebook.cells)


def find_assignment(notebook: Any, path: Path, wanted: str | None = None) -> str:
    """Return the chapter whose exercises the notebook checks.

    Raises
    ------
    NotebookError
        If it checks none, those of several chapters, or those of another chapter than wanted.
    """
    names = set(checked_names(notebook))
    found = {name.partition(".")[0] for name in names}
    known = found & set(chapters())
    if not known:
        raise NotebookError(f"{path} holds no check cell of this course, so there is nothing to check.")
    if len(known) > 1:
        raise NotebookError(f"{path} mixes the checks of several assignments: {', '.join(sorted(known))}.")
    assignment = known.pop()
    wanted = wanted or (path.stem if path.stem in chapters() else None)
    if wanted and wanted != assignment:
        raise NotebookError(f"{path} is the assignment {assignment!r}, but {wanted!r} was expected.")
    unknown = sorted(name for name in names if name not in _exercises(assignment))
    if unknown:
        raise NotebookError(
            f"{path} checks {unknown[0]!r}, which this version of mlcourse does not have. Update one of the two."
        )
    return assignment


def _exercises(assignment: str) -> dict[str, Any]:
    try:
        return chapter_exercises(assignment)
    except ModuleNotFoundError as error:
        raise NotebookError(str(error)) from error


def checked_names(notebook: Any) -> Iterator[str]:
    """Yield the names in the notebook's ``check("name", ...)`` calls."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield from _names_in(cell.source)


def _names_in(source: str) -> list[str]:
    try:
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a half-written cell, a magic, or something odd
        return []
    return [
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id == "check"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    ]


def _missing(name: str, points: float, why: str) -> Report:
    return write_report(name, 0.0, points, "missing", [("missing", why)])


def why_missing(notebook: Any, name: str) -> str:
    """Return in words why the check of an exercise gave no report, from the outputs of the executed notebook."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    position = next((i for i, cell in enumerate(cells) if name in _names_in(cell.source)), None)
    if position is None:
        return (
            "Its check cell is gone, or cannot be read. Download the exercise notebook again and copy your work over."
        )
    error = _error_of(cells[position])
    before = _error_of(cells[position - 1]) if position else None
    if before:
        return f"The cell above its check fails: {before.rstrip('.: ')}. Mend that cell first."
    return (
        f"Its check fails: {error.rstrip('.: ')}."
        if error
        else "Its check did not run: the notebook stopped before it."
    )


def _error_of(cell: Any) -> str | None:
    error = next((output for output in cell.outputs if output.output_type == "error"), None)
    return f"{error.ename}: {error.evalue.strip()}" if error else None


def _run(notebook: Any, path: Path) -> Iterator[Report]:
    with tempfile.TemporaryDirectory(prefix="mlcourse-") as folder:
        target = Path(folder) / "reports.jsonl"
        with _environment(REPORT_FILE, str(target)):
            _execute(notebook, path.resolve().parent)
        if target.exists():
            for line in target.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, TypeError):  # a line that a submission wrote is no report
                    yield Report(**json.loads(line))


def _execute(notebook: Any, folder: Path) -> None:
    # The kernel of this very environment, whatever the notebook or the user's settings name.
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        interrupt_on_timeout=True,
        allow_errors=True,
        extra_arguments=["--log-level=40", "--HistoryManager.hist_file=:memory:"],
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    except (CellTimeoutError, DeadKernelError) as error:
        print(f"The notebook stopped early: {str(error).strip().splitlines()[0]}", file=sys.stderr)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
