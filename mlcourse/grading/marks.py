"""What nbgrader reads from a check cell: one number, and nothing that hides it.

nbgrader gives full marks to a graded cell that shows no number, and none to one that wrote to stderr, whatever its
number. Both happen by accident: a student's own function called ``check``, a logger that writes to the screen.
"""

from __future__ import annotations

from typing import Any

import nbformat
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution


class RequireMark(NbGraderPreprocessor):
    """Comes after ``Execute``: a check cell that shows one number keeps it alone, any other gets an error."""

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> tuple[Any, Any]:
        """Mend the outputs of one executed cell; nbgrader calls this for every cell."""
        if cell.cell_type == "code" and is_grade(cell) and not is_solution(cell):
            cell.outputs = mended(cell.outputs)
        return cell, resources


def mended(outputs: list[Any]) -> list[Any]:
    """Return the outputs of a check cell such that nbgrader reads the right mark from them.

    Examples
    --------
    >>> [output.output_type for output in mended([])]
    ['error']
    """
    if any(output.output_type == "error" for output in outputs):
        return outputs
    if len([output for output in outputs if _is_number(output)]) == 1:
        return [output for output in outputs if output.get("name") != "stderr"]
    words = "This check gave no mark. Is a function of your own called check? Give it another name."
    return [*outputs, nbformat.v4.new_output("error", ename="NoMark", evalue=words, traceback=[words])]


def _is_number(output: Any) -> bool:
    if output.output_type != "execute_result":
        return False
    try:
        float(output.data.get("text/plain", ""))
    except ValueError:
        return False
    return True
