"""Gives a handed-in notebook back the cells and the metadata with which it was released.

Students delete, copy and move cells, and editors lose metadata. What counts is what was released: its cells by their
ids, their points, and the text of those that are locked. Comes before nbgrader's own sanitizing.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import compute_checksum

from mlcourse.grading.companions import files_beside
from mlcourse.grading.course.pictures import keep_pictures
from mlcourse.grading.course.tasks import ReleasedCell
from mlcourse.grading.size import too_many_cells

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


class LinkedError(Exception):
    """A submission that is a link to something else."""


class RefusedError(ValueError):
    """A file without a word in it, or with more cells than can be graded."""


def released_cells(gradebook: Gradebook, notebook: str, assignment: str) -> list[ReleasedCell]:
    """Return the cells of a released notebook that have a grade id, in their order."""
    found = gradebook.find_notebook(notebook, assignment)
    graded = {cell.name: float(cell.max_score) for cell in [*found.grade_cells, *found.task_cells]}
    grades = {cell.name for cell in found.grade_cells}
    solutions = {cell.name for cell in found.solution_cells}
    tasks = {cell.name for cell in found.task_cells}
    return [
        ReleasedCell(
            name=cell.name,
            kind=cell.cell_type,
            source=cell.source,
            locked=bool(cell.locked),
            grade=cell.name in grades,
            solution=cell.name in solutions,
            task=cell.name in tasks,
            points=graded.get(cell.name, 0.0),
            checksum=cell.checksum,
        )
        for cell in found.source_cells
    ]


def fresh(released: ReleasedCell) -> Any:
    """Return a released cell as a new one."""
    new = nbformat.v4.new_code_cell if released.kind == "code" else nbformat.v4.new_markdown_cell
    cell = new(released.source, id=released.name[:64])
    cell.metadata["nbgrader"] = nbformat.from_dict(released.metadata)
    return cell


def restore(notebook: Any, released: list[ReleasedCell]) -> list[str]:
    """Restore a notebook in place and return what had to be put back, in words."""
    known = {cell.name: cell for cell in released}
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    for cell in notebook.cells:
        _clean(cell, known)
    _recognize(notebook, released)
    _keep_one(notebook, released)
    for cell in notebook.cells:
        name = grade_id(cell)
        if name:
            _as_released(cell, known[name])
    notes = _put_back(notebook, released)
    _checks_below_answers(notebook, released)
    return notes


def grade_id(cell: Any) -> str | None:
    """Return a cell's grade id, if it has one."""
    about = cell.metadata.get("nbgrader")
    return about.get("grade_id") if isinstance(about, dict) else None


def _clean(cell: Any, known: dict[str, ReleasedCell]) -> None:
    """Keep of a cell's metadata only a grade id that was released: the rest could get into the feedback's HTML."""
    name = grade_id(cell)
    kept = {"nbgrader": {"grade_id": name}} if isinstance(name, str) and name in known else {}
    cell.metadata = nbformat.from_dict(kept)


def _recognize(notebook: Any, released: list[ReleasedCell]) -> None:
    """Find cells by their own id, and locked ones by their text, where an editor has lost nbgrader's metadata."""
    present = {grade_id(cell) for cell in notebook.cells}
    texts = {cell.source.strip(): cell for cell in released if cell.locked and cell.grade and cell.name not in present}
    ids = {cell.name: cell for cell in released if cell.name not in present}
    for cell in notebook.cells:
        found = texts.get(str(cell.source).strip()) or ids.get(str(cell.get("id")))
        if grade_id(cell) is None and found is not None:
            cell.metadata["nbgrader"] = nbformat.from_dict(found.metadata)


def _keep_one(notebook: Any, released: list[ReleasedCell]) -> None:
    """Of several cells with one id keep the last, as it counts when the notebook runs from top to bottom.

    An answer that stands twice counts as it was at its check.
    """
    places: dict[str, list[int]] = {}
    for index, cell in enumerate(notebook.cells):
        if name := grade_id(cell):
            places.setdefault(name, []).append(index)
    answer = None
    chosen = {name: found[-1] for name, found in places.items()}
    for item in released:
        if item.solution and not item.grade:
            answer = item.name
        elif item.grade and not item.solution and answer in chosen and item.name in chosen:
            above = [index for index in places[answer] if index < chosen[item.name]]
            chosen[answer] = above[-1] if above else chosen[answer]
    for name, found in places.items():
        for index in found:
            if index != chosen[name]:
                del notebook.cells[index].metadata["nbgrader"]


def _as_released(cell: Any, released: ReleasedCell) -> None:
    cell.metadata["nbgrader"] = nbformat.from_dict(released.metadata)
    if cell.cell_type != released.kind:
        cell.cell_type = released.kind
        for field in ("outputs", "execution_count", "attachments"):
            cell.pop(field, None)
        if released.kind == "code":
            cell.outputs, cell.execution_count = [], None
    if released.locked and compute_checksum(cell) != released.checksum:
        cell.source = released.source


def _put_back(notebook: Any, released: list[ReleasedCell]) -> list[str]:
    """Insert the graded cells that are missing, and say which they were."""
    notes = []
    place = _places(notebook)
    for number, cell in enumerate(released):
        if cell.name not in place and (cell.grade or cell.task):
            before = [place[other.name] for other in released[:number] if other.name in place]
            notebook.cells.insert(max(before) + 1 if before else len(notebook.cells), fresh(cell))
            notes.append(f"the cell {cell.name} was missing and was put back")
            place = _places(notebook)
    return notes


def missing_answers(notebook: Any, released: list[ReleasedCell]) -> list[str]:
    """Return the ids of the cells for answers in code that are not in a notebook any more."""
    present = {grade_id(cell) for cell in notebook.cells}
    return [cell.name for cell in released if cell.solution and not cell.grade and cell.name not in present]


def _checks_below_answers(notebook: Any, released: list[ReleasedCell]) -> None:
    """Move a check that stands above the answer it is about to the place below it."""
    answer, place = None, _places(notebook)
    for cell in released:
        if cell.solution and not cell.grade:
            answer = cell.name
        if not (cell.grade and not cell.solution and answer):
            continue
        if answer in place and place[cell.name] < place[answer]:
            moved = notebook.cells.pop(place[cell.name])
            notebook.cells.insert(place[answer], moved)
            place = _places(notebook)


def _places(notebook: Any) -> dict[str | None, int]:
    """Return where the cells stand, by their grade ids."""
    return {grade_id(cell): index for index, cell in enumerate(notebook.cells)}


def drop_linked(handed: Path, copied: Path) -> None:
    """Remove what nbgrader copied through links, which may lead to anybody's files, before anyone can see it.

    Raises
    ------
    LinkedError
        If the notebook itself, or the folder, is a link.
    """
    notebooks = [path for path in handed.glob("*.ipynb") if path.is_symlink()]
    if notebooks or handed.is_symlink() or handed.parent.is_symlink():
        raise LinkedError(f"{(notebooks or [handed])[0].name} is a link, and links are not followed.")
    own = files_beside(handed)[0]
    for here, _, names in os.walk(copied):
        for name in names:
            path = Path(here) / name
            kept = path.name == "timestamp.txt" and not (handed / path.name).is_symlink()
            if not kept and path.suffix != ".ipynb" and path.relative_to(copied).as_posix() not in own:
                path.unlink(missing_ok=True)


class RestoreCells(NbGraderPreprocessor):
    """`restore` as a step of nbgrader's sanitizing."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Restore the notebook and say in the log what was missing."""
        about = resources["nbgrader"]
        refuse_too_many(nb, f"{about['notebook']}.ipynb")
        course = Path(about["db_url"].removeprefix("sqlite:///")).resolve().parent
        drop_linked(course / "submitted" / about["student"] / about["assignment"], Path(resources["metadata"]["path"]))
        with Gradebook(about["db_url"]) as gradebook:
            released = released_cells(gradebook, about["notebook"], about["assignment"])
        keep_pictures(nb)
        for note in restore(nb, released):
            self.log.warning("%s: %s", about["student"], note)
        return nb, resources


def read_submission_text(content: bytes, name: str) -> Any:
    """Return a handed-in notebook in nbformat 4.

    Raises
    ------
    ValueError
        If it is no notebook; the text says why.
    """
    try:
        text = content.decode("utf-8-sig")
        if not text.strip():
            raise RefusedError(f"{name} is empty")
        refuse_too_many(json.loads(text), name)  # nbformat's own error does not say where the JSON is damaged
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ids that are not unique: they are mended below
            notebook = nbformat.reads(text, as_version=4)
    except RefusedError:
        raise
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is no text in UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} is no notebook: its JSON is damaged or cut at line {error.lineno}") from error
    except Exception as error:  # nbformat raises whatever a damaged file makes it stumble over
        raise ValueError(f"{name} is no notebook that can be read ({type(error).__name__})") from error
    return checked(notebook, name)


def refuse_too_many(content: Any, name: str) -> None:
    """Raise `RefusedError` for a notebook with too many cells."""
    if why := too_many_cells(content, name):
        raise RefusedError(why)


def checked(notebook: Any, name: str) -> Any:
    """Return a notebook whose cells have the fields that every notebook has; others are left out.

    Raises
    ------
    ValueError
        If it has no list of cells.
    """
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise ValueError(f"{name} has no cells: it is no notebook")
    kept = []
    seen: set[str] = set()
    for number, cell in enumerate(cells):
        if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
            continue
        source = cell.get("source", "")
        text = "".join(map(str, source)) if isinstance(source, list) else str(source)
        cell["source"] = text.encode("utf-8", "replace").decode("utf-8")  # half of a pair of surrogates is no text
        if not isinstance(cell.get("metadata"), dict):
            cell["metadata"] = nbformat.from_dict({})
        if not ID.fullmatch(str(cell.get("id", ""))) or cell["id"] in seen:
            cell["id"] = f"cell-{number}-{len(seen)}"
        seen.add(cell["id"])
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        kept.append(cell)
    notebook["cells"] = kept
    keep_pictures(notebook)
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    if not isinstance(notebook.get("metadata"), dict):
        notebook["metadata"] = nbformat.from_dict({})
    return notebook
