"""Late submissions lose what the course's own configuration says, and nothing where it says nothing."""

from __future__ import annotations

import datetime

import nbformat
import pytest
from nbgrader.api import Gradebook

from mlcourse.grading.course.batch import Order, grade_course
from mlcourse.grading.course.timestamp import read_timestamp
from mlcourse.grading.course.writer import CourseError
from tests.test_release import solved
from tools.release import release

NAME = "linear_regression"
ZERO = 'c = get_config()\nc.LateSubmissionPlugin.penalty_method = "zero"\n'


@pytest.fixture
def course(tmp_path):
    """Return a course in which ada was late, and grace was not."""
    (released,) = release(tmp_path, names=[NAME])
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate=datetime.datetime(2020, 1, 2))
    for student, day in (("ada", 3), ("grace", 1)):
        folder = tmp_path / "submitted" / student / NAME
        folder.mkdir(parents=True)
        nbformat.write(solved(released), folder / f"{NAME}.ipynb")
        (folder / "timestamp.txt").write_text(f"2020-01-0{day} 00:00:00 UTC", encoding="utf-8")
    return tmp_path


def graded(course, again=True):
    """Return the score and the penalty of everybody."""
    grade_course(Order(course, NAME, seed=3, isolation="none", again=again, silent=True))
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        return {
            item.student.id: (item.score, item.late_submission_penalty)
            for item in gradebook.assignment_submissions(NAME)
        }


def test_a_late_submission_loses_what_the_course_says(course):
    (course / "nbgrader_config.py").write_text(ZERO, encoding="utf-8")
    first = graded(course)
    assert first["ada"][0] == first["grace"][0] > 0
    assert first["ada"][1] == first["ada"][0]  # of the marks of this grading, not of one before
    assert not first["grace"][1]
    assert graded(course) == first


def test_nothing_is_lost_where_the_course_says_nothing(course):
    assert not any(penalty for _, penalty in graded(course).values())


def test_a_configuration_that_cannot_be_read_ends_in_words(course):
    (course / "nbgrader_config.py").write_text("c = get_config(\n", encoding="utf-8")
    with pytest.raises(CourseError, match=r"nbgrader_config\.py could not be read \(SyntaxError"):
        graded(course)


OWN = """
from nbgrader.plugins import BasePlugin

class AnHour(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return total_seconds_late / 3600
c = get_config()
c.AssignLatePenalties.plugin_class = AnHour
"""


def due(course, day):
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate=datetime.datetime(2020, 1, day))


def test_another_policy_or_due_date_counts_when_the_command_is_given_again(course):
    config = course / "nbgrader_config.py"

    def penalties():
        return {name: penalty or 0 for name, (_, penalty) in graded(course, again=False).items()}

    full = graded(course)["ada"][0]
    assert penalties() == {"ada": 0, "grace": 0}
    config.write_text(ZERO, encoding="utf-8")
    assert penalties() == {"ada": full, "grace": 0}
    due(course, 4)
    assert penalties() == {"ada": 0, "grace": 0}
    due(course, 2)
    config.write_text(OWN, encoding="utf-8")
    assert penalties() == {"ada": 24, "grace": 0}


def test_who_was_in_time_is_not_graded_again_after_the_policy_changed(course):
    path = course / "autograded" / "grace" / NAME / f"{NAME}.ipynb"
    graded(course)
    before = path.stat().st_mtime_ns
    (course / "nbgrader_config.py").write_text(ZERO, encoding="utf-8")
    graded(course, again=False)
    assert path.stat().st_mtime_ns == before


def corrupt(folder):
    (folder / f"{NAME}.ipynb").write_text("{", encoding="utf-8")


def gone(folder):
    (folder / f"{NAME}.ipynb").unlink()


@pytest.mark.parametrize("config", [ZERO, OWN], ids=["zero", "by the hour"])
@pytest.mark.parametrize("broken", [corrupt, gone])
def test_what_cannot_be_read_has_the_penalty_of_its_own_time(course, broken, config):
    (course / "nbgrader_config.py").write_text(config, encoding="utf-8")
    assert graded(course)["ada"][1] > 0
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for student in ("ada", "grace"):
            gradebook.find_grade("explain_step_size", NAME, NAME, student).manual_score = 4
        gradebook.db.commit()
    for student, time in (("ada", "2020-01-01 12:00:00 UTC"), ("grace", "2020-01-02 03:00:00 UTC")):
        folder = course / "submitted" / student / NAME
        broken(folder)
        (folder / "timestamp.txt").write_text(time, encoding="utf-8")
    for _ in range(2):
        found = graded(course)
        assert (found["ada"][0], found["ada"][1] or 0) == (4, 0)  # what a person gave stays, and it came in time
        assert found["grace"] == (4, 4 if config == ZERO else 3)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert gradebook.find_submission(NAME, "ada").timestamp == datetime.datetime(2020, 1, 1, 12)
        assert gradebook.find_grade("explain_step_size", NAME, NAME, "ada").needs_manual_grade
    result = grade_course(Order(course, NAME, seed=3, isolation="none", silent=True))
    assert {item.status for item in result.submissions} == {"failed"}


TIME = "2020-01-03 00:00:00 UTC"


@pytest.mark.parametrize(
    "content",
    [
        TIME.encode("utf-8-sig"),
        TIME.encode("utf-16"),
        b"\xfe\xff" + TIME.encode("utf-16-be"),
        f"{TIME}\r\nhanded in by ada, {'x' * 500}".encode(),
        f"\n{TIME}\n".encode(),
    ],
    ids=["UTF-8 with a mark", "UTF-16", "the other UTF-16", "more lines", "an empty line"],
)
def test_a_time_is_read_however_it_was_written(tmp_path, content):
    (tmp_path / "timestamp.txt").write_bytes(content)
    assert read_timestamp(tmp_path) == (datetime.datetime(2020, 1, 3), "")


@pytest.mark.parametrize(
    "text",
    ["12", "2020", "2020-01", "12-13", "Jan 3", "Friday", "10:30", "01/02/20", "200103", "12 10:30 UTC", "20200"],
)
def test_a_time_without_year_month_and_day_is_none(tmp_path, text):
    (tmp_path / "timestamp.txt").write_text(text, encoding="utf-8")
    stamp, doubt = read_timestamp(tmp_path)
    assert stamp is None
    assert "timestamp.txt could not be read as a year, a month and a day" in doubt


@pytest.mark.parametrize(
    "text",
    ["2020-01-03", "20200103", "2020-01-03 00:00:00.000000 UTC", "2020-01-03T00:00:00Z", "Fri Jan 3 00:00:00 2020"],
)
def test_a_day_is_read_in_each_of_the_usual_ways(tmp_path, text):
    (tmp_path / "timestamp.txt").write_text(text, encoding="utf-8")
    assert read_timestamp(tmp_path) == (datetime.datetime(2020, 1, 3), "")


@pytest.mark.parametrize("content", ["", "12", "on Friday the 40th", "9" * 40 + "h-", None], ids=repr)
def test_a_time_that_cannot_be_read_is_said(course, content):
    path = course / "submitted" / "ada" / NAME / "timestamp.txt"
    path.unlink()
    if content is None:
        path.symlink_to(course / "submitted" / "grace" / NAME / "timestamp.txt")
    else:
        path.write_text(content, encoding="utf-8")
    (course / "nbgrader_config.py").write_text(ZERO, encoding="utf-8")
    for _ in range(2):  # a result of before says it, too
        result = grade_course(Order(course, NAME, seed=3, isolation="none", silent=True))
        ada, grace = result.submissions
        assert (ada.status, grace.status, grace.message) == ("graded", "graded", "")
        assert "timestamp.txt could not be read" in ada.message
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert not gradebook.find_submission(NAME, "ada").late_submission_penalty
