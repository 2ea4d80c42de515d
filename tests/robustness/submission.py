"""A submission that can be damaged in the ways in which submissions are damaged."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat


@dataclass
class Submission:
    """The worked solutions of one assignment, on their way into a folder.

    Attributes
    ----------
    folder : Path
        The folder that the student hands in.
    assignment : str
    notebook : NotebookNode
    empty : NotebookNode
        The notebook as it was released.
    file_name : str
        The name under which the notebook is handed in.
    content : bytes or None
        What is written in place of the notebook.
    keep : bool
        Whether there is a notebook at all.
    """

    folder: Path
    assignment: str
    notebook: Any
    empty: Any
    file_name: str = ""
    content: bytes | None = None
    keep: bool = True
    others: dict[str, bytes] = field(default_factory=dict)

    def cell(self, grade_id: str) -> Any:
        """Return the first cell with this id of nbgrader's."""
        return self.notebook.cells[self.index(grade_id)]

    def index(self, grade_id: str) -> int:
        """Return where that cell stands."""
        ids = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in self.notebook.cells]
        return ids.index(grade_id)

    def answer(self, grade_id: str, source: str) -> None:
        """Write something else into a solution cell."""
        self.cell(grade_id).source = source

    def insert_before(self, grade_id: str, *sources: str) -> None:
        """Add code cells of the student's own before a cell."""
        position = self.index(grade_id)
        self.notebook.cells[position:position] = [nbformat.v4.new_code_cell(source) for source in sources]

    def insert_after(self, grade_id: str, *sources: str) -> None:
        """Add code cells of the student's own after a cell."""
        position = self.index(grade_id) + 1
        self.notebook.cells[position:position] = [nbformat.v4.new_code_cell(source) for source in sources]

    def append(self, *sources: str) -> None:
        """Add code cells of the student's own at the end."""
        self.notebook.cells += [nbformat.v4.new_code_cell(source) for source in sources]

    def remove(self, *grade_ids: str) -> None:
        """Delete cells."""
        for grade_id in grade_ids:
            del self.notebook.cells[self.index(grade_id)]

    def move(self, grade_id: str, position: int) -> None:
        """Move a cell to another place, counted without it; -1 is the end."""
        cell = self.notebook.cells.pop(self.index(grade_id))
        self.notebook.cells.insert(len(self.notebook.cells) if position < 0 else position, cell)

    def copy_of(self, grade_id: str, source: str | None = None) -> Any:
        """Return a copy of a cell with its metadata, as Jupyter's copy and paste makes it."""
        cell = copy.deepcopy(self.cell(grade_id))
        cell["id"] = f"{cell['id']}-copy"
        if source is not None:
            cell.source = source
        return cell

    def bytes(self) -> bytes:
        """Return the notebook as the bytes of a file."""
        return as_bytes(self.notebook)

    def hand_in(self) -> None:
        """Write the folder."""
        self.folder.mkdir(parents=True)
        if self.keep:
            name = self.file_name or f"{self.assignment}.ipynb"
            (self.folder / name).write_bytes(self.bytes() if self.content is None else self.content)
        for name, content in self.others.items():
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def as_bytes(notebook: Any) -> bytes:
    """Return a notebook as bytes, without any of the repairs that nbformat makes."""
    try:
        return json.dumps(notebook, indent=1, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can only escape
        return json.dumps(notebook, indent=1).encode()
