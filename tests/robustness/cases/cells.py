"""The cells: doubled, deleted, moved, split, retyped, and more of them.

What counts is what one sees after running the notebook from top to bottom: of two solutions the last one above the
check, of two copies of a check the last one. A check that is gone, or that stands above its solution, is made up for
at the end of the notebook, so that nobody loses the marks for work that is there.
"""

from __future__ import annotations

import copy

import nbformat

from robustness.accident import (
    ERROR,
    EXERCISES,
    LINEAR,
    MISSING,
    NOT_WRITTEN,
    UNWRITTEN_R2,
    WRONG,
    WRONG_R2,
    Accident,
    answer,
    everything,
    failed,
    right_r2,
)
from robustness.submission import Submission

CHECKS = tuple(f"check_{name}" for name in EXERCISES[LINEAR])


def solution_twice(first: str | None, second: str | None):
    """Return a change that pastes another version of r2_score below the first, above the check."""

    def change(submission: Submission) -> None:
        again = submission.copy_of("r2_score", second)
        if first is not None:
            submission.answer("r2_score", first)
        submission.notebook.cells.insert(submission.index("r2_score") + 1, again)

    return change


def stale_solution_below_its_check(submission: Submission) -> None:
    position = submission.index("check_r2_score") + 1
    submission.notebook.cells.insert(position, submission.copy_of("r2_score", WRONG_R2))


def check_twice(submission: Submission) -> None:
    position = submission.index("check_r2_score") + 1
    submission.notebook.cells.insert(position, submission.copy_of("check_r2_score"))


def answer_twice(submission: Submission) -> None:
    position = submission.index("explain_step_size") + 1
    submission.notebook.cells.insert(position, submission.copy_of("explain_step_size", "One more thought."))


def pasted_twice(first: str | None = None, second: str | None = None):
    """Return a change that pastes the whole notebook below itself, r2_score being another one in either half."""

    def change(submission: Submission) -> None:
        again = copy.deepcopy(submission.notebook.cells)
        for cell in again:
            cell["id"] = f"{cell['id']}-copy"
            if second is not None and cell.metadata.get("nbgrader", {}).get("grade_id") == "r2_score":
                cell.source = second
        if first is not None:
            submission.answer("r2_score", first)
        submission.notebook.cells += again

    return change


def worked_below_the_empty_one(submission: Submission) -> None:
    worked = copy.deepcopy(submission.notebook.cells)
    for cell in worked:
        cell["id"] = f"{cell['id']}-mine"
    submission.notebook.cells = copy.deepcopy(submission.empty.cells) + worked


def filled_with_empty_cells(submission: Submission) -> None:
    submission.notebook.cells += [nbformat.v4.new_code_cell() for _ in range(3_000)]


def removed(*grade_ids: str):
    return lambda submission: submission.remove(*grade_ids)


def moved(grade_id: str, position: int):
    return lambda submission: submission.move(grade_id, position)


def checks_swapped(submission: Submission) -> None:
    cells = submission.notebook.cells
    a, b = submission.index("check_mse_gradient"), submission.index("check_r2_score")
    cells[a], cells[b] = cells[b], cells[a]


def all_checks_at_the_end(submission: Submission) -> None:
    for name in CHECKS:
        submission.move(name, -1)


def check_above_its_solution(submission: Submission) -> None:
    submission.move("check_r2_score", submission.index("r2_score"))


def retyped(grade_id: str, cell_type: str):
    def change(submission: Submission) -> None:
        position = submission.index(grade_id)
        old = submission.notebook.cells[position]
        new = {"markdown": nbformat.v4.new_markdown_cell, "raw": nbformat.v4.new_raw_cell}[cell_type](old.source)
        new["id"], new.metadata = old["id"], old.metadata
        submission.notebook.cells[position] = new

    return change


def answer_as_code(submission: Submission) -> None:
    position = submission.index("explain_step_size")
    old = submission.notebook.cells[position]
    new = nbformat.v4.new_code_cell("# The step must be smaller than 2 / h_1.")
    new["id"], new.metadata = old["id"], old.metadata
    submission.notebook.cells[position] = new


def split(submission: Submission) -> None:
    submission.answer("r2_score", "def squares(x):\n    return np.sum(x**2)")
    rest = "def r2_score(y, predictions):\n    same = np.all(y == y[0])\n"
    rest += "    return float(np.all(y == predictions)) if same else share(y, predictions)"
    helper = "def share(y, predictions):\n    return 1 - squares(y - predictions) / squares(y - y.mean())"
    submission.insert_after("r2_score", helper, rest)


def written_in_a_new_cell(submission: Submission) -> None:
    written = submission.cell("r2_score").source
    submission.answer("r2_score", "")
    submission.insert_after("r2_score", written)


def all_in_one_cell(submission: Submission) -> None:
    everything_written = "\n\n".join(submission.cell(name).source for name in EXERCISES[LINEAR])
    for name in EXERCISES[LINEAR]:
        submission.answer(name, "# see above")
    submission.insert_before("fit_least_squares", everything_written)


def helper_before(submission: Submission) -> None:
    submission.insert_before("r2_score", "def total(x):\n    return float(np.sum(x))")
    submission.answer("r2_score", right_r2("assert total(y) == np.sum(y)"))


def check_changed(source: str):
    return lambda submission: submission.answer("check_r2_score", source)


def import_cell_deleted(submission: Submission) -> None:
    del submission.notebook.cells[2]


def without_the_import_of_check(submission: Submission) -> None:
    submission.notebook.cells[2].source = "import numpy as np"


def five_hundred_cells(submission: Submission) -> None:
    submission.insert_before("r2_score", *(f"x{i} = {i}\nx{i}" for i in range(500)))


def raw_and_attachments(submission: Submission) -> None:
    picture = nbformat.v4.new_markdown_cell("![plot](attachment:plot.png)")
    picture["attachments"] = {"plot.png": {"image/png": "iVBORw0KGgo="}}
    submission.notebook.cells[4:4] = [picture, nbformat.v4.new_raw_cell("raw text, {{ not run }}")]


def empty_cells(submission: Submission) -> None:
    submission.insert_before("r2_score", "", "   \n\n", "# only a comment")


def only_empty_cells_of_text(submission: Submission) -> None:
    submission.notebook.cells = [cell for cell in submission.notebook.cells if cell.cell_type == "code"]


ACCIDENTS = (
    Accident("solution twice", solution_twice(None, None)),
    Accident("solution twice, the second right", solution_twice(WRONG_R2, None)),
    Accident("solution twice, the first right", solution_twice(None, WRONG_R2), {"r2_score": WRONG}),
    Accident("solution twice, the second empty", solution_twice(None, UNWRITTEN_R2), {"r2_score": NOT_WRITTEN}),
    Accident("stale solution below its check", stale_solution_below_its_check),
    Accident("check twice", check_twice),
    Accident("written answer twice", answer_twice),
    Accident("notebook pasted twice", pasted_twice()),
    Accident("pasted twice, the second right", pasted_twice(first=WRONG_R2)),
    Accident("pasted twice, the first right", pasted_twice(second=WRONG_R2), {"r2_score": WRONG}),
    Accident("worked below the empty one", worked_below_the_empty_one),
    failed("three thousand empty cells", filled_with_empty_cells, "cells, more than 2,000"),
    Accident("solution missing", removed("r2_score"), {"r2_score": MISSING}, "partial", ("r2_score",)),
    Accident("check missing", removed("check_r2_score"), status="partial", says=("check_r2_score",)),
    Accident("all checks missing", removed(*CHECKS), status="partial", says=("check_r2_score",)),
    Accident("written answer missing", removed("explain_step_size"), status="partial", says=("explain_step_size",)),
    Accident(
        "solution and check missing",
        removed("r2_score", "check_r2_score"),
        {"r2_score": MISSING},
        "partial",
        ("r2_score",),
    ),
    Accident(
        "all solutions missing", removed(*EXERCISES[LINEAR]), everything(MISSING), "partial", ("fit_least_squares",)
    ),
    Accident("install cell missing", removed("install")),
    Accident("import cell missing", import_cell_deleted, everything(ERROR)),
    Accident("check is not imported", without_the_import_of_check),
    Accident("text cells missing", only_empty_cells_of_text, status="partial", says=("explain_step_size",)),
    Accident("check above its solution", check_above_its_solution),
    Accident("solution at the end", moved("r2_score", -1)),
    Accident("checks swapped", checks_swapped),
    Accident("all checks at the end", all_checks_at_the_end),
    Accident("check turned into text", retyped("check_r2_score", "markdown")),
    Accident("solution turned into text", retyped("r2_score", "markdown")),
    Accident("solution turned into raw text", retyped("r2_score", "raw")),
    Accident("written answer turned into code", answer_as_code),
    Accident("solution split", split),
    Accident("solution in a new cell", written_in_a_new_cell),
    Accident("all solutions in one cell", all_in_one_cell),
    Accident("helper cell before", helper_before),
    Accident("check with other arguments", check_changed('check("linear_regression.r2_score", None)')),
    Accident("check of another exercise", check_changed('check("linear_regression.reduce_loss", reduce_loss)')),
    Accident("check commented out", check_changed('# check("linear_regression.r2_score", r2_score)')),
    Accident("check emptied", check_changed("")),
    Accident("check with tries below", check_changed('check("linear_regression.r2_score", r2_score)\n1 / 0')),
    Accident("check with a syntax error", check_changed('check("linear_regression.r2_score", r2_score')),
    Accident("500 cells", five_hundred_cells),
    Accident("raw cells and attachments", raw_and_attachments),
    Accident("empty cells", empty_cells),
    answer("solution emptied", "r2_score", "", MISSING),
    answer("solution of comments", "r2_score", "# I did not have the time, sorry.", MISSING),
)
