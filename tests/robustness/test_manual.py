"""What a person has graded and written stays, whatever is graded again."""

from __future__ import annotations

import json
import os

import pytest

from robustness.accident import LINEAR, WRONG_R2, Accident
from robustness.course import nbgrader_autograde

pytestmark = pytest.mark.isolation
QUESTION, CHECK = "explain_step_size", "check_r2_score"
COMMENT = "A good derivation. The units are missing."


@pytest.fixture
def graded_by_hand(small_course):
    """Return a course with one submission, graded by the machine and then by a person."""
    small_course.hand_in("ada", Accident("worked", lambda submission: None))
    small_course.grade(LINEAR)
    with small_course.gradebook() as gradebook:
        written = gradebook.find_grade(QUESTION, LINEAR, LINEAR, "ada")
        written.manual_score, written.needs_manual_grade = 4.5, False
        gradebook.find_grade(CHECK, LINEAR, LINEAR, "ada").manual_score = 2.5
        gradebook.find_comment(QUESTION, LINEAR, LINEAR, "ada").manual_comment = COMMENT
        gradebook.db.commit()
    return small_course


def by_hand(course):
    """Return what the person has left in the gradebook."""
    with course.gradebook() as gradebook:
        return (
            gradebook.find_grade(QUESTION, LINEAR, LINEAR, "ada").manual_score,
            gradebook.find_grade(CHECK, LINEAR, LINEAR, "ada").manual_score,
            gradebook.find_grade(CHECK, LINEAR, LINEAR, "ada").score,
            gradebook.find_comment(QUESTION, LINEAR, LINEAR, "ada").manual_comment,
        )


def of_the_machine(course):
    """Return what the machine gave for r2_score."""
    with course.gradebook() as gradebook:
        return gradebook.find_grade(CHECK, LINEAR, LINEAR, "ada").auto_score


def change_answer(course, source):
    path = course.folder / "submitted" / "ada" / LINEAR / f"{LINEAR}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "r2_score":
            cell["source"] = source
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


KEPT = (4.5, 2.5, 2.5, COMMENT)


def test_grading_again_keeps_it(graded_by_hand):
    assert by_hand(graded_by_hand) == KEPT
    graded_by_hand.grade(LINEAR)
    assert by_hand(graded_by_hand) == KEPT
    assert of_the_machine(graded_by_hand) == 6


def test_a_resubmission_keeps_it_and_is_graded_anew(graded_by_hand):
    change_answer(graded_by_hand, WRONG_R2)
    batch = graded_by_hand.grade(LINEAR)
    assert by_hand(graded_by_hand) == KEPT
    assert of_the_machine(graded_by_hand) == 0
    assert batch.verdicts("ada")["r2_score"].status == "wrong"
    with graded_by_hand.gradebook() as gradebook:  # the answer is another one: a person must look again
        assert gradebook.find_grade(CHECK, LINEAR, LINEAR, "ada").needs_manual_grade


def test_a_resubmission_that_cannot_be_read_keeps_it(graded_by_hand):
    path = graded_by_hand.folder / "submitted" / "ada" / LINEAR / f"{LINEAR}.ipynb"
    path.write_bytes(b"{")
    assert graded_by_hand.grade(LINEAR).of("ada")["status"] == "failed"
    assert by_hand(graded_by_hand)[0] == 4.5
    assert by_hand(graded_by_hand)[3] == COMMENT


def test_nbgrader_autograde_keeps_it_and_gives_the_same_mark(graded_by_hand):
    done = nbgrader_autograde(graded_by_hand, LINEAR, "ada")
    assert done.returncode == 0, done.stderr
    assert by_hand(graded_by_hand) == KEPT
    assert of_the_machine(graded_by_hand) == 6


@pytest.mark.parametrize("then", [None, 1_500_000_000], ids=["now", "with an older date"])
def test_a_resubmission_is_found_by_what_it_says(small_course, then):
    """An archive restores old dates: a file that was changed later may look older."""
    for student in ("ada", "bob"):
        small_course.hand_in(student, Accident("worked", lambda submission: None))
    small_course.grade(LINEAR)
    before = {name: small_course.autograded(LINEAR, name).stat().st_mtime_ns for name in ("ada", "bob")}
    path = change_answer(small_course, WRONG_R2)
    if then is not None:
        os.utime(path, (then, then))
    batch = small_course.grade(LINEAR)
    assert batch.of("ada")["score"] == 30
    assert batch.of("bob")["score"] == 36
    assert small_course.autograded(LINEAR, "ada").stat().st_mtime_ns != before["ada"]
    assert small_course.autograded(LINEAR, "bob").stat().st_mtime_ns == before["bob"]
