"""The metadata that nbgrader keeps in the cells, and outputs that the file brings along."""

from __future__ import annotations

import uuid

import nbformat

from robustness.accident import EXERCISES, LINEAR, NOT_WRITTEN, Accident, everything
from robustness.submission import Submission


def stripped(submission: Submission) -> None:
    """As a tool does that cleans notebooks: the ids of the cells remain."""
    for cell in submission.notebook.cells:
        cell.metadata = {}


def stripped_with_new_ids(submission: Submission) -> None:
    """As another service does that saves notebooks in its own way."""
    for cell in submission.notebook.cells:
        cell.metadata = {"id": uuid.uuid5(uuid.NAMESPACE_URL, cell["id"]).hex[:12]}
        del cell["id"]
    submission.notebook.nbformat_minor = 0
    submission.notebook.metadata = {"colab": {"provenance": []}}


def stripped_of(grade_id: str):
    """Return a change after which one cell has no metadata and another id."""

    def change(submission: Submission) -> None:
        cell = submission.cell(grade_id)
        cell.metadata, cell["id"] = {}, "pasted-from-a-chat"

    return change


def with_metadata(grade_id: str, **entries: object):
    """Return a change of some entries of a cell's nbgrader metadata; None deletes one."""

    def change(submission: Submission) -> None:
        metadata = submission.cell(grade_id).metadata["nbgrader"]
        for name, value in entries.items():
            if value is None:
                del metadata[name]
            else:
                metadata[name] = value

    return change


def emptied_metadata(submission: Submission) -> None:
    submission.cell("check_r2_score").metadata["nbgrader"] = {}


def null_metadata(submission: Submission) -> None:
    submission.cell("check_r2_score").metadata["nbgrader"] = None


def old_schema(submission: Submission) -> None:
    for cell in submission.notebook.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata["nbgrader"]["schema_version"] = 1


def cell_of_another_assignment(submission: Submission) -> None:
    cell = submission.copy_of("check_r2_score", 'check("attention.causal_mask", causal_mask)')
    cell.metadata["nbgrader"]["grade_id"] = "check_causal_mask"
    submission.notebook.cells.insert(6, cell)


def own_graded_cell(submission: Submission) -> None:
    cell = submission.copy_of("check_r2_score", "100.0")
    cell.metadata["nbgrader"] |= {"grade_id": "bonus", "points": 100, "locked": False}
    submission.notebook.cells.append(cell)


def stale_outputs(submission: Submission) -> None:
    """The empty notebook, whose outputs claim that everything is right."""
    submission.notebook.cells = submission.empty.cells
    for name in EXERCISES[LINEAR]:
        cell = submission.cell(f"check_{name}")
        shown = nbformat.v4.new_output("execute_result", {"text/plain": "6.0"}, execution_count=1)
        said = nbformat.v4.new_output("stream", name="stdout", text=f"{name}  6 of 6 points\n  all right")
        cell.outputs, cell.execution_count = [said, shown], 1


def outputs_with_an_error(submission: Submission) -> None:
    for name in EXERCISES[LINEAR]:
        failure = nbformat.v4.new_output(
            "error", ename="NameError", evalue="name 'np'", traceback=["\x1b[31mNameError"]
        )
        submission.cell(f"check_{name}").outputs = [failure]


def broken_outputs(submission: Submission) -> None:
    submission.cell("r2_score").outputs = [{"output_type": "pyout", "text": 3}, {}]


def widgets(submission: Submission) -> None:
    submission.notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"version_major": 2}}
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "d0"}, "text/plain": "IntSlider(value=0)"}
    submission.insert_before("r2_score", "1 + 1")
    cell = submission.notebook.cells[submission.index("r2_score") - 1]
    cell.outputs = [nbformat.v4.new_output("display_data", view)]


def tags_and_slides(submission: Submission) -> None:
    for cell in submission.notebook.cells:
        cell.metadata |= {"tags": ["hide-input", "raises-exception"], "slideshow": {"slide_type": "skip"}}


ACCIDENTS = (
    Accident("metadata stripped", stripped),
    Accident("metadata stripped, other ids", stripped_with_new_ids, status="partial", says=("explain_step_size",)),
    Accident("metadata of a solution stripped", stripped_of("r2_score")),
    Accident("metadata of a check stripped", stripped_of("check_r2_score")),
    Accident("metadata of a check emptied", emptied_metadata),
    Accident("metadata of a check null", null_metadata),
    Accident("points in words", with_metadata("check_r2_score", points="six")),
    Accident("more points", with_metadata("check_r2_score", points=60)),
    Accident("no points", with_metadata("check_r2_score", points=None)),
    Accident("no schema version", with_metadata("check_r2_score", schema_version=None)),
    Accident("newer schema version", with_metadata("check_r2_score", schema_version=9)),
    Accident("older schema version", old_schema),
    Accident("check called a solution", with_metadata("check_r2_score", solution=True)),
    Accident("check not graded", with_metadata("check_r2_score", grade=False)),
    Accident("cell of another assignment", cell_of_another_assignment),
    Accident("graded cell of one's own", own_graded_cell),
    Accident("outputs that claim full marks", stale_outputs, everything(NOT_WRITTEN)),
    Accident("outputs of an old error", outputs_with_an_error),
    Accident("broken outputs", broken_outputs),
    Accident("widgets", widgets),
    Accident("tags and slides", tags_and_slides),
)
