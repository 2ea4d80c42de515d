"""One batch with every accident: each submission gets exactly what it deserves."""

from __future__ import annotations

import re

import nbformat
import pytest

from robustness.accident import EXERCISES, LINEAR, POINTS
from robustness.cases import ACCIDENTS
from robustness.conftest import ALL
from robustness.course import in_gradebook

pytestmark = pytest.mark.isolation
KEYS = [(assignment, key) for assignment, key, _ in ALL]
DECLARED = {(assignment, key): accident for assignment, key, accident in ALL}
each = pytest.mark.parametrize("which", KEYS, ids=[f"{assignment}: {key}" for assignment, key in KEYS])


def test_the_accidents_are_told_apart_by_their_names():
    names = [accident.name for accident in ACCIDENTS]
    assert len(set(names)) == len(names) >= 45
    for accident in ACCIDENTS:
        assert set(accident.lost) <= set(EXERCISES[accident.assignment]), accident.name


@each
def test_every_submission_gets_what_it_deserves(graded, which):
    student, batch = graded.students[which], graded.batches[which[0]]
    assert batch.verdicts(student) == DECLARED[which].deserved, "\n".join(
        report["feedback"] for report in batch.of(student)["exercises"] if report["status"] != "passed"
    )


@each
def test_the_status_of_every_submission(graded, which):
    result = graded.batches[which[0]].of(graded.students[which])
    assert result["status"] == DECLARED[which].status, result["message"]
    assert result["score"] == sum(verdict.score for verdict in DECLARED[which].deserved.values())
    assert result["max_score"] == POINTS * len(EXERCISES[which[0]])
    assert result["seconds"] >= 0


@each
def test_the_marks_stand_in_the_gradebook(graded, which):
    found = graded.course.marks(which[0], graded.students[which])
    deserved = in_gradebook(DECLARED[which].deserved)
    if DECLARED[which].status == "failed":
        # Somebody must look at it: the gradebook has no mark for it, or none that is not zero.
        assert found is None or not any(found.values())
    else:
        assert found is not None
        assert {cell: score for cell, score in found.items() if cell in deserved} == deserved


@each
def test_a_reason_is_given_in_a_sentence_where_something_is_lost(graded, which):
    result = graded.batches[which[0]].of(graded.students[which])
    message = result["message"]
    if DECLARED[which].status == "graded" and not DECLARED[which].says:
        assert message == ""
        return
    assert re.fullmatch(r"\S.{15,600}\.", message, flags=re.DOTALL), message
    assert "Traceback" not in message
    for word in DECLARED[which].says:
        assert word in message
    for report in result["exercises"]:
        if report["status"] == "missing":
            assert len(report["feedback"].split()) > 8, report["feedback"]


def without_a_verdict(accident) -> bool:
    """Return whether a submission has an exercise that nobody could grade."""
    missing = any(verdict.status == "missing" for verdict in accident.deserved.values())
    return accident.status == "failed" or (accident.status == "partial" and missing)


def test_everybody_stands_in_the_results_once_and_in_order(graded):
    for assignment, batch in graded.batches.items():
        students = [result["student"] for result in batch]
        handed_in = [student for (name, _), student in graded.students.items() if name == assignment]
        assert students == sorted(handed_in)
        verdicts = {key: accident for (name, key), accident in DECLARED.items() if name == assignment}
        open_ones = [key for key, accident in verdicts.items() if without_a_verdict(accident)]
        assert batch.exit_code == (1 if open_ones else 0)  # 1: something could not be graded
        assert batch.content["assignment"] == assignment
        assert batch.content["provisional"] is False


def test_written_answers_wait_for_a_person(graded):
    for key in ("honest 1 worked", "metadata stripped", "solution twice", "os._exit in a cell", "nbformat 3"):
        found = graded.course.marks(LINEAR, graded.students[LINEAR, key])
        assert found["explain_step_size"] is None, key


def test_the_graded_notebooks_are_notebooks(graded):
    for (assignment, key), student in graded.students.items():
        if DECLARED[assignment, key].status == "failed":
            continue
        path = graded.course.autograded(assignment, student)
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert path.stat().st_size < 20_000_000, f"{key}: the output was not cut"


def outputs(graded, key, part):
    """Return the outputs of the cell that contains a text."""
    path = graded.course.autograded(LINEAR, graded.students[LINEAR, key])
    return [
        output
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and part in cell.source
        for output in cell.outputs
    ]


def test_a_figure_appears_in_the_graded_notebook(graded):
    found = outputs(graded, "plot", "plt.subplots")
    assert any("image/png" in output.get("data", {}) for output in found)


def test_what_is_displayed_appears_in_the_graded_notebook(graded):
    found = outputs(graded, "display", "display(HTML")
    kinds = {kind for output in found for kind in output.get("data", {})}
    assert {"text/html", "text/markdown", "text/latex"} <= kinds


def test_what_is_asked_is_answered_with_a_clear_error(graded):
    (failure,) = [output for output in outputs(graded, "input in a cell", "How many") if output.output_type == "error"]
    assert "input" in failure.evalue


def test_old_outputs_are_gone(graded):
    for output in outputs(graded, "outputs that claim full marks", "check("):
        assert "6 of 6" not in str(output)


def test_the_time_of_a_submission_is_known(graded):
    student = graded.students[LINEAR, "timestamp"]
    with graded.course.gradebook() as gradebook:
        assert str(gradebook.find_submission(LINEAR, student).timestamp).startswith("2026-03-01 12:00:00")
